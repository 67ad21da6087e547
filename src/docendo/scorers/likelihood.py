"""Scores by how likely a model finds a sample.

What V-STaR ranks by (Hosseini et al. 2024, arXiv:2402.06457, section 3): its verifier is a language model,
and the plain likelihood under it decides, not the ratio to its reference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from docendo.core.records import Context, Model, Sample, Score, Source
from docendo.core.table import Table
from docendo.core.verbs import Verbs


@dataclass(frozen=True, slots=True, kw_only=True)
class Likelihood:
    """Score a sample by the log-probability of its text after its prompt: a sum over all tokens and the end.

    Range: from minus infinity to 0, in nats; greater is likelier. Longer texts have lower sums, so scores of
    different problems cannot be compared, and no rule may add them up. Over the sampled ids where the model
    has their tokenizer, else over the text, then without its end. A sample that failed, or does not fit into
    the model's context with its prompt, has no score.
    """

    version: ClassVar[int] = 1

    model: Model
    name: str = "likelihood"
    """Under which its scores stand on the samples."""
    source: Source = Source.SELF

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order."""
        # The samples' prompts are sent as they are, so the model's own Context counts for nothing.
        reader = replace(self.model, context=Context())
        for sample in run.logprobs(reader, samples, name=self.name):
            values = sample.logprobs[self.name].values
            if sample.status == "failed":
                yield Score(None, "the sample failed", self.source)
            elif not values:
                yield Score(None, "does not fit into the model's context", self.source)
            else:
                yield Score(values[0], "", self.source)
