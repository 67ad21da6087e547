"""Verdicts as scores: 1 for a correct sample, 0 for any other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.records import Outcome, Sample, Score, Source
from docendo.core.table import Table
from docendo.core.verbs import Verbs


@dataclass(frozen=True, slots=True, kw_only=True)
class Correctness:
    """Score a sample by a verdict that it has already: 1 where that is correct, else 0."""

    version: ClassVar[int] = 1
    verdict: str = "verdict"
    """Which verdict, where there are several."""
    source: Source
    """Where the verdict's information came from."""
    name: str = "correctness"

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order."""
        column = f"verdict:{self.verdict}"
        for outcome in samples.columns([column])[column]:
            yield Score(float(outcome == Outcome.CORRECT), "", self.source)
