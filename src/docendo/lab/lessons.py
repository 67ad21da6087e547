"""Lessons: problems with an invented verb, and others with the same verb as exams of who was taught by them.

A group of `docendo.lab.problems.verbs` shares a verb and its meaning. Its first problem is the one to be
taught, in train, validation or test; the other seven are its variants, and stand in the split ``exams``.
Nothing else says what the verb means, so a lesson can only guess it, and the gold answers of the variants
tell which guess was right: by design, exams give away what the question holds back.

`hinted_verb_lessons` is softer: for half of the verbs each question says in known words what is done ("She
blicks 3: she gets 3 more."), which lab models understand now and then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from docendo.core.errors import UnknownNameError
from docendo.core.protocols import Format
from docendo.core.records import Label, Problem
from docendo.lab.problems import FAMILIES, LabProblem
from docendo.lab.problems.family import seeded_random
from docendo.lab.problems.steps import written_steps
from docendo.lab.problems.verbs import GROUP_SIZE
from docendo.lab.problems.words import NAMES, WOMEN
from docendo.tasks.formats import formats_for
from docendo.tasks.gold import SPLITS
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.verifiers.numeric import Numeric

EXAMS = "exams"
"""The split of the variants."""
DEEDS = {"+": "gets {m} more", "-": "loses {m} of them", "*": "has {m} times as many"}
"""What a hint says is done, by the meaning of the verb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbLessons:
    """One problem to be taught for each invented verb, and its variants as exams."""

    name: str
    seed: int
    hinted_share: float
    """Share of the verbs whose meaning the questions tell in known words. In [0, 1]."""
    formats: Mapping[str, Format] = field(default_factory=lambda: formats_for("number", strict=True))
    verifier: Numeric = field(default_factory=Numeric)

    @property
    def splits(self) -> tuple[str, ...]:
        """The three, and the exams."""
        return (*SPLITS, EXAMS)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Family, seed and share of hints: they decide everything."""
        return {"family": "verb-lessons", "seed": self.seed, "hinted_share": self.hinted_share}

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        """Return the problems of a split in their fixed order, the first ``limit`` of them.

        Raises:
            UnknownNameError: The task has no such split.
        """
        return (
            Problem(self._id(split, one), one.question, split, group=one.group)
            for one in self._generated(split, limit)
        )

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        """Return the Labels of the same problems by problem id.

        Raises:
            UnknownNameError: The task has no such split.
        """
        ids = ((self._id(split, one), one) for one in self._generated(split, limit))
        return {key: Label(key, one.answer, one.rationales[0]) for key, one in ids}

    def _id(self, split: str, problem: LabProblem) -> str:
        own = split if split == problem.split else f"{split}-{problem.split}"
        return f"{self.name}-{problem.seed}-{own}-{problem.index}"

    def _generated(self, split: str, limit: int | None) -> tuple[LabProblem, ...]:
        if split not in self.splits:
            raise UnknownNameError.of("split", split, self.splits)
        return _drawn(split, self.seed, self.hinted_share)[:limit]


@lru_cache(maxsize=16)
def _drawn(split: str, seed: int, hinted_share: float) -> tuple[LabProblem, ...]:
    """Make a whole split once: every stage of a run asks for the same one."""
    family = FAMILIES["verbs"]
    found: list[LabProblem] = []
    for of in SPLITS if split == EXAMS else (split,):
        for number in range(family.size(of) // GROUP_SIZE):
            first = number * GROUP_SIZE
            places = range(first + 1, first + GROUP_SIZE) if split == EXAMS else (first,)
            is_hinted = seeded_random("verb-lessons", "hint", seed, of, number).random() < hinted_share
            own = (family.problem(of, place, seed) for place in places)
            found += map(hinted, own) if is_hinted else own
    return tuple(found)


def hinted(problem: LabProblem) -> LabProblem:
    """Return a problem with an invented verb whose question tells in known words what is done."""
    step = written_steps(problem.rationales[0])[0][1]
    name = next(word for word in re.findall(r"\w+", problem.question) if word in NAMES)
    deed = DEEDS[step.operation].format(m=step.right)
    told = f"{problem.group}s {step.right}: {'she' if name in WOMEN else 'he'} {deed}."
    return replace(problem, question=problem.question.replace(f"{problem.group}s {step.right}.", told))


def verb_lessons(options: TaskOptions = DEFAULTS) -> VerbLessons:
    """Return problems with invented verbs whose meaning only their exams know."""
    options.only("verb-lessons", "task_seed")
    return VerbLessons(name="verb-lessons", seed=options.task_seed, hinted_share=0.0)


def hinted_verb_lessons(options: TaskOptions = DEFAULTS) -> VerbLessons:
    """Return the same problems, half of them with a hint in the question."""
    options.only("hinted-verb-lessons", "task_seed")
    return VerbLessons(name="hinted-verb-lessons", seed=options.task_seed, hinted_share=0.5)
