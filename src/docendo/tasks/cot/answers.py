"""How the authors' code reads an answer off a text, and when two answers are the same.

[code, evaluator.py] A text has candidates; of them

    A  where nothing marks the answer (no prefix), the first of the whole text counts
    B  where the prefix stands in the text, the first behind its first occurrence
    C  where the prefix should stand in the text and does not, the last of the whole text

===========  ==============================================================================================
number       commas taken out; an optional minus sign, digits, and digits behind a point
A-E, ...     every capital letter from A on, those inside words too
yes-no       lower case, cut at spaces, quotes, full stops, colons and commas: every ``yes`` or ``no``
letters      one: all of the text without white space, quotes and full stops
===========  ==============================================================================================

These are the published rules, kept with their faults: ``Claire has A`` is C, ``yes!`` nothing, ``10-5`` holds
-5. The other Formats of the tasks read more strictly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.records import Label, Outcome, Sample, Source, Verdict
from docendo.tasks.cot.catalogue import Equality, Rule
from docendo.verifiers.judging import unjudgeable

TOLERANCE = 1e-6

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BETWEEN_WORDS = re.compile(r"[\"'.\s:,]")
_NO_LETTERS = re.compile(r"[\"'.\s]")


def _capitals(last: str) -> Callable[[str], list[str]]:
    return re.compile(f"[A-{last}]").findall


def _yes_no(text: str) -> list[str]:
    return [word for word in _BETWEEN_WORDS.split(text.lower()) if word in ("yes", "no")]


CANDIDATES: Mapping[Rule, Callable[[str], list[str]]] = {
    "number": lambda text: _NUMBER.findall(text.replace(",", "")),
    "A-C": _capitals("C"),
    "A-E": _capitals("E"),
    "A-F": _capitals("F"),
    "yes-no": _yes_no,
    "letters": lambda text: [_NO_LETTERS.sub("", text)],
}
"""From a text to everything in it that can be an answer."""


@dataclass(frozen=True, slots=True)
class Published:
    """What the published rules find in a text."""

    answer: str | None
    """The candidate that counts; None where there is none."""
    candidates: tuple[str, ...]
    """All that were looked at: behind the prefix, where it stands in the text."""
    prefix_at: int
    """Where the prefix stands; -1 where there is none or it is missing."""


def read_published(rule: Rule, prefix: str, text: str) -> Published:
    """Read an answer by rules A to C.

    Args:
        rule: What can be an answer.
        prefix: What stands before an answer; empty where nothing does.
        text: What the model wrote.
    """
    at = text.find(prefix) if prefix else -1
    found = CANDIDATES[rule](text[at + len(prefix) :] if at >= 0 else text)
    is_last = bool(prefix) and at < 0
    answer = (found[-1] if is_last else found[0]) if found else None
    return Published(answer, tuple(found), at)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedEquality:
    """Compare answers as the authors' code does: made for what `read_published` reads.

    `same` is symmetric and, but for ``number``, transitive. Under ``number`` a text that is no number is the
    same as no other.
    """

    version: ClassVar[int] = 1

    equality: Equality
    source: Source = Source.GOLD

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        """Return one Verdict for each pair, in order, streaming."""
        kind = "number" if self.equality == "number" else "text"
        correct = Verdict(Outcome.CORRECT, f"same {kind}", self.source)
        incorrect = Verdict(
            Outcome.INCORRECT, "another number" if kind == "number" else "different text", self.source
        )
        for sample, label in pairs:
            verdict = unjudgeable(sample, label, self.source)
            if verdict is None:
                assert label is not None
                verdict = correct if self.same(sample.answer, label.answer) else incorrect
            yield verdict

    def same(self, left: str, right: str) -> bool:
        """Whether two answers are the same."""
        if left == right:
            return True
        if self.equality == "text":
            return False
        left, right = left.replace(",", ""), right.replace(",", "")
        if self.equality == "digits":
            return left == right
        try:
            return abs(float(left) - float(right)) <= TOLERANCE
        except ValueError:
            return False
