"""STaR: learn from one's own right rationales, and from those that a hint made right.

Zelikman, Wu, Mu and Goodman (2022), arXiv:2203.14465, section 3 and the released code.

    for n = 1 .. N
        T  answer every problem greedily with M_{n-1}
        H  answer those that came out wrong again, with the right answer as a hint in the question
        F  keep what ends right of both; what is learned of H is put to the question without the hint
        M  M_n = finetune(M_0, kept), from the original model
    return the best of M_0 .. M_N on the validation split

Departures, each a setting:
  - The hint is the answer alone. The released code for GSM8K appends the whole field ``answer``, which holds
    the human solution (``hint=solution``).
  - Steps grow by 1.2 a round in the paper (40, 48, 57, ...); here a round is so many epochs.
  - Few-shot prompts stand before every question there; here the model is asked as the run's format says.
  - The paper goes on until performance saturates; here the best round on the validation split is returned.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal

from docendo.core.checks import Checks
from docendo.core.errors import NothingToLearn
from docendo.core.losses import Optimizer
from docendo.core.records import Example, Label, Model, Prompt, Sample
from docendo.core.table import Table
from docendo.runs.recipe import Spec, recipe
from docendo.runs.run import Run
from docendo.selectors.verdict import correct


@dataclass(frozen=True, slots=True, kw_only=True)
class StarConfig:
    """Settings of STaR."""

    rounds: int = 3
    """N. Paper: 16 to 46."""
    rationalize: bool = True
    """Try what came out wrong again with a hint (H)."""
    hint: Literal["number", "solution"] = "number"
    """What the hint holds: the answer, or the task's whole worked solution as in the released code."""
    restart: bool = True
    """Fine-tune from the original model every round (paper); otherwise from the round before."""
    epochs: int = 2
    """Passes over what was kept. Paper: 40 steps, 1.2 times as many each round."""
    choose_epoch: bool = True
    """Take the epoch with the best validation accuracy; otherwise the last."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-3))

    def __post_init__(self) -> None:
        Checks(self).at_least(1, "rounds", "epochs").done()


@recipe(Spec())
def star(run: Run, config: StarConfig) -> Model:
    """Return the best model of all rounds by validation accuracy."""
    problems = run.problems("train")
    policies = [run.base]
    for _ in run.rounds(config.rounds):
        tried = run.verify(run.sample(policies[-1], problems))  # T
        rows: Table[Any] = run.select(tried, correct)  # F
        if config.rationalize:
            hinted = tried.where(_is_wrong).join(run.labels("train")).map(_Hinted(run, config.hint))
            again = run.verify(run.sample(policies[-1], hinted, name="hinted"), name="hinted")  # H
            right = run.select(again, replace(correct, name="hinted"), name="select-hinted")
            rows += right.map(_Unhinted(run))
        start = run.base if config.restart else policies[-1]
        try:
            trained = run.train(start, rows, optimizer=config.optimizer, epochs=config.epochs)  # M
        except NothingToLearn as nothing:
            run.note(nothing.message)
            break
        policies.append(run.best(trained.snapshots) if config.choose_epoch else trained)
        run.evaluate(policies[-1])
    return run.best(policies)


def _is_wrong(sample: Sample) -> bool:
    return not sample.is_correct


class _Hinted:
    """Puts a problem's question again, with the answer behind it."""

    def __init__(self, run: Run, hint: str) -> None:
        self._shape, self._context, self._hint = run.format_of(run.base), run.base.context, hint

    def __call__(self, sample: Sample, label: Label) -> Prompt:
        about = sample.problem
        told = label.solution if self._hint == "solution" and label.solution else label.answer
        hinted = self._shape.prompt(replace(about, question=f"{about.question} ({told})"), self._context)
        return replace(hinted, problem=about)


class _Unhinted:
    """Makes an Example of what was said after a hint, put to the question without it."""

    def __init__(self, run: Run) -> None:
        self._shape, self._context = run.format_of(run.base), run.base.context

    def __call__(self, sample: Sample) -> Example:
        prompt = self._shape.prompt(sample.problem, self._context)
        return Example(
            prompt.messages,
            completion=sample.text,
            problem_id=sample.problem.id,
            parents=(sample.id,),
            is_ended=sample.finish == "stop",
        )
