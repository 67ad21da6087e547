"""Performance gap recovered: how much of the way from a weak supervisor to the ceiling a student goes.

Burns et al. (2023), arXiv:2312.09390, section 3: ``PGR = (student - weak) / (ceiling - weak)`` of accuracies
on the same problems. 0: no better than the supervisor; 1: as good as the same model taught with gold
answers. It may be negative or above 1, and says nothing where ceiling and supervisor do not differ: there it
is refused.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import isfinite, sqrt
from statistics import fmean, median, stdev

from docendo.metrics.intervals import Interval, crossed_draws, percentile
from docendo.metrics.paired import compare


def performance_gap_recovered(weak: float, student: float, ceiling: float) -> float | None:
    """Give the share of the gap between supervisor and ceiling that the student recovers.

    Args:
        weak: Accuracy of the weak supervisor, in ``[0, 1]``.
        student: Accuracy of the strong student taught with the supervisor's labels.
        ceiling: Accuracy of the strong model taught with gold answers.

    Returns:
        ``(student - weak) / (ceiling - weak)``, any real number; None where the ceiling is not above the
        supervisor. Rounded to twelve decimals.

    Raises:
        ValueError: An accuracy is out of range.

    References:
        Burns et al. (2023), arXiv:2312.09390, section 3; openai/weak-to-strong drops such pairs as well.

    Example:
        >>> performance_gap_recovered(0.6, 0.7, 0.8), performance_gap_recovered(0.6, 0.55, 0.8)
        (0.5, -0.25)
        >>> performance_gap_recovered(0.8, 0.7, 0.8) is None
        True
    """
    outside = [value for value in (weak, student, ceiling) if not 0 <= value <= 1]
    if outside:
        raise ValueError(f"accuracy {outside[0]}, expected a number in [0, 1]")
    if ceiling <= weak:
        return None
    return round((student - weak) / (ceiling - weak), 12) + 0.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """One supervisor, student and ceiling: their accuracies, and the gap recovered with its interval."""

    n_problems: int
    n_seeds: int
    weak: float
    """Mean accuracy over seeds and problems, in ``[0, 1]``."""
    student: float
    ceiling: float
    gap: Interval
    """Of ceiling less weak: `docendo.metrics.paired.compare`."""
    pgr: float | None
    """None where ``reason`` says why."""
    interval: Interval | None
    """Of the gap recovered; None where it is refused."""
    reason: str = ""


def recovery(
    weak_S_P: Sequence[Sequence[float]],
    student_S_P: Sequence[Sequence[float]],
    ceiling_S_P: Sequence[Sequence[float]],
    *,
    level: float = 0.95,
    n_resamples: int = 10_000,
    seed: int = 0,
) -> Recovery:
    """Give the performance gap recovered with its interval, or why there is none.

    The three models meet in every draw on the same problems and seeds (a paired, crossed bootstrap), so what
    is hard for all of them does not widen the interval. It is refused where the ceiling is not significantly
    above the supervisor: where the interval of their difference, as every comparison here has it, does not
    lie above 0. Where a single draw finds no gap, the ratio counts as beyond all others, on the side of its
    numerator; were such draws so many that an end of the interval is among them, it is refused as well. So
    no end is ever infinite.

    Args:
        weak_S_P: For each seed and problem, 1 where the weak supervisor is right and 0 where not.
        student_S_P: The student's, with the same seeds and problems in the same order.
        ceiling_S_P: The ceiling's.
        level: Confidence level, in ``(0, 1)``.
        n_resamples: Draws of the bootstrap. Count, >= 1.
        seed: Of the draws.

    Raises:
        ValueError: The models differ in shape, are empty, or a value or setting is out of range.

    Example:
        >>> right, wrong = [1.0] * 100, [0.0] * 100
        >>> found = recovery([right + wrong * 2], [right * 2 + wrong], [right * 3])
        >>> found.pgr, found.reason
        (0.5, '')
        >>> recovery([right], [right], [right]).reason
        'the ceiling is not significantly above the supervisor'
    """
    shapes = {tuple(map(len, arm)) for arm in (weak_S_P, student_S_P, ceiling_S_P)}
    if len(shapes) > 1:
        raise ValueError(f"models with {sorted(shapes)} problems by seed, expected the same problems")
    over = {"level": level, "n_resamples": n_resamples, "seed": seed}
    clear = compare(ceiling_S_P, weak_S_P, **over)  # pyright: ignore[reportArgumentType]
    weak, ceiling = clear.mean_second, clear.mean_first
    student = compare(student_S_P, weak_S_P, level=level, n_resamples=1, seed=seed).mean_first
    pgr, interval, reason = performance_gap_recovered(weak, student, ceiling), None, ""
    if pgr is None or clear.interval.low <= 0:
        reason = "the ceiling is not significantly above the supervisor"
    else:
        interval = _interval(weak_S_P, student_S_P, ceiling_S_P, level, n_resamples, seed)
        reason = (
            "" if interval else "too many draws of the bootstrap find no gap between ceiling and supervisor"
        )
    return Recovery(
        n_problems=clear.n_problems,
        n_seeds=clear.n_seeds,
        weak=weak,
        student=student,
        ceiling=ceiling,
        gap=clear.interval,
        pgr=None if reason else pgr,
        interval=interval,
        reason=reason,
    )


def _interval(
    weak_S_P: Sequence[Sequence[float]],
    student_S_P: Sequence[Sequence[float]],
    ceiling_S_P: Sequence[Sequence[float]],
    level: float,
    n_resamples: int,
    seed: int,
) -> Interval | None:
    drawn = crossed_draws([weak_S_P, student_S_P, ceiling_S_P], n_resamples=n_resamples, seed=seed)
    ratios = sorted(_ratio(weak, student, ceiling) for weak, student, ceiling in drawn.tolist())
    tail = (1 - level) / 2
    ends = [percentile(ratios, share) for share in (tail, 1 - tail)]
    return Interval.rounded(ends[0], ends[1], level) if all(map(isfinite, ends)) else None


def _ratio(weak: float, student: float, ceiling: float) -> float:
    gap, gain = round(ceiling - weak, 12), round(student - weak, 12)
    if gap > 0:
        return gain / gap
    return float("inf") if gain > 0 else float("-inf")


@dataclass(frozen=True, slots=True)
class MedianRecovery:
    """The gap recovered over several pairs of models, tasks or seeds."""

    median: float | None
    """None where every one was refused."""
    standard_error: float | None
    """Of the mean of those counted: their deviation over the root of their number. None below two."""
    n_counted: int
    n_refused: int


def median_recovery(values: Sequence[float | None]) -> MedianRecovery:
    """Give the median of the gaps recovered over pairs and seeds; those refused are counted, not averaged.

    Args:
        values: A gap recovered each, None where it was refused.

    References:
        openai/weak-to-strong, ``notebooks/Plotting.ipynb``: the median over pairs and seeds, without those
        whose ceiling is not above the supervisor.

    Example:
        >>> median_recovery([0.2, None, 0.5, 0.3]).median
        0.3
    """
    known = [value for value in values if value is not None]
    error = stdev(known) / sqrt(len(known)) if len(known) > 1 else None
    return MedianRecovery(median(known) if known else None, error, len(known), len(values) - len(known))


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often a student says what its supervisor says."""

    overall: float
    """Share of problems, in ``[0, 1]``."""
    where_right: float | None
    """Where the supervisor is right; None where it never is."""
    where_wrong: float | None
    """Where it is wrong: what the student takes over of its mistakes."""
    n_right: int
    n_wrong: int


def agreement(
    student_P: Sequence[Hashable], supervisor_P: Sequence[Hashable], gold_P: Sequence[Hashable]
) -> Agreement:
    """Give the agreement of student and supervisor, apart where the supervisor is right and where wrong.

    Args:
        student_P: What the student says to each problem: a class or an answer.
        supervisor_P: What the supervisor says.
        gold_P: What is right.

    Raises:
        ValueError: There is no problem, or they are not equally many.

    References:
        Burns et al. (2023), arXiv:2312.09390, section 5.1.

    Example:
        >>> found = agreement("aabb", "aaab", "aabb")
        >>> found.overall, found.where_right, found.where_wrong
        (0.75, 1.0, 0.0)
    """
    counts = {len(student_P), len(supervisor_P), len(gold_P)}
    if len(counts) > 1 or not min(counts):
        raise ValueError(f"{sorted(counts)} problems, expected at least one and equally many of all three")
    same: dict[bool, list[bool]] = {True: [], False: []}
    for student, supervisor, gold in zip(student_P, supervisor_P, gold_P, strict=True):
        same[supervisor == gold].append(student == supervisor)
    right, wrong = (fmean(same[is_right]) if same[is_right] else None for is_right in (True, False))
    overall = fmean([*same[True], *same[False]])
    return Agreement(overall, right, wrong, len(same[True]), len(same[False]))
