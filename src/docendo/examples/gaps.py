"""Ordered pairs of samples of one problem, and by how much the first is worth more.

Ning et al. (2024), arXiv:2406.14629, section 4.1: f = c / 2 + s / 2, with c = 1 for a right answer and s the
exam score of the rationale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

from docendo.core.records import Example, Problem, Sample
from docendo.core.table import Derived, Table
from docendo.examples.pairs import preferred


@dataclass(frozen=True, slots=True)
class GapPair:
    """Two samples of one problem in an order."""

    chosen: Sample
    rejected: Sample
    gap: float
    """What the first is worth less what the second is."""

    @property
    def problem(self) -> Problem:
        """The problem of both."""
        return self.chosen.problem

    def example(self) -> Example:
        """Return the training row that prefers the first."""
        return preferred(self.chosen, self.rejected)


def worth(sample: Sample, score: str, share: float) -> float:
    """Return f = (1 - share) c + share s of a sample with a verdict and a score. In [0, 1].

    Raises:
        TypeError: The score counts, and the sample has none.
    """
    own = sample.scores[score].value if share else 0.0
    if own is None:
        raise TypeError(f"sample {sample.id} has no {score} score")
    return (1 - share) * sample.is_correct + share * own


def gap_pairs(samples: Table[Sample], score: str, share: float, *, n: int) -> Table[GapPair]:
    """Return every ordered pair of a problem's samples, the wider its gap the more is known.

    Samples without a score or without an end stand in no pair: nothing is known of them, or nothing can be
    learned from them.

    Args:
        samples: With verdicts and scores.
        score: Name of the score.
        share: What the score counts in f; 0: correctness alone, over the same samples.
        n: At most so many samples a problem, for the bound of a plan.
    """

    def made() -> Iterator[GapPair]:
        by_problem: dict[str, list[Sample]] = {}
        for sample in samples:
            if sample.scores[score].value is not None and sample.finish == "stop":
                by_problem.setdefault(sample.problem.id, []).append(sample)
        for own in by_problem.values():
            for chosen, rejected in permutations(own, 2):
                yield GapPair(chosen, rejected, worth(chosen, score, share) - worth(rejected, score, share))

    bound = None if samples.bound is None else samples.bound * (n - 1)
    return Derived([samples], made, bound=bound, key=["gap-pairs", score, share])
