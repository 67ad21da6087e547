"""LMSI: a model learns what most of its own samples agree on, without any gold answer.

Huang, Gu, Hou et al. (2022), arXiv:2210.11610, section 3.

    T  draw m rationales of every problem from the pretrained model
    F  of each problem keep all rationales with its most frequent answer
    X  write each kept one in several formats: with its rationale, and the answer alone
    M  return finetune(base, those rows), once

Departures, each a setting:
  - The paper has four formats: few-shot with and without rationales, and the bare question with the trigger
    and without. Here the formats are those of the task that are named; worked examples stand in them where
    the model has some.
  - No threshold on the agreement, as in the paper for existing questions; ``confidence`` sets one.
  - The number of steps is the paper's 10,000 at batch 32; here epochs. The last one is returned: choosing by
    validation would read gold answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docendo.core.checks import Checks
from docendo.core.losses import Optimizer
from docendo.core.records import Example, Model, Sample
from docendo.core.table import Table
from docendo.runs.recipe import Spec, recipe
from docendo.runs.run import Run
from docendo.selectors.majority import InMajority


@dataclass(frozen=True, slots=True, kw_only=True)
class LmsiConfig:
    """Settings of LMSI."""

    samples_per_problem: int = 8
    """m, rationales drawn of each problem. Paper: 32; 15 nearly as good."""
    temperature: float = 0.7
    """Temperature of the rationales."""
    confidence: float = 0.0
    """Share of a problem's samples that must agree; 0: any majority."""
    formats: tuple[str, ...] = ("default", "direct")
    """Formats of the task in which each kept rationale is learned. Paper: four."""
    epochs: int = 1
    """Passes over the rows. Paper: 10,000 steps of 32 rows."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=1e-3))

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(1, "samples_per_problem", "epochs").above(0, "temperature")
        checks.share("confidence")
        checks.that(
            bool(self.formats), "formats is empty; expected at least one of the task's formats"
        ).done()


@recipe(Spec(is_label_free=True))
def lmsi(run: Run, config: LmsiConfig) -> Model:
    """Return the model that learned its own majority."""
    written = [_Written(run, name) for name in config.formats]
    samples = run.sample(  # T
        run.base, run.problems("train"), config.samples_per_problem, temperature=config.temperature
    )
    kept = run.select(samples, InMajority(run.task.verifier, config.confidence))  # F
    rows: Table[Any] = kept.map(written[0])  # X
    for write in written[1:]:
        rows += kept.map(write)
    return run.train(run.base, rows, optimizer=config.optimizer, epochs=config.epochs)  # M


class _Written:
    """Writes a sample as an Example in one of the task's formats."""

    def __init__(self, run: Run, name: str) -> None:
        model = run.base.using(format=name)
        self._shape, self._context = run.format_of(model), model.context

    def __call__(self, sample: Sample) -> Example:
        prompt = self._shape.prompt(sample.problem, self._context)
        return Example(
            prompt.messages,
            completion=self._shape.target(sample.rationale, sample.answer),
            problem_id=sample.problem.id,
            parents=(sample.id,),
        )
