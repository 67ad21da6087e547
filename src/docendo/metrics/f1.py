"""F1 of one class among two, with an interval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from docendo.metrics.intervals import Interval, crossed_draws, percentile


@dataclass(frozen=True, slots=True)
class F1:
    """The harmonic mean of precision and recall of the positive class."""

    value: float
    """In ``[0, 1]``; 0 where nothing is positive, said or gold."""
    interval: Interval
    """Over problems, by percentile bootstrap."""


def f1_of(said_P: Sequence[bool], gold_P: Sequence[bool]) -> float:
    """Give 2 hits / (said positive + gold positive).

    Args:
        said_P: For each problem whether the positive class was answered. No readable answer is no positive.
        gold_P: For each problem whether it is the right answer. As long, at least one.

    Example:
        >>> f1_of([True, True, False, False], [True, False, True, False])
        0.5
    """
    hits = sum(said and gold for said, gold in zip(said_P, gold_P, strict=True))
    return 2 * hits / max(1, sum(said_P) + sum(gold_P))


def f1_with_interval(
    said_P: Sequence[bool], gold_P: Sequence[bool], *, level: float = 0.95, n_resamples: int = 10_000
) -> F1:
    """Give F1 with its bootstrap interval over problems; draws without any positive count as 0.

    Args:
        said_P: As for `f1_of`.
        gold_P: As for `f1_of`.
        level: Confidence level, in ``(0, 1)``.
        n_resamples: Draws. Count, >= 1.
    """
    hits = [float(said and gold) for said, gold in zip(said_P, gold_P, strict=True)]
    columns = [[hits], [[float(said) for said in said_P]], [[float(gold) for gold in gold_P]]]
    drawn = crossed_draws(columns, n_resamples=n_resamples)
    values = sorted(2 * hit / (said + gold) if said + gold else 0.0 for hit, said, gold in drawn.tolist())
    tail = (1 - level) / 2
    low, high = (percentile(values, share) for share in (tail, 1 - tail))
    return F1(f1_of(said_P, gold_P), Interval.rounded(low, high, level))
