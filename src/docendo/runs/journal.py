"""The journal of an unfinished stage: which chunks are planned, which are done, and their rows.

SQLite in WAL mode; one transaction for each finished chunk, so a process killed at any moment loses at most
the chunks in flight. The plan is written first and followed afterwards, because the last bits of a float
depend on what else is in the batch.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

_SCHEMA = """
create table if not exists facts(name text primary key, value blob not null);
create table if not exists plan(place integer primary key, chunk text unique not null, requests blob not null,
                                state text not null, failed integer not null default 0);
create table if not exists rows(position integer primary key, payload blob not null);
"""


class JournalDamaged(Exception):
    """The file is no journal, or a torn one. What it held must be done again."""


class Journal:
    """One journal file. Not for use by two processes at once: the stage's lock sees to that."""

    def __init__(self, path: Path) -> None:
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=normal")
            if self._db.execute("pragma quick_check").fetchone()[0] != "ok":
                raise JournalDamaged(f"{path.name} fails its own check")
            self._db.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            if is_full(error):
                raise OSError(28, "No space left on device") from error
            raise JournalDamaged(f"{path.name}: {error}") from error

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._db.close()

    def fact(self, name: str) -> Any:
        """Return a remembered value, or None."""
        found = self._db.execute("select value from facts where name = ?", (name,)).fetchone()
        return orjson.loads(found[0]) if found else None

    def remember(self, name: str, value: Any) -> None:
        """Write a named JSON value."""
        self._db.execute("insert or replace into facts values (?, ?)", (name, orjson.dumps(value)))

    @property
    def is_planned(self) -> bool:
        """Whether the whole plan has been written."""
        return self.fact("planned") is True

    def write_plan(self, chunks: Iterable[tuple[str, Sequence[Any]]]) -> None:
        """Write all chunks at once: each its id and what names its requests, as JSON values."""
        with self._db:
            self._db.execute("begin")
            self._db.execute("delete from plan")
            self._db.executemany(
                "insert into plan values (?, ?, ?, 'open', 0)",
                (
                    (place, chunk, orjson.dumps(list(requests)))
                    for place, (chunk, requests) in enumerate(chunks)
                ),
            )
            self._db.execute("insert or replace into facts values ('planned', ?)", (orjson.dumps(True),))

    def open_chunks(self) -> list[tuple[str, list[Any]]]:
        """Return the chunks that are not done, in the plan's order."""
        found = self._db.execute("select chunk, requests from plan where state = 'open' order by place")
        return [(chunk, orjson.loads(requests)) for chunk, requests in found]

    def halve(self, chunk: str, halves: Sequence[tuple[str, Sequence[Any]]]) -> None:
        """Replace a chunk by its halves; they go to the end of the plan."""
        with self._db:
            self._db.execute("begin")
            self._db.execute("update plan set state = 'halved' where chunk = ?", (chunk,))
            last = self._db.execute("select max(place) from plan").fetchone()[0]
            self._db.executemany(
                "insert into plan values (?, ?, ?, 'open', 0)",
                (
                    (last + 1 + number, half, orjson.dumps(list(requests)))
                    for number, (half, requests) in enumerate(halves)
                ),
            )

    def halved(self) -> list[str]:
        """Return the chunks that were cut in two, now or before a restart, in the plan's order."""
        found = self._db.execute("select chunk from plan where state = 'halved' order by place")
        return [chunk for (chunk,) in found]

    def failed(self) -> dict[str, int]:
        """Return how many rows failed in each finished chunk that has such rows."""
        return dict(self._db.execute("select chunk, failed from plan where state = 'done' and failed > 0"))

    def finish(self, chunk: str, rows: Iterable[tuple[int, Any]], *, failed: int = 0) -> None:
        """Write a chunk's rows, each with its position, and that it is done. Durable on return."""
        with self._db:
            self._db.execute("begin")
            self._db.executemany(
                "insert or replace into rows values (?, ?)",
                ((position, orjson.dumps(values)) for position, values in rows),
            )
            self._db.execute("update plan set state = 'done', failed = ? where chunk = ?", (failed, chunk))

    def reopen(self, chunks: Iterable[str]) -> None:
        """Mark chunks as not done, so that they are asked again."""
        with self._db:
            self._db.execute("begin")
            self._db.executemany("update plan set state = 'open' where chunk = ?", ((c,) for c in chunks))

    def count(self) -> int:
        """Return how many rows are there."""
        return self._db.execute("select count(*) from rows").fetchone()[0]

    def rows(self) -> Iterator[Any]:
        """Yield the rows by position."""
        for (payload,) in self._db.execute("select payload from rows order by position"):
            yield orjson.loads(payload)


def is_full(error: sqlite3.Error) -> bool:
    """Return whether SQLite says, in its own way, that the disk is full."""
    return "full" in str(error) or "disk I/O" in str(error)
