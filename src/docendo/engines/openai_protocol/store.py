"""Completions that were paid for, kept by request across stages and runs, and what each run has spent.

One SQLite file in the workspace. An answer is on disk before its stage hears of it (a synced transaction), so
no kill can lose it. A key stands for a sample as the library knows it: model name, messages, settings and the
sample's own seed; so another number of samples or of problems, or another recipe, finds what is there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from docendo.core.errors import WorkspaceError
from docendo.core.records import Completion

FILE = "completions.db"
_SCHEMA = """
create table if not exists completions(key text primary key, model text not null, payload blob not null)
    without rowid;
create table if not exists spending(run text primary key, requests integer not null, usd real not null,
                                    unsure_usd real not null);
"""
_BUSY_SECONDS = 60.0
_MOST_VARIABLES = 500


@dataclass(slots=True)
class Spent:
    """What a run has spent so far."""

    requests: int = 0
    """Requests sent, refused and repeated ones included."""
    usd: float = 0.0
    """By the tokens that servers said they counted."""
    unsure_usd: float = 0.0
    """At most so much more, for requests whose end is not known or whose answer came broken."""


class CompletionStore:
    """The file. Several processes may use it at once; one object is for one thread.

    Raises:
        WorkspaceError: The file is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")  # an answer costs more than a sync
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise  # locked, full, read-only: not damaged
            raise WorkspaceError(
                f"{path} is damaged: {error}",
                hint="put a copy in its place, or rename it: then what it held is asked for, and paid, again",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def found(self, keys: Sequence[str]) -> dict[str, Completion]:
        """Return those of the completions that are there."""
        out: dict[str, Completion] = {}
        for first in range(0, len(keys), _MOST_VARIABLES):
            part = keys[first : first + _MOST_VARIABLES]
            marks = ", ".join("?" * len(part))
            rows = self._db.execute(f"select key, payload from completions where key in ({marks})", part)
            out |= {key: _decoded(payload) for key, payload in rows}
        return out

    def spent(self, run: str) -> Spent:
        """Return what a run has spent, by this process and those before it."""
        row = self._db.execute(
            "select requests, usd, unsure_usd from spending where run = ?", (run,)
        ).fetchone()
        return Spent(*row) if row else Spent()

    def sending(self, run: str, at_most_usd: float) -> None:
        """Note that a request goes out which may cost so much."""
        self._db.execute(
            "insert into spending values (?, 1, 0, ?) on conflict (run) do update "
            "set requests = requests + 1, unsure_usd = unsure_usd + excluded.unsure_usd",
            (run, at_most_usd),
        )

    def settle(
        self,
        run: str,
        *,
        at_most_usd: float,
        usd: float,
        model: str = "",
        completions: Mapping[str, Completion] | None = None,
    ) -> None:
        """Write what came of a request, and what it cost, in one transaction. Durable on return.

        Args:
            run: Who pays.
            at_most_usd: What `sending` noted; taken back.
            usd: What it cost.
            model: The model's name, for people who look into the file.
            completions: By key. A key that is there already keeps what it has.
        """
        with self._db:
            self._db.execute("begin immediate")
            self._db.execute(
                "update spending set usd = usd + ?, unsure_usd = max(0, unsure_usd - ?) where run = ?",
                (usd, at_most_usd, run),
            )
            self._db.executemany(
                "insert or ignore into completions values (?, ?, ?)",
                _rows(model, (completions or {}).items()),
            )


def _rows(model: str, completions: Iterable[tuple[str, Completion]]) -> Iterable[tuple[str, str, bytes]]:
    for key, completion in completions:
        yield (
            key,
            model,
            orjson.dumps(
                {
                    "status": completion.status,
                    "reason": completion.reason,
                    "text": completion.text,
                    "finish": completion.finish,
                    "prompt_tokens": completion.prompt_tokens,
                    "generated_tokens": completion.generated_tokens,
                    "cost_usd": completion.cost_usd,
                }
            ),
        )


def _decoded(payload: bytes) -> Completion:
    return Completion(**orjson.loads(payload))
