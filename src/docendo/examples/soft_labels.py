"""Rows with class probabilities, made of gold answers or of a model's log-probabilities.

The classes are the answers that all problems of a judgement share, in the order of `Problem.choices`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from docendo.core.errors import DataError, SettingError
from docendo.core.protocols import Format
from docendo.core.records import Context, Example, Label, Logprobs, Problem


@dataclass(frozen=True, slots=True)
class Classes:
    """Problems' shared answers, and how a Format puts them."""

    words: tuple[str, ...]
    shape: Format
    context: Context

    @classmethod
    def of(cls, problems: Iterable[Problem], shape: Format, context: Context) -> Classes:
        """Take the words from the problems.

        Raises:
            SettingError: They have none, or not all the same.
        """
        words = {problem.choices for problem in problems}
        if len(words) != 1 or len(one := next(iter(words))) < 2:
            shown = "no choices" if words <= {()} else "choices of their own"
            raise SettingError(
                f"the task's problems have {shown}; expected the same words for all, as 'no' and 'yes'",
                hint="choose a task of judgements (judged-addition, boolq, ...), or --supervision text",
            )
        return cls(one, shape, context)

    @property
    def texts(self) -> tuple[str, ...]:
        """What follows the prompt, of each class."""
        return tuple(self.shape.target("", word) for word in self.words)

    def gold(self, problem: Problem, label: Label) -> Example:
        """Return the row with probability 1 for the gold answer.

        Raises:
            DataError: It is none of the words.
        """
        if label.answer not in self.words:
            raise DataError(
                f"the gold answer of problem {problem.id} is {label.answer!r}; "
                f"expected one of {', '.join(self.words)}"
            )
        return self._row(problem, tuple(float(word == label.answer) for word in self.words))

    def told(self, problem: Problem, found: Logprobs, *, is_hard: bool = False) -> Example:
        """Return the row with a model's probabilities over the classes.

        Args:
            problem: What it was asked.
            found: The log-probability of each class, or of its text behind the prompt.
            is_hard: Give all to the most probable class; of equals, to the first.
        """
        return self._row(problem, probabilities(found.values, is_hard=is_hard))

    def _row(self, problem: Problem, shares: tuple[float, ...]) -> Example:
        prompt = self.shape.prompt(problem, self.context)
        return Example(
            prompt.messages,
            choices=self.texts,
            probabilities=shares,
            problem_id=problem.id,
            parents=prompt.parents,
        )


def probabilities(logprobs: Sequence[float], *, is_hard: bool = False) -> tuple[float, ...]:
    """Return probabilities that sum to 1.

    Example:
        >>> probabilities((-1.0, -1.0)), probabilities((-0.1, -3.0), is_hard=True)
        ((0.5, 0.5), (1.0, 0.0))
    """
    top = max(logprobs)
    if is_hard:
        first = list(logprobs).index(top)
        return tuple(float(place == first) for place in range(len(logprobs)))
    shares = [math.exp(value - top) for value in logprobs]
    total = math.fsum(shares)
    return tuple(share / total for share in shares)
