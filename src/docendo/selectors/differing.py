"""Pairs whose two texts differ."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.protocols import Columns


@dataclass(frozen=True, slots=True)
class Differing:
    """Drop pairs of equal texts, but for white space around them: there is nothing to tell apart."""

    version: ClassVar[int] = 1
    reads: tuple[str, ...] = field(default=("chosen", "rejected"), init=False)
    per: Literal["problem", "all"] = field(default="all", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``exact copy`` for the rows whose texts are equal."""
        rows = zip(columns["chosen"], columns["rejected"], strict=True)
        return ["exact copy" if chosen.strip() == rejected.strip() else None for chosen, rejected in rows]


differing = Differing()
"""Keep pairs with something to tell apart."""
