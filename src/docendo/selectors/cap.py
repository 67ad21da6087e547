"""At most so many rows a problem, or in all."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.errors import SettingError
from docendo.core.protocols import Columns


@dataclass(frozen=True, slots=True)
class Cap:
    """Keep at most ``limit`` rows of each problem, a uniform draw seeded by the run and the problem.

    So easy problems do not fill the training set (Singh et al. 2023, arXiv:2312.06585, section 3: at most 10;
    which ones are kept among more is not stated there, a seeded uniform choice is ours).
    """

    version: ClassVar[int] = 1
    limit: int
    """Rows a problem, >= 1."""
    reads: tuple[str, ...] = field(default=("problem_id",), init=False)
    per: Literal["problem", "all"] = field(default="problem", init=False)

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise SettingError(f"cap is {self.limit} rows a problem; expected at least 1")

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``over the cap`` for the rows that were not drawn."""
        count = len(columns["problem_id"])
        kept = set(rng.sample(range(count), min(self.limit, count)))
        return [None if index in kept else "over the cap" for index in range(count)]


@dataclass(frozen=True, slots=True)
class RandomSubset:
    """Keep ``size`` rows of all, drawn uniformly: the control that knows no verdict."""

    version: ClassVar[int] = 1
    size: int
    reads: tuple[str, ...] = field(default=("problem_id",), init=False)
    per: Literal["problem", "all"] = field(default="all", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``not drawn`` for the others."""
        count = len(columns["problem_id"])
        kept = set(rng.sample(range(count), min(self.size, count)))
        return [None if index in kept else "not drawn" for index in range(count)]
