"""Sets of exemplars: asked for in words, read off what was written, and made of solved problems.

An exemplar set is a tuple of Shots. The prompts are ours; what they ask for is that of Ning et al. (2024,
arXiv:2406.14629, appendix C.3): write K examples; say why these examples mislead; write K better ones.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from docendo.core.records import Label, Message, Problem, Prompt, Sample, Shot

Exemplars = tuple[Shot, ...]

_BLOCK = re.compile(
    r"Question:\s*(?P<question>.+?)\s*(?:\n\s*Reasoning:\s*(?P<rationale>.*?)\s*)?\n\s*Answer:\s*(?P<answer>[^\n]+)",
    re.DOTALL,
)
_SHAPE = "Question: ...\nReasoning: ...\nAnswer: ..."
SHORTEST_REFLECTION = 6
"""Words of the shortest reflection that is used; released code: those of five or fewer are dropped."""


def read_exemplars(text: str, count: int, parents: tuple[str, ...] = ()) -> Exemplars | None:
    """Read the first ``count`` exemplars off a text; None where there are fewer.

    Args:
        text: Blocks of lines that begin with ``Question:``, maybe ``Reasoning:``, and ``Answer:``.
        count: Exemplars of the set. Count, >= 1.
        parents: Ids of the samples that the text is from.
    """
    found = [
        Shot(one["question"].strip(), (one["rationale"] or "").strip(), one["answer"].strip(), parents)
        for one in _BLOCK.finditer(text)
    ]
    return tuple(found[:count]) if len(found) >= count else None


def written(exemplars: Exemplars) -> str:
    """Write exemplars as `read_exemplars` reads them."""
    return "\n\n".join(
        f"Question: {shot.question}\n"
        + (f"Reasoning: {shot.rationale}\n" if shot.rationale else "")
        + f"Answer: {shot.answer}"
        for shot in exemplars
    )


@dataclass(frozen=True, slots=True)
class Failure:
    """An exam problem, what a student answered, and what is right."""

    problem: Problem
    said: Sample
    label: Label

    def told(self) -> str:
        """Return the failure in words."""
        return (
            f"Question: {self.problem.question}\nThe student answered: {self.said.answer or 'nothing'}\n"
            f"Right is: {self.label.answer}"
        )


def asking_for_exemplars(about: str, count: int) -> Prompt:
    """Return the prompt that asks for a first set."""
    text = (
        f"{about}\n\nWrite {count} worked examples of this task that will teach a student to do it. "
        f"Make them different from each other and cover every kind of answer. Write each one so:\n{_SHAPE}"
    )
    return _prompt("exemplars", text)


def asking_why(exemplars: Exemplars, failures: Sequence[Failure]) -> Prompt:
    """Return the prompt that asks why exemplars misled the students."""
    text = (
        f"{_report(exemplars, failures)}"
        "\n\nIn which way did the examples mislead it, or what do they leave out? Give one reason."
    )
    parents = _parents(exemplars) + tuple(failure.said.id for failure in failures)
    return _prompt("reflection", text, parents)


def asking_for_better(
    exemplars: Exemplars, failures: Sequence[Failure], reflection: Sample, count: int
) -> Prompt:
    """Return the prompt that asks for a better set, after a reflection."""
    text = (
        f"{_report(exemplars, failures)}\n\nThe reason: {reflection.text.strip()}\n\n"
        f"Write {count} better examples. Write each one so:\n{_SHAPE}"
    )
    return _prompt("better", text, (*_parents(exemplars), reflection.id))


def of_solved(solved: Sequence[tuple[Problem, Label]], count: int, rng: random.Random) -> Exemplars:
    """Make a set of solved problems, as many of each answer as can be where there are few answers.

    The released code's ``train`` start takes half of each class; with more answers than ``count`` it is a
    plain draw.
    """
    by_answer: dict[str, list[tuple[Problem, Label]]] = {}
    for problem, label in rng.sample(list(solved), len(solved)):
        by_answer.setdefault(label.answer, []).append((problem, label))
    if len(by_answer) > count:
        chosen = rng.sample(list(solved), count)
    else:
        queues = list(by_answer.values())
        chosen = [queue.pop() for _ in range(count) for queue in queues if queue][:count]
    return tuple(shot_of(problem, label) for problem, label in chosen)


def with_failures(exemplars: Exemplars, failures: Sequence[Failure], rng: random.Random) -> Exemplars:
    """Put the solutions of failed exam problems in the places of as many exemplars, drawn at random."""
    places = rng.sample(range(len(exemplars)), min(len(failures), len(exemplars)))
    shots = list(exemplars)
    for place, failure in zip(places, failures, strict=False):
        shots[place] = shot_of(failure.problem, failure.label, (failure.said.id,))
    return tuple(shots)


def shot_of(problem: Problem, label: Label, parents: tuple[str, ...] = ()) -> Shot:
    """Return a solved problem as an exemplar."""
    return Shot(problem.question, label.solution, label.answer, parents)


def _report(exemplars: Exemplars, failures: Sequence[Failure]) -> str:
    told = "\n\n".join(failure.told() for failure in failures)
    return (
        f"A student learned from these examples:\n\n{written(exemplars)}\n\n"
        f"Then it failed on these:\n\n{told}"
    )


def _parents(exemplars: Exemplars) -> tuple[str, ...]:
    return tuple(dict.fromkeys(parent for shot in exemplars for parent in shot.parents))


def _prompt(kind: str, text: str, parents: tuple[str, ...] = ()) -> Prompt:
    return Prompt(Problem(kind, text, "train"), (Message("user", text),), parents)
