"""Only what stands in the largest clusters of answers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.errors import SettingError
from docendo.core.protocols import Columns, Verifier
from docendo.metrics.choosing import Pool


@dataclass(frozen=True, slots=True)
class LargestClusters:
    """Keep the samples in the k largest clusters of answers of their problem (Liu et al., arXiv:2310.10047).

    So a scorer is asked about these alone: `docendo.selectors.choose.Choose` over what is left chooses what
    it would choose with ``k`` over all. Clusters and their order are those of `docendo.metrics.choosing`. Of
    a problem without a readable answer nothing is left.
    """

    version: ClassVar[int] = 1
    verifier: Verifier
    """Its equivalence says which answers are the same; it decides nothing else."""
    k: int
    """How many clusters. Count, >= 1."""
    reads: tuple[str, ...] = field(default=("answer", "is_parsed"), init=False)
    per: Literal["problem", "all"] = field(default="problem", init=False)

    def __post_init__(self) -> None:
        if self.k < 1:
            raise SettingError(f"k is {self.k} clusters; expected at least 1")

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``no answer`` or ``in no large cluster`` for the others."""
        answers = [
            answer if is_parsed else None
            for answer, is_parsed in zip(columns["answer"], columns["is_parsed"], strict=True)
        ]
        pool = Pool.of(answers, None, self.verifier.same)
        members = {place for cluster in pool.largest(self.k) for place in cluster.members}
        return [
            None if place in members else "no answer" if answer is None else "in no large cluster"
            for place, answer in enumerate(answers)
        ]
