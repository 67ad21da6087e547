"""LbT M2: which pairs are learned, by which loss, and what it may know, in a classroom of scripted models."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import SettingError
from docendo.core.losses import Preference
from docendo.core.records import Example, Message, Model
from docendo.evidence.experiment import plan
from docendo.recipes.lbt_m2 import LbtM2Config, correctness, lbt_m2
from docendo.runs.recipe import spec_of
from docendo.runs.run import Run
from docendo.scorers.exam_settings import ExamSettings
from tests.lessons import SIZE, Classroom, LessonsTask, pupil

CONFIG = LbtM2Config(samples_per_problem=6, exam=ExamSettings(exam_repeats=2, student_temperature=0.7))


def muddled(messages: tuple[Message, ...], seed: int) -> str:
    """Say the same as a pupil, but after some right lessons fail; so two right ones can differ in worth."""
    said = pupil(messages, seed)
    told = [message.content for message in messages if message.role == "assistant"]
    if len(told) < 2:
        return said if seed % 2 else f" Hm.{said}"
    return " I am lost. The answer is 0." if " Hm." in told[-2] else said


class Traced(Run):
    """A Run that trains nothing and remembers what it was asked to."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.trainings: list[tuple[Model, list[Example], Any, dict[str, Any]]] = []

    def train(self, start: Model, rows: Any, loss: Any = None, **more: Any) -> Model:
        self.trainings.append((start, list(rows), loss, more))
        return start


def trained(room: Classroom, recipe: Any = lbt_m2, config: LbtM2Config = CONFIG) -> Traced:
    run = room.run().arm_run("method", Traced)
    assert isinstance(run, Traced)
    recipe(run, config)
    return run


@pytest.fixture
def room(tmp_path: Path) -> Classroom:
    return Classroom(tmp_path, muddled)


def rows_of(run: Traced) -> list[Example]:
    ((_, rows, _, _),) = run.trainings
    return rows


def test_pairs_prefer_what_is_right_or_teaches_better(room: Classroom) -> None:
    run = trained(room)
    rows = rows_of(run)
    facts = run.facts
    assert facts["pairs learned"] == len(rows) > 0
    assert facts["pairs of two right ones"] > 0
    assert facts["pairs that prefer a wrong one to a right one"] == 0
    for row in rows:
        assert row.chosen != row.rejected
        assert len(row.parents) == 2
    by_problem = Counter(row.problem_id for row in rows)
    assert max(by_problem.values()) <= CONFIG.limit
    assert by_problem.keys() <= {problem.id for problem in run.problems("train")}


def test_correctness_alone_pairs_right_with_wrong_over_the_same_samples(room: Classroom) -> None:
    run = trained(room, correctness)
    facts = run.facts
    assert facts["pairs learned"] == facts["pairs of a right and a wrong one"] == len(rows_of(run)) > 0
    before = len(room.engine.asked)
    trained(room)
    assert len(room.engine.asked) == before  # samples and exams are shared


def test_it_is_dpo_from_and_against_the_model_itself_with_the_likelihood_term(room: Classroom) -> None:
    config = replace(CONFIG, nll_weight=50.0, nll_per="text", beta=0.2, epochs=2)
    run = trained(room, config=config)
    ((start, _, loss, more),) = run.trainings
    assert start == run.base == more["reference"]
    assert loss == Preference(beta=0.2, nll_weight=50.0, nll_per="text")
    assert more["epochs"] == 2


@pytest.mark.parametrize("keep", ["random", "widest"])
def test_of_more_pairs_the_limit_is_kept_by_the_stated_rule(room: Classroom, keep: Any) -> None:
    every = rows_of(trained(room, config=replace(CONFIG, limit=100)))
    some = rows_of(trained(room, config=replace(CONFIG, limit=2, keep=keep)))
    counts = Counter(row.problem_id for row in every)
    assert Counter(row.problem_id for row in some) == {key: min(2, n) for key, n in counts.items()}
    known = {row.parents for row in every}
    assert all(row.parents in known for row in some)
    again = rows_of(trained(room, config=replace(CONFIG, limit=2, keep=keep)))
    assert some == again


def test_gold_of_train_and_exams_is_read_and_that_of_test_is_not(tmp_path: Path) -> None:
    made: dict[tuple[str, ...], list[Example]] = {}
    for permuted in ((), ("test",), ("train",), ("exams",)):
        task = LessonsTask(permuted=permuted)
        run = trained(Classroom(tmp_path / "-".join(("room", *permuted)), muddled, task))
        made[permuted] = rows_of(run)
        read = {one["split"] for one in run.ledger.summary()["labels_read"]}
        assert {"exams", "train"} <= read
        assert "test" not in read
    assert made[()] == made[("test",)]
    assert made[()] != made[("train",)]
    assert made[()] != made[("exams",)]


def test_a_plan_goes_to_the_end(room: Classroom) -> None:
    room.engine = replace(room.engine, likelihood=lambda messages, text: -1.0)
    planned = plan(room.experiment(lbt_m2, CONFIG))
    assert planned.is_complete
    rows = {stage.label: stage.rows for stage in planned.stages}
    assert rows["method/pairs"] == SIZE * 6
    assert rows["method/exam-base"] == SIZE * 6 * 3 * 2
    assert rows["method/select"] == SIZE * 6 * 5
    assert "correctness/train" in rows
    assert room.engine.asked == []
    (arm,) = spec_of(lbt_m2).arms(CONFIG)
    assert (arm.name, arm.is_rival) == ("correctness", True)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"samples_per_problem": 1}, "samples_per_problem is 1; expected at least 2"),
        ({"exam_share": 1.5}, "exam_share is 1.5; expected 0 to 1"),
        ({"gap": 1.0}, "gap is 1.0; expected below 1"),
        ({"keep": "best"}, "keep is 'best'; expected random or widest"),
        ({"limit": 0}, "limit is 0; expected at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        LbtM2Config(**setting)
