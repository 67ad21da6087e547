from __future__ import annotations

import random
from statistics import fmean

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from docendo.metrics import intervals
from docendo.metrics.intervals import (
    Interval,
    bootstrap_interval,
    clopper_pearson_interval,
    crossed_bootstrap_interval,
    t_interval,
    wilson_interval,
)

shares = st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
levels = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99, 0.999])


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


@given(shares, levels)
def test_wilson_agrees_with_statsmodels(share: tuple[int, int], level: float) -> None:
    expected = proportion_confint(*share, alpha=1 - level, method="wilson")
    assert ends(wilson_interval(*share, level=level)) == pytest.approx(expected, abs=1e-10)


@given(shares, levels)
def test_clopper_pearson_agrees_with_statsmodels(share: tuple[int, int], level: float) -> None:
    expected = proportion_confint(*share, alpha=1 - level, method="beta")
    assert ends(clopper_pearson_interval(*share, level=level)) == pytest.approx(expected, abs=1e-10)


@given(st.floats(0.01, 500), st.floats(0.01, 500), levels)
def test_clopper_pearson_takes_effective_counts(won: float, lost: float, level: float) -> None:
    tail = (1 - level) / 2
    low = scipy.special.betaincinv(won, lost + 1, tail)
    high = scipy.special.betaincinv(won + 1, lost, 1 - tail)
    assert ends(clopper_pearson_interval(won, won + lost, level=level)) == pytest.approx(
        (low, high), abs=1e-9
    )


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=20), levels)
def test_t_interval_agrees_with_scipy(values: list[float], level: float) -> None:
    error = float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = scipy.stats.t.ppf((1 + level) / 2, len(values) - 1) * error
    expected = (fmean(values) - half, fmean(values) + half)
    assert ends(t_interval(values, level=level)) == pytest.approx(expected, rel=1e-9, abs=1e-11)


@given(st.integers(1, 60), st.integers(1, 60))
def test_the_beta_function_meets_its_two_sides_without_a_gap(a: int, b: int) -> None:
    # where the fraction changes sides, at x = (a + 1) / (a + b + 2)
    for x in (edge := (a + 1) / (a + b + 2), edge - 1e-12, edge + 1e-12):
        ours = intervals._beta_cdf(x, a, b)  # pyright: ignore[reportPrivateUsage]
        assert ours == pytest.approx(scipy.special.betainc(a, b, x), abs=1e-12)


def test_wilson_by_hand() -> None:
    # 0 of 10: z^2 / (n + z^2) with z = 1.959964
    assert ends(wilson_interval(0, 10)) == pytest.approx((0.0, 3.841459 / 13.841459), abs=1e-6)
    assert ends(wilson_interval(10, 10)) == pytest.approx((10 / 13.841459, 1.0), abs=1e-6)


@given(shares)
def test_wilson_holds_the_share_and_stays_inside_zero_and_one(share: tuple[int, int]) -> None:
    interval = wilson_interval(*share)
    assert 0 <= interval.low <= interval.high <= 1
    assert interval.low < interval.high
    assert interval.contains(share[0] / share[1])


def test_bootstrap_agrees_with_scipy() -> None:
    rng = random.Random(5)
    values_P = [rng.choice([0.0, 0.25, 0.5, 1.0]) for _ in range(200)]
    ours = bootstrap_interval(values_P, n_resamples=20_000)
    theirs = scipy.stats.bootstrap(
        (values_P,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(1)
    ).confidence_interval
    assert ends(ours) == pytest.approx((theirs.low, theirs.high), abs=0.003)


def test_bootstrap_of_shares_agrees_with_the_binomial_quantiles() -> None:
    # resampling 30 zeros and 70 ones gives Binomial(100, 0.7) / 100
    expected = scipy.stats.binom.ppf([0.025, 0.975], 100, 0.7) / 100
    assert ends(bootstrap_interval([0.0] * 30 + [1.0] * 70, n_resamples=20_000)) == pytest.approx(
        expected, abs=0.01
    )


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_bootstrap_does_not_depend_on_the_order_of_problems(
    values_P: list[float], rng: random.Random
) -> None:
    shuffled = rng.sample(values_P, k=len(values_P))
    assert bootstrap_interval(values_P, n_resamples=50) == bootstrap_interval(shuffled, n_resamples=50)


def test_bootstrap_is_the_same_for_the_same_seed_and_differs_for_another() -> None:
    values_P = [i / 97 for i in range(97)]
    assert bootstrap_interval(values_P, seed=3, n_resamples=500) == bootstrap_interval(
        values_P, seed=3, n_resamples=500
    )
    assert bootstrap_interval(values_P, seed=3, n_resamples=500) != bootstrap_interval(
        values_P, seed=4, n_resamples=500
    )


def test_bootstrap_covers_the_true_mean_as_often_as_it_says() -> None:
    rng, n_covered = random.Random(11), 0
    for trial in range(300):
        values_P = [float(rng.random() < 0.3) for _ in range(150)]
        n_covered += bootstrap_interval(values_P, n_resamples=400, seed=trial).contains(0.3)
    # 285 expected; four standard deviations of Binomial(300, 0.95) are 15
    assert 270 <= n_covered <= 300


def test_float_dust_does_not_exclude_zero() -> None:
    third = 1 / 3
    interval = bootstrap_interval([third + third + third - 1.0, 0.1 + 0.2 - 0.3])
    assert ends(interval) == (0.0, 0.0)
    assert str(interval.low) == "0.0"


def test_the_crossed_bootstrap_sees_the_spread_of_seeds_and_of_problems() -> None:
    rng = random.Random(2)
    problems = [rng.uniform(-0.5, 0.5) for _ in range(100)]
    seeds = (-0.2, -0.1, 0.0, 0.1, 0.2)
    only_problems = crossed_bootstrap_interval([problems] * 5, n_resamples=2000)
    only_seeds = crossed_bootstrap_interval([[s] * 100 for s in seeds], n_resamples=2000)
    both = crossed_bootstrap_interval([[p + s for p in problems] for s in seeds], n_resamples=2000)
    widths = [i.high - i.low for i in (only_problems, only_seeds, both)]
    assert min(widths) > 0
    # independent parts: their variances add up
    assert widths[2] == pytest.approx((widths[0] ** 2 + widths[1] ** 2) ** 0.5, rel=0.1)


def test_the_crossed_bootstrap_of_one_seed_is_the_bootstrap() -> None:
    values_P = [0.0, 1.0, 1.0, 0.5]
    assert crossed_bootstrap_interval([values_P]) == bootstrap_interval(values_P)


def test_a_hull_holds_every_part_and_refuses_other_levels() -> None:
    hull = Interval(0.1, 0.3).hull(Interval(-0.1, 0.2), Interval(0.0, 0.4))
    assert hull == Interval(-0.1, 0.4)
    with pytest.raises(ValueError, match="expected one level"):
        Interval(0, 1, 0.95).hull(Interval(0, 1, 0.9))


def test_intervals_refuse_what_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"n_successes 3, expected a count in \[0, 2\]"):
        wilson_interval(3, 2)
    with pytest.raises(ValueError, match="n_trials 0, expected a count above 0"):
        clopper_pearson_interval(0, 0)
    with pytest.raises(ValueError, match=r"level 95, expected a number between 0 and 1\nhint: 95 % is 0.95"):
        wilson_interval(1, 2, level=95)
    with pytest.raises(ValueError, match="level 0, expected"):
        bootstrap_interval([1.0], level=0, n_resamples=10)
    with pytest.raises(ValueError, match="an interval over 1 values, expected at least two"):
        t_interval([0.3])
    with pytest.raises(
        ValueError, match="value nan, expected a finite number\nhint: what failed counts as 0"
    ):
        bootstrap_interval([0.5, float("nan")])
    with pytest.raises(ValueError, match="no problems"):
        bootstrap_interval([])
    with pytest.raises(ValueError, match="no problems"):
        crossed_bootstrap_interval([])
    with pytest.raises(ValueError, match=r"seeds with \[1, 2\] problems"):
        crossed_bootstrap_interval([[1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="n_resamples 0, expected a count >= 1"):
        bootstrap_interval([1.0], n_resamples=0)
