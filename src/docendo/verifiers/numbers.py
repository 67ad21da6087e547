r"""Numbers as people and models write them, read exactly.

`plain` takes off what carries no meaning (wrappers, LaTeX spacing, invisible characters); `read_number` reads
a whole answer as one number; `parse_number` gives its value alone. What is read::

    18   -18   +18   (18)   18.   .5   007              integers and decimals, Unicode minus too
    1,234,567.5   12,34,567   1 234 567   1{,}234       thousands separators; 3,5 and 1.234,5 are not read
    3/4   -\frac{3}{4}   \frac34   \tfrac1{2}   ½       fractions
    2 1/2   2\frac{1}{2}   2½   2 and 1/2               mixed numbers
    0.\overline{3}   1.2e-5   3 \times 10^{8}           repeating decimals, scientific notation
    $18   \$1,234.50   18 €   US$ 5   -$5   18 dollars  currency: the sign, before or behind, is dropped
    50%   50\%   50 percent                             percent: see `Number`
    18 eggs   5\text{ cm}^2   60 km/h   90^\circ        trailing units are dropped, never converted
    3 million   2.5 dozen   5 hundred                   scale words, behind digits
    twenty-five   one hundred and five   minus two      English cardinals below a quadrillion, without a unit
    x = 18                                              the name before the sign is kept beside the number

Everything else (``5 or 6``, ``5-6``, ``2 + 3``, ``4:30``, ``5k``, ``2\pi``) is not one number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from docendo.verifiers.number_words import in_words
from docendo.verifiers.units import CURRENCY, is_unit

MAX_DIGITS = 400
"""Longer numbers, and larger powers of ten, are not read. Ours: no double reaches it, and no time is lost."""


@dataclass(frozen=True, slots=True)
class Number:
    """One number that was read off a whole answer."""

    value: Fraction
    """As written before a percent sign: 50 for ``50%``."""
    is_percent: bool = False
    name: str = ""
    """``x`` where the answer was ``x = 5``."""
    decimals: int = 0
    """Digits after the decimal point; 0 where there are none or where it is no plain decimal."""
    digits: int = 0
    """Digits from the first that is not 0 on, for a plain decimal; 0 for all other forms."""


# -- what carries no meaning -------------------------------------------------------------------------------

_CHARACTERS = {
    **dict.fromkeys(map(ord, "\u2212\u2010\u2011\u2012\u2013\ufe63\uff0d"), "-"),
    **dict.fromkeys(
        map(ord, "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"), " "
    ),
    **dict.fromkeys(map(ord, "\u3000\t\n\r\v\f"), " "),
    # Zero-width and direction marks, soft hyphen, byte order mark, NUL: seen by nobody.
    **dict.fromkeys(
        [0, 0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A)], None
    ),
    **{0xFF10 + digit: str(digit) for digit in range(10)},
    ord("\uff0c"): ",",
    ord("\uff0e"): ".",
    ord("\uff05"): "%",
    ord("\uff0b"): "+",
    ord("\u00bd"): " 1/2",
    ord("\u2153"): " 1/3",
    ord("\u2154"): " 2/3",
    ord("\u00bc"): " 1/4",
    ord("\u00be"): " 3/4",
    ord("\u2155"): " 1/5",
    ord("\u215b"): " 1/8",
    ord("\u2044"): "/",
}
_SIMPLE = re.compile(r"[+-]?[0-9]{1,18}(?:\.[0-9]{1,18})?")
# A double backslash ends a row of a matrix: it is matched first so that the space behind it stays.
_SPACING = re.compile(
    r"\\\\|\\[,;:!> ]|\\q?quad(?![a-zA-Z])|\\(?:displaystyle|limits|left|right|[bB]igg?[lr]?)(?![a-zA-Z])|~"
)
_FRACTION = re.compile(r"\\[dtc]frac(?![a-zA-Z])")
_WRAPPERS = (
    ("$$", "$$"),
    ("$", "$"),
    ("\\(", "\\)"),
    ("\\[", "\\]"),
    ("**", "**"),
    ("`", "`"),
)
_OPENINGS = frozenset("$\\*`{")
_COMMAND = re.compile(r"\\(?:boxed|fbox|text|textbf|textit|textrm|mathrm|mathbf|mbox|ensuremath)\s*\{")


def plain(text: str) -> str:
    r"""Take off what carries no meaning in an answer.

    Invisible characters and odd spaces and minus signs; ``$...$``, ``\(...\)``, ``\boxed{...}``,
    ``\text{...}``, ``**...**`` around the whole; LaTeX spacing, ``\left``, ``\right``; full stops at the end.
    Idempotent.
    """
    if _SIMPLE.fullmatch(text):
        return text
    if not text.isascii() or "\0" in text:
        text = text.translate(_CHARACTERS)
    text = text.replace("{,}", ",")
    if "\\" in text or "~" in text:
        text = _FRACTION.sub(r"\\frac", text)
        text = _SPACING.sub(_space, text)
    text = " ".join(text.split())
    while True:
        shorter = _unwrapped(text.rstrip(" ").removesuffix(".").strip())
        if shorter == text:
            return text
        text = shorter


def _space(match: re.Match[str]) -> str:
    if match[0] == "\\\\":
        return match[0]
    return "" if match[0] == "\\!" or (match[0][1:2].isalpha() and "quad" not in match[0]) else " "


def _unwrapped(text: str) -> str:
    if text[:1] not in _OPENINGS:
        return text
    for opening, closing in _WRAPPERS:
        if len(text) > len(opening) + len(closing) and text.startswith(opening) and text.endswith(closing):
            inside = text[len(opening) : -len(closing)]
            # "$5 and $" is no wrapper: nothing of the kind may stand inside, nor a backslash before the end.
            if opening not in inside and closing not in inside and not inside.endswith("\\"):
                return inside.strip()
    match = _COMMAND.match(text)
    if match and text.endswith("}") and closes_at_end(text, match.end() - 1):
        return text[match.end() : -1].strip()
    if text.startswith("{") and text.endswith("}") and closes_at_end(text, 0):
        return text[1:-1].strip()
    return text


def closes_at_end(text: str, start: int) -> bool:
    """Whether the bracket at ``start`` is closed by the last character and by none before."""
    depth = 0
    for position in range(start, len(text)):
        if text[position] in "{([":
            depth += 1
        elif text[position] in "})]":
            depth -= 1
            if depth <= 0:
                return position == len(text) - 1
    return False


# -- one number ---------------------------------------------------------------------------------------------

_PLAIN_DECIMAL = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
_GROUPED = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}|[0-9]{1,3}(?:\ [0-9]{3})+)"
    r"(?:\.[0-9]*)?"
)
_SCALES = {
    "hundred": 100,
    "thousand": 1000,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "dozen": 12,
}
_NUMBER = re.compile(
    rf"""
    (?P<name>[A-Za-z](?:_\{{?[A-Za-z0-9]+\}}?)?\s*=\s*)?
    (?P<sign>[+-])?\s*
    (?:{CURRENCY}\s*(?P<inner>[+-])?\s*)?
    (?:
        (?P<tex_whole>[0-9]+)?\s*\\frac\s*
            (?:\{{\s*(?P<top>-?{_PLAIN_DECIMAL})\s*\}}|(?P<top_digit>[0-9])|\s(?P<top_spaced>[0-9]))\s*
            (?:\{{\s*(?P<bottom>-?{_PLAIN_DECIMAL})\s*\}}|(?P<bottom_digit>[0-9]))
      | (?:(?P<whole>[0-9]+)(?:\s+and\s+|\s+))?
            (?P<over>{_GROUPED}|{_PLAIN_DECIMAL})\s?/\s?(?P<under>{_GROUPED}|{_PLAIN_DECIMAL})
      | (?P<fixed>[0-9]*\.[0-9]*)\\overline\{{(?P<repeated>[0-9]+)\}}
      | (?P<decimal>{_GROUPED}|{_PLAIN_DECIMAL})
            (?: \s?(?:\\times|\u00d7|\*|\\cdot|\u00b7|x)\s?10\s?
                (?:\^|\*\*)\s?\{{?\s?\(?(?P<power>[+-]?[0-9]+)\)?\s?\}}?
              | [eE](?P<exponent>[+-]?[0-9]+)
            )?
    )
    (?: [\s-]?
        (?P<scale>
            (?:hundred|thousand|million|billion|trillion|dozen)(?:\s(?:thousand|million|billion|trillion))?
        )(?![a-zA-Z])
    )?
    (?P<rest>.*)
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PERCENT = re.compile(
    r"\s?(?:\\?%|-?(?:percent|per\scent|pct)(?:age)?(?:\spoints?)?(?![a-zA-Z]))", re.IGNORECASE
)


def parse_number(text: str) -> Fraction | None:
    """Return the value of a whole answer that is one number; None where it is not.

    Units and currency signs are ignored. A percent sign is ignored too: ``50%`` is 50.

    Example:
        >>> parse_number("$1,234.50")
        Fraction(2469, 2)
        >>> parse_number("five or six") is None
        True
    """
    number = read_number(text)
    return number.value if number else None


@lru_cache(maxsize=65_536)
def read_number(text: str, *, algebra: bool = False) -> Number | None:
    r"""Read a whole answer as one number, exactly.

    Args:
        text: An answer, not a sentence.
        algebra: Letters may be variables: a unit is one that we know, a word of four letters or more, or in
            ``\text{}``. Otherwise ``5 m`` is five metres.

    Returns:
        The number, or None: it is no number, more than one, or too large to be looked into (`MAX_DIGITS`).
    """
    if _SIMPLE.fullmatch(text):
        # Nearly all answers end here; the general way takes ten times as long.
        whole, _, part = text.partition(".")
        if not part:
            return Number(Fraction(int(whole)))
        digits = len((whole + part).lstrip("+-0"))
        return Number(Fraction(int(whole + part), 10 ** len(part)), decimals=len(part), digits=digits)
    if len(text) > 4 * MAX_DIGITS:
        return None
    text = plain(text)
    if not text:
        return None
    if text[0] == "(" and closes_at_end(text, 0):
        text = text[1:-1].strip()
    match = _NUMBER.match(text)
    if match is None:
        value = in_words(text)
        return None if value is None else Number(Fraction(value))
    rest, is_percent = match["rest"], False
    if rest:
        percent = _PERCENT.match(rest)
        if percent:
            is_percent, rest = True, rest[percent.end() :]
        if rest and not is_unit(rest, algebra=algebra):
            return None
    value = _value(match)
    if value is None:
        return None
    if match["scale"]:
        for word in match["scale"].lower().split():
            value *= _SCALES[word]
    if match["sign"] and match["inner"]:
        return None
    if (match["sign"] or match["inner"]) == "-":
        value = -value
    decimals, digits = 0, 0
    is_scaled = match["power"] or match["exponent"] or match["scale"]
    if match["decimal"] and "." in match["decimal"] and not is_scaled:
        decimals = len(match["decimal"].partition(".")[2])
        digits = len(match["decimal"].replace(".", "").replace(",", "").replace(" ", "").lstrip("0"))
    name = (match["name"] or "").rstrip("= ")
    return Number(value, is_percent, name, decimals, digits)


def _value(match: re.Match[str]) -> Fraction | None:
    """Return the value of what `_NUMBER` matched, before sign and scale."""
    if match["decimal"]:
        power = int((match["power"] or match["exponent"] or "0")[:6])
        if abs(power) > MAX_DIGITS:
            return None
        value = _exact(match["decimal"])
        return value if value is None or power == 0 else value * Fraction(10) ** power
    if match["repeated"]:
        fixed, repeated = match["fixed"], match["repeated"]
        if len(fixed) + len(repeated) > MAX_DIGITS:
            return None
        places = len(fixed.partition(".")[2])
        start = _exact(fixed + "0") or Fraction(0)
        return start + Fraction(int(repeated), 10**places * (10 ** len(repeated) - 1))
    if match["under"]:
        whole, top, bottom = match["whole"], match["over"], match["under"]
    else:
        whole = match["tex_whole"]
        top = match["top"] or match["top_digit"] or match["top_spaced"]
        bottom = match["bottom"] or match["bottom_digit"]
    above, below = _exact(top), _exact(bottom)
    if above is None or below is None or below == 0:
        return None
    part = above / below
    if whole is None:
        return part
    # 2 1/2 is a mixed number; 2 5/2 and 2 .5/2 are something else.
    if len(whole) > MAX_DIGITS or not 0 < part < 1 or above.denominator != 1:
        return None
    return int(whole) + part


def _exact(text: str) -> Fraction | None:
    """Return the value of digits with separators, faster than `Fraction` reads; None: too many digits."""
    if len(text) > MAX_DIGITS:
        return None
    whole, _, part = text.replace(",", "").replace(" ", "").partition(".")
    return Fraction(int(whole + part), 10 ** len(part)) if part else Fraction(int(whole))
