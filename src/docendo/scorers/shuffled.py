"""The control of every score: the same scores, each at another sample of its problem."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from docendo.core.records import Sample, Score, Source
from docendo.core.seeds import derived_rng
from docendo.core.table import Table
from docendo.core.verbs import Scorer, Verbs


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Give the scores of another Scorer, exchanged at random among the samples that have one.

    What a rule gains by the scores it must lose by this, down to what the vote gives. Within a problem not
    quite: how many of its samples scored well is still told. Where few did, few votes count and the majority,
    which is wrong more often there, is outvoted more often. Over the whole run nothing is told. Seeded by the
    run, and within problems by these.
    """

    version: ClassVar[int] = 1
    scorer: Scorer
    over: Literal["problem", "run"] = "problem"
    """Among which samples: those of a problem, or all of the run."""

    @property
    def name(self) -> str:
        """The other Scorer's."""
        return self.scorer.name

    @property
    def source(self) -> Source:
        """The other Scorer's: the scores of a problem are still its own."""
        return self.scorer.source

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order."""
        scores = list(self.scorer.scores(samples, run))
        places: dict[str, list[int]] = {}
        for place, problem_id in enumerate(samples.columns(["problem_id"])["problem_id"]):
            if scores[place].value is not None:
                places.setdefault(problem_id if self.over == "problem" else "", []).append(place)
        found = list(scores)
        for key, own in places.items():
            mixed = derived_rng(run.seed, "shuffled", key).sample(own, len(own))
            for place, other in zip(own, mixed, strict=True):
                found[place] = scores[other]
        yield from found
