"""Verdicts as scores: 1 for a correct sample, 0 for any other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.protocols import Verifier
from docendo.core.records import Outcome, Sample, Score, Source
from docendo.core.table import Table
from docendo.core.verbs import Verbs


@dataclass(frozen=True, slots=True, kw_only=True)
class Correctness:
    """Score a sample by whether a verifier calls it correct: 1 where it does, else 0."""

    version: ClassVar[int] = 2
    verifier: Verifier
    name: str = "correctness"

    @property
    def source(self) -> Source:
        """Where the verdicts' information comes from."""
        return self.verifier.source

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order."""
        judged = run.verify(samples, self.verifier)
        for outcome in judged.columns(["verdict:verdict"])["verdict:verdict"]:
            yield Score(float(outcome == Outcome.CORRECT), "", self.source)
