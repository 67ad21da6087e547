"""Coverage: the share of problems that a model can solve at all within its samples."""

from __future__ import annotations

from collections.abc import Sequence


def coverage(n_correct_P: Sequence[int]) -> float:
    """Give the share of problems with at least one correct sample.

    Problems outside the coverage teach nothing to a method that keeps correct samples only. Where every
    problem has ``G`` samples this is their mean pass@G.

    Args:
        n_correct_P: For each problem, the number of its samples that are correct. Counts, >= 0; at least one
            problem.

    Returns:
        Share in ``[0, 1]``.

    Raises:
        ValueError: There is no problem, or a count is negative.

    Example:
        >>> coverage([32, 16, 2, 0])
        0.75
    """
    if not n_correct_P:
        raise ValueError("coverage of no problems, expected at least one")
    if min(n_correct_P) < 0:
        raise ValueError(f"n_correct {min(n_correct_P)}, expected a count >= 0")
    return sum(n > 0 for n in n_correct_P) / len(n_correct_P)
