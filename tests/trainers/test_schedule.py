from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.losses import Optimizer
from docendo.trainers.schedule import batches, learning_rate

lengths = st.lists(st.integers(1, 300), min_size=1, max_size=300).map(np.array)


@given(lengths, st.integers(1, 40), st.integers(1, 5), st.integers(0, 2**63 - 1))
def test_every_row_stands_in_exactly_one_batch_and_one_batch_at_most_is_smaller(
    lengths: np.ndarray, batch_rows: int, epoch: int, seed: int
) -> None:
    found = batches(lengths, batch_rows=batch_rows, epoch=epoch, seed=seed)
    assert sorted(np.concatenate(found)) == list(range(len(lengths)))
    assert len(found) == -(-len(lengths) // batch_rows)
    assert sum(len(batch) != batch_rows for batch in found) <= 1
    assert all((np.diff(lengths[batch]) >= 0).all() for batch in found)


@given(lengths, st.integers(1, 40))
def test_rows_of_a_batch_are_neighbours_by_length(lengths: np.ndarray, batch_rows: int) -> None:
    # up to 50 batches are one group, so the batches' ranges of lengths do not overlap
    if len(lengths) > 50 * batch_rows:
        lengths = lengths[: 50 * batch_rows]
    spans = sorted(
        (lengths[batch].min(), lengths[batch].max())
        for batch in batches(lengths, batch_rows=batch_rows, epoch=1, seed=3)
    )
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))


def test_the_order_is_a_function_of_epoch_and_seed() -> None:
    lengths = np.arange(200) % 7 + 1

    def order(epoch: int, seed: int) -> list[list[int]]:
        return [list(batch) for batch in batches(lengths, batch_rows=8, epoch=epoch, seed=seed)]

    assert order(1, 5) == order(1, 5)
    assert order(1, 5) != order(2, 5)
    assert order(1, 5) != order(1, 6)


def test_the_order_stays_what_it_was() -> None:
    # A changed rule gives other weights: then ORDER_RULE, and with it the trainer's signature, must change.
    found = batches(np.array([5, 1, 4, 1, 5, 9, 2]), batch_rows=3, epoch=1, seed=0)
    assert [list(map(int, batch)) for batch in found] == [[0, 4, 5], [3], [1, 6, 2]]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # S = 8, W = 2, peak 1: warm-up 1/2, 2/2, then over the 6 steps left
        ("constant", [0.5, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [0.5, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        # (1 + cos(pi k / 6)) / 2 for k = 0 .. 5
        ("cosine", [0.5, 1, 1, 0.9330127, 0.75, 0.5, 0.25, 0.0669873]),
    ],
)
def test_schedules_match_hand_computed_rates(schedule: str, expected: list[float]) -> None:
    settings = Optimizer(learning_rate=1.0, warmup_share=0.25, schedule=schedule)  # type: ignore[arg-type]
    assert [learning_rate(step, 8, settings) for step in range(8)] == pytest.approx(expected)


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
@given(share=st.floats(0, 1), steps=st.integers(1, 60))
def test_no_step_is_without_a_learning_rate_and_none_is_above_the_peak(
    schedule: str, share: float, steps: int
) -> None:
    settings = Optimizer(learning_rate=2.0, warmup_share=share, schedule=schedule)  # type: ignore[arg-type]
    rates = [learning_rate(step, steps, settings) for step in range(steps)]
    assert all(0 < rate <= 2.0 for rate in rates)
    assert max(rates) == 2.0
