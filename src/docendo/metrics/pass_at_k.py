"""pass@k: the chance that one of k samples solves a problem, estimated without bias."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import comb, fsum


def pass_at_k(n_samples: int, n_correct: int, k: int) -> float:
    """Estimate, without bias, the chance that one of ``k`` samples solves a problem.

    Drawing ``k`` of the ``n_samples`` at random without replacement, this is the
    probability of catching at least one correct sample::

        pass@k = 1 - C(n - c, k) / C(n, k)        n = n_samples, c = n_correct

    The plug-in form ``1 - (1 - c / n) ** k`` underestimates; do not use it in reports. The binomials are
    whole numbers and are divided once, so the result is the nearest float to the true ratio.

    Args:
        n_samples: Samples generated for the problem, counting undecided and failed ones. Count, >= 1.
        n_correct: Samples whose verdict is ``correct``. Count, in ``[0, n_samples]``.
        k: Size of the draw. Count, in ``[1, n_samples]``.

    Returns:
        Probability in ``[0, 1]``. Average it over problems with equal weight.

    Raises:
        ValueError: A count is out of range; ``k > n_samples`` is never extrapolated.

    References:
        Chen et al. (2021), arXiv:2107.03374, section 2.1.

    Example:
        >>> pass_at_k(n_samples=5, n_correct=2, k=1)
        0.4
    """
    if n_samples < 1:
        raise ValueError(f"n_samples {n_samples}, expected a count >= 1")
    if not 0 <= n_correct <= n_samples:
        raise ValueError(f"n_correct {n_correct}, expected a count in [0, {n_samples}]")
    if not 1 <= k <= n_samples:
        raise ValueError(
            f"k {k}, expected a count in [1, {n_samples}]\nhint: draw at least k samples for each problem"
        )
    draws = comb(n_samples, k)
    return (draws - comb(n_samples - n_correct, k)) / draws


def mean_pass_at_k(n_samples_P: Sequence[int], n_correct_P: Sequence[int], k: int) -> float:
    """Average pass@k over problems, each with the same weight.

    Problems may have different numbers of samples; each must have at least ``k``.

    Args:
        n_samples_P: For each problem, its number of samples. Counts, >= 1; at least one problem.
        n_correct_P: For each problem, the number of them that are correct. Counts, in ``[0, n_samples]``.
        k: Size of the draw. Count, in ``[1, min(n_samples_P)]``.

    Returns:
        Probability in ``[0, 1]``.

    Raises:
        ValueError: There is no problem, the lists differ in length, or a count is out of range.

    References:
        Chen et al. (2021), arXiv:2107.03374, section 2.1.

    Example:
        >>> mean_pass_at_k([5, 5, 5, 5], [2, 0, 5, 3], k=1)
        0.5
    """
    if not n_samples_P:
        raise ValueError("pass@k of no problems, expected at least one")
    if len(n_samples_P) != len(n_correct_P):
        raise ValueError(
            f"n_correct of {len(n_correct_P)} problems, expected {len(n_samples_P)}, one for each problem"
        )
    counts_P = zip(n_samples_P, n_correct_P, strict=True)
    return fsum(pass_at_k(n, c, k) for n, c in counts_P) / len(n_samples_P)


def pass_at_k_curve(
    n_samples_P: Sequence[int], n_correct_P: Sequence[int], ks: Iterable[int] | None = None
) -> dict[int, float]:
    """Give the mean pass@k for several ``k``, as a curve.

    Args:
        n_samples_P: For each problem, its number of samples. Counts, >= 1; at least one problem.
        n_correct_P: For each problem, the number of them that are correct. Counts, in ``[0, n_samples]``.
        ks: Sizes of the draw. By default the powers of two up to the fewest samples of a problem.

    Returns:
        pass@k by ``k``, in the order of ``ks``. It never falls with rising ``k``.

    Raises:
        ValueError: As for `mean_pass_at_k`.

    Example:
        >>> pass_at_k_curve([4, 4], [1, 0])
        {1: 0.125, 2: 0.25, 4: 0.5}
    """
    if ks is None:
        ks = [2**power for power in range(min(n_samples_P, default=1).bit_length())]
    return {k: mean_pass_at_k(n_samples_P, n_correct_P, k) for k in ks}
