"""Several processes on one workspace: one works, the others wait and take it; a dead one holds nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import WorkspaceError
from docendo.core.protocols import Chunk, Silent
from docendo.evidence.experiment import experiment
from docendo.runs.settings import RunSettings
from tests.fakes import GuessingEngine, House
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=6, validation_problems=4, test_problems=4, evaluation_samples=2)
PROCESSES = multiprocessing.get_context("forkserver")


def _sample(folder: Path, number: int) -> None:
    """Sample in a process of its own and write down which chunks it answered and what it was told."""
    watcher = Silent()
    engine = GuessingEngine(rows_per_chunk=8, before_chunk=lambda chunk: time.sleep(0.05))
    house = House(folder, settings=SMALL, engine=engine, watcher=watcher)
    run = house.run(f"run-{number}")
    texts = [row.text for row in run.sample(run.base, run.problems("train"), 8, temperature=1.0)]
    told = {"asked": engine.asked, "texts": texts, "said": watcher.said}
    (folder / f"told-{number}.json").write_text(json.dumps(told))


def _hang(folder: Path, began: Any) -> None:
    """Begin a stage and never finish it."""

    def hook(chunk: Chunk) -> None:
        if chunk.id == "2":
            began.set()
            time.sleep(600)

    house = House(folder, settings=SMALL, engine=GuessingEngine(rows_per_chunk=8, before_chunk=hook))
    with house.workspace.running("run-0"):
        run = house.run("run-0")
        run.sample(run.base, run.problems("train"), 8, temperature=1.0)


def started(target: Callable[..., None], *arguments: Any) -> Any:
    process = PROCESSES.Process(target=target, args=arguments)
    process.start()
    return process


def test_of_processes_that_want_the_same_stage_one_works_and_the_others_take_it(tmp_path: Path) -> None:
    house = House(tmp_path)
    assert house.base != house.teacher  # made here, once for all processes
    processes = [started(_sample, tmp_path, number) for number in range(3)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    told = [json.loads((tmp_path / f"told-{number}.json").read_text()) for number in range(3)]
    assert sorted(chunk for one in told for chunk in one["asked"]) == ["0", "1", "2", "3", "4", "5"]
    assert told[0]["texts"] == told[1]["texts"] == told[2]["texts"]
    workspace = House(tmp_path).workspace
    assert not list(workspace.stages.glob("*.work"))
    assert len(list(workspace.stages.iterdir())) == 2


def test_a_stopped_process_holds_neither_its_stage_nor_its_run(tmp_path: Path) -> None:
    House(tmp_path).base  # noqa: B018
    began = PROCESSES.Event()
    process = started(_hang, tmp_path, began)
    assert began.wait(60)
    house = House(tmp_path, settings=SMALL, engine=GuessingEngine(rows_per_chunk=8))
    with pytest.raises(
        WorkspaceError, match=r"run 'run-0' is being worked on by another process\nhint: wait"
    ):
        house.workspace.running("run-0").__enter__()
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    with house.workspace.running("run-0"):
        run = house.run("run-0")
        run.sample(run.base, run.problems("train"), 8, temperature=1.0)
    assert house.engine.asked == ["2", "3", "4", "5"]  # it goes on where the other was stopped


def test_a_second_command_under_the_name_of_a_running_one_is_refused(tmp_path: Path) -> None:
    house = House(tmp_path, settings=SMALL)
    with house.workspace.running("trial"):
        with pytest.raises(WorkspaceError, match="run 'trial' is being worked on by another process"):
            experiment(asked(house))
        experiment(asked(house, name="other"))
    experiment(asked(house))
