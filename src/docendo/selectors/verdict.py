"""Selection by verdict."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from docendo.core.protocols import Columns
from docendo.core.records import Outcome


@dataclass(frozen=True, slots=True)
class HasVerdict:
    """Keep rows with one of the outcomes; a dropped row's reason is its own outcome."""

    version: ClassVar[int] = 1
    outcomes: tuple[Outcome, ...] = (Outcome.CORRECT,)
    name: str = "verdict"
    """Which verdict, where there are several."""
    per: Literal["problem", "all"] = field(default="all", init=False)

    @property
    def reads(self) -> tuple[str, ...]:
        """The verdict's column."""
        return (f"verdict:{self.name}",)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return the outcome of each row that is not wanted."""
        wanted = {outcome.value for outcome in self.outcomes}
        return [None if outcome in wanted else outcome for outcome in columns[self.reads[0]]]


correct = HasVerdict()
"""Keep what the task's verifier called correct."""
incorrect = HasVerdict((Outcome.INCORRECT,))
"""Keep what it called incorrect: an answer was read, and it is another one."""
