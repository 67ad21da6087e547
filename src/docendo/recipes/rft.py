"""RFT: rejection-sampling fine-tuning, one round on the distinct right ways to solve each problem.

Yuan, Yuan, Li et al. (2023), arXiv:2308.01825, section 3.3 and the released code.

    S  pi = finetune(rho, human solutions), from the pretrained model rho
    T  draw k paths of every problem from pi
    F  keep those with the right answer and no false equation; of equal lists of equations the one that is
       farthest from the others
    M  return finetune(rho, human solutions and kept paths), from the pretrained model

Departures, each a setting:
  - Equations are read from calculator marks as in GSM8K, and where there are none from the text; they are
    parsed, where the released code evaluates model text as Python.
  - A path with the human solution's equations is kept beside it, as the released code does.
  - The paper draws k = 100 at temperature 0.7 and trains 3 epochs; the last one is taken, here too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from docendo.core.checks import Checks
from docendo.core.losses import Optimizer
from docendo.core.records import Model
from docendo.examples.demonstrations import has_solution
from docendo.runs.recipe import Arm, Spec, recipe
from docendo.runs.run import Run
from docendo.selectors.equations import DistinctEquations, TrueEquations
from docendo.selectors.verdict import correct


@dataclass(frozen=True, slots=True, kw_only=True)
class RftConfig:
    """Settings of RFT."""

    samples_per_problem: int = 8
    """k, paths drawn of each problem. Paper: 1 to 100."""
    temperature: float = 0.7
    """Temperature of the paths."""
    distinct: bool = True
    """Keep one path for each list of equations; otherwise all right ones."""
    epochs: int = 3
    """Passes over the rows, of both trainings."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-3))

    def __post_init__(self) -> None:
        Checks(self).at_least(1, "samples_per_problem", "epochs").above(0, "temperature").done()


@recipe(Spec(arms=lambda config: [Arm("supervised", supervised)]))
def rft(run: Run, config: RftConfig) -> Model:
    """Return the model that learned human solutions and its own distinct right paths."""
    problems = run.problems("train")
    human = problems.join(run.labels("train").where(has_solution))
    tuned = run.train(
        run.base, human, optimizer=config.optimizer, epochs=config.epochs, name="supervised"
    )  # S
    paths = run.verify(  # T
        run.sample(tuned, problems, config.samples_per_problem, temperature=config.temperature)
    )
    filters = (correct, TrueEquations(), *([DistinctEquations()] if config.distinct else []))
    rows = human + run.select(paths, *filters)  # F
    return run.train(run.base, rows, optimizer=config.optimizer, epochs=config.epochs)  # M


def supervised(run: Run, config: RftConfig) -> Model:
    """Return the model that learned the human solutions alone."""
    human = run.problems("train").join(run.labels("train").where(has_solution))
    return run.train(run.base, human, optimizer=config.optimizer, epochs=config.epochs, name="supervised")
