"""best-of-k: the chance that the best-scored of k samples is right, without the noise of drawing them."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import groupby
from math import comb, isfinite


def best_of_k(is_correct_G: Sequence[bool], scores_G: Sequence[float | None], k: int) -> float:
    """Give the mean, over all draws of ``k`` samples, of whether the best-scored one is right.

    With the ``N`` samples sorted by score, the best first, the i-th is the best of a draw that holds it and
    otherwise only later ones::

        best-of-k = 1 / C(N, k) * sum_i a_i C(N - 1 - i, k - 1)        a_i: whether the i-th is right

    Of equal scores each sample wins equally often, so ``a_i`` is their mean; the formula of the paper assumes
    that there are none. Samples without a score stand behind all others, as equals.

    Args:
        is_correct_G: For each sample, whether its verdict is ``correct``. At least one.
        scores_G: For each sample a finite number, larger is better, or ``None`` where there is none.
        k: Size of the draw. Count, in ``[1, N]``.

    Returns:
        Probability in ``[0, 1]``; never above pass@k. Average it over problems with equal weight.

    Raises:
        ValueError: ``k`` is out of range, the lists differ in length, or a score is not finite.

    References:
        Hosseini et al. (2024), arXiv:2402.06457, equation 3.

    Example:
        >>> best_of_k([False, True, True, False], [0.9, 0.8, 0.7, 0.1], k=2)
        0.5
    """
    n_samples = len(is_correct_G)
    if len(scores_G) != n_samples:
        raise ValueError(f"{len(scores_G)} scores, expected {n_samples}, one for each verdict")
    if not 1 <= k <= n_samples:
        raise ValueError(f"k {k}, expected a count in [1, {n_samples}]")
    for score in scores_G:
        if score is not None and not isfinite(score):
            raise ValueError(f"score {score}, expected a finite number, or None where there is none")
    standings = [(score is not None, score or 0.0) for score in scores_G]
    order = sorted(range(n_samples), key=standings.__getitem__, reverse=True)
    wins = Fraction(0)
    start = 0
    for _, group in groupby(order, key=standings.__getitem__):
        right = [bool(is_correct_G[one]) for one in group]
        end = start + len(right)
        # draws whose best sample stands from start to end: those of the rest, less those behind it
        draws = comb(n_samples - start, k) - comb(n_samples - end, k)
        wins += Fraction(draws * sum(right), len(right))
        start = end
    return float(wins / comb(n_samples, k))
