"""Intervals: how far a measured share or mean may be from what it stands for.

Ends are rounded to twelve decimals: ``3 * (1 / 3) - 1`` must not decide that an interval excludes zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, floor, fsum, isfinite, lgamma, log, log1p, sqrt
from statistics import NormalDist, fmean, stdev

import numpy as np
from numpy.typing import NDArray

_CELLS = 1_000_000
"""Numbers that a bootstrap holds at once. Count."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval with both its ends."""

    low: float
    high: float
    level: float = 0.95
    """Confidence level, in ``(0, 1)``."""

    @classmethod
    def rounded(cls, low: float, high: float, level: float) -> Interval:
        """Make an interval whose ends are rounded to twelve decimals, without a negative zero."""
        return cls(round(low, 12) + 0.0, round(high, 12) + 0.0, level)

    def contains(self, value: float) -> bool:
        """Tell whether ``value`` lies between the ends, the ends included.

        Example:
            >>> Interval(0.0, 0.1).contains(0.0)
            True
        """
        return self.low <= value <= self.high

    def hull(self, *others: Interval) -> Interval:
        """Give the shortest interval that holds this one and the others.

        Its level is this one's; intervals of unequal levels do not belong together.

        Raises:
            ValueError: The levels differ.

        Example:
            >>> Interval(0.1, 0.3).hull(Interval(-0.1, 0.2))
            Interval(low=-0.1, high=0.3, level=0.95)
        """
        every = (self, *others)
        if {i.level for i in every} != {self.level}:
            raise ValueError(f"intervals of levels {[i.level for i in every]}, expected one level")
        return Interval(min(i.low for i in every), max(i.high for i in every), self.level)


def wilson_interval(n_successes: int, n_trials: int, *, level: float = 0.95) -> Interval:
    """Give the Wilson score interval of a share.

    These are the shares that a two-sided score test would not reject. With ``p`` the observed share, ``n``
    the trials and ``z`` the normal quantile of ``(1 + level) / 2``::

        (p + z^2 / 2n  -+  z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)

    It stays inside ``[0, 1]`` and does not shrink to a point at ``p = 0`` or ``p = 1``. It takes the trials
    as independent: several samples of one problem are not, so give one trial for each problem.

    Args:
        n_successes: Count, in ``[0, n_trials]``.
        n_trials: Count, >= 1.
        level: Confidence level, in ``(0, 1)``.

    Raises:
        ValueError: A count or the level is out of range.

    References:
        Wilson (1927), J. Amer. Statist. Assoc. 22(158), 209-212.

    Example:
        >>> interval = wilson_interval(70, 100)
        >>> round(interval.low, 4), round(interval.high, 4)
        (0.6042, 0.7811)
    """
    _check_counts(n_successes, n_trials)
    z = NormalDist().inv_cdf((1 + _checked(level)) / 2)
    share, shrink = n_successes / n_trials, 1 + z * z / n_trials
    middle = (share + z * z / (2 * n_trials)) / shrink
    half = z * sqrt(share * (1 - share) / n_trials + z * z / (4 * n_trials**2)) / shrink
    low = 0.0 if n_successes == 0 else middle - half  # exactly zero, and one, in exact arithmetic
    high = 1.0 if n_successes == n_trials else middle + half
    return Interval.rounded(low, high, level)


def clopper_pearson_interval(n_successes: float, n_trials: float, *, level: float = 0.95) -> Interval:
    """Give the exact interval of a share, from the tails of the binomial distribution.

    Its coverage is never below ``level``. In quantiles of the beta distribution, with ``c`` successes in
    ``n`` trials::

        [B((1 - level) / 2; c, n - c + 1),  B((1 + level) / 2; c + 1, n - c)]

    Args:
        n_successes: Number, in ``[0, n_trials]``. Need not be whole: effective counts are allowed.
        n_trials: Number, > 0.
        level: Confidence level, in ``(0, 1)``.

    Raises:
        ValueError: A count or the level is out of range.

    References:
        Clopper and Pearson (1934), Biometrika 26(4), 404-413.

    Example:
        >>> round(clopper_pearson_interval(4, 4).low, 4)
        0.3976
    """
    _check_counts(n_successes, n_trials)
    tail, rest = (1 - _checked(level)) / 2, n_trials - n_successes
    low = _beta_quantile(tail, n_successes, rest + 1) if n_successes > 0 else 0.0
    high = _beta_quantile(1 - tail, n_successes + 1, rest) if rest > 0 else 1.0
    return Interval.rounded(low, high, level)


def t_interval(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """Give Student's interval of the mean of a few independent values, such as one for each seed.

    ``mean -+ t s / sqrt(n)`` with ``s`` the sample deviation and ``t`` the quantile of ``(1 + level) / 2``
    with ``n - 1`` degrees of freedom: 12.7 for two values, 4.3 for three, 2.8 for five.

    Args:
        values: At least two numbers.
        level: Confidence level, in ``(0, 1)``.

    Raises:
        ValueError: There are fewer than two values, one is not finite, or the level is out of range.

    References:
        Student (1908), Biometrika 6(1), 1-25.

    Example:
        >>> interval = t_interval([0.02, 0.03, 0.04])
        >>> round(interval.low, 4), round(interval.high, 4)
        (0.0052, 0.0548)
    """
    if len(values) < 2:
        raise ValueError(f"an interval over {len(values)} values, expected at least two")
    _check_finite(values)
    freedom = len(values) - 1
    # of T with f degrees of freedom, f / (f + T^2) is beta distributed
    x = _beta_quantile(1 - _checked(level), freedom / 2, 0.5)
    half = sqrt(freedom * (1 - x) / x) * stdev(values) / sqrt(len(values))
    return Interval.rounded(fmean(values) - half, fmean(values) + half, level)


def bootstrap_interval(
    values_P: Sequence[float], *, level: float = 0.95, n_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Give the percentile bootstrap interval of the mean over problems.

    Problems are drawn again with replacement, as many as there are; the ends are percentiles of the means of
    the draws. The problems are the unit: give each one value, for instance its pass@k, however many samples
    stand behind it. The interval is too short below some thirty problems, and a point where all values are
    equal.

    Args:
        values_P: One finite number for each problem; at least one. Their order does not matter.
        level: Confidence level, in ``(0, 1)``.
        n_resamples: Draws. Count, >= 1.
        seed: Of the draws. The same values and seed give the same interval, with one version of numpy.

    Raises:
        ValueError: There is no value, one is not finite, or a setting is out of range.

    References:
        Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.

    Example:
        >>> bootstrap_interval([0.0] * 30 + [1.0] * 70)
        Interval(low=0.61, high=0.79, level=0.95)
    """
    return crossed_bootstrap_interval([values_P], level=level, n_resamples=n_resamples, seed=seed)


def crossed_bootstrap_interval(
    values_S_P: Sequence[Sequence[float]], *, level: float = 0.95, n_resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Give the percentile bootstrap interval of the mean over seeds and problems.

    Every seed met every problem, so each draw takes seeds with replacement, problems with replacement, and
    averages where they cross. So the interval tells how far the mean may move with other seeds *and* other
    problems. It overstates the noise of single cells a little; the part of the seeds it understates by
    ``(S - 1) / S``, which matters with few seeds: set `t_interval` over the seeds beside it. With one seed it
    is `bootstrap_interval`.

    Args:
        values_S_P: For each seed, one finite number for each problem, in one order; at least one of each.
        level: Confidence level, in ``(0, 1)``.
        n_resamples: Draws. Count, >= 1.
        seed: Of the draws, unrelated to the seeds of the runs.

    Raises:
        ValueError: There is no value, seeds have unequal numbers of problems, or a setting is out of range.

    References:
        Owen (2007), The pigeonhole bootstrap, Ann. Appl. Statist. 1(2), 386-411.

    Example:
        >>> crossed_bootstrap_interval([[0.0, 1.0] * 50, [1.0, 1.0] * 50])
        Interval(low=0.44, high=1.0, level=0.95)
    """
    means_R = crossed_draws([values_S_P], n_resamples=n_resamples, seed=seed)[:, 0]
    tail = (1 - _checked(level)) / 2
    means = sorted(means_R.tolist())
    return Interval.rounded(percentile(means, tail), percentile(means, 1 - tail), level)


def crossed_draws(
    values_K_S_P: Sequence[Sequence[Sequence[float]]], *, n_resamples: int = 10_000, seed: int = 0
) -> NDArray[np.float64]:
    """Draw seeds and problems again, crossed, and give the means of several values on the same draws.

    Args:
        values_K_S_P: For each of K values, each seed, one finite number for each problem, in one order.
        n_resamples: Draws. Count, >= 1.
        seed: Of the draws.

    Returns:
        Means, shape ``(n_resamples, K)``; rows of no particular order.

    Raises:
        ValueError: There is no value, seeds have unequal numbers of problems, or a setting is out of range.
    """
    shapes = {tuple(len(values_P) for values_P in values_S_P) for values_S_P in values_K_S_P}
    if len(shapes) != 1 or not (shape := next(iter(shapes))) or not min(shape):
        raise ValueError("an interval of no problems, expected at least one, as many of each value")
    if len(set(shape)) > 1:
        raise ValueError(f"seeds with {list(shape)} problems, expected the same problems")
    if n_resamples < 1:
        raise ValueError(f"n_resamples {n_resamples}, expected a count >= 1")
    for values_S_P in values_K_S_P:
        for values_P in values_S_P:
            _check_finite(values_P)

    n_seeds = len(shape)
    rng = np.random.default_rng(seed)
    draws_R_S: list[list[int]] = rng.integers(n_seeds, size=(n_resamples, n_seeds)).tolist()
    means: list[NDArray[np.float64]] = []
    # Equal draws of seeds share their averages over seeds.
    for drawn, n_draws in sorted(Counter(tuple(sorted(draw)) for draw in draws_R_S).items()):
        columns = [
            [fsum(row) / n_seeds for row in zip(*(values_S_P[s] for s in drawn), strict=True)]
            for values_S_P in values_K_S_P
        ]
        means.append(_means_of_draws(np.asarray(columns).T, n_draws, rng))
    return np.concatenate(means)


def _means_of_draws(
    values_P_K: NDArray[np.float64], n_draws: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw the problems again ``n_draws`` times and give the means of each draw.

    Only how often each row of values comes is drawn, which is multinomial: right or wrong has three
    differences, however many problems there are.
    """
    values_V_K, counts_V = np.unique(values_P_K, axis=0, return_counts=True)
    n_problems = len(values_P_K)
    at_once = max(1, _CELLS // len(values_V_K))
    means: list[NDArray[np.float64]] = []
    for first in range(0, n_draws, at_once):
        size = min(at_once, n_draws - first)
        drawn_V = rng.multinomial(n_problems, counts_V / n_problems, size=size)
        means.append(drawn_V @ values_V_K / n_problems)
    return np.concatenate(means)


def percentile(rising: Sequence[float], share: float) -> float:
    """Interpolate between the two order statistics around ``share``."""
    place = share * (len(rising) - 1)
    below = floor(place)
    above = min(below + 1, len(rising) - 1)
    return rising[below] + (place - below) * (rising[above] - rising[below])


def _checked(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"level {level}, expected a number between 0 and 1\nhint: 95 % is 0.95")
    return level


def _check_counts(n_successes: float, n_trials: float) -> None:
    if not n_trials > 0:
        raise ValueError(f"n_trials {n_trials}, expected a count above 0")
    if not 0 <= n_successes <= n_trials:
        raise ValueError(f"n_successes {n_successes}, expected a count in [0, {n_trials}]")


def _check_finite(values: Sequence[float]) -> None:
    strange = [value for value in values if not isfinite(value)]
    if strange:
        raise ValueError(f"value {strange[0]}, expected a finite number\nhint: what failed counts as 0")


def _beta_quantile(share: float, a: float, b: float) -> float:
    """Find ``x`` in ``[0, 1]`` with ``I_x(a, b) = share``, by halving."""
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if _beta_cdf(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _beta_cdf(x: float, a: float, b: float) -> float:
    """Give the regularized incomplete beta function ``I_x(a, b) = 1 - I_(1 - x)(b, a)``."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x))
    if x < (a + 1) / (a + b + 2):  # the fraction converges fast on this side, its mirror on the other
        return front / a * _beta_fraction(x, a, b)
    return 1 - front / b * _beta_fraction(1 - x, b, a)


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Give the continued fraction of the incomplete beta function, by Lentz's method.

    References:
        DLMF, https://dlmf.nist.gov/8.17, equation 8.17.22.
    """
    value, c, d = 1.0, 1.0, 0.0
    for step in range(10_000):
        m = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            term = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        d = 1 / _off_zero(1 + term * d)
        c = _off_zero(1 + term / c)
        value *= c * d
        if step and abs(1 - c * d) < 1e-15:
            break
    return value - 1


def _off_zero(value: float) -> float:
    return value if abs(value) > 1e-300 else 1e-300
