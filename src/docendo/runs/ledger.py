"""The ledger of information: which gold answers a run has read, and for what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from docendo.core.records import Source


@dataclass(slots=True)
class Ledger:
    """Which gold answers a run has read, and for what."""

    labels: dict[tuple[str, str], set[str]] = field(default_factory=dict[tuple[str, str], set[str]])
    """(split, verb) -> problem ids."""
    sources: set[Source] = field(default_factory=set[Source])

    def read(self, split: str, verb: str, problem_ids: Iterable[str]) -> None:
        """Note that these problems' gold answers were read."""
        self.labels.setdefault((split, verb), set()).update(problem_ids)
        self.sources.add(Source.GOLD)

    def summary(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "labels_read": [
                {"split": split, "by": verb, "problems": len(ids)}
                for (split, verb), ids in sorted(self.labels.items())
            ],
            "sources": sorted(source.value for source in self.sources),
        }
