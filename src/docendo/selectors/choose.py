"""One sample a problem: Answers, chosen by votes and scores."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.errors import SettingError
from docendo.core.protocols import Columns, Verifier
from docendo.metrics.choosing import By, Pool, Rule


@dataclass(frozen=True, slots=True)
class Choose:
    """Keep exactly one sample of each problem, so that what is left are Answers.

    The rules, and how ties go, stand in `docendo.metrics.choosing`. Of a problem without any readable answer
    the first sample is kept: no problem is left out, and that one counts as failed.

    Example:
        >>> from docendo.verifiers.numeric import Numeric
        >>> Choose("weighted", Numeric(), score="evaluator", k=8).reads
        ('answer', 'is_parsed', 'score:evaluator')
    """

    version: ClassVar[int] = 1
    by: By
    verifier: Verifier
    """Its equivalence says which answers are the same; it decides nothing else."""
    score: str = ""
    """Name of the score, as its Scorer has it; larger is better. Empty for ``majority``, which needs none."""
    k: int | None = None
    """For ``best`` and ``weighted``: only the k largest clusters of answers count; None: all."""
    top_n: int | None = None
    """For ``majority-of-best``: how many of the best-scored samples vote."""
    mean: bool = False
    """For ``weighted``: the mean of a cluster's scores in place of their sum."""
    per: Literal["problem", "all"] = field(default="problem", init=False)

    def __post_init__(self) -> None:
        if self.rule.needs_scores and not self.score:
            raise SettingError(
                f"rule {self.by} was given no score; expected the name of one",
                hint=f'as in Choose("{self.by}", verifier, score="evaluator")',
            )
        if self.score and not self.rule.needs_scores:
            raise SettingError(f"score is {self.score!r}; rule {self.by} has no use for it")

    @property
    def rule(self) -> Rule:
        """The rule that chooses."""
        return Rule(self.by, self.k, self.top_n, self.mean)

    @property
    def reads(self) -> tuple[str, ...]:
        """The answers and, where the rule needs it, the score."""
        return ("answer", "is_parsed", *([f"score:{self.score}"] if self.score else []))

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``no answer`` or ``not chosen`` for the others."""
        answers = [
            answer if is_parsed else None
            for answer, is_parsed in zip(columns["answer"], columns["is_parsed"], strict=True)
        ]
        scores = columns[f"score:{self.score}"] if self.score else None
        chosen = self.rule.choose(Pool.of(answers, scores, self.verifier.same))
        return [
            None if place == chosen else "no answer" if answer is None else "not chosen"
            for place, answer in enumerate(answers)
        ]
