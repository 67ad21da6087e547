"""LbT-M3: the beam, failures of several students, sets that are written and read, on scripted models."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.records import Context, Label, Message, Model, Problem, Prompt, Sample, Shot
from docendo.engines.scripted import ScriptedEngine
from docendo.evidence.experiment import experiment, plan
from docendo.examples.exemplar_sets import Failure, of_solved, read_exemplars, with_failures, written
from docendo.recipes.lbt_m3 import LbtM3Config, lbt_m3
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from tests.fakes import House, SumFormat, SumsTask
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=120, validation_problems=40, test_problems=20, evaluation_samples=0)
CONFIG = LbtM3Config(rounds=3, exemplars=2, beam=3, children=3, exams=20, failures=1, scoring_problems=40)


class ShownFormat(SumFormat):
    """Sums with worked examples before the question."""

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        shots = tuple(
            message
            for shot in context.shots
            for message in (Message("user", shot.question), Message("assistant", shot.answer))
        )
        parents = tuple(parent for shot in context.shots for parent in shot.parents)
        return Prompt(problem, (*shots, Message("user", problem.question)), parents)


class ShownTask(SumsTask):
    formats = {"default": ShownFormat()}  # noqa: RUF012


def _addends(question: str) -> tuple[int, int]:
    first, second = re.findall(r"\d+", question)
    return int(first), int(second)


def _solves_up_to_the_largest_shown(messages: tuple[Message, ...], seed: int) -> str:
    """Add rightly where an example adds at least as much: a set is worth its largest second addend."""
    *shown, (a, b) = [_addends(message.content) for message in messages if message.role == "user"]
    right = any(b <= most for _, most in shown)
    return f" So. The answer is {a + b if right else 0}."


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL, task=ShownTask())


def running(house: House, answer: Callable[..., str], students: tuple[str, ...] = ()) -> Run:
    engine = ScriptedEngine(answer)
    run = house.run()
    base = replace(run.base, checkpoint=engine.checkpoint())
    run.models = {"base": base} | {
        f"student-{place}": Model(engine.checkpoint(f"scripted/{name}"))
        for place, name in enumerate(students, start=1)
    }
    run.base = base
    run._engine = lambda name: engine  # type: ignore[assignment, return-value]
    return run


def largest(model: Model) -> int:
    return max(_addends(shot.question)[1] for shot in model.context.shots)


def scores(run: Run) -> list[list[float]]:
    return [
        [float(score) for score in run.facts[f"scores of the sets kept after round {round}"].split(" / ")]
        for round in range(4)
    ]


def test_failures_find_the_way_into_the_exemplars_and_the_best_score_never_falls(house: House) -> None:
    run = running(house, _solves_up_to_the_largest_shown)
    narrow = replace(CONFIG, exemplars=1, beam=1)
    model = lbt_m3(run, narrow)
    assert largest(model) == 6
    kept = scores(run)
    assert all(len(round) <= narrow.beam for round in kept)
    assert [round[0] for round in kept] == sorted(round[0] for round in kept)
    assert kept[0][0] < kept[-1][0] == 1
    assert len(model.context.shots) == narrow.exemplars
    assert any(shot.parents for shot in model.context.shots)


def test_problems_that_score_are_never_exams_nor_exemplars(house: House) -> None:
    run = running(house, _solves_up_to_the_largest_shown)
    lbt_m3(run, CONFIG)
    asked_of: dict[str, set[str]] = {"scoring": set(), "exams-1": set()}
    for record in run.records:
        kind = record["place"].rpartition("/")[2]
        if kind in asked_of and record["kind"] == "sample":
            sealed = run.workspace.sealed(record["stage"])
            assert sealed is not None
            import pyarrow.parquet as pq

            rows: list[dict[str, Any]] = pq.read_table(sealed.folder / "rows.parquet").to_pylist()
            asked_of[kind] |= {row["problem"]["id"] for row in rows}
    assert asked_of["scoring"]
    assert asked_of["exams-1"]
    assert not asked_of["scoring"] & asked_of["exams-1"]


def test_failures_of_all_students_are_pooled(house: House) -> None:
    def answer(messages: tuple[Message, ...], seed: int) -> str:
        return _solves_up_to_the_largest_shown(messages, seed)

    run = running(house, answer, ("one", "two"))
    lbt_m3(run, replace(CONFIG, rounds=1))
    places = {record["place"] for record in run.records}
    assert {"method/round-1/exams-1", "method/round-1/exams-2"} <= places
    alone = running(house, answer, ("one", "two"))
    from docendo.runs.recipe import spec_of

    (arm,) = (one for one in spec_of(lbt_m3).arms(CONFIG) if one.name == "one student")
    arm.recipe(alone, replace(CONFIG, rounds=1))
    assert not any(record["place"].endswith("exams-2") for record in alone.records)


def test_a_teacher_that_writes_is_asked_reflects_and_its_sets_know_where_they_come_from(house: House) -> None:
    def answer(messages: tuple[Message, ...], seed: int) -> str:
        text = messages[-1].content
        if "Write 2 worked examples" in text:
            return written(
                (Shot("What is 1 + 0?", "", "1"), Shot("What is 2 + 0?", "Nothing is added.", "2"))
            )
        if "Give one reason" in text:
            return "They never add anything larger than nothing at all."
        if "Write 2 better examples" in text:
            assert "They never add anything larger" in text
            return written((Shot("What is 1 + 5?", "", "6"), Shot("What is 2 + 6?", "", "8")))
        return _solves_up_to_the_largest_shown(messages, seed)

    run = running(house, answer)
    told = replace(CONFIG, writing="prompted", start="written", rounds=1)
    model = lbt_m3(run, told)
    assert largest(model) == 6
    assert all(len(shot.parents) == 1 for shot in model.context.shots)
    assert run.facts["sets that could not be read"] == 0
    places = [record["place"] for record in run.records if record["kind"] == "sample"]
    assert "method/round-1/reflections" in places
    assert "method/round-1/better" in places


def test_a_teacher_that_writes_nonsense_is_told_so(house: House) -> None:
    run = running(house, lambda messages, seed: "I would rather not.")
    with pytest.raises(SettingError, match="wrote no set of 2 exemplars that can be read") as told:
        lbt_m3(run, replace(CONFIG, writing="prompted", start="written"))
    assert "--writing solved" in told.value.hint


@pytest.mark.parametrize("students", [(), ("one",), ("one", "two", "three")])
def test_a_plan_states_a_bound_that_the_run_keeps(house: House, students: tuple[str, ...]) -> None:
    sent = 0

    def answer(messages: tuple[Message, ...], seed: int) -> str:
        nonlocal sent
        sent += 1
        return _solves_up_to_the_largest_shown(messages, seed)

    run = running(house, answer, students)
    bound = CONFIG.request_bound(run)
    models = dict(run.models)
    trial = replace(
        asked(house, recipe=lbt_m3, config=CONFIG, controls="basic"), models=models, engine=run._engine
    )
    planned = plan(trial)
    assert not planned.is_complete
    assert int(planned.bound) == bound
    assert sent == 0
    result = experiment(trial)
    base = 2 * (SMALL.test_problems or 0)  # its greedy answers, and one drawn for the vote
    assert 0 < sent <= bound + base
    # Most of the bound are new sets, of which many are equal here.
    assert bound < 3 * sent
    # Every round is measured, though all models are one with other exemplars, and rounds may return the same.
    found = [one for one in result["evaluations"] if one["arm"] == "method" and one["split"] == "test"]
    assert [one["round"] for one in found] == [1, 2, 3, "final"]
    assert len({one["model"] for one in found}) == 1


LINE = st.text(st.characters(codec="ascii", exclude_categories=["C"]), min_size=1, max_size=20).map(str.strip)
SHOTS = st.lists(
    st.builds(Shot, *[LINE.filter(lambda text: text and ":" not in text)] * 3), min_size=1, max_size=5
)


@given(SHOTS)
def test_what_is_written_is_read(shots: list[Shot]) -> None:
    assert read_exemplars(written(tuple(shots)), len(shots)) == tuple(shots)
    assert read_exemplars(written(tuple(shots)), len(shots) + 1) is None


def test_few_answers_are_drawn_alike_and_failures_take_places() -> None:
    import random

    solved = [(Problem(str(n), f"q{n}", "train"), Label(str(n), "yes" if n % 5 else "no")) for n in range(40)]
    drawn = of_solved(solved, 8, random.Random(0))
    assert sorted(shot.answer for shot in drawn) == ["no"] * 4 + ["yes"] * 4
    problem, label = solved[0]
    sample = Sample("s1", Prompt(problem, (Message("user", "q0"),)), 0, "?", "stop")
    new = with_failures(drawn, [Failure(problem, sample, label)], random.Random(0))
    assert sum(one != other for one, other in zip(drawn, new, strict=True)) == 1
    assert [shot.parents for shot in new if shot.parents] == [("s1",)]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"writing": "solved", "start": "written"}, "start is written and writing is solved"),
        ({"beam": 0}, "beam is 0; expected at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        LbtM3Config(**setting)
