"""How a stage is done: found, or worked on chunk by chunk, or written in one go; then sealed."""

from __future__ import annotations

import errno
import os
import platform
import sqlite3
import time
from bisect import bisect_right
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from docendo.core.errors import StageError
from docendo.core.protocols import Chunk, Finished, Halved, Request
from docendo.runs.journal import Journal, JournalDamaged, is_full
from docendo.runs.stored import SCHEMAS, RowsWriter
from docendo.runs.workspace import Sealed, StageKey, Workspace


@dataclass(slots=True)
class Cost:
    """What a stage used up."""

    prompt_tokens: int = 0
    generated_tokens: int = 0
    trained_tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a run a stage stands: for people, part of no fingerprint."""

    run: str
    label: str
    inputs: Sequence[str] = ()
    sources: Sequence[str] = ()


@cache
def versions() -> dict[str, str]:
    """Return the versions of what can change results in their last bits."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for name in ("docendo", "torch", "transformers", "tokenizers", "accelerate", "peft", "pyarrow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@contextmanager
def storage_faults(what: str) -> Generator[None]:
    """Tell a full disk or one that became read-only as what it is. What is sealed or journaled stays."""
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        if isinstance(error, OSError):
            is_ours = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)
            why = error.strerror
        else:
            is_ours, why = is_full(error), os.strerror(errno.ENOSPC)
        if not is_ours:
            raise
        raise StageError(
            f"{what} could not be written: {why}",
            hint="free space or make the workspace writable, then run the same command: it goes on",
        ) from error


def sealed_record(
    place: Place, *, digest: str, rows: int, cost: Cost, started: float, **more: Any
) -> dict[str, Any]:
    """Return what ``stage.json`` says beside what was asked."""
    return {
        "digest": digest,
        "rows": rows,
        "cost": {
            "prompt_tokens": cost.prompt_tokens,
            "generated_tokens": cost.generated_tokens,
            "trained_tokens": cost.trained_tokens,
            "usd": cost.usd,
            "seconds": round(time.time() - started, 3),
        },
        "first_made": {"run": place.run, "label": place.label, "at": round(started, 3)},
        "inputs": sorted(place.inputs),
        "sources": sorted(place.sources),
        "versions": versions(),
        **more,
    }


def written_stage(
    workspace: Workspace,
    key: StageKey,
    place: Place,
    rows: Callable[[], Iterable[Sequence[Any]]],
    *,
    total: int,
    summary: Callable[[], Mapping[str, Any]] = dict,
    note: Callable[[], str] = str,
) -> tuple[Sealed, bool]:
    """Return the stage, writing its rows in one go where it is not there. True: it was there."""
    found = workspace.sealed(key.name)
    if found is not None:
        return found, True
    with storage_faults(f"stage {key.name}"), workspace.working_on(key) as work:
        if work is None:
            return _just_sealed(workspace, key), True
        started = time.time()
        workspace.watcher.stage_begins(place.label, rows=total, done=0, unit="rows")
        writer = RowsWriter(SCHEMAS[key.kind], work / "rows.parquet")
        try:
            for count, values in enumerate(rows(), start=1):
                writer.write(values)
                if count % 1024 == 0:
                    workspace.watcher.stage_advances(rows=1024, note=note())
            digest = writer.close()
        except BaseException:
            writer.abandon()
            raise
        record = sealed_record(
            place, digest=digest, rows=writer.rows, cost=Cost(), started=started, **summary()
        )
        return workspace.seal(key, work, record), False


def _just_sealed(workspace: Workspace, key: StageKey) -> Sealed:
    found = workspace.sealed(key.name)
    if found is None:
        raise StageError(f"stage {key.name} vanished while this process waited for it")
    return found


@dataclass(slots=True)
class EngineWork:
    """What an engine stage needs to know of its kind."""

    requests: Callable[[], Iterable[Request]]
    plan: Callable[[Iterable[Request]], Iterator[Chunk]]
    answer: Callable[[Iterable[Chunk]], Iterator[Finished | Halved]]
    journaled: Callable[[Any], Sequence[Any]]
    """One result to the JSON values that the journal keeps."""
    rows: Callable[[Iterable[Any]], Iterable[Sequence[Any]]]
    """All journaled values, by position, to the stage's rows."""
    tokens: Callable[[Sequence[Any]], tuple[int, int, float]]
    """The journaled values to (prompt tokens, generated tokens, dollars)."""
    has_failed: Callable[[Sequence[Any]], bool] = lambda values: False
    total: int = 0
    failure_budget: float = 0.5
    """Share of rows that may fail before the stage gives up."""
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


def engine_stage(workspace: Workspace, key: StageKey, place: Place, work: EngineWork) -> tuple[Sealed, bool]:
    """Return the stage, going on with it chunk by chunk where it is not finished. True: it was there."""
    found = workspace.sealed(key.name)
    if found is not None:
        return found, True
    with storage_faults(f"stage {key.name}"), workspace.working_on(key) as folder:
        if folder is None:
            return _just_sealed(workspace, key), True
        journal = _opened(workspace, folder / "journal.db")
        try:
            return _worked(workspace, key, place, work, folder, journal), False
        finally:
            journal.close()


def _opened(workspace: Workspace, path: Path) -> Journal:
    try:
        return Journal(path)
    except JournalDamaged as error:
        for leftover in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            leftover.unlink(missing_ok=True)
        workspace.set_aside(path, str(error))
        return Journal(path)


def _worked(
    workspace: Workspace, key: StageKey, place: Place, work: EngineWork, folder: Path, journal: Journal
) -> Sealed:
    started = time.time()
    began = journal.fact("versions")
    if began is None:
        journal.remember("versions", versions())
    elif began != versions():
        changed = sorted(name for name in {*began, *versions()} if began.get(name) != versions().get(name))
        workspace.watcher.says(f"{place.label} goes on under other versions of {', '.join(changed)}")
        journal.remember("continued_under", versions())
    requests = list(work.requests())
    parts = _Parts(requests)
    if not journal.is_planned:
        journal.write_plan((chunk.id, parts.named(chunk)) for chunk in work.plan(requests))
    open_chunks = [Chunk(name, parts.of(named)) for name, named in journal.open_chunks()]
    watcher = workspace.watcher
    done = journal.count()
    watcher.stage_begins(place.label, rows=work.total, done=done, unit="rows")
    failed = journal.failed()  # also those from before a restart
    if open_chunks:
        for event in work.answer(open_chunks):
            if isinstance(event, Halved):
                journal.halve(
                    event.chunk.id,
                    [(half.id, parts.named(half)) for half in event.halves],
                )
                watcher.says(f"{place.label}: a batch of {event.chunk.rows} was halved ({event.reason})")
                continue
            values = [work.journaled(result) for result in event.results]
            positions = [
                request.position + offset
                for request in event.chunk.requests
                for offset in range(request.rows)
            ]
            broken = sum(1 for one in values if work.has_failed(one))
            journal.finish(event.chunk.id, zip(positions, values, strict=True), failed=broken)
            if broken:
                failed[event.chunk.id] = broken
                _check_budget(journal, place, work, failed, values)
            watcher.stage_advances(
                rows=len(values),
                tokens=sum(work.tokens(one)[1] for one in values),
            )
    return _sealed_from_journal(workspace, key, place, work, folder, journal, started)


class _Parts:
    """Name the requests of a chunk by numbers that survive a restart, and find them again.

    An engine may cut a request of many samples; a part is named by the request's index, the number of its
    first sample within it, and how many samples it has.
    """

    def __init__(self, requests: Sequence[Request]) -> None:
        self._requests = requests
        self._positions = [request.position for request in requests]

    def named(self, chunk: Chunk) -> list[tuple[int, int, int]]:
        """Return (index, first sample, samples) for each request of a chunk."""
        named: list[tuple[int, int, int]] = []
        for part in chunk.requests:
            index = bisect_right(self._positions, part.position) - 1
            named.append((index, part.position - self._positions[index], len(part.seeds)))
        return named

    def of(self, named: Iterable[Sequence[int]]) -> tuple[Request, ...]:
        """Return the requests that were named."""
        found: list[Request] = []
        for index, first, count in named:
            request = self._requests[index]
            if count < len(request.seeds):
                seeds = request.seeds[first : first + count]
                request = replace(
                    request, position=request.position + first, seeds=seeds, first=request.first + first
                )
            found.append(request)
        return tuple(found)


def _check_budget(
    journal: Journal,
    place: Place,
    work: EngineWork,
    failed: Mapping[str, int],
    values: Sequence[Sequence[Any]],
) -> None:
    failed_rows = sum(failed.values())
    if failed_rows > work.failure_budget * work.total:
        journal.reopen(failed)  # asked again by the next try, not believed
        example = next(one for one in values if work.has_failed(one))
        raise StageError(
            f"{place.label}: {failed_rows} of {work.total} requests failed, the last with: {example[1]}",
            hint="mend the cause and run the same command: what did not fail is kept",
        )


def _sealed_from_journal(
    workspace: Workspace,
    key: StageKey,
    place: Place,
    work: EngineWork,
    folder: Path,
    journal: Journal,
    started: float,
) -> Sealed:
    writer = RowsWriter(SCHEMAS[key.kind], folder / "rows.parquet")
    try:
        for values in work.rows(journal.rows()):
            writer.write(values)
        digest = writer.close()
    except BaseException:
        writer.abandon()
        raise
    cost = Cost()
    for values in journal.rows():
        prompt, generated, usd = work.tokens(values)
        cost.prompt_tokens += prompt
        cost.generated_tokens += generated
        cost.usd += usd
    more: dict[str, Any] = dict(work.facts)
    if halved := journal.halved():
        more["halved"] = halved
    if (continued := journal.fact("continued_under")) is not None:
        more["continued_under"] = continued
    if writer.rows != work.total:
        writer.abandon()
        raise StageError(f"{place.label}: {writer.rows} rows came for {work.total} that were asked")
    return workspace.seal(
        key, folder, sealed_record(place, digest=digest, rows=writer.rows, cost=cost, started=started, **more)
    )
