from __future__ import annotations

from fractions import Fraction
from itertools import combinations
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.metrics.accuracy import accuracy
from docendo.metrics.coverage import coverage
from docendo.metrics.pass_at_k import mean_pass_at_k, pass_at_k, pass_at_k_curve

counts = st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n)))


@pytest.mark.parametrize(
    ("n", "c", "k", "expected"),
    [
        # derived by hand: 1 - C(7, 5) / C(10, 5) = 1 - 21 / 252, and 1 - C(56, 10) / C(64, 10)
        (10, 3, 1, 0.3),
        (10, 3, 5, 0.916667),
        (64, 8, 10, 0.764928),
        (64, 1, 64, 1.0),
        (5, 0, 3, 0.0),
        # one pool of six with three right: 1/2, 4/5, 19/20, 1
        (6, 3, 1, 0.5),
        (6, 3, 2, 0.8),
        (6, 3, 3, 0.95),
        (6, 3, 6, 1.0),
    ],
)
def test_pass_at_k_gives_the_worked_numbers(n: int, c: int, k: int, expected: float) -> None:
    assert pass_at_k(n, c, k) == pytest.approx(expected, abs=5e-7)


@given(counts)
def test_pass_at_k_equals_the_enumeration_of_all_draws(drawn: tuple[int, int, int]) -> None:
    n, c, k = drawn
    draws = list(combinations([True] * c + [False] * (n - c), k))
    assert pass_at_k(n, c, k) == float(Fraction(sum(map(any, draws)), len(draws)))


@given(counts)
def test_pass_at_k_is_one_where_too_few_samples_are_wrong(drawn: tuple[int, int, int]) -> None:
    n, c, k = drawn
    assert (pass_at_k(n, c, k) == 1) == (n - c < k)


@pytest.mark.parametrize(
    ("p", "chance_in_32", "chance_in_64"), [(0.01, 0.275, 0.4744), (0.05, 0.8063, 0.9625)]
)
def test_pass_at_k_is_unbiased(p: float, chance_in_32: float, chance_in_64: float) -> None:
    # A problem that each sample solves with chance p is solved in k samples with chance 1 - (1 - p)^k. The
    # estimate from 64 samples must hit that on average over how many of the 64 happen to be right.
    for k, expected in ((32, chance_in_32), (64, chance_in_64)):
        mean = sum(comb(64, c) * p**c * (1 - p) ** (64 - c) * pass_at_k(64, c, k) for c in range(65))
        assert mean == pytest.approx(1 - (1 - p) ** k, abs=1e-12)
        assert mean == pytest.approx(expected, abs=5e-5)


def test_pass_at_k_is_exact_for_counts_beyond_floats() -> None:
    expected = 1 - Fraction(comb(4997, 2500), comb(5000, 2500))
    assert pass_at_k(5000, 3, 2500) == float(expected)


@pytest.mark.parametrize(
    ("n", "c", "k", "message"),
    [
        (0, 0, 1, "n_samples 0, expected a count >= 1"),
        (5, 6, 1, r"n_correct 6, expected a count in \[0, 5\]"),
        (5, -1, 1, r"n_correct -1, expected a count in \[0, 5\]"),
        (5, 2, 6, r"k 6, expected a count in \[1, 5\]\nhint: draw at least k samples"),
        (5, 2, 0, r"k 0, expected a count in \[1, 5\]"),
    ],
)
def test_pass_at_k_refuses_counts_out_of_range(n: int, c: int, k: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pass_at_k(n, c, k)


def test_mean_pass_at_k_weighs_problems_equally_whatever_their_samples() -> None:
    assert mean_pass_at_k([4, 100], [4, 0], k=2) == 0.5


def test_mean_pass_at_1_of_single_samples_is_accuracy() -> None:
    right = [True, False, True, True]
    assert mean_pass_at_k([1] * 4, [int(r) for r in right], k=1) == accuracy(right) == 0.75


def test_mean_pass_at_k_refuses_unequal_lists_and_no_problems() -> None:
    with pytest.raises(ValueError, match="n_correct of 1 problems, expected 2"):
        mean_pass_at_k([4, 4], [1], k=1)
    with pytest.raises(ValueError, match="no problems"):
        mean_pass_at_k([], [], k=1)
    with pytest.raises(ValueError, match="no problems"):
        pass_at_k_curve([], [])


@given(st.lists(st.integers(0, 16), min_size=1, max_size=6))
def test_the_curve_never_falls_and_ends_at_coverage(n_correct_P: list[int]) -> None:
    curve = pass_at_k_curve([16] * len(n_correct_P), n_correct_P)
    assert list(curve) == [1, 2, 4, 8, 16]
    values = list(curve.values())
    assert values == sorted(values)
    assert curve[16] == pytest.approx(coverage(n_correct_P))


def test_the_curve_stops_at_the_fewest_samples() -> None:
    assert list(pass_at_k_curve([7, 20], [1, 1])) == [1, 2, 4]
    assert list(pass_at_k_curve([7, 20], [1, 1], ks=[7, 3])) == [7, 3]


def test_accuracy_and_coverage_need_a_problem() -> None:
    with pytest.raises(ValueError, match="accuracy of no problems"):
        accuracy([])
    with pytest.raises(ValueError, match="coverage of no problems"):
        coverage([])
    with pytest.raises(ValueError, match="n_correct -1, expected a count >= 0"):
        coverage([3, -1])
