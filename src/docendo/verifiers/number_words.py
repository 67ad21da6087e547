"""English cardinals in words: ``twenty-five``, ``one hundred and five``, ``minus two thousand``."""

from __future__ import annotations

_TO_NINETEEN = """
    zero one two three four five six seven eight nine ten
    eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen
"""
_TO_NINETY = "twenty thirty forty fifty sixty seventy eighty ninety"
_ONES = {word: value for value, word in enumerate(_TO_NINETEEN.split())}
_TENS = {word: 10 * value for value, word in enumerate(_TO_NINETY.split(), start=2)}
_WORD_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}


def in_words(text: str) -> int | None:
    """Return the value of an English cardinal; None where a word is anything else."""
    if not text[0].isalpha() or len(text) > 200:
        return None
    # A comma stands behind a scale ("one thousand, two hundred"); elsewhere it makes a list.
    words = [
        word.removesuffix(",") if word.removesuffix(",") in _WORD_SCALES else word
        for word in text.lower().replace("-", " ").split()
    ]
    sign = 1
    if words and words[0] in ("minus", "negative"):
        sign, words = -1, words[1:]
    total, group, last = 0, 0, ""
    limit = 10**15
    for position, word in enumerate(words):
        if word == "and":
            # Only behind hundred or a scale, and never last.
            if last not in ("hundred", *_WORD_SCALES) or position == len(words) - 1:
                return None
        elif word in _ONES:
            value = _ONES[word]
            # "twenty five" adds; "five five" and "ten five" are two numbers.
            if last in _ONES or (last in _TENS and not 1 <= value <= 9):
                return None
            group += value
        elif word in _TENS:
            if last in _ONES or last in _TENS:
                return None
            group += _TENS[word]
        elif word == "hundred":
            if not 1 <= group <= 9:
                return None
            group *= 100
        elif word in _WORD_SCALES:
            if not 1 <= group <= 999 or _WORD_SCALES[word] >= limit:
                return None
            limit = _WORD_SCALES[word]
            total += group * limit
            group = 0
        else:
            return None
        last = word
    return sign * (total + group) if last else None
