"""The table of verdicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.evidence.verdict import verdict
from docendo.metrics.intervals import Interval

UP, DOWN, OVER, TOUCHES = Interval(0.01, 0.1), Interval(-0.1, -0.01), Interval(-0.1, 0.1), Interval(0.0, 0.1)


@pytest.mark.parametrize(
    ("intervals", "word"),
    [
        ([], "no evidence"),
        ([UP], "improved"),
        ([UP, UP, UP], "improved"),
        ([UP, OVER], "no evidence"),
        ([OVER], "no evidence"),
        ([TOUCHES], "no evidence"),
        ([Interval(-0.1, 0.0)], "no evidence"),
        ([DOWN], "worse"),
        ([UP, DOWN], "worse"),
        ([OVER, DOWN, UP], "worse"),
    ],
)
def test_the_word_follows_from_the_intervals_alone(intervals: list[Interval], word: str) -> None:
    assert verdict(intervals) == word


ends = st.tuples(st.integers(-10, 10), st.integers(-10, 10)).map(lambda pair: Interval(*sorted(pair)))


@given(st.lists(ends, max_size=4), st.randoms(use_true_random=False))
def test_the_order_of_rivals_does_not_count_and_a_further_one_never_helps(
    intervals: list[Interval], shuffled: object
) -> None:
    assert verdict(intervals[::-1]) == verdict(intervals)
    if intervals and verdict(intervals[:-1]) != "improved" and len(intervals) > 1:
        assert verdict(intervals) != "improved"
