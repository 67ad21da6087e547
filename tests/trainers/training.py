"""One training on the tiny model, to be called here or in a process that will be killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from docendo.core.losses import Optimizer, supervised
from docendo.core.protocols import TrainedEpoch, TrainingStep
from docendo.trainers.trainer import AccelerateTrainer

SETTINGS: dict[str, Any] = {"batch_rows": 8, "micro_batch_rows": 3, "learning_rate": 3e-3}


def train(
    start: Path,
    rows: Path,
    folder: Path,
    *,
    epochs: int = 2,
    seed: int = 7,
    threads: int = 1,
    save_seconds: float = 20.0,
    precision: Any = "auto",
    loss: Any = None,
    held_out: Path | None = None,
    report: Callable[[TrainingStep], None] = lambda step: None,
    **settings: Any,
) -> list[TrainedEpoch]:
    """Train on the CPU."""
    trainer = AccelerateTrainer(threads=threads, device="cpu", precision=precision, save_seconds=save_seconds)
    return list(
        trainer.train(
            start,
            rows,
            loss or supervised(),
            Optimizer(**SETTINGS | settings),
            epochs=epochs,
            seed=seed,
            folder=folder,
            held_out=held_out,
            report=report,
        )
    )


def train_slowly(told: Any, start: Path, rows: Path, folder: Path, settings: dict[str, Any]) -> None:
    """Train in a process of its own, saving after every step and telling of each."""
    train(start, rows, folder, save_seconds=0.0, report=lambda step: told.send(step.step), **settings)


def bytes_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a checkpoint."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
