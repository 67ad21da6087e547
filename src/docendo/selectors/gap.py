"""Pairs by their gap: only wide ones, and of many the widest."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.errors import SettingError
from docendo.core.protocols import Columns

ROUNDING = 1e-9
"""Gaps are sums of tenths and ninths: one that equals the bound but for rounding is not above it."""


@dataclass(frozen=True, slots=True)
class WiderThan:
    """Keep pairs whose gap is above a bound (Ning et al. 2024, arXiv:2406.14629, section 4.1: 0.3)."""

    version: ClassVar[int] = 1
    gap: float
    """In [0, 1)."""
    reads: tuple[str, ...] = field(default=("gap",), init=False)
    per: Literal["problem", "all"] = field(default="problem", init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.gap < 1:
            raise SettingError(f"gap is {self.gap}; expected at least 0 and below 1")

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``gap too narrow`` for the others."""
        return [None if gap > self.gap + ROUNDING else "gap too narrow" for gap in columns["gap"]]


@dataclass(frozen=True, slots=True)
class Widest:
    """Keep the pairs of a problem with the largest gaps; of equal ones those that come first."""

    version: ClassVar[int] = 1
    limit: int
    """Pairs a problem. Count, >= 1."""
    reads: tuple[str, ...] = field(default=("gap",), init=False)
    per: Literal["problem", "all"] = field(default="problem", init=False)

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise SettingError(f"limit is {self.limit} pairs a problem; expected at least 1")

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``not among the widest`` for the others."""
        gaps = columns["gap"]
        kept = set(sorted(range(len(gaps)), key=lambda place: -gaps[place])[: self.limit])
        return [None if place in kept else "not among the widest" for place in range(len(gaps))]
