"""Rows above a threshold of their score: ReST's filters (arXiv:2308.08998, sections 3 and 4)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import ClassVar, Literal

import numpy as np

from docendo.core.errors import SettingError
from docendo.core.protocols import Columns

Rule = Literal["global", "percentile", "interpolation"]


def threshold_of(rule: Rule, level: float, scores: Sequence[float]) -> float:
    """Return the threshold of a set of scores: all of them, or those of one problem.

    ::

        global          level
        percentile      the level-quantile of the scores, linearly interpolated
        interpolation   level * max + (1 - level) * mean

    Example:
        >>> scores = [0.2, 0.55, 0.72, 0.91]
        >>> [round(threshold_of(rule, 0.5, scores), 4) for rule in ("percentile", "interpolation")]
        [0.635, 0.7525]
    """
    match rule:
        case "global":
            return level
        case "percentile":
            return float(np.quantile(np.asarray(scores), level))
        case "interpolation":
            return level * max(scores) + (1 - level) * fmean(scores)


def rising(thresholds: Sequence[float], mean: float) -> tuple[float, ...]:
    """Return rising thresholds that begin at the mean reward or above it.

    A policy that learns what is above a threshold gains reward surely only where the threshold is not below
    the mean of what it learns from (App. A.3). Thresholds up to the mean become one, the mean itself.

    Example:
        >>> rising([0.3, 0.5, 0.8], 0.54)
        (0.54, 0.8)
    """
    above = tuple(threshold for threshold in thresholds if threshold > mean)
    return above if len(above) == len(thresholds) else (mean, *above)


@dataclass(frozen=True, slots=True, kw_only=True)
class Above:
    """Keep rows whose score is above a threshold: strictly, so a greater threshold keeps a part of the same.

    ``global`` has one threshold for all rows and can empty hard problems; the two others have one for each
    problem.
    """

    version: ClassVar[int] = 1
    level: float
    """The threshold itself; the percentile or the interpolation's gamma in ``[0, 1)``."""
    rule: Rule = "global"
    score: str = "rescaled"
    """Name of the score, as its Scorer has it."""
    reads: tuple[str, ...] = field(init=False)
    per: Literal["problem", "all"] = field(init=False)

    def __post_init__(self) -> None:
        if self.rule != "global" and not 0 <= self.level < 1:
            raise SettingError(
                f"level is {self.level} by {self.rule}; expected at least 0 and below 1",
                hint="above a problem's greatest score there is nothing",
            )
        object.__setattr__(self, "reads", (f"score:{self.score}",))
        object.__setattr__(self, "per", "all" if self.rule == "global" else "problem")

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``not above the threshold`` or ``no score`` for the others."""
        scores = columns[self.reads[0]]
        known = [score for score in scores if score is not None]
        if not known:
            return ["no score"] * len(scores)
        bound = threshold_of(self.rule, self.level, known)
        return [
            "no score" if score is None else None if score > bound else "not above the threshold"
            for score in scores
        ]
