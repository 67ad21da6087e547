"""The arm that knows no verdict: random selections of the method's sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from docendo.core.table import Table
from docendo.evidence.arms import UnverifiedRun
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.selectors.cap import Cap
from docendo.selectors.choose import Choose
from docendo.selectors.verdict import correct
from tests.fakes import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=RunSettings(train_problems=10))


def unverified(run: Run, sizes: list[int]) -> Run:
    return run.arm_run("unverified", UnverifiedRun, sizes=sizes)


def samples_of(run: Run) -> Table[Any]:
    return run.verify(run.sample(run.base, run.problems("train"), 4, temperature=1.0))


def test_each_selection_has_the_size_of_the_methods_and_no_eye_for_verdicts(house: House) -> None:
    method = house.run()
    method.select(samples_of(method), correct)
    method.select(samples_of(method), correct, Cap(1))
    control = unverified(method, method.kept_sizes)
    first = control.select(samples_of(control), correct)
    second = control.select(samples_of(control), correct, Cap(1))
    assert control.kept_sizes == method.kept_sizes == [len(first), len(second)]
    assert {row.verdict.outcome.value for row in first} == {"correct", "incorrect"}


def test_past_the_methods_last_selection_nothing_is_kept(house: House) -> None:
    control = unverified(house.run(), [3])
    assert len(control.select(samples_of(control), correct)) == 3
    assert len(control.select(samples_of(control), correct)) == 0


def test_of_answers_one_of_each_problem_is_drawn_whatever_was_voted_or_scored(house: House) -> None:
    method = house.run()
    vote = Choose("majority", house.task.verifier)
    chosen = method.select(samples_of(method), vote)
    drawn = unverified(method, method.kept_sizes).select(samples_of(method), vote)
    assert [row.problem.id for row in drawn] == [row.problem.id for row in chosen]
    assert len(drawn) == 10
    assert [row.id for row in drawn] != [row.id for row in chosen]


def test_an_arm_has_the_runs_problems_models_and_seed_and_its_own_ledger(house: House) -> None:
    method = house.run()
    method.labels("train")
    arm = method.arm_run("gold")
    assert (arm.name, arm.seed, arm.base, arm.task) == (method.name, method.seed, method.base, method.task)
    assert (arm.arm, arm.ledger.labels, arm.records) == ("gold", {}, [])
