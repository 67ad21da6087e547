"""Right when it names the same option."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.records import Label, Outcome, Sample, Source, Verdict
from docendo.verifiers.judging import unjudgeable

_LETTER = re.compile(
    r"""\s* (?: (?:option|choice|answer) \s+ )?
    (?: [(\[] \s* (?P<inside>[a-z]) \s* [)\]]   # (B), [B], and whatever follows: (B) apples
      | (?P<marked>[a-z]) \s* [).:] (?!\S*\w[.)]) # B) apples, B. apples, B: apples; not initials, U.S.A.
      | (?P<alone>[a-z]) \s* $                  # B
    )""",
    re.VERBOSE | re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Compare which of a Problem's choices two answers name, by letter or by the option's text.

    A letter is a single one from A on, of either case, alone or marked: ``B``, ``(b)``, ``B) apples``,
    ``Option B``. It goes before text: what stands behind a letter is not looked at, and where the options
    themselves are single letters, an answer is the label and not the text. Anything else must be the text of
    an option, case and white space folded. Two options with the same text are one.

    `same` sees no Problem: it compares letters with letters and texts with texts, and never knows that ``B``
    and ``apples`` are one. It is an equivalence relation; Formats for multiple choice read letters.
    """

    version: ClassVar[int] = 1

    source: Source = Source.GOLD

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        """Return one Verdict for each pair, in order, streaming."""
        for sample, label in pairs:
            verdict = unjudgeable(sample, label, self.source)
            if verdict is None:
                assert label is not None
                outcome, reason = _found(sample.answer, label.answer, sample.problem.choices)
                verdict = Verdict(outcome, reason, self.source)
            yield verdict

    def same(self, left: str, right: str) -> bool:
        """Whether two answers name the same letter, or are the same text."""
        return _key(left) == _key(right)


def _letter(answer: str) -> str:
    """Return the letter that an answer names, upper case; empty where it names none."""
    match = _LETTER.match(answer)
    return "".join(group or "" for group in match.groups()).upper() if match else ""


def _text(answer: str) -> str:
    return " ".join(answer.casefold().split())


def _key(answer: str) -> tuple[str, str]:
    letter = _letter(answer)
    return (letter, "") if letter else ("", _text(answer))


def _found(answer: str, gold: str, choices: tuple[str, ...]) -> tuple[Outcome, str]:
    if not choices:
        # A task may have put its options into the question; then letters are all there is.
        same = _key(answer) == _key(gold)
        return (Outcome.CORRECT, "same option") if same else (Outcome.INCORRECT, "another option")
    texts = [_text(choice) for choice in choices]
    right, named = _option(gold, texts), _option(answer, texts)
    if right is None:
        return Outcome.UNDECIDED, "gold is not an option"
    if named is None:
        return Outcome.INCORRECT, "not an option"
    return (Outcome.CORRECT, "same option") if named == right else (Outcome.INCORRECT, "another option")


def _option(answer: str, texts: list[str]) -> str | None:
    """Return the folded text of the option that an answer names."""
    letter = _letter(answer)
    if letter and ord(letter) - ord("A") < len(texts):
        return texts[ord(letter) - ord("A")]
    text = _text(answer)
    return text if text in texts else None
