"""Right when it is the same number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal

from docendo.core.errors import SettingError
from docendo.core.records import Label, Outcome, Sample, Source, Verdict
from docendo.verifiers.judging import MAX_CHARACTERS, unjudgeable
from docendo.verifiers.numbers import plain, read_number


@dataclass(frozen=True, slots=True, kw_only=True)
class Numeric:
    """Compare answers as numbers, in exact fractions: ``1/2``, ``0.5`` and ``.50`` are one.

    What is read as a number stands in `docendo.verifiers.numbers`. Units and currency signs are ignored and
    never converted: the question asks for a unit, so ``5 km`` is ``5``, and also ``5 m``. Two texts that are
    the same, case folded, are the same answer even where they are no number.

    `same` is symmetric and reflexive. With ``tolerance`` 0 it is transitive too; with another it is not.
    """

    version: ClassVar[int] = 1

    tolerance: float = 0.0
    """Largest difference of two numbers that are the same. In their unit, finite, >= 0; taken as the decimal
    that it is written as. 0: exact. Fine-tune-CoT's check of AddSub, SVAMP and SingleEq uses 1e-6."""
    percent: Literal["ignored", "hundredths", "compared"] = "ignored"
    """What ``50%`` is: 50, for questions that ask for a percentage; 1/2; or itself, equal to no bare
    number."""
    source: Source = Source.GOLD

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0):
            faults.append(f"tolerance is {self.tolerance}; expected 0 (exact) or a number above 0")
        if self.percent not in ("ignored", "hundredths", "compared"):
            faults.append(f"percent is {self.percent!r}; expected 'ignored', 'hundredths' or 'compared'")
        if faults:
            raise SettingError.of_all(faults)

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        """Return one Verdict for each pair, in order, streaming.

        ``undecided``: an answer with digits or a gold answer that is not one number, as in ``3 + 4``, or is
        too long. An answer without any digit to a question that asks for a number is ``incorrect``.
        """
        ready = {reason: Verdict(outcome, reason, self.source) for reason, outcome in _REASONS.items()}
        for sample, label in pairs:
            verdict = unjudgeable(sample, label, self.source)
            if verdict is None:
                assert label is not None
                verdict = ready[self._reason(sample.answer, label.answer)]
            yield verdict

    def same(self, left: str, right: str) -> bool:
        """Whether two answers are the same number, or the same text."""
        return _REASONS[self._reason(left, right)] is Outcome.CORRECT

    def _reason(self, answer: str, gold: str) -> str:
        if answer == gold:
            return "same text"
        if len(answer) > MAX_CHARACTERS or len(gold) > MAX_CHARACTERS:
            return "too long"
        number, right = read_number(answer), read_number(gold)
        if number is not None and right is not None:
            value, expected = number.value, right.value
            if self.percent == "compared" and number.is_percent is not right.is_percent:
                return "percent against number"
            if self.percent == "hundredths":
                value = value / 100 if number.is_percent else value
                expected = expected / 100 if right.is_percent else expected
            if value == expected or (self.tolerance and abs(value - expected) <= _exact(self.tolerance)):
                return "same number"
            return "another number"
        if plain(answer).casefold() == plain(gold).casefold():
            return "same text"
        if right is None:
            return "gold is not a number"
        return "not one number" if any(character.isdigit() for character in answer) else "no number"


_REASONS = {
    "same text": Outcome.CORRECT,
    "same number": Outcome.CORRECT,
    "another number": Outcome.INCORRECT,
    "percent against number": Outcome.INCORRECT,
    "no number": Outcome.INCORRECT,
    "not one number": Outcome.UNDECIDED,
    "gold is not a number": Outcome.UNDECIDED,
    "too long": Outcome.UNDECIDED,
}


def _exact(tolerance: float) -> Fraction:
    return Fraction(repr(float(tolerance)))
