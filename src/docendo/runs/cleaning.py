"""What can be deleted: stages and checkpoints that no run uses, leftovers, damaged folders."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from docendo.core.errors import UnknownNameError
from docendo.runs.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Garbage:
    """A folder that may go, and why."""

    folder: Path
    why: str
    size: int
    """Bytes."""


def used_stages(workspace: Workspace) -> dict[str, set[str]]:
    """Return for each stage that a run lists the names of those runs."""
    used: dict[str, set[str]] = {}
    for run in sorted(workspace.runs.iterdir()):
        listing = run / "stages.jsonl"
        if listing.is_file():
            for line in listing.read_bytes().splitlines():
                try:
                    used.setdefault(orjson.loads(line)["stage"], set()).add(run.name)
                except (ValueError, KeyError, TypeError):
                    continue  # the last line of a run that was killed
    return used


def garbage(workspace: Workspace) -> Iterator[Garbage]:
    """Yield what no run of the workspace uses. What another process works on is left out.

    A run under way lists its stages as it comes to them. So as long as there is one, what no run lists stays.
    """
    used = used_stages(workspace)
    is_quiet = not any(_is_locked(run) for run in workspace.runs.iterdir())
    kept_checkpoints: set[str] = set()
    for folder in sorted(workspace.stages.iterdir()):
        if ".damaged-" in folder.name or folder.name.startswith(".deleting-"):
            yield Garbage(folder, "damaged", _size(folder))
        elif folder.name.endswith(".remake"):
            if is_quiet:
                yield Garbage(folder, "unfinished", _size(folder))
        elif folder.name.endswith(".work"):
            fingerprint = folder.name.removesuffix(".work").rpartition("-")[2]
            if _is_locked(folder):
                kept_checkpoints.add(fingerprint)
            else:
                yield Garbage(folder, "unfinished", _size(folder))
        elif folder.name in used or not is_quiet:
            kept_checkpoints.add(folder.name.rpartition("-")[2])
            for file in sorted(folder.iterdir()):
                if file.name not in (
                    "rows.parquet",
                    "stage.json",
                ):  # of a process killed just after it sealed
                    yield Garbage(file, "unfinished", _size(file))
        else:
            yield Garbage(folder, "in no run", _size(folder))
    for folder in sorted(workspace.checkpoints.iterdir()):
        if ".damaged-" in folder.name:
            yield Garbage(folder, "damaged", _size(folder))
        elif folder.name.split(".")[0] not in kept_checkpoints:
            yield Garbage(folder, "in no run", _size(folder))


def delete(found: Garbage) -> None:
    """Delete it. A stage is renamed first, so that a reader sees all of it or none."""
    doomed = found.folder.with_name(f".deleting-{found.folder.name}")
    found.folder.rename(doomed)
    shutil.rmtree(doomed) if doomed.is_dir() else doomed.unlink()


def forget_stage(workspace: Workspace, name: str) -> Garbage:
    """Return the named stage as garbage, used or not: it is made again when a run asks for it.

    Raises:
        UnknownNameError: There is no such stage.
    """
    folder = workspace.stages / name
    if not folder.is_dir():
        raise UnknownNameError.of("stage", name, [stage.name for stage in workspace.stages.iterdir()])
    return Garbage(folder, "named", _size(folder))


def _is_locked(folder: Path) -> bool:
    path = folder / "lock"
    if not path.exists():
        return False
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _size(folder: Path) -> int:
    if folder.is_file():
        return folder.stat().st_size
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
