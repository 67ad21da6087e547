"""ReST-EM: self-training with binary feedback as expectation-maximization.

Singh, Co-Reyes, Agarwal et al. (2023), arXiv:2312.06585, algorithm 1 and section 3. M_t: model after round t.

    for t = 1 .. I
        E  draw N solutions of every problem from M_{t-1} and verify each one
        F  keep the correct ones, each text once, at most K of a problem
        M  M_t = finetune(M_0, kept), from the base model and not from M_{t-1}, while the reward on the
           validation split improves
    return the best of M_0 .. M_I on the validation split

Departures, each a setting:
  - Duplicates: the paper does not speak of them; here each text of a problem is kept once (``deduplicate``).
  - Which K of more than K solutions are kept is not stated: a uniform draw, seeded.
  - "While reward improves on D_val" is read as: of the epochs of a round the one with the highest greedy
    accuracy on the validation split (``choose_epoch``).
  - The paper reports every round; here one round is returned, chosen on the validation split too.
  - Learning rate, batch and number of epochs are not given in the paper.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docendo.core.checks import Checks
from docendo.core.errors import NothingToLearn, SettingError
from docendo.core.losses import Optimizer
from docendo.core.records import Model
from docendo.core.table import Table
from docendo.examples.demonstrations import has_solution
from docendo.runs.run import Run
from docendo.selectors.cap import Cap
from docendo.selectors.distinct import distinct
from docendo.selectors.verdict import correct


@dataclass(frozen=True, slots=True, kw_only=True)
class RestEmConfig:
    """Settings of ReST-EM. Where the paper's value is another one than ours, it stands behind it."""

    rounds: int = 3
    """I, the number of E and M steps. Paper: 3 on MATH, 2 on APPS."""
    samples_per_problem: int = 8
    """N, solutions drawn of each problem and round. Paper: 32 on MATH, 64 on APPS."""
    temperature: float = 0.8
    """Temperature of the E step. Paper: 0.7; ours: the built-in models are very sure of themselves."""
    top_k: int = 0
    """The E step draws from so many most likely tokens; 0: from all. Paper: 40."""
    cap: int = 4
    """K, at most so many correct solutions of a problem are learned. Paper: 10 of 32 or 64."""
    deduplicate: bool = True
    """Keep each text of a problem once. Paper: not stated."""
    restart: bool = True
    """Fine-tune from the base model every round (paper); otherwise from the round before (as ReST does)."""
    human_data: bool = False
    """Also learn the training split's own worked solutions. Paper: no."""
    epochs: int = 2
    """Passes over the kept solutions in a round. Paper: not stated."""
    choose_epoch: bool = True
    """Take the epoch with the best validation accuracy (early stopping); otherwise the last."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-3))
    """How the M step walks downhill. Paper: not stated."""

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(1, "rounds", "samples_per_problem", "cap", "epochs")
        checks.at_least(0, "temperature", "top_k")
        checks.that(
            self.temperature > 0 or self.samples_per_problem <= 1,
            f"temperature is 0 and samples_per_problem is {self.samples_per_problem}; "
            "expected a temperature above 0, or 1 sample (equal draws teach nothing more)",
        ).done()


def rest_em(run: Run, config: RestEmConfig) -> Model:
    """Return the best model of all rounds by validation accuracy."""
    problems = run.problems("train")
    human: Table[Any] | None = None
    if config.human_data:
        human = problems.join(run.labels("train").where(has_solution))
        if len(human) == 0:
            raise SettingError(
                "human_data is on, but no training problem has a worked solution",
                hint="name the column that has them with --solution-column, or leave human_data off",
            )
    policies = [run.base]
    for _ in run.rounds(config.rounds):
        tried = run.verify(  # E
            run.sample(
                policies[-1],
                problems,
                config.samples_per_problem,
                temperature=config.temperature,
                top_k=config.top_k,
            )
        )
        filters = (correct, *([distinct] if config.deduplicate else []), Cap(config.cap))
        rows = run.select(tried, *filters)  # F
        if human is not None:
            rows += human
        start = run.base if config.restart else policies[-1]
        try:
            trained = run.train(start, rows, optimizer=config.optimizer, epochs=config.epochs)  # M
        except NothingToLearn as nothing:
            run.note(nothing.message)
            break
        policies.append(run.best(trained.snapshots) if config.choose_epoch else trained)
        run.evaluate(policies[-1])
    return run.best(policies)
