"""The gap recovered, from what counts in the end of each arm and seed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from docendo.evidence.measures import Measured
from docendo.evidence.recovered import recoveries
from docendo.runs.recipe import Gap

GAP = Gap("weak", "ceiling")


def same(left: str, right: str) -> bool:
    return left.strip() == right.strip()


def arm(
    name: str, right: int, answers: Sequence[str | None] = (), *, of: int = 300, seed: int = 0
) -> Measured:
    """Return an arm that solves the first problems."""
    ids = [f"p{place:03}" for place in range(of)]
    outcomes = {one: "correct" if place < right else "incorrect" for place, one in enumerate(ids)}
    said = {one: answer for one, answer in zip(ids, answers, strict=False) if answer is not None}
    return Measured(seed, name, "final", "test", name, outcomes, answers=said)


def test_the_method_and_every_own_arm_is_a_student() -> None:
    arms = [arm("base", 50), arm("majority", 60), arm("unverified", 60), arm("gold", 200)]
    arms += [arm("weak", 100), arm("ceiling", 300), arm("method", 200), arm("xent", 150)]
    found = recoveries(GAP, [{one.arm: one for one in arms}], same)
    assert [(one["arm"], one["pgr"]) for one in found] == [("method", 0.5), ("xent", 0.25)]
    method = found[0]
    low, high = method["interval"]
    assert low < 0.5 < high
    assert (method["accuracy_of_supervisor"], method["accuracy_of_ceiling"]) == (pytest.approx(1 / 3), 1.0)
    assert method["pgr_of_seed"] == [0.5]
    assert method["reason"] == ""


def test_seeds_are_taken_together_and_each_alone() -> None:
    finals_S = [
        {one.arm: one for one in (arm("weak", 100), arm("ceiling", 300), arm("method", right))}
        for right in (150, 250)
    ]
    (found,) = recoveries(GAP, finals_S, same)
    assert found["seeds"] == 2
    assert found["pgr"] == 0.5
    assert found["pgr_of_seed"] == [0.25, 0.75]


def test_it_is_refused_where_the_ceiling_is_not_above_the_supervisor() -> None:
    finals = {one.arm: one for one in (arm("weak", 150), arm("ceiling", 151), arm("method", 200))}
    (found,) = recoveries(GAP, [finals], same)
    assert (found["pgr"], found["interval"], found["pgr_of_seed"]) == (None, None, [None])
    assert found["reason"] == "the ceiling is not significantly above the supervisor"


@pytest.mark.parametrize("missing", ["weak", "ceiling"])
def test_without_an_end_of_the_gap_there_is_nothing_to_say(missing: str) -> None:
    finals = {one.arm: one for one in (arm("weak", 100), arm("ceiling", 300), arm("method", 200))}
    del finals[missing]
    assert recoveries(GAP, [finals], same) == []


def test_agreement_goes_by_answers_and_nothing_agrees_with_silence() -> None:
    # The supervisor is right about the first two of five; to the last both say nothing.
    weak = arm("weak", 2, ["1", "2", "9", "9", None], of=5)
    method = arm("method", 3, ["1 ", "7", "9", "3", None], of=5)
    finals = {one.arm: one for one in (weak, method, arm("ceiling", 5, of=5))}
    (found,) = recoveries(GAP, [finals], same)
    assert found["agreement"] == {
        "overall": 0.4,
        "where_right": 0.5,
        "where_wrong": pytest.approx(1 / 3),
        "n_right": 2,
        "n_wrong": 3,
    }
