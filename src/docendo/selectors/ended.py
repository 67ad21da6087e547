"""Rows whose text came to an end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.protocols import Columns


@dataclass(frozen=True, slots=True)
class Ended:
    """Drop Examples that were cut off: who learns from them learns never to stop."""

    version: ClassVar[int] = 1
    reads: tuple[str, ...] = field(default=("is_ended",), init=False)
    per: Literal["problem", "all"] = field(default="all", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``no end token`` for the rows that were cut off."""
        return [None if is_ended else "no end token" for is_ended in columns["is_ended"]]
