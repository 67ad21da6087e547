"""Ordering accuracy: how often a score puts a right sample of a problem above a wrong one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True, slots=True)
class Ordering:
    """Pairs of a right and a wrong sample of one problem, and how they are ordered."""

    pairs: int
    above: float
    """In how many the right sample has the greater score; of equal scores, one half."""

    @property
    def accuracy(self) -> float | None:
        """Share of the pairs in the right order; at chance 0.5. None: there is no pair."""
        return self.above / self.pairs if self.pairs else None


def ordering(
    is_correct_P_G: Sequence[Sequence[bool]], scores_P_G: Sequence[Sequence[float | None]]
) -> Ordering:
    """Count over all pairs of a right and a wrong sample of the same problem.

    What Bradley-Terry training raises, and what a reward that ranks samples is good for. A pair counts as
    one, so problems with many pairs count for more. Samples without a score are in no pair.

    Args:
        is_correct_P_G: For each sample of each problem, whether its verdict is ``correct``.
        scores_P_G: Its score; a greater one is better. None: it has none.

    Raises:
        ValueError: The lists differ in length.

    Example:
        >>> ordering([[True, False, False], [True]], [[0.7, 0.2, 0.7], [0.1]])
        Ordering(pairs=2, above=1.5)
    """
    pairs, above = 0, 0.0
    for is_correct_G, scores_G in zip(is_correct_P_G, scores_P_G, strict=True):
        known = [(is_right, score) for is_right, score in zip(is_correct_G, scores_G, strict=True)]
        right, wrong = (
            [score for is_right, score in known if is_right is wanted and score is not None]
            for wanted in (True, False)
        )
        pairs += len(right) * len(wrong)
        above += sum((one > other) + (one == other) / 2 for one, other in product(right, wrong))
    return Ordering(pairs, above)
