"""Class probabilities as training rows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import DataError, SettingError
from docendo.core.records import Context, Label, Logprobs, Problem
from docendo.examples.soft_labels import Classes, probabilities
from docendo.tasks.judgements import Slot

SLOT = Slot(words=("no", "yes"))
PROBLEM = Problem("p", "Is 3 + 4 even?", "train", ("no", "yes"))
CLASSES = Classes.of([PROBLEM], SLOT, Context())


def test_gold_answers_are_certain_and_stand_as_the_format_puts_them() -> None:
    row = CLASSES.gold(PROBLEM, Label("p", "yes"))
    assert row.choices == (" no", " yes")
    assert row.probabilities == (0.0, 1.0)
    assert row.prompt == SLOT.prompt(PROBLEM, Context()).messages
    assert row.problem_id == "p"
    with pytest.raises(DataError, match="the gold answer of problem p is 'maybe'; expected one of no, yes"):
        CLASSES.gold(PROBLEM, Label("p", "maybe"))


def test_what_a_model_says_becomes_shares_of_the_classes_alone() -> None:
    told = Logprobs((math.log(0.1), math.log(0.3)), (1, 1))  # other texts have the other 0.6
    assert CLASSES.told(PROBLEM, told).probabilities == pytest.approx((0.25, 0.75))
    assert CLASSES.told(PROBLEM, told, is_hard=True).probabilities == (0.0, 1.0)


@given(st.lists(st.floats(-1e4, 0), min_size=2, max_size=5), st.floats(-100, 100))
def test_shares_sum_to_one_and_a_constant_changes_nothing(values: list[float], shift: float) -> None:
    found = probabilities(values)
    assert math.fsum(found) == pytest.approx(1)
    assert found == pytest.approx(probabilities([value + shift for value in values]), abs=1e-9)
    assert sum(probabilities(values, is_hard=True)) == 1


@pytest.mark.parametrize(
    ("choices", "told"), [([()], "no choices"), ([("a", "b"), ("c", "d")], "choices of their own")]
)
def test_problems_without_shared_words_have_no_classes(choices: list[tuple[str, ...]], told: str) -> None:
    problems = [Problem(str(place), "?", "train", own) for place, own in enumerate(choices)]
    with pytest.raises(SettingError, match=f"the task's problems have {told}"):
        Classes.of(problems, SLOT, Context())
