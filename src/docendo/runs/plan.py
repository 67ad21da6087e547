"""Plans: what a run would do, found by running the recipe on verbs that start nothing."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of a plan."""

    label: str
    kind: str
    rows: int | None
    """Rows it gives: exact where ``is_exact``, else an upper bound; None where not even that is known."""
    is_exact: bool
    is_there: bool
    tokens: int = 0
    """At most so many generated tokens, or learned tokens for a train stage."""


@dataclass(slots=True)
class Plan:
    """The stages of a run in order, as far as they can be told."""

    stages: list[PlannedStage] = field(default_factory=list[PlannedStage])
    is_complete: bool = True
    """False where the recipe looks into rows that are not there yet."""
    bound: str = ""
    """What the recipe itself says of what follows then."""

    _asked: set[str] = field(default_factory=set[str], repr=False, compare=False)

    def note(self, stage: PlannedStage, asked: str) -> None:
        """Add a stage, once for each thing that is asked."""
        if asked not in self._asked:
            self._asked.add(asked)
            self.stages.append(stage)
