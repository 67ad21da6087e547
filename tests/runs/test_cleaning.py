"""What counts as garbage: never what a run lists, nor what another process works on."""

from __future__ import annotations

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import UnknownNameError
from docendo.evidence.experiment import experiment
from docendo.recipes.rest_em import RestEmConfig
from docendo.runs.cleaning import delete, forget_stage, garbage, used_stages
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import StageKey, Workspace
from tests.fakes import House, tree_digest
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=6, validation_problems=4, test_problems=4, evaluation_samples=0)
PROCESSES = multiprocessing.get_context("forkserver")
CONFIG = RestEmConfig(rounds=1, samples_per_problem=4)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path, settings=SMALL)
    experiment(asked(house, config=CONFIG))
    return house


def found(house: House) -> dict[str, str]:
    return {one.folder.name: one.why for one in garbage(house.workspace)}


def test_a_workspace_of_finished_runs_has_no_garbage(house: House) -> None:
    assert found(house) == {}
    used = used_stages(house.workspace)
    assert set(used) == {sealed.name for sealed in house.workspace.all_sealed()}
    assert all(runs == {"trial"} for runs in used.values())


def test_stages_of_a_deleted_run_are_garbage_with_their_checkpoints(house: House) -> None:
    config = RestEmConfig(rounds=1, samples_per_problem=4, temperature=0.5)
    experiment(asked(house, name="other", config=config))
    shutil.rmtree(house.workspace.runs / "other")
    before = tree_digest(house.workspace.runs)
    doomed = list(garbage(house.workspace))
    assert {one.why for one in doomed} == {"in no run"}
    assert len([one for one in doomed if one.folder.parent.name == "checkpoints"]) == 1
    assert all(one.size > 0 for one in doomed)
    for one in doomed:
        delete(one)
    assert found(house) == {}
    chunks, trained = len(house.engine.asked), len(house.trainer.rows)
    experiment(asked(house, config=CONFIG))  # all of it is still there
    assert (len(house.engine.asked), len(house.trainer.rows)) == (chunks, trained)
    assert tree_digest(house.workspace.runs) == before


def test_leftovers_of_a_killed_process_are_garbage(house: House) -> None:
    stages, checkpoints = house.workspace.stages, house.workspace.checkpoints
    (stages / "sample-0123.work").mkdir()
    (stages / "sample-0123.work" / "journal.db").write_bytes(b"x" * 10)
    (stages / "train-0123.remake").mkdir()
    (stages / "sample-4567.damaged-1").mkdir()
    (stages / ".deleting-sample-89").mkdir()
    (sealed,) = [one for one in house.workspace.all_sealed() if one.kind == "verify"]
    (sealed.folder / "journal.db-wal").write_bytes(b"x")
    (checkpoint,) = checkpoints.iterdir()
    (checkpoints / f"{checkpoint.name}.damaged-1").mkdir()
    (checkpoints / "0123.sealing").mkdir()
    assert found(house) == {
        "sample-0123.work": "unfinished",
        "train-0123.remake": "unfinished",
        "sample-4567.damaged-1": "damaged",
        ".deleting-sample-89": "damaged",
        "journal.db-wal": "unfinished",
        f"{checkpoint.name}.damaged-1": "damaged",
        "0123.sealing": "in no run",
    }
    for one in list(garbage(house.workspace)):
        delete(one)
    assert found(house) == {}
    assert house.workspace.sealed(sealed.name) is not None


def _hold(path: Path, run: str, key: str, held: Any, release: Any) -> None:
    workspace = Workspace(path)
    with workspace.working_on(StageKey("sample", {"key": key})), workspace.running(run):
        held.set()
        release.wait(60)


@pytest.fixture
def holder(house: House) -> Iterator[StageKey]:
    """Another process that works on a stage in a run of its own."""
    held, release = PROCESSES.Event(), PROCESSES.Event()
    process = PROCESSES.Process(target=_hold, args=(house.workspace.path, "busy", "mine", held, release))
    process.start()
    assert held.wait(60)
    yield StageKey("sample", {"key": "mine"})
    release.set()
    process.join(60)


def test_what_another_process_works_on_is_no_garbage(house: House, holder: StageKey) -> None:
    (house.workspace.checkpoints / f"{holder.fingerprint}.work").mkdir()
    (house.workspace.stages / "sample-0123.work").mkdir()
    shutil.rmtree(house.workspace.runs / "trial")
    # The other run has not come yet to the stages it will want: none of them may go.
    assert found(house) == {"sample-0123.work": "unfinished"}


def test_a_named_stage_is_forgotten_and_made_again(house: House) -> None:
    (sealed,) = [one for one in house.workspace.all_sealed() if one.kind == "verify"]
    delete(forget_stage(house.workspace, sealed.name))
    assert house.workspace.sealed(sealed.name) is None
    chunks = len(house.engine.asked)
    experiment(asked(house, config=CONFIG))
    again = house.workspace.sealed(sealed.name)
    assert again is not None
    assert again.digest == sealed.digest
    assert len(house.engine.asked) == chunks


def test_a_stage_that_is_not_there_cannot_be_forgotten(house: House) -> None:
    with pytest.raises(UnknownNameError, match="unknown stage 'sample-x'"):
        forget_stage(house.workspace, "sample-x")


def test_a_torn_list_of_stages_is_read_up_to_its_tear(house: House) -> None:
    listing = house.workspace.runs / "trial" / "stages.jsonl"
    lines = listing.read_bytes().splitlines(keepends=True)
    os.truncate(listing, sum(len(line) for line in lines[:3]) + 5)
    assert len(used_stages(house.workspace)) == 3
