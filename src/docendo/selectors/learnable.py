"""Rows that a model can learn from: they say something, and come to an end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.protocols import Columns


@dataclass(frozen=True, slots=True)
class Learnable:
    """Drop Examples that were cut off or are empty: they teach never to stop, or to say nothing."""

    version: ClassVar[int] = 2
    reads: tuple[str, ...] = field(default=("is_ended", "learned"), init=False)
    per: Literal["problem", "all"] = field(default="all", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``no end token`` for the rows that were cut off, ``empty`` for those without a text."""
        return [_fault(*row) for row in zip(columns["is_ended"], columns["learned"], strict=True)]


@dataclass(frozen=True, slots=True)
class Finished:
    """Drop Samples from which no learnable Example would come."""

    version: ClassVar[int] = 1
    reads: tuple[str, ...] = field(default=("finish", "text"), init=False)
    per: Literal["problem", "all"] = field(default="all", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``no end token`` for what was cut off or failed, ``empty`` for what has no text."""
        rows = zip(columns["finish"], columns["text"], strict=True)
        return [_fault(finish == "stop", text) for finish, text in rows]


def _fault(is_ended: bool, text: str) -> str | None:
    if not is_ended:
        return "no end token"
    return None if text else "empty"
