"""Reasoning paths that calculate differently, and calculate rightly."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar, Literal

from rapidfuzz.distance import Levenshtein

from docendo.core.protocols import Columns

_MARKED = re.compile(r"<<([^<>]*)>>")
_PLAIN = re.compile(r"-?\d[\d.,]*(?: *[-+*/x×] *\(?-?\d[\d.,]*\)?)+ *= *-?\d[\d.,]*")
_SAID = re.compile(r" (plus|minus|times|divided by|is|makes) ")
_SIGNS = {"plus": "+", "minus": "-", "times": "*", "divided by": "/", "is": "=", "makes": "="}
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[-+*/()]")


def equations(text: str) -> list[str]:
    """Return the equations of a rationale in order, without spaces.

    Where there are calculator marks ``<<3+4=7>>``, as in GSM8K, what stands in them; otherwise what is
    written as ``3 + 4 = 7`` or ``3 plus 4 is 7``. Thousands separators are dropped.
    """
    found = _MARKED.findall(text)
    if not found:
        signed = _SAID.sub(lambda match: f" {_SIGNS[match[1]]} ", text)
        found = [match.rstrip(".,") for match in _PLAIN.findall(signed)]
    bare = ("".join(one.split()).replace("x", "*").replace("×", "*") for one in found)
    return [re.sub(r"(?<=\d),(?=\d{3})", "", one) for one in bare]


def holds(equation: str, tolerance: float = 1e-3) -> bool:
    """Whether an equation is true to the tolerance (Yuan et al. 2023: below 0.001). No code is evaluated."""
    left, sign, right = equation.rpartition("=")
    try:
        return bool(sign) and abs(_value(left) - _value(right)) < tolerance
    except (ValueError, ZeroDivisionError, IndexError, RecursionError):
        return False


def _value(expression: str) -> Fraction:
    """Return the value of a term of numbers, + - * /, and brackets."""
    tokens = _TOKEN.findall(expression)
    if "".join(tokens) != expression or not tokens:
        raise ValueError(expression)
    value = _sum(tokens)
    if tokens:
        raise ValueError(expression)
    return value


def _sum(tokens: list[str]) -> Fraction:
    value = _product(tokens)
    while tokens and tokens[0] in "+-":
        value = value + _product(tokens) if tokens.pop(0) == "+" else value - _product(tokens)
    return value


def _product(tokens: list[str]) -> Fraction:
    value = _factor(tokens)
    while tokens and tokens[0] in "*/":
        value = value * _factor(tokens) if tokens.pop(0) == "*" else value / _factor(tokens)
    return value


def _factor(tokens: list[str]) -> Fraction:
    token = tokens.pop(0)
    if token == "-":
        return -_factor(tokens)
    if token != "(":
        return Fraction(token)
    value = _sum(tokens)
    if tokens.pop(0) != ")":
        raise ValueError("an open bracket")
    return value


@dataclass(frozen=True, slots=True)
class TrueEquations:
    """Drop rationales with a false equation; one without equations is kept."""

    version: ClassVar[int] = 1
    reads: tuple[str, ...] = field(default=("text",), init=False)
    per: Literal["problem", "all"] = field(default="all", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``false equation`` for those rows."""
        return [
            None if all(holds(one) for one in equations(text)) else "false equation"
            for text in columns["text"]
        ]


@dataclass(frozen=True, slots=True)
class DistinctEquations:
    """Keep one rationale for each list of equations of a problem.

    Of rationales with the same list the later one takes the place of the kept one if its Levenshtein
    distances to the other kept ones sum up to more (Yuan et al. 2023, arXiv:2308.01825, section 3.3 and
    released code). The order of equations and operands counts.
    """

    version: ClassVar[int] = 1
    reads: tuple[str, ...] = field(default=("text",), init=False)
    per: Literal["problem", "all"] = field(default="problem", init=False)

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return ``same equations`` for the others."""
        texts = columns["text"]
        kept: dict[str, int] = {}
        for place, text in enumerate(texts):
            key = "|".join(equations(text))
            if key in kept:
                others = [texts[other] for known, other in kept.items() if known != key]
                if _distance(text, others) <= _distance(texts[kept[key]], others):
                    continue
            kept[key] = place
        chosen = set(kept.values())
        return [None if place in chosen else "same equations" for place in range(len(texts))]


def _distance(text: str, others: Sequence[str]) -> int:
    return sum(Levenshtein.distance(text, other) for other in others)
