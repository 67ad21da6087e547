"""No text twice for one problem."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.protocols import Columns


@dataclass(frozen=True, slots=True)
class Distinct:
    """Keep the first of the rows of a problem whose texts are equal but for white space."""

    version: ClassVar[int] = 1
    reads: tuple[str, ...] = field(default=("text",), init=False)
    per: Literal["problem", "all"] = field(default="problem", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``duplicate`` for the later ones."""
        seen: set[str] = set()
        out: list[str | None] = []
        for text in columns["text"]:
            key = " ".join(text.split())
            out.append("duplicate" if key in seen else None)
            seen.add(key)
        return out


distinct = Distinct()
"""Keep each text of a problem once."""
