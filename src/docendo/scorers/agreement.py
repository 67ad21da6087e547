"""How many of a problem's samples say the same: a score that needs no gold answer and asks no model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.protocols import Verifier
from docendo.core.records import Sample, Score, Source
from docendo.core.table import Table
from docendo.core.verbs import Verbs
from docendo.metrics.majority import clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Score a sample by the share of its problem's samples with the same answer, its own included.

    Range: ``[0, 1]``; greater means more agreement (self-consistency, arXiv:2203.11171). A sample without a
    readable answer agrees with none: 0. All samples of a problem in the table vote, whoever wrote them.
    """

    version: ClassVar[int] = 1
    verifier: Verifier
    """Its equivalence says which answers are the same; it decides nothing else."""
    name: str = "agreement"
    source: Source = Source.VOTE

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order."""
        columns = samples.columns(["problem_id", "answer", "is_parsed"])
        answers = [
            answer if is_parsed else None
            for answer, is_parsed in zip(columns["answer"], columns["is_parsed"], strict=True)
        ]
        places: dict[str, list[int]] = {}
        for place, problem_id in enumerate(columns["problem_id"]):
            places.setdefault(problem_id, []).append(place)
        shares = [0.0] * len(answers)
        for own in places.values():
            for cluster in clusters([answers[place] for place in own], self.verifier.same):
                for member in cluster.members:
                    shares[own[member]] = len(cluster.members) / len(own)
        for answer, share in zip(answers, shares, strict=True):
            yield Score(share, "no answer" if answer is None else "", self.source)
