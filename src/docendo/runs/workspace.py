"""The directory that holds all runs, stages and checkpoints.

    WORKSPACE/
      workspace.json                the format's number
      runs/<name>/                  run.yaml  stages.jsonl  result.json  report.html
      stages/<kind>-<fingerprint>/  stage.json  rows.parquet
      stages/<kind>-<fingerprint>.work/   journal.db, lock: an unfinished stage
      checkpoints/<fingerprint>/    Hugging Face format; earlier epochs in epoch-K/

A stage is sealed by one rename of its work folder, after everything in it was synced: a reader sees a whole
stage or none. What is found damaged is set aside under a name ending in ``.damaged-N``, never deleted, and
counts as not there.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import orjson

from docendo.core.errors import WorkspaceError
from docendo.core.protocols import Silent, Watcher
from docendo.core.seeds import digest_of

FORMAT = 1
"""Raised when the layout on disk changes."""


@dataclass(frozen=True, slots=True)
class StageKey:
    """What a stage was asked: its kind and everything that its fingerprint counts."""

    kind: str
    asked: Mapping[str, Any]

    @property
    def fingerprint(self) -> str:
        """20 hexadecimal digits."""
        return digest_of([self.kind, self.asked])[:20]

    @property
    def name(self) -> str:
        """``kind-fingerprint``: the folder's name."""
        return f"{self.kind}-{self.fingerprint}"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A finished stage on disk."""

    folder: Path
    record: Mapping[str, Any] = field(repr=False)
    """What ``stage.json`` says."""

    @property
    def name(self) -> str:
        """``kind-fingerprint``."""
        return self.folder.name

    @property
    def kind(self) -> str:
        """The stage's kind."""
        return self.record["kind"]

    @property
    def digest(self) -> str:
        """The digest of what came out."""
        return self.record["digest"]

    @property
    def rows(self) -> int:
        """How many rows it has."""
        return self.record["rows"]

    @property
    def rows_path(self) -> Path:
        """Its Parquet file."""
        return self.folder / "rows.parquet"


class Workspace:
    """A workspace directory, made where there is none.

    Raises:
        WorkspaceError: It is a file, cannot be written to, or is of a newer format.
    """

    def __init__(self, path: Path | str, *, watcher: Watcher | None = None) -> None:
        self.path = Path(path).absolute()
        self.watcher: Watcher = watcher or Silent()
        self._open()

    def _open(self) -> None:
        marker = self.path / "workspace.json"
        hint = "name another with --workspace or DOCENDO_WORKSPACE"
        if self.path.exists() and not self.path.is_dir():
            raise WorkspaceError(f"workspace {str(self.path)!r} is a file; expected a directory", hint=hint)
        try:
            for folder in (self.runs, self.stages, self.checkpoints):
                folder.mkdir(parents=True, exist_ok=True)
            if not marker.exists():
                write_durably(marker, orjson.dumps({"format": FORMAT}))
            probe = self.path / f".probe-{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise WorkspaceError(
                f"workspace {str(self.path)!r} cannot be written to: {error.strerror}", hint=hint
            ) from error
        try:
            found = json.loads(marker.read_bytes())["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise WorkspaceError(
                f"{str(marker)!r} is not a workspace's marker; expected {{'format': {FORMAT}}}",
                hint="if the folder is a workspace, delete that file and run again",
            ) from error
        if not isinstance(found, int) or found > FORMAT:
            raise WorkspaceError(
                f"workspace {str(self.path)!r} has format {found}; this version reads up to {FORMAT}",
                hint="update docendo, or name another workspace with --workspace",
            )

    @property
    def runs(self) -> Path:
        """The folder of runs."""
        return self.path / "runs"

    @property
    def stages(self) -> Path:
        """The folder of stages."""
        return self.path / "stages"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    def sealed(self, name: str) -> Sealed | None:
        """Return the sealed stage of that name; None where there is none, or a damaged one was set aside."""
        folder = self.stages / name
        try:
            record = _checked_record(folder)
            found = {file: (folder / file).stat().st_size for file in record["files"]}
        except FileNotFoundError as error:
            if not folder.exists():
                return None
            self.set_aside(folder, f"{error.filename and Path(error.filename).name} is missing")
            return None
        except (ValueError, KeyError, TypeError) as error:
            self.set_aside(folder, f"stage.json cannot be read: {error}")
            return None
        if found != record["files"]:
            self.set_aside(folder, f"it has files of {found} bytes, expected {record['files']}")
            return None
        return Sealed(folder, record)

    def set_aside(self, folder: Path, why: str) -> None:
        """Rename a damaged folder or file so that nothing believes it, and say so."""
        aside = renamed_as_damaged(folder)
        self.watcher.says(f"{folder.name} is damaged ({why}); set aside as {aside.name} and made again")

    def all_sealed(self) -> Iterator[Sealed]:
        """Yield all sealed stages by name."""
        for folder in sorted(self.stages.iterdir()):
            if folder.is_dir() and "." not in folder.name and (found := self.sealed(folder.name)):
                yield found

    @contextmanager
    def working_on(self, key: StageKey) -> Generator[Path | None]:
        """Hold the stage's lock and give its work folder; None where another process sealed it meanwhile."""
        folder = self.stages / f"{key.name}.work"
        waited = False
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            try:
                lock = (folder / "lock").open("a+")
            except FileNotFoundError:
                continue  # sealed, and so renamed, between the two lines
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not waited:
                    self.watcher.says(f"waiting for another process that works on {key.name}")
                    waited = True
                fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_same_file(lock, folder / "lock"):
                break
            lock.close()
        try:
            if self.sealed(key.name) is not None:
                shutil.rmtree(folder, ignore_errors=True)
                yield None
            else:
                yield folder
        finally:
            lock.close()

    def seal(self, key: StageKey, work: Path, record: Mapping[str, Any]) -> Sealed:
        """Write ``stage.json``, sync everything, and rename the work folder to the stage's name."""
        rows = work / "rows.parquet"
        files = {rows.name: rows.stat().st_size}
        whole = {"format": FORMAT, "kind": key.kind, "fingerprint": key.fingerprint, "asked": key.asked}
        whole |= {**record, "files": files, "rows_sha256": file_sha256(rows)}
        checked = {**whole, "check": digest_of(whole)}
        write_durably(work / "stage.json", orjson.dumps(checked, option=orjson.OPT_INDENT_2))
        _sync(rows)
        _sync(work)
        final = self.stages / key.name
        work.rename(final)
        _sync(self.stages)
        for leftover in final.iterdir():  # only now: a kill before the rename must find the journal
            if leftover.name not in ("rows.parquet", "stage.json"):
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
        return Sealed(final, orjson.loads(orjson.dumps(whole)))

    @contextmanager
    def running(self, name: str) -> Generator[Path]:
        """Hold the lock of a run and give its folder.

        Raises:
            WorkspaceError: Another process holds it.
        """
        folder = self.runs / name
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("a+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise WorkspaceError(
                    f"run {name!r} is being worked on by another process",
                    hint="wait for it, or give this one another --name; the two will share stages",
                ) from error
            yield folder


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; computed once as long as its size and time of change stay."""
    status = path.stat()
    return _sha256_of_state(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256_of_state(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def renamed_as_damaged(folder: Path) -> Path:
    """Rename a folder or file to ``NAME.damaged-N``, with the first N that is free, and return that path."""
    number = 1
    while (aside := folder.with_name(f"{folder.name}.damaged-{number}")).exists():
        number += 1
    return folder.rename(aside)


def _checked_record(folder: Path) -> dict[str, Any]:
    """Return what ``stage.json`` says; ValueError, KeyError or TypeError where it is not what was written."""
    record = orjson.loads((folder / "stage.json").read_bytes())
    if record["format"] > FORMAT:
        raise WorkspaceError(f"stage {folder.name} has a newer format", hint="update docendo")
    if record.pop("check") != digest_of(record):
        raise ValueError("its content is not what was written")
    return record


def write_durably(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_same_file(handle: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False
