r"""What stands behind a number and does not change it: units and currency signs, which are ignored.

    18 eggs   5 km   60 km/h   9.8 m/s^2   5\text{ cm}^2   90^\circ   20 °C   $5 per day   5-inch   18 $

Nothing is converted. A word that changes the number (``5 thirds``, ``5 or six``, ``5 and a half``) is no
unit.
"""

from __future__ import annotations

import re
from functools import lru_cache

CURRENCY = (
    r"(?:(?:US|CA?|AU?|NZ|HK|S)?\s?\\?\$|[€£¥₹₽₩₪฿₫₱]|\\(?:pounds|euro)\b|(?:USD|EUR|GBP|Rs\.?)(?![a-zA-Z]))"
)
"""Pattern of a currency sign or name."""
MAX_CHARACTERS = 80
"""A longer text behind a number is no unit."""

_TRAILING_CURRENCY = re.compile(rf"\s?{CURRENCY}\s*", re.IGNORECASE)
_TEXT = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|textit|mathbf|operatorname)\s*\{([^{}]*)\}")
# \u00b5 and \u03bc: micro; \u2126 and \u03a9: ohm; \u00b0: degree; \u00b7: dot; \u00b2, \u00b3: powers.
_LETTER = r"[A-Za-z\u00b5\u03bc\u2126\u03a9\u00b0]"
_WORD = rf"{_LETTER}['\u2019A-Za-z.]*"
_UNIT = re.compile(
    rf"""\s? (?:
        \u00b0
      | (?:-|/|per\s|\s)?\s?/?\s?{_WORD}
        (?:\s?[\s/*\u00b7-]\s?\(?{_WORD}\)?){{0,7}}
      | \([A-Za-z][A-Za-z\s.]*\)                        # (eggs)
    )
    (?:(?:\s?\^\{{?-?[0-9]\}}?|[0-9\u00b2\u00b3])(?![0-9]))?
    (?:\s?[\s/]\s?[A-Za-z]+(?:\^\{{?-?[0-9]\}}?)?){{0,3}}  # m^2 a day
    [\s.!]*""",
    re.VERBOSE,
)
_CHANGES = """
    and or to plus minus times divided multiplied over through than but not out is are
    half halves thirds? fourths? fifths? sixths? sevenths? eighths? ninths? tenths? hundredths? thousandths?
    hundred thousand million billion trillion dozens? b bn k am pm
    pi e i sqrt root factorial choose mod remainder r x y z n
"""
_CHANGING = re.compile(rf"\b(?:{'|'.join(_CHANGES.split())})\b|^\W*(?:squared|cubed)\b", re.IGNORECASE)
_LETTER_UNITS = frozenset("mgshLlJNWVACF")
_DEGREES = re.compile(r"\s?\^?\s?\{?\s?\^?\s?(?:\\circ|°)\s?\}?(?:\s?[CFK](?![A-Za-z]))?")
_WORDS = re.compile(r"[A-Za-z]+")
_FUNCTION_NAMES = "sqrt frac sinh cosh tanh arcsin arccos arctan circ alpha beta gamma delta theta infty cdot"
_FUNCTIONS = frozenset(_FUNCTION_NAMES.split())
_UNIT_NAMES = """
    mm cm dm km in inch inches ft foot feet yd yards mi mile miles meter meters metre metres sq
    mg kg gram grams lb lbs oz ml cl dl liter liters litre litres
    ms sec secs second seconds min mins minute minutes hr hrs hour hours day days week weeks month months year
    years hz khz mhz kw kwh kmh kph mph deg degree degrees cent cents dollar dollars usd eur euro euros unit
    units pts point points people
"""
_KNOWN_UNITS = frozenset(_UNIT_NAMES.split())


# The same few units come again and again.
@lru_cache(maxsize=4_096)
def is_unit(rest: str, *, algebra: bool) -> bool:
    r"""Whether what stands behind a number is a unit.

    Args:
        rest: The text behind the number, white space collapsed.
        algebra: Letters may be variables: then a unit is one that we know, a word of four letters or more, or
            in ``\text{}``. Otherwise a single letter may be one too: ``5 m``.
    """
    if _TRAILING_CURRENCY.fullmatch(rest) or not rest.strip(" ."):
        return True
    bare = rest
    if "\\" in rest or "°" in rest:
        rest = _DEGREES.sub("°", rest.replace("\\$", " $"))
        bare, rest = _TEXT.sub(" ", rest), _TEXT.sub(r" \1", rest)
    if len(rest) > MAX_CHARACTERS or not _UNIT.fullmatch(rest) or _CHANGING.search(rest):
        return False
    letters = _WORDS.findall(bare)
    if algebra and not all(word.lower() in _KNOWN_UNITS or _is_word(word) for word in letters):
        return False
    if not letters:
        return True
    # Letters that stick to the number are a unit where they are one that is known: 5cm, not 5ab.
    if bare[0].isalpha():
        return letters[0].lower() in _KNOWN_UNITS
    return len(letters[0]) > 1 or letters[0] in _LETTER_UNITS


def _is_word(word: str) -> bool:
    return len(word) > 3 and word.lower() not in _FUNCTIONS
