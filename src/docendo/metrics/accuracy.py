"""Accuracy: the share of problems that are answered correctly."""

from __future__ import annotations

from collections.abc import Sequence


def accuracy(is_correct_P: Sequence[bool]) -> float:
    """Give the share of problems whose answer was found correct.

    An undecided or a failed verdict is not a correct one: pass ``False`` for it and keep the problem in the
    list. Leaving such problems out would pay a model for answers that nobody can read.

    Args:
        is_correct_P: For each problem, whether its verdict is ``correct``. At least one.

    Returns:
        Share in ``[0, 1]``.

    Raises:
        ValueError: There is no problem.

    Example:
        >>> accuracy([True, False, True, True])
        0.75
    """
    if not is_correct_P:
        raise ValueError("accuracy of no problems, expected at least one")
    return sum(map(bool, is_correct_P)) / len(is_correct_P)
