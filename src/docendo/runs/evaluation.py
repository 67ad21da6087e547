"""Evaluations: samples with verdicts on a split. Those of the test split open for evidence alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from docendo.core.errors import GoldAccessError
from docendo.core.records import Model, Sample
from docendo.core.table import Table


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A Model, or a table of Answers, measured on a split.

    A recipe may choose by ``correct`` and ``accuracy`` on splits other than test; asked for them on the test
    split they raise. `greedy_of` and `sampled_of` are for evidence.
    """

    arm: str
    round: int
    split: str
    model: Model | None
    """None for Answers."""
    _greedy: Table[Sample] = field(repr=False)
    _sampled: Table[Sample] | None = field(repr=False)

    @property
    def is_known(self) -> bool:
        """False in a plan where the answers are not there yet."""
        return self._greedy.is_known

    @property
    def stages(self) -> frozenset[str]:
        """The stages that its answers came from: equal ones, equal numbers."""
        return self._greedy.stages if self._sampled is None else self._greedy.stages | self._sampled.stages

    @property
    def correct(self) -> int:
        """How many greedy answers are correct.

        Raises:
            GoldAccessError: The split is ``test``.
        """
        if self.split == "test":
            raise GoldAccessError(
                "a recipe asked for a number of a test evaluation",
                hint="choose on `validation`; test numbers are for the report alone",
            )
        return sum(outcome == "correct" for outcome in self._greedy.columns(["verdict"])["verdict"])

    @property
    def accuracy(self) -> float:
        """The share of correct greedy answers, in ``[0, 1]``; guarded as ``correct``."""
        return self.correct / max(1, len(self._greedy))


def greedy_of(evaluation: Evaluation) -> Table[Any]:
    """Return one verified Sample a problem. For evidence; recipes may not import it."""
    return evaluation._greedy  # pyright: ignore[reportPrivateUsage]


def sampled_of(evaluation: Evaluation) -> Table[Any] | None:
    """Return the verified samples drawn at a temperature, if any. For evidence; recipes may not import it."""
    return evaluation._sampled  # pyright: ignore[reportPrivateUsage]
