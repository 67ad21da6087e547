"""Right when it is the same text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.records import Label, Outcome, Sample, Source, Verdict
from docendo.verifiers.judging import unjudgeable


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """Compare answers as texts, in Unicode's composed form (NFC), so that both spellings of é are one.

    `same` compares one folded form of each text, so it is an equivalence relation.
    """

    version: ClassVar[int] = 1

    fold_case: bool = True
    """``Yes`` is ``yes``. Off for answers whose case counts."""
    fold_spaces: bool = True
    """Drop white space at both ends, and take every run of it for one space."""
    source: Source = Source.GOLD

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        """Return one Verdict for each pair, in order, streaming."""
        correct = Verdict(Outcome.CORRECT, "same text", self.source)
        incorrect = Verdict(Outcome.INCORRECT, "different text", self.source)
        for sample, label in pairs:
            verdict = unjudgeable(sample, label, self.source)
            if verdict is None:
                assert label is not None
                verdict = correct if self.same(sample.answer, label.answer) else incorrect
            yield verdict

    def same(self, left: str, right: str) -> bool:
        """Whether two answers are the same text after folding."""
        return left == right or self._folded(left) == self._folded(right)

    def _folded(self, text: str) -> str:
        text = unicodedata.normalize("NFC", text)
        if self.fold_case:
            # Case folding can undo composition, hence the second call (Unicode 15, section 3.13).
            text = unicodedata.normalize("NFC", text.casefold())
        return " ".join(text.split()) if self.fold_spaces else text
