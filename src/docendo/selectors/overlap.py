"""Contamination: training rows that contain an evaluation problem.

A row is dropped when one of its texts, normalised, equals an evaluation question, or when it shares any run
of 13 words with one (Brown et al. 2020, arXiv:2005.14165, appendix C, use 13-grams; what they clean is the
test set, here the training rows go, so every arm is measured on the same problems).

Words are maximal runs of letters or digits, lower-cased, in the Unicode form NFKC. A question shorter than
13 words can only match exactly.
"""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Literal

from docendo.core.parts import IGNORED
from docendo.core.protocols import Columns
from docendo.core.seeds import digest_of

_WORD = re.compile(r"[^\W_]+")
GRAM = 13


def words_of(text: str) -> list[str]:
    """Return the lower-cased words of a text."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)  # é as one sign or as two, full-width digits
    return _WORD.findall(text.lower())


@dataclass(frozen=True, slots=True)
class Overlap:
    """Drop Examples that contain an evaluation question or share 13 words in a row with one."""

    version: ClassVar[int] = 1
    against: tuple[tuple[str, str], ...]
    """(split, digest of its questions): what the fingerprint sees."""
    size: int = GRAM
    """Words in a row that are too many to share; 0: only whole questions are looked for."""
    exact: Mapping[str, str] = field(default_factory=dict[str, str], repr=False, metadata=IGNORED)
    """Normalised question -> split."""
    runs: Mapping[tuple[str, ...], str] = field(
        default_factory=dict[tuple[str, ...], str], repr=False, metadata=IGNORED
    )
    """Every run of ``size`` words of the questions -> split."""
    vocabulary: frozenset[str] = field(default_factory=frozenset[str], repr=False, metadata=IGNORED)
    reads: tuple[str, ...] = field(default=("asked", "learned"), init=False)
    per: Literal["problem", "all"] = field(default="all", init=False)

    @classmethod
    def of(cls, questions: Mapping[str, Sequence[str]], *, size: int = GRAM) -> Overlap:
        """Make the selector for the questions of each evaluation split."""
        exact: dict[str, str] = {}
        runs: dict[tuple[str, ...], str] = {}
        for split, texts in questions.items():
            for text in texts:
                words = words_of(text)
                if words:  # else every blank line would be found
                    exact.setdefault(" ".join(words), split)
                for run in _runs(words, size) if size else ():
                    runs.setdefault(run, split)
        vocabulary = frozenset(word for run in runs for word in run)
        against = tuple((split, digest_of(list(texts))) for split, texts in questions.items())
        return cls(against, size, exact, runs, vocabulary)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``exact match in SPLIT`` or ``13-gram in SPLIT`` for the rows that are found."""
        known: dict[str, str | None] = {}  # the same prompt stands before many completions
        out: list[str | None] = []
        for asked, learned in zip(columns["asked"], columns["learned"], strict=True):
            if asked not in known:
                known[asked] = self._found(asked)
            out.append(known[asked] or self._found(learned))
        return out

    def _found(self, text: str) -> str | None:
        words = words_of(text)
        split = self.exact.get(" ".join(words))
        if split is None and "\n" in text:
            parts = (self.exact.get(" ".join(words_of(part))) for part in text.split("\n"))
            split = next((part for part in parts if part is not None), None)
        if split is not None:
            return f"exact match in {split}"
        if not self.runs or len(words) < self.size:
            return None
        # Most texts hold no long stretch of words that occur in evaluation runs at all: look only there.
        vocabulary = self.vocabulary
        start = 0
        for place, word in enumerate(words):
            if word not in vocabulary:
                start = place + 1
            elif place - start + 1 >= self.size:
                run = tuple(words[place - self.size + 1 : place + 1])
                if run in self.runs:
                    return f"{self.size}-gram in {self.runs[run]}"
        return None


def _runs(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return zip(*(islice(words, start, None) for start in range(size)), strict=False)
