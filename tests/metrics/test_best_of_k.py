from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.metrics.best_of_k import best_of_k
from docendo.metrics.pass_at_k import pass_at_k

samples = st.lists(st.tuples(st.booleans(), st.none() | st.integers(-2, 2)), min_size=1, max_size=7)


def enumerated(rows: list[tuple[bool, int | None]], k: int) -> float:
    """Draw every set; of equal best ones each wins with the same chance."""
    values: list[float] = []
    for drawn in combinations(rows, k):
        top = max((score is not None, score or 0) for _, score in drawn)
        winners = [right for right, score in drawn if (score is not None, score or 0) == top]
        values.append(sum(winners) / len(winners))
    return sum(values) / len(values)


def test_the_worked_numbers() -> None:
    # V-STaR, equation 3: correctness by falling score 0, 1, 1, 0, 1, 0
    alpha = [False, True, True, False, True, False]
    found = {k: best_of_k(alpha, [6, 5, 4, 3, 2, 1], k) for k in (1, 2, 3, 6)}
    assert found == {1: 0.5, 2: pytest.approx(8 / 15), 3: pytest.approx(9 / 20), 6: 0.0}


@given(samples, st.data())
def test_it_is_the_mean_over_all_draws(rows: list[tuple[bool, int | None]], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(rows)))
    right, scores = [row[0] for row in rows], [row[1] for row in rows]
    assert best_of_k(right, scores, k) == pytest.approx(enumerated(rows, k))
    assert best_of_k(right, scores, k) <= pass_at_k(len(rows), sum(right), k) + 1e-12


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.data())
def test_a_perfect_evaluator_reaches_pass_at_k(right: list[bool], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(right)))
    assert best_of_k(right, [float(one) for one in right], k) == pytest.approx(
        pass_at_k(len(right), sum(right), k)
    )


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"k 3, expected a count in \[1, 2\]"):
        best_of_k([True, False], [1.0, 2.0], 3)
    with pytest.raises(ValueError, match="1 scores, expected 2"):
        best_of_k([True, False], [1.0], 1)
    with pytest.raises(ValueError, match="score inf"):
        best_of_k([True], [float("inf")], 1)


def test_a_thousand_samples_do_not_overflow() -> None:
    right = [place % 3 == 0 for place in range(3000)]
    assert 0 < best_of_k(right, [float(-place) for place in range(3000)], 1500) <= 1
