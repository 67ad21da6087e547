"""Rows that say what most samples of their problem say."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.protocols import Columns, Verifier
from docendo.metrics.majority import clusters


@dataclass(frozen=True, slots=True)
class InMajority:
    """Keep the samples with the most frequent answer of their problem (Huang et al. 2022, arXiv:2210.11610).

    Samples without an answer count for the confidence, and never win; of equally frequent answers the one
    that came first wins.
    """

    version: ClassVar[int] = 1
    verifier: Verifier
    """Its equivalence says which answers are the same; it decides nothing else."""
    confidence: float = 0.0
    """Share of a problem's samples that must agree at least; 0: any majority, as in the paper. In [0, 1]."""
    reads: tuple[str, ...] = field(default=("answer", "is_parsed"), init=False)
    per: Literal["problem", "all"] = field(default="problem", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``no answer``, ``minority`` or ``too little agreement`` for the others."""
        answers = [
            answer if is_parsed else None
            for answer, is_parsed in zip(columns["answer"], columns["is_parsed"], strict=True)
        ]
        found = clusters(answers, self.verifier.same)
        if not found:
            return ["no answer"] * len(answers)
        winner = max(found, key=lambda cluster: len(cluster.members))
        if len(winner.members) < self.confidence * len(answers):
            return ["too little agreement"] * len(answers)
        members = set(winner.members)
        return [
            None if place in members else "no answer" if answer is None else "minority"
            for place, answer in enumerate(answers)
        ]
