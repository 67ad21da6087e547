r"""Where the answer stands in a text.

A reader is a pure function from a text to the answer statement it finds last, or None. It never raises, and
its time grows with the length of the text and no faster, whatever the text.

=============  =============================================================
``sentence``   ``The answer is 12.``  ``So the final answer is: **12**``
``hash``       ``#### 12``
``boxed``      ``\boxed{12}``  ``\fbox{12}``  ``\boxed 12``
``line``       ``A: 12``  ``Answer: 12``  ``**Final answer:** 12``
``choice``     ``sentence`` or ``line``, and of it the letter: ``(B)``  ``B) apples``
=============  =============================================================

`last_number` and `last_letter` are for texts in which no such statement stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Found:
    """An answer statement in a text."""

    start: int
    """Where the statement begins: what stands before is the rationale."""
    at: int
    """Where the answer itself begins. Of several statements the one with the largest is the last."""
    answer: str


Reader = Callable[[str], Found | None]

# No two neighbouring repeats can match the same character, so that nothing is tried twice.
_ANSWER_IS = re.compile(
    r"""(?:\b(?i:so|thus|hence|therefore),?\s+the|\b(?i:the|my))
    \s+(?:(?i:final|correct|right)\s+)?(?i:answer)\s+(?i:is)\b(?:\s+(?i:therefore|thus)\b,?)?:?\s*""",
    re.VERBOSE,
)
# A full stop inside a number or a word ends nothing; one before a space, a closing mark or the end does.
_SENTENCE_END = re.compile(r"""\.(?=[\s*_"'\u201d\u2019)\]]|$)|\n""")
_BOX = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])\s*(\{)?|\\.|[{}]", re.DOTALL)
_BEFORE_BOX = re.compile(
    r"""(?:(?:\b(?:so|thus|hence|therefore),?[ ])?(?:\*\*)?the[ ](?:final[ ])?answer[ ]is:?\s?)?
    (?:\$\$?|\\[(\[])?$""",
    re.VERBOSE | re.IGNORECASE,
)
_UNBRACED = re.compile(r"\s*([^\s{}$\\]+)")
_LINE = re.compile(
    r"^[ \t]*(?:\*\*)?(?:A|(?i:(?:final[ ])?answer))(?:\*\*)?[ \t]*:(?:\*\*)?[ \t]*(\S.*)$", re.MULTILINE
)
_LETTER = re.compile(r"[(\[]\s?([A-Za-z])\s?[)\]]|([A-Z])(?:[).:,]|$)|([a-z])$")
_MARKED_LETTER = re.compile(r"\(([A-Z])\)")
_NUMBER = re.compile(
    r"""(?:(?<![\w)\]}])[-\u2212])?                            # a minus sign, not that of a difference
    (?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+|(?=\.[0-9]))
    (?:\.[0-9]+)?(?:/[0-9]+)?%?""",
    re.VERBOSE,
)


def sentence(text: str) -> Found | None:
    """Find the last ``The answer is X.`` that says something.

    X ends with the sentence: at a full stop before white space, a closing mark or the end of the text, or at
    the end of its line. Bold marks around X are taken off.
    """
    for match in reversed(list(_ANSWER_IS.finditer(text))):
        end = _SENTENCE_END.search(text, match.end())
        if answer := _bare(text[match.end() : end.start() if end else len(text)]):
            return Found(match.start(), match.end(), answer)
    return None


def hash_mark(text: str) -> Found | None:
    """Find what stands behind the last ``####`` on its line."""
    end = len(text)
    while end >= 0:
        begin = text.rfind("\n", 0, end) + 1
        last = text[begin:end].rstrip()
        if last.endswith("####"):
            last = last.rstrip("# \t")
        place = last.rfind("####")
        if place >= 0:
            return Found(begin + place, begin + place + 4, last[place + 4 :].strip())
        end = begin - 1
    return None


def boxed(text: str) -> Found | None:
    r"""Find the content of the last ``\boxed{...}`` whose braces close, escaped braces not counted."""
    best: Found | None = None
    open_braces: list[tuple[int, int]] = []
    for match in _BOX.finditer(text):
        token = match[0]
        if match[1]:
            open_braces.append((match.start(), match.end()))
        elif token == "{":
            open_braces.append((-1, -1))
        elif token == "}" and open_braces:
            start, at = open_braces.pop()
            if start >= 0 and (best is None or at > best.at) and (answer := text[at : match.start()].strip()):
                best = Found(start, at, answer)
        elif token.startswith(("\\boxed", "\\fbox")) and (bare := _UNBRACED.match(text, match.end())):
            best = Found(match.start(), bare.start(1), bare[1])
    if best is None:
        return None
    before = _BEFORE_BOX.search(text, max(0, best.start - 40), best.start)
    return Found(before.start() if before else best.start, best.at, best.answer)


def line(text: str) -> Found | None:
    """Find the last line that begins with ``A:`` or ``Answer:``."""
    last: Found | None = None
    for match in _LINE.finditer(text):
        if answer := _bare(match[1]):
            last = Found(match.start(), match.start(1), answer)
    return last


def choice(text: str) -> Found | None:
    """Find the last answer sentence or line, and of its answer the letter; without one, the whole of it."""
    found = latest([sentence(text), line(text)])
    if found is None:
        return None
    letter = _LETTER.match(found.answer)
    if letter is None:
        return found
    return Found(found.start, found.at, (letter[1] or letter[2] or letter[3]).upper())


def last_number(text: str) -> Found | None:
    """Find the last number, with its sign, thousands separators, fraction and percent sign."""
    last: re.Match[str] | None = None
    for match in _NUMBER.finditer(text):
        last = match
    return Found(last.start(), last.start(), last[0].replace("\u2212", "-")) if last else None


def last_letter(text: str) -> Found | None:
    """Find the last letter in parentheses, ``(B)``, or the letter that is the whole text."""
    last: re.Match[str] | None = None
    for match in _MARKED_LETTER.finditer(text):
        last = match
    if last:
        return Found(last.start(), last.start(1), last[1])
    alone = text.strip().rstrip(".")
    return Found(0, 0, alone.upper()) if len(alone) == 1 and alone.isascii() and alone.isalpha() else None


def latest(found: list[Found | None]) -> Found | None:
    """Return the statement whose answer stands last in the text."""
    return max((one for one in found if one), key=lambda one: one.at, default=None)


def unboxed(text: str) -> str:
    r"""Replace every ``\boxed{X}`` by X, so that a worked solution no longer marks its answer."""
    pieces: list[str] = []
    kept = 0
    open_braces: list[bool] = []
    for match in _BOX.finditer(text):
        token = match[0]
        is_box = token.startswith(("\\boxed", "\\fbox"))
        if token == "{" or match[1]:
            open_braces.append(is_box)
        is_end = token == "}" and bool(open_braces) and open_braces.pop()
        if is_box or is_end:
            pieces.append(text[kept : match.start()])
            kept = match.end()
    return "".join([*pieces, text[kept:]])


def _bare(answer: str) -> str:
    """Take bold marks and white space off an answer."""
    return answer.strip().removeprefix("**").removesuffix("**").strip()


READERS: Mapping[str, Reader] = {
    "sentence": sentence,
    "hash": hash_mark,
    "boxed": boxed,
    "line": line,
    "choice": choice,
}
"""Readers of answer statements, by the name a Format's settings use."""

FALLBACKS: Mapping[str, Reader] = {"number": last_number, "letter": last_letter}
"""What may be read where no answer statement stands."""
