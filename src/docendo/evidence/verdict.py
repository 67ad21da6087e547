"""The one place where the words `improved`, `no evidence` and `worse` come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from docendo.metrics.intervals import Interval

Verdict = Literal["improved", "no evidence", "worse"]


def verdict(differences: Sequence[Interval]) -> Verdict:
    """Judge a method by its differences from each of its rivals at equal budget.

    Each interval is the 95 % interval of (accuracy of the method - accuracy of one rival) on the test split.

    - ``improved``: every interval lies above zero, so that no choice of rival can flatter the method.
    - ``worse``: at least one interval lies below zero.
    - ``no evidence``: neither; or there is no rival at all.

    Example:
        >>> verdict([Interval(0.02, 0.1), Interval(-0.01, 0.08)])
        'no evidence'
    """
    if any(interval.high < 0 for interval in differences):
        return "worse"
    if differences and all(interval.low > 0 for interval in differences):
        return "improved"
    return "no evidence"
