"""What a Scorer is handed: the verbs of a Run, with a note of what came back."""

from __future__ import annotations

from typing import Any

from docendo.core.parts import identity_of
from docendo.core.protocols import Format
from docendo.core.records import Embedding, Model, Problem, Sample
from docendo.core.table import Rows, Table
from docendo.core.verbs import Scorer, Verbs


class Asking:
    """Verbs that note every table they give: scores depend on them as on the samples."""

    def __init__(self, run: Verbs) -> None:
        self.seed = run.seed
        self._run = run
        self._given: list[Table[Any]] = []

    def problems(self, split: str) -> Table[Problem]:
        """Return the problems of a split."""
        return self._noted(self._run.problems(split))

    def format_of(self, model: Model) -> Format:
        """Return the Format that a Model's Context names."""
        return self._run.format_of(model)

    def sample(self, *args: Any, **more: Any) -> Table[Sample]:
        """Draw completions, as `Run.sample` does."""
        return self._noted(self._run.sample(*args, **more))

    def logprobs(self, *args: Any, **more: Any) -> Table[Any]:
        """Give log-probabilities, as `Run.logprobs` does."""
        return self._noted(self._run.logprobs(*args, **more))

    def embed(self, *args: Any, **more: Any) -> Table[tuple[Problem, Embedding]]:
        """Give vectors, as `Run.embed` does."""
        return self._noted(self._run.embed(*args, **more))

    def verify(self, *args: Any, **more: Any) -> Table[Sample]:
        """Put verdicts beside samples, as `Run.verify` does."""
        return self._noted(self._run.verify(*args, **more))

    def asked(self, samples: Table[Sample], scorer: Scorer) -> dict[str, Any]:
        """Return what a score stage is found by."""
        return {
            "version": 2,
            "samples": samples.plan_key,
            "scorer": identity_of(scorer),
            "given": [table.plan_key for table in self._given],
            "seed": self.seed,
        }

    def inputs(self, samples: Table[Sample]) -> Table[Any]:
        """Return what stands for the samples and all that was given: their stages and sources, no rows."""
        every = [samples, *self._given]
        return Rows(
            (),
            sources=[source for table in every for source in table.sources],
            stages=[stage for table in every for stage in table.stages],
        )

    def _noted(self, table: Table[Any]) -> Table[Any]:
        self._given.append(table)
        return table
