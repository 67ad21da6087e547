"""Scores brought to [0, 1] over the table at hand, so that thresholds mean the same for every reward."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.records import Sample, Score, Source
from docendo.core.table import Table
from docendo.core.verbs import Verbs
from docendo.scorers.reward_model import rescaled


@dataclass(frozen=True, slots=True, kw_only=True)
class Rescaled:
    """Give the scores of another scorer as `docendo.scorers.reward_model.rescaled` brings them to ``[0, 1]``.

    Greater means what it meant there. A sample without a score there has none here.
    """

    version: ClassVar[int] = 1
    of: str = "reward"
    """Under which the scores stand that are rescaled."""
    source: Source
    """Where their information came from."""
    name: str = "rescaled"

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order."""
        found = rescaled(list(samples), self.of)
        for sample in samples:
            yield Score(found.get(sample.id), sample.scores[self.of].reason, self.source)
