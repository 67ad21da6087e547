"""F1: hand-made numbers, bounds, and what the interval does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.metrics.f1 import f1_of, f1_with_interval

PAIRS = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("said", "gold", "value"),
    [
        ("1100", "1010", 0.5),
        ("1111", "1000", 0.4),  # precision 1/4, recall 1
        ("1000", "1111", 0.4),
        ("0000", "1010", 0.0),
        ("0000", "0000", 0.0),
        ("1010", "1010", 1.0),
    ],
)
def test_hand_made_numbers(said: str, gold: str, value: float) -> None:
    assert f1_of([one == "1" for one in said], [one == "1" for one in gold]) == pytest.approx(value)


@given(PAIRS)
def test_it_is_symmetric_and_is_the_harmonic_mean(pairs: list[tuple[bool, bool]]) -> None:
    said, gold = (list(column) for column in zip(*pairs, strict=True))
    value = f1_of(said, gold)
    assert value == f1_of(gold, said)
    hits = sum(one and other for one, other in pairs)
    if hits:
        precision, recall = hits / sum(said), hits / sum(gold)
        assert value == pytest.approx(2 * precision * recall / (precision + recall))
    else:
        assert value == 0


@given(PAIRS)
def test_the_interval_holds_the_bounds(pairs: list[tuple[bool, bool]]) -> None:
    said, gold = (list(column) for column in zip(*pairs, strict=True))
    found = f1_with_interval(said, gold, n_resamples=200)
    assert 0 <= found.interval.low <= found.interval.high <= 1


def test_more_problems_make_it_shorter() -> None:
    said, gold = [True, True, False, False] * 10, [True, False, True, False] * 10
    short = f1_with_interval(said * 10, gold * 10).interval
    long = f1_with_interval(said, gold).interval
    assert short.high - short.low < 0.5 * (long.high - long.low)
    assert long.low < 0.5 < long.high
