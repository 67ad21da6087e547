"""Steps of arithmetic and the ways to write them down."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

OPERATION_WORDS = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}
SIGNS = {word: sign for sign, word in OPERATION_WORDS.items()} | {sign: sign for sign in OPERATION_WORDS}
"""The sign of an operation, by its sign or its word."""
WRITTEN_STEP = re.compile(r"(\d+) (\+|-|\*|/|plus|minus|times|divided by) (\d+) (=|is|makes) (\d+)")
"""A step as it is written down, in any of the styles here."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation on two whole numbers, e.g. 12 + 5."""

    left: int
    operation: str
    right: int

    @property
    def result(self) -> int:
        """The value; a division must be exact.

        Raises:
            ValueError: A division leaves a remainder, or the operation is unknown.

        Example:
            >>> Step(12, "+", 5).result
            17
        """
        if self.operation == "+":
            return self.left + self.right
        if self.operation == "-":
            return self.left - self.right
        if self.operation == "*":
            return self.left * self.right
        if self.operation == "/" and self.left % self.right == 0:
            return self.left // self.right
        raise ValueError(f"no whole result for {self.left} {self.operation} {self.right}")


def with_equals(step: Step) -> str:
    """Write a step like ``12 + 5 = 17``."""
    return f"{step.left} {step.operation} {step.right} = {step.result}."


def with_words(step: Step) -> str:
    """Write a step like ``12 plus 5 is 17``."""
    return f"{step.left} {OPERATION_WORDS[step.operation]} {step.right} is {step.result}."


def with_makes(step: Step) -> str:
    """Write a step like ``12 + 5 makes 17``."""
    return f"{step.left} {step.operation} {step.right} makes {step.result}."


STEP_STYLES = (with_equals, with_words, with_makes)


def worked(steps: Sequence[Step], openings: Sequence[str] = ("",)) -> list[str]:
    """Write the steps down once for every style and opening, each style used throughout one text.

    Example:
        >>> worked([Step(2, "*", 6), Step(12, "-", 5)])
        ['2 * 6 = 12. 12 - 5 = 7.', '2 times 6 is 12. 12 minus 5 is 7.', '2 * 6 makes 12. 12 - 5 makes 7.']
    """
    return [
        " ".join([*filter(None, [opening]), *map(style, steps)])
        for opening in openings
        for style in STEP_STYLES
    ]


def written_steps(text: str) -> list[tuple[re.Match[str], Step]]:
    """Find the steps that are written down in a text: where each stands, and the step without its result."""
    return [
        (match, Step(int(match[1]), SIGNS[match[2]], int(match[3]))) for match in WRITTEN_STEP.finditer(text)
    ]
