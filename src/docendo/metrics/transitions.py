"""Transitions: what became of each problem from one answer to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Transitions:
    """Counts of problems by their verdict before and after. Not correct means wrong here."""

    right_right: int
    right_wrong: int
    wrong_right: int
    wrong_wrong: int

    @property
    def n_problems(self) -> int:
        """All problems. Count, >= 1."""
        return self.right_right + self.right_wrong + self.wrong_right + self.wrong_wrong

    @property
    def net(self) -> int:
        """Problems gained less problems lost: the change of accuracy, times `n_problems`."""
        return self.wrong_right - self.right_wrong

    @property
    def accuracy_before(self) -> float:
        """Share of problems right before, in ``[0, 1]``."""
        return (self.right_right + self.right_wrong) / self.n_problems

    @property
    def accuracy_after(self) -> float:
        """Share of problems right after, in ``[0, 1]``."""
        return (self.right_right + self.wrong_right) / self.n_problems


def transitions(is_correct_before_P: Sequence[bool], is_correct_after_P: Sequence[bool]) -> Transitions:
    """Count how the verdicts of the same problems changed.

    The counts obey ``accuracy_after - accuracy_before = (wrong_right - right_wrong) / n_problems``.

    Args:
        is_correct_before_P: For each problem, whether the first verdict is ``correct``. At least one.
        is_correct_after_P: The same problems in the same order, with the second verdict.

    Raises:
        ValueError: There is no problem, or the lists differ in length.

    Example:
        >>> transitions([True, True, False], [True, False, False])
        Transitions(right_right=1, right_wrong=1, wrong_right=0, wrong_wrong=1)
    """
    if not is_correct_before_P:
        raise ValueError("transitions of no problems, expected at least one")
    if len(is_correct_before_P) != len(is_correct_after_P):
        raise ValueError(
            f"{len(is_correct_after_P)} verdicts after, expected {len(is_correct_before_P)} as before"
        )
    pairs = [(bool(b), bool(a)) for b, a in zip(is_correct_before_P, is_correct_after_P, strict=True)]
    return Transitions(
        right_right=pairs.count((True, True)),
        right_wrong=pairs.count((True, False)),
        wrong_right=pairs.count((False, True)),
        wrong_wrong=pairs.count((False, False)),
    )
