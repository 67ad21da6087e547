"""What choosing among fewer samples would have given, and what it would have cost, without drawing any anew.

Of N samples of a problem every set of n is as good as the n that a smaller run would have drawn, so the mean
over all sets of n is the expected outcome of such a run, without the noise of one draw.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Hashable, Mapping, Sequence
from itertools import combinations
from math import comb, fsum
from operator import eq

from docendo.metrics.choosing import Pool, Rule
from docendo.metrics.majority import Same

MOST_SETS = 100
"""Sets that are looked at for one problem and size."""


def sizes_up_to(n_samples: int) -> list[int]:
    """Return 1, 2, 4, ... and the number itself.

    Example:
        >>> sizes_up_to(8), sizes_up_to(6)
        ([1, 2, 4, 8], [1, 2, 4, 6])
    """
    if n_samples < 1:
        raise ValueError(f"n_samples {n_samples}, expected a count >= 1")
    return [*(1 << power for power in range((n_samples - 1).bit_length())), n_samples]


def sets_of(n_samples: int, n: int, rng: random.Random, most: int = MOST_SETS) -> list[tuple[int, ...]]:
    """Return the sets of ``n`` out of ``n_samples`` places: all where there are few, else some at random.

    Either way a mean over them has the mean over all sets as its expectation.

    Args:
        n_samples: N. Count, >= 1.
        n: Size of the sets. Count, in ``[1, N]``.
        rng: What draws them.
        most: At most so many; drawn sets may repeat.

    Returns:
        Places in rising order, so that whoever came first among all comes first in a set.

    Raises:
        ValueError: ``n`` is out of range.

    Example:
        >>> sets_of(3, 2, random.Random(0))
        [(0, 1), (0, 2), (1, 2)]
    """
    if not 1 <= n <= n_samples:
        raise ValueError(f"n {n}, expected a count in [1, {n_samples}]")
    if comb(n_samples, n) <= most:
        return list(combinations(range(n_samples), n))
    return [tuple(sorted(rng.sample(range(n_samples), n))) for _ in range(most)]


def right_among(
    answers_G: Sequence[str | None],
    scores_G: Sequence[float | None] | None,
    is_correct_G: Sequence[bool],
    rules: Mapping[str, Rule],
    n: int,
    *,
    same: Same = eq,
    rng: random.Random,
) -> dict[str, float]:
    """Give for each rule how often it chooses rightly among ``n`` of the samples, over the same sets.

    Args:
        answers_G: For each sample its answer, or ``None`` where none could be read.
        scores_G: For each sample its score or ``None``; None: nothing has one.
        is_correct_G: For each sample, whether its verdict is ``correct``.
        rules: By name.
        n: Samples that are chosen among. Count, in ``[1, N]``.
        same: Whether two answers are equivalent; asked often for the same ones.
        rng: What draws sets where there are more than `MOST_SETS`.

    Returns:
        Probabilities in ``[0, 1]``; at ``n = N`` 0 or 1. Average them over problems with equal weight.

    Raises:
        ValueError: ``n`` is out of range, or the lists differ in length.

    Example:
        >>> rules = {"vote": Rule("majority"), "sum": Rule("weighted")}
        >>> given = ["A", "B", "A"], [0.2, 0.9, 0.3], [False, True, False]
        >>> right_among(*given, rules, 3, rng=random.Random(0))
        {'vote': 0.0, 'sum': 1.0}
        >>> found = right_among(*given, rules, 2, rng=random.Random(0))  # AB, AA, BA
        >>> round(found["vote"], 3), round(found["sum"], 3)
        (0.333, 0.667)
    """
    if len(answers_G) != len(is_correct_G):
        raise ValueError(f"{len(is_correct_G)} verdicts, expected {len(answers_G)}, one for each answer")
    sets = sets_of(len(answers_G), n, rng)
    right = Counter[str]()
    for places in sets:
        scores = None if scores_G is None else [scores_G[place] for place in places]
        pool = Pool.of([answers_G[place] for place in places], scores, same)
        for name, rule in rules.items():
            right[name] += is_correct_G[places[rule.choose(pool)]]
    return {name: right[name] / len(sets) for name in rules}


def completions_among(needs_G: Sequence[Collection[Hashable]], n: int) -> float:
    """Give how many completions ``n`` of the samples cost: their own, and those that their scores rest on.

    What several samples need is asked once. It is the exact mean over all sets of ``n``: what ``m`` of the
    N samples need is missing from ``C(N - m, n)`` of the ``C(N, n)`` sets.

    Args:
        needs_G: For each sample what its score rests on, such as the ids of students' answers.
        n: Count, in ``[1, N]``.

    Raises:
        ValueError: ``n`` is out of range.

    Example:
        >>> completions_among([{"a", "b"}, {"a", "b"}, {"c"}], 3), completions_among([{"a"}, {"a"}], 1)
        (6.0, 2.0)
    """
    n_samples = len(needs_G)
    if not 1 <= n <= n_samples:
        raise ValueError(f"n {n}, expected a count in [1, {n_samples}]")
    needing = Counter(one for needs in needs_G for one in set(needs))
    sets = comb(n_samples, n)
    return n + fsum(
        number * (1 - comb(n_samples - m, n) / sets) for m, number in Counter(needing.values()).items()
    )
