"""Paired comparison: one arm against another on the same problems, with one seed or several.

Three things can make a difference look real that is not: other problems, other seeds, and too few problems
that differ at all. Each has its interval here, and a `Comparison` reports the hull of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, fsum
from statistics import fmean

from docendo.metrics.intervals import (
    Interval,
    clopper_pearson_interval,
    crossed_bootstrap_interval,
    t_interval,
)
from docendo.metrics.transitions import transitions


def mcnemar_p(n_only_first: int, n_only_second: int) -> float:
    """Test, exactly and two-sided, whether two arms are right equally often.

    Only problems on which the arms differ say anything. If neither arm is better, each of these ``m`` went
    either way like a fair coin::

        p = min(1, 2 P[Binomial(m, 1/2) <= min(b, c)])        b = n_only_first, c = n_only_second, m = b + c

    It is the sign test. Fewer than six differing problems never give ``p < 0.05``.

    Args:
        n_only_first: Problems that the first arm alone got right. Count, >= 0.
        n_only_second: Problems that the second arm alone got right. Count, >= 0.

    Returns:
        Probability in ``(0, 1]``; 1 where no problem differs.

    Raises:
        ValueError: A count is negative.

    References:
        McNemar (1947), Psychometrika 12(2), 153-157; Dixon and Mood (1946), J. Amer. Statist. Assoc. 41,
        557-566, the sign test.

    Example:
        >>> mcnemar_p(16, 3)
        0.004425048828125
    """
    if min(n_only_first, n_only_second) < 0:
        raise ValueError(f"counts {n_only_first} and {n_only_second}, expected both >= 0")
    n_differing = n_only_first + n_only_second
    ways = sum(comb(n_differing, i) for i in range(min(n_only_first, n_only_second) + 1))
    return min(1.0, 2 * ways / 2**n_differing)


def discordant_interval(differences_P: Sequence[float], *, level: float = 0.95) -> Interval:
    """Give the interval of a mean difference that the number of differing problems allows.

    With ``b`` problems won, ``c`` lost and ``m = b + c``, the share ``b / m`` has an exact interval
    ``[l, h]`` (`clopper_pearson_interval`); the mean difference follows from it::

        [(2 l - 1) m / n,  (2 h - 1) m / n]

    It excludes zero just when `mcnemar_p` is below ``1 - level``: four wins and no loss among 500 problems
    are no evidence, although a bootstrap would say so. Graded differences count as ``m = L^2 / Q`` differing
    problems of size ``Q / L``, where ``L`` is the sum of their sizes and ``Q`` of the squares, so that the
    spread under "neither is better" stays theirs; the interval is then approximate. Where no problem differs,
    the ends are minus and plus the largest share of differing problems that could have gone unseen.

    Args:
        differences_P: For each problem, first value less second, in ``[-1, 1]``. At least one.
        level: Confidence level, in ``(0, 1)``.

    Raises:
        ValueError: There is no problem, a difference or the level is out of range.

    References:
        Clopper and Pearson (1934), Biometrika 26(4), 404-413; Kish (1965), Survey Sampling, for the effective
        number.

    Example:
        >>> interval = discordant_interval([1.0] * 4 + [0.0] * 496)
        >>> round(interval.low, 4), round(interval.high, 4)
        (-0.0016, 0.008)
    """
    if not differences_P:
        raise ValueError("an interval of no problems, expected at least one")
    outside = [d for d in differences_P if not -1 <= d <= 1]
    if outside:
        raise ValueError(f"difference {outside[0]}, expected a number in [-1, 1]")
    n_problems = len(differences_P)
    won, lost = fsum(d for d in differences_P if d > 0), -fsum(d for d in differences_P if d < 0)
    if won + lost == 0:
        unseen = clopper_pearson_interval(0, n_problems, level=level).high
        return Interval(-unseen, unseen, level)
    size = fsum(d * d for d in differences_P) / (won + lost)
    share = clopper_pearson_interval(won / size, (won + lost) / size, level=level)
    scale = (won + lost) / n_problems
    return Interval.rounded((2 * share.low - 1) * scale, (2 * share.high - 1) * scale, level)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The first arm against the second: their difference and how sure it is."""

    n_problems: int
    n_seeds: int
    mean_first: float
    """Mean over seeds and problems, in ``[0, 1]``."""
    mean_second: float
    difference: float
    """First less second, in ``[-1, 1]``."""
    interval: Interval
    """Of the difference: the hull of the three below. The one to judge by."""
    bootstrap: Interval
    """Other problems and other seeds: `crossed_bootstrap_interval`."""
    discordant: Interval
    """The number of problems that differ: `discordant_interval` of the averages over seeds."""
    over_seeds: Interval | None
    """Other seeds: `t_interval` of the seeds' differences. None with one seed."""
    mcnemar_p_S: tuple[float, ...]
    """For each seed, the exact p; empty where the values are graded instead of right or wrong."""


def compare(
    first_S_P: Sequence[Sequence[float]],
    second_S_P: Sequence[Sequence[float]],
    *,
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare two arms on the same problems, over all seeds at once.

    The difference is taken problem by problem and seed by seed. Seeds are not further problems: the same
    problem under three seeds is still one problem, so pooling them would triple the evidence for nothing. The
    interval is the hull of three, each honest about another source of chance:

    - seeds and problems drawn again, crossed (`crossed_bootstrap_interval`);
    - Student's over the seeds' differences (`t_interval`), because the bootstrap sees too little of the
      seeds' spread when there are few. With two seeds it is so wide that only a great effect passes;
    - what the number of differing problems allows (`discordant_interval`), because the bootstrap sees too
      much in four wins and no loss.

    So with one seed an interval that excludes zero goes with an exact McNemar ``p < 1 - level``, always.

    Args:
        first_S_P: For each seed and problem, the first arm's value in ``[0, 1]``: 1 for a correct verdict and
            0 for every other, or a share of samples. At least one seed and one problem.
        second_S_P: The second arm's, with the same seeds and problems in the same order.
        level: Confidence level, in ``(0, 1)``.
        n_resamples: Draws of the bootstrap. Count, >= 1.
        seed: Of the bootstrap's draws.

    Raises:
        ValueError: The arms differ in shape, are empty, or a value or setting is out of range.

    References:
        Owen (2007), Ann. Appl. Statist. 1(2), 386-411; Miller (2024), arXiv:2411.00640, for pairing.

    Example:
        >>> result = compare([[1, 1, 1, 0] * 100], [[1, 0, 1, 0] * 100])
        >>> result.difference, round(result.interval.low, 2), round(result.interval.high, 2)
        (0.25, 0.21, 0.29)
    """
    shapes = [[len(values_P) for values_P in arm] for arm in (first_S_P, second_S_P)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"arms of {shapes[0]} and {shapes[1]} problems by seed, expected the same problems")
    if not shapes[0] or not min(shapes[0]):
        raise ValueError("a comparison on no problems, expected at least one")
    if len(set(shapes[0])) > 1:
        raise ValueError(f"seeds with {shapes[0]} problems, expected the same problems for every seed")
    values = {value for arm in (first_S_P, second_S_P) for values_P in arm for value in values_P}
    outside = [value for value in values if not 0 <= value <= 1]
    if outside:
        raise ValueError(f"value {outside[0]}, expected a number in [0, 1]")

    pairs_S = list(zip(first_S_P, second_S_P, strict=True))
    differences_S_P = [[a - b for a, b in zip(*pair, strict=True)] for pair in pairs_S]
    n_seeds, n_problems = len(differences_S_P), len(differences_S_P[0])
    averages_P = [round(fmean(row), 12) for row in zip(*differences_S_P, strict=True)]  # no dust for a sign
    bootstrap = crossed_bootstrap_interval(differences_S_P, level=level, n_resamples=n_resamples, seed=seed)
    discordant = discordant_interval(averages_P, level=level)
    over_seeds = t_interval([fmean(d) for d in differences_S_P], level=level) if n_seeds > 1 else None
    mean_first, mean_second = (fmean(fmean(values_P) for values_P in arm) for arm in (first_S_P, second_S_P))
    return Comparison(
        n_problems=n_problems,
        n_seeds=n_seeds,
        mean_first=mean_first,
        mean_second=mean_second,
        difference=round(fmean(averages_P), 12) + 0.0,
        interval=bootstrap.hull(discordant, *([over_seeds] if over_seeds else [])),
        bootstrap=bootstrap,
        discordant=discordant,
        over_seeds=over_seeds,
        mcnemar_p_S=tuple(_mcnemar_p_of(*pair) for pair in pairs_S) if values <= {0, 1} else (),
    )


def _mcnemar_p_of(first_P: Sequence[float], second_P: Sequence[float]) -> float:
    change = transitions([v == 1 for v in second_P], [v == 1 for v in first_P])
    return mcnemar_p(n_only_first=change.wrong_right, n_only_second=change.right_wrong)
