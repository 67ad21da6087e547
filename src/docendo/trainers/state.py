"""What exact resumption needs, on disk: written aside, synced, renamed; read back only with the right digest.

``folder/state`` holds

- ``begun.json``: what was asked for, and what must stay the same although nobody asks for it (the number of
  threads changes the last bits of a sum),
- ``step-N.safetensors`` and ``step-N.json``: trained weights and moments of the optimizer after N steps; the
  sums of the running epoch, and the digest of the former. The JSON file comes last and makes the pair valid,
- ``epoch-K.json``: what was reported for an epoch, and the digests of the files of its checkpoint.

Each JSON file holds a digest of its content. There is no pickle. The order of rows, the learning rate and the
random numbers of a step are functions of the seed and the step, so they need no saving.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docendo.core.errors import StageError
from docendo.core.protocols import TrainedEpoch
from docendo.core.seeds import digest_of

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

_KEPT = 2
"""Saved steps: the last, and the one before it in case the last is damaged."""


@dataclass(slots=True)
class Sums:
    """What the running epoch and the training have come to."""

    step: int = 0
    """Optimizer steps done."""
    tokens: int = 0
    """Tokens learned so far."""
    numerator: float = 0.0
    """Of the epoch's loss."""
    denominator: float = 0.0
    epoch_tokens: int = 0
    weight: float = 0.0
    """Sum of the weights of the epoch's rows."""
    measures: dict[str, float] = field(default_factory=dict[str, float])
    """What the loss reports beside itself: sums over the epoch's rows, by weight."""


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON object with its digest; a reader finds the old file or the whole new one."""
    aside = path.with_name(f"{path.name}.tmp")
    text = json.dumps({"record": record, "digest": digest_of(record)}, indent=1, sort_keys=True)
    aside.write_text(text, encoding="utf-8")
    settle(aside, path)


def read(path: Path) -> dict[str, Any] | None:
    """Return a JSON object; None where the file is missing or damaged."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return found["record"] if found["digest"] == digest_of(found["record"]) else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def settle(aside: Path, path: Path) -> None:
    """Sync a file or a folder that was written aside, and rename it."""
    for item in (*aside.rglob("*"), aside) if aside.is_dir() else (aside,):
        _sync(item)
    aside.rename(path)
    _sync(path.parent)


def digest_of_file(path: Path) -> str:
    """Return the SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class StateFolder:
    """Reads and writes ``folder/state``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "state"

    def begun(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what was noted when this training began; None where it has not.

        Args:
            asked: The arguments of the training, as JSON values.

        Raises:
            StageError: Another training began in this folder.
        """
        noted = read(self.path / "begun.json")
        if noted is not None and noted.get("asked") != asked:
            names = sorted(name for name in asked if noted["asked"].get(name) != asked[name])
            raise StageError(
                f"{self.folder} holds another training: {', '.join(names)} differ",
                hint="train into an empty folder",
            )
        return noted

    def begin(self, noted: Mapping[str, Any]) -> None:
        """Note what was asked for and must stay. What lies in the folder without such a note is nobody's."""
        remove(self.path)
        self.path.mkdir(parents=True)
        write(self.path / "begun.json", noted)

    def finished(self, epochs: int) -> dict[int, TrainedEpoch]:
        """Return the epochs whose checkpoints are there and whole."""
        found: dict[int, TrainedEpoch] = {}
        for epoch in range(1, epochs + 1):
            record = read(self.path / f"epoch-{epoch}.json")
            if record is None:
                continue
            folder = self.folder / f"epoch-{epoch}"
            files: dict[str, str] = record.pop("files")
            if all(
                (folder / name).is_file() and digest_of_file(folder / name) == files[name] for name in files
            ):
                found[epoch] = TrainedEpoch(folder=folder, **record)
            else:
                logger.warning("the checkpoint %s is damaged; it is made again", folder.name)
        return found

    def finish(self, trained: TrainedEpoch) -> None:
        """Note that an epoch's checkpoint is complete."""
        record = {name: value for name, value in asdict(trained).items() if name != "folder"}
        record["files"] = {path.name: digest_of_file(path) for path in sorted(trained.folder.iterdir())}
        write(self.path / f"epoch-{trained.epoch}.json", record)

    def save(self, tensors: Mapping[str, Tensor], sums: Sums) -> None:
        """Save a step; of those before it only the last is kept."""
        from safetensors.torch import save_file

        path = self.path / f"step-{sums.step:09d}.safetensors"
        if path.with_suffix(".json").exists():  # saved before a break, from the same numbers
            return
        aside = path.with_name(f"{path.name}.tmp")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside)
        digest = digest_of_file(aside)
        settle(aside, path)
        write(path.with_suffix(".json"), {**asdict(sums), "sha256": digest})
        kept = [step.stem for step in self._steps()[-_KEPT:]]
        for old in self.path.glob("step-*"):
            if old.name.split(".")[0] not in kept:
                old.unlink()

    def load(self, at_most: int) -> tuple[dict[str, Tensor], Sums] | None:
        """Return the last saved step that is whole and not past ``at_most``; None where there is none.

        Those after it are removed.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        for path in reversed(self._steps()):
            record = read(path)
            tensors = path.with_suffix(".safetensors")
            try:
                if record is not None and digest_of_file(tensors) == record.pop("sha256", ""):
                    sums = Sums(**record)
                    if sums.step <= at_most:
                        return load_file(tensors), sums
                else:
                    logger.warning("the saved state %s is damaged; going back to an earlier one", path.stem)
            except (OSError, SafetensorError, TypeError) as error:
                logger.warning(
                    "the saved state %s is damaged (%s); going back to an earlier one", path.stem, error
                )
            path.unlink(missing_ok=True)  # another process of the training may have been first
        return None

    def clear(self) -> None:
        """Remove the saved steps: nothing is left to be resumed."""
        for old in self.path.glob("step-*"):
            old.unlink()

    def _steps(self) -> list[Path]:
        return sorted(self.path.glob("step-*.json"))


def remove(folder: Path) -> None:
    """Remove what an interrupted export left."""
    if folder.exists():
        shutil.rmtree(folder)
