r"""What can be said of two mathematical answers without computer algebra, in microseconds.

`quick_finding` decides by exact numbers, plain words, and lists, tuples, intervals and sets of these; it
never guesses, and leaves all else open. `latex` spells an answer so that math-verify reads it.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from docendo.verifiers.numbers import Number, closes_at_end, plain, read_number

Percent = Literal["ignored", "hundredths", "compared"]
Finding = tuple[bool, str]
"""Whether two answers are the same, and why."""

MAX_PARTS = 64
"""A longer list is left to math-verify."""
ROUNDED_DIGITS = 6
"""A decimal with so many digits may stand for a number that it is a rounding of. Ours: as math-verify's."""


def quick_finding(left: str, right: str, percent: Percent) -> Finding | None:
    """Decide whether two answers are the same; None where this cannot tell. Symmetric."""
    if left == right:
        return True, "same text"
    return _compared(left, right, percent, depth=0)


def _compared(left: str, right: str, percent: Percent, depth: int) -> Finding | None:
    first, second = read_number(left, algebra=True), read_number(right, algebra=True)
    if first and second:
        return _numbers(first, second, percent)
    left, right = plain(left), plain(right)
    if _tight(left) == _tight(right):
        return True, "same text"
    if percent == "compared" and ("%" in left) is not ("%" in right):
        return False, "percent against number"
    words = _words(left), _words(right)
    if words[0] and words[1]:
        same = words[0] == words[1]
        return same, "same words" if same else "other words"
    if (words[0] and second) or (words[1] and first):
        return False, "words against number"
    if _half_of_day(left) != _half_of_day(right) and _half_of_day(left) and _half_of_day(right):
        return False, "another time of day"
    return _parts(left, right, percent, depth)


# -- numbers ------------------------------------------------------------------------------------------------


def _numbers(first: Number, second: Number, percent: Percent) -> Finding | None:
    if first.name and second.name and first.name != second.name:
        return None
    value, other = first.value, second.value
    if percent == "hundredths":
        value = value / 100 if first.is_percent else value
        other = other / 100 if second.is_percent else other
    elif percent == "compared" and first.is_percent is not second.is_percent:
        return False, "percent against number"
    if value == other:
        return True, "same number"
    if first.is_percent is second.is_percent and (_is_rounding(first, second) or _is_rounding(second, first)):
        return True, "same number, rounded"
    return False, "another number"


def _is_rounding(decimal: Number, number: Number) -> bool:
    """Whether ``decimal`` is what ``number`` is when rounded or cut off after the digits that are there."""
    if decimal.digits < ROUNDED_DIGITS or decimal.decimals == 0 or not _has_no_end(number.value):
        return False
    last_place = Fraction(1, 10**decimal.decimals)
    is_rounded = abs(decimal.value - number.value) <= last_place / 2
    # Cut off means nearer to zero, by less than one in the last place, on the same side of it.
    missing = abs(number.value) - abs(decimal.value)
    is_cut = 0 <= missing < last_place and decimal.value * number.value >= 0
    return is_rounded or is_cut


def _has_no_end(value: Fraction) -> bool:
    """Whether a number's decimals never end: only then does a person write it rounded."""
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest != 1


# -- texts --------------------------------------------------------------------------------------------------

_GAP = re.compile(r"(?<![A-Za-z0-9])\s+|\s+(?![A-Za-z0-9])")
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|textit|mathbf)\s*\{([^{}\\]*)\}")
_WORDS = re.compile(r"[a-z]+(?:[ '-]+[a-z]+)*")
_SHORT = """
    yes no true false odd even none all both red blue up down left right east west north south
    mon tue wed thu fri sat sun jan feb mar apr may jun jul aug sep oct nov dec dne
"""
_SHORT_WORDS = frozenset(_SHORT.split())
_FUNCTIONS = "sqrt frac sinh cosh tanh theta alpha beta gamma delta infty infinity arcsin arccos arctan"
_NAMES = frozenset(_FUNCTIONS.split())
_DAY = re.compile(r"[0-9]\s?(?:\\text\{\s*)?([ap])\.?\s?m\b", re.IGNORECASE)


def _tight(text: str) -> str:
    return _GAP.sub("", text) if " " in text else text


def _words(text: str) -> str:
    """Return a text that is clearly words, folded; empty where it may be mathematics."""
    folded = _TEXT.sub(r" \1 ", text) if "\\" in text else text
    folded = " ".join(folded.strip(" .!").lower().split())
    # "ab" may be a product; a word of four letters that names no function is none.
    if not _WORDS.fullmatch(folded):
        return ""
    found = re.findall("[a-z]+", folded)
    if any(word in _NAMES for word in found) or read_number(folded):
        return ""
    return folded if any(len(word) > 3 or word in _SHORT_WORDS for word in found) else ""


def _half_of_day(text: str) -> str:
    match = _DAY.search(text)
    return match[1].lower() if match else ""


# -- lists, tuples, intervals, sets -------------------------------------------------------------------------


def _parts(left: str, right: str, percent: Percent, depth: int) -> Finding | None:
    first, second = _split(left), _split(right)
    if first is None or second is None or depth > 3:
        return None
    brackets, ours = first
    others, theirs = second
    if len(ours) != len(theirs):
        return None
    if {brackets, others} <= {"", "{}"}:
        # Matching goes from left to right, so only both ways together are symmetric.
        both = _as_sets(ours, theirs, percent, depth), _as_sets(theirs, ours, percent, depth)
        return next((way for way in both if way and way[0]), both[0] if all(both) else None)
    if brackets != others:
        return None
    found = [_compared(one, two, percent, depth + 1) for one, two in zip(ours, theirs, strict=True)]
    if any(part is not None and not part[0] for part in found) and all(found):
        return False, "other parts"
    return (True, "same parts") if all(part is not None and part[0] for part in found) else None


def _as_sets(ours: list[str], theirs: list[str], percent: Percent, depth: int) -> Finding | None:
    open_parts = list(theirs)
    for part in ours:
        found = [_compared(part, other, percent, depth + 1) for other in open_parts]
        match = next((place for place, finding in enumerate(found) if finding and finding[0]), None)
        if match is not None:
            del open_parts[match]
        elif not all(found):
            return None
    if not open_parts:
        return True, "same parts"
    # {1, 1, 2} and {1, 2, 2} are the same set: only where nothing is there twice is a missing part a
    # difference.
    return None if _has_twins(ours) or _has_twins(theirs) else (False, "other parts")


def _has_twins(parts: list[str]) -> bool:
    numbers = [read_number(part, algebra=True) for part in parts]
    distinct = {number.value if number else plain(part) for number, part in zip(numbers, parts, strict=True)}
    return len(distinct) < len(parts)


def _split(text: str) -> tuple[str, list[str]] | None:
    """Return the brackets of a list and its parts; None where it is none."""
    text = text.replace("\\{", "{").replace("\\}", "}").replace("\\lbrace", "{").replace("\\rbrace", "}")
    brackets = ""
    if text and text[0] in "([{" and closes_at_end(text, 0):
        brackets, text = text[0] + text[-1], text[1:-1]
    if "," not in text:
        return None
    parts: list[str] = []
    depth, start = 0, 0
    for position, character in enumerate(text):
        if character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth < 0:
                return None
        elif character == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    # A bare "and" or "or" before the last part of a list in words.
    parts[-1] = re.sub(r"^\s*(?:\\text\{\s*)?(?:and|or)\b\s*\}?", "", parts[-1])
    if depth != 0 or len(parts) > MAX_PARTS or len(parts) < 2 or not all(part.strip() for part in parts):
        return None
    return brackets, parts


# -- for math-verify ----------------------------------------------------------------------------------------

_SIGNS = str.maketrans(
    {
        "π": r"\pi ",
        "∞": r"\infty ",
        "√": r"\sqrt ",
        "≤": r"\le ",
        "≥": r"\ge ",
        "≠": r"\ne ",
        "\u222a": r"\cup ",
        "∩": r"\cap ",
        "∈": r"\in ",
        "±": r"\pm ",
        "\u00d7": r"\times ",
        "÷": r"\div ",
        "·": r"\cdot ",
        "θ": r"\theta ",
        "\u03b1": r"\alpha ",
        "β": r"\beta ",
        "λ": r"\lambda ",
        "∅": r"\emptyset ",
        "°": r"^\circ ",
        "²": "^2 ",
        "³": "^3 ",
        "$": "",
    }
)
_SPELLINGS = (
    (re.compile(r"\\\$"), ""),
    (re.compile(r"\*\*"), "^"),
    (re.compile(r"\*"), r"\\cdot "),
    (re.compile(r"(?<![\\a-zA-Z])(pi|infty|theta)(?![a-zA-Z])"), r"\\\1 "),
    (re.compile(r"(?<![\\a-zA-Z])(?:infinity|inf|oo)(?![a-zA-Z])"), r"\\infty "),
    (re.compile(r"<="), r"\\le "),
    (re.compile(r">="), r"\\ge "),
    (re.compile(r"!="), r"\\ne "),
)


def latex(text: str, percent: Percent) -> str:
    """Return a plain answer in the spelling that math-verify reads best."""
    text = plain(text).translate(_SIGNS)
    for pattern, better in _SPELLINGS:
        text = pattern.sub(better, text)
    if percent == "ignored":
        text = re.sub(r"\\?%", "", text)
    # Models forget the last brace more often than they mean something else.
    return text + "}" * max(0, _open_braces(text))


def _open_braces(text: str) -> int:
    bare = text.replace("\\{", "").replace("\\}", "")
    return bare.count("{") - bare.count("}")


def nesting(text: str) -> int:
    """Return how deep the brackets of a text are nested. Count, >= 0; one that is never closed counts too."""
    if text.count("(") + text.count("[") + text.count("{") < 2:
        return text.count("(") + text.count("[") + text.count("{")
    depth = deepest = 0
    for character in text:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}" and depth:
            depth -= 1
    return deepest
