"""Run an experiment in a process that kills itself, again and again, until it gets through.

Started as a program of its own, ``python -m tests.runs.killing FOLDER SEED KILLS``: it forks a child for each
attempt, so what is imported is imported once. A child counts what it does to the files of its workspace (the
interpreter's audit events: open to write, rename, link, remove, mkdir, connect to SQLite) and each chunk and
epoch that it begins, and sends itself SIGKILL at a count drawn at random.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from docendo.evidence.experiment import experiment
from docendo.runs.settings import RunSettings
from tests.fakes import GuessingEngine, House, ImprovingTrainer
from tests.runs.experiments import asked

EVENTS = {
    "open",
    "os.rename",
    "os.link",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "shutil.rmtree",
    "sqlite3.connect",
}
SETTINGS = RunSettings(train_problems=6, validation_problems=4, test_problems=4, evaluation_samples=2)


class Countdown:
    """Kills this process at the n-th event."""

    def __init__(self, left: int, folder: Path) -> None:
        self._left = left
        self._folder = str(folder)

    def tick(self) -> None:
        """Count one event."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count what is done to the workspace's files; reading does not count."""
        if event in EVENTS and self._folder in str(arguments[0]):
            is_reading = event == "open" and arguments[1] in ("r", "rb", None) and not arguments[2] & 3
            if not is_reading:
                self.tick()


class CountedTrainer(ImprovingTrainer):
    """May be killed between two epochs."""

    def __init__(self, countdown: Countdown) -> None:
        super().__init__()
        self._countdown = countdown

    def train(self, *args: Any, **more: Any) -> Iterator[Any]:
        for epoch in super().train(*args, **more):
            self._countdown.tick()
            yield epoch


def attempt(folder: Path, left: int) -> None:
    """Do the experiment in this process, which ends after ``left`` events; 0: never."""
    countdown = Countdown(left, folder)
    house = House(
        folder,
        settings=SETTINGS,
        engine=GuessingEngine(rows_per_chunk=6, before_chunk=lambda chunk: countdown.tick()),
        trainer=CountedTrainer(countdown),
    )
    sys.addaudithook(countdown.audit)
    experiment(asked(house, controls="basic"))


def main(folder: Path, seed: int, kills: int) -> None:
    """Kill that many attempts at random moments, then let one through; print where each ended."""
    rng = random.Random(seed)
    House(folder).base  # noqa: B018 - made before anything is killed
    ended: list[int] = []
    for left in [*(rng.randint(5, 90) for _ in range(kills)), 0]:
        child = os.fork()
        if child == 0:
            try:
                attempt(folder, left)
            except BaseException:
                import traceback

                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        ended.append(-os.waitstatus_to_exitcode(status))
        if ended[-1] != signal.SIGKILL:
            break
    print(orjson.dumps(ended).decode())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
