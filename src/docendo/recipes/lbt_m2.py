"""LbT M2: learn from what students learned, by DPO on pairs of one's own rationales.

Ning, Wang, Li, Lin et al. (2024), "Can LLMs Learn by Teaching for Better Reasoning?", arXiv:2406.14629,
section 4 and appendix B.1. Its code is not released; appendix B.1 points at the one of DPO.

    T  draw n pairs (rationale, answer) of every training problem from the model, and judge the answers: c
    E  score each by the exams of students taught by it: s (as LbT M1 does; the student is the model itself)
    F  f = c / 2 + s / 2; keep ordered pairs whose f differs by more than 0.3, at most 8 of a problem
    D  train the model by DPO on these pairs, plus a term for the likelihood of what is preferred

So a right rationale that teaches well is also preferred to a right one that teaches badly. The arm
``correctness`` does the same with f = c.

Departures, each a setting or stated:
  - Which 8 pairs are kept is not stated: a uniform draw, seeded, or the widest gaps (``keep``).
  - The likelihood term has weight 50. Whether it is divided by the text's tokens is not stated; the work that
    is cited for it divides (``nll_per``). At 50, either way, it outweighs the DPO term by far, so ours is 1.
  - q and r of the exams are not stated here: those of M1.
  - Rationales without a readable answer or an end stand in no pair.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from docendo.core.checks import Checks
from docendo.core.losses import Optimizer, Preference
from docendo.core.records import Model, Sample
from docendo.core.table import Table
from docendo.examples.gaps import GapPair, gap_pairs
from docendo.runs.recipe import Arm, Spec, recipe
from docendo.runs.run import Run
from docendo.scorers.exam_settings import ExamSettings
from docendo.selectors.cap import Cap
from docendo.selectors.gap import WiderThan, Widest


@dataclass(frozen=True, slots=True, kw_only=True)
class LbtM2Config:
    """Settings of LbT M2. Where the paper's value is another one than ours, it stands behind it."""

    samples_per_problem: int = 8
    """n, pairs of rationale and answer drawn of each problem. Paper: 32."""
    temperature: float = 0.8
    """Of these draws. Paper: 0.7."""
    top_k: int = 0
    """Draw from so many most likely tokens; 0: from all. Paper: 20."""
    exam_share: float = 0.5
    """What the exam score counts in f; correctness counts the rest. In [0, 1]. Paper: 0.5."""
    gap: float = 0.3
    """A pair is kept where f differs by more. Paper: 0.3."""
    limit: int = 8
    """At most so many pairs of a problem. Paper: 8."""
    keep: Literal["random", "widest"] = "random"
    """Which of more pairs are kept: a uniform draw, or those with the widest gaps. Paper: not stated."""
    beta: float = 0.1
    """Of DPO. Paper: 0.1."""
    nll_weight: float = 1.0
    """Weight of the likelihood of what is preferred. Paper: 50."""
    nll_per: Literal["token", "text"] = "token"
    """Whether that likelihood is divided by the text's tokens. Paper: not stated."""
    epochs: int = 1
    """Passes over the pairs. Paper: 1."""
    exam: ExamSettings = field(default_factory=ExamSettings)
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=1e-4))
    """How the pairs are learned. Paper: rate 5e-7, 16 rows a step."""

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(2, "samples_per_problem").at_least(1, "limit", "epochs")
        checks.at_least(0, "top_k", "gap", "nll_weight").above(0, "temperature", "beta").share("exam_share")
        checks.that(self.gap < 1, f"gap is {self.gap}; expected below 1, the widest there can be")
        checks.that(
            self.keep in ("random", "widest"), f"keep is {self.keep!r}; expected random or widest"
        ).done()


def _arms(config: LbtM2Config) -> Sequence[Arm]:
    return [Arm("correctness", correctness)]


def _needs(config: LbtM2Config) -> Sequence[str]:
    return config.exam.roles


@recipe(Spec(task="hinted-verb-lessons", roles=("student", "embedder"), needs=_needs, arms=_arms))
def lbt_m2(run: Run, config: LbtM2Config) -> Model:
    """Return the model that learned to prefer what is right and teaches well."""
    return _learned(run, config, config.exam_share)


def correctness(run: Run, config: LbtM2Config) -> Model:
    """Return the model that learned to prefer what is right alone."""
    return _learned(run, config, 0.0)


def _learned(run: Run, config: LbtM2Config, exam_share: float) -> Model:
    keep = Widest(config.limit) if config.keep == "widest" else Cap(config.limit)
    every = gap_pairs(_scored(run, config), "exam", exam_share, n=config.samples_per_problem)
    pairs = run.select(every, WiderThan(config.gap), keep)  # F
    if pairs.is_known:  # not in a plan
        run.facts |= _told(pairs)
    learned = run.train(  # D
        run.base,
        pairs.map(GapPair.example, key="gap-pair"),
        Preference(beta=config.beta, nll_weight=config.nll_weight, nll_per=config.nll_per),
        optimizer=config.optimizer,
        epochs=config.epochs,
        reference=run.base,
    )
    run.evaluate(learned, "validation")  # told; nothing is chosen by it
    return learned


def _scored(run: Run, config: LbtM2Config) -> Table[Sample]:
    """Return the training problems' samples with verdicts and exam scores (T, E)."""
    students = run.models_of("student") or (run.base,)
    exam = config.exam.of(students, run.task, *map(run.model, config.exam.roles))
    n, heat, top_k = config.samples_per_problem, config.temperature, config.top_k
    drawn = run.sample(run.base, run.problems("train"), n, temperature=heat, top_k=top_k, name="pairs")
    return run.score(run.verify(drawn), exam)


def _told(pairs: Table[GapPair]) -> dict[str, int]:
    """Count the pairs by what is right in them."""
    kinds = [(pair.chosen.is_correct, pair.rejected.is_correct) for pair in pairs]
    return {
        "pairs learned": len(kinds),
        "problems with a pair": len({pair.problem.id for pair in pairs}),
        "pairs of a right and a wrong one": kinds.count((True, False)),
        "pairs of two right ones": kinds.count((True, True)),
        "pairs of two wrong ones": kinds.count((False, False)),
        "pairs that prefer a wrong one to a right one": kinds.count((False, True)),
    }
