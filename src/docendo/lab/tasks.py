"""Tasks of generated problems: as many as one likes, with worked solutions, split by construction.

A problem's id names its family, seed, split and place. The gold solution is the first phrasing, a fair draw
of all. Groups: invented verbs belong together by verb. Of the other families each has its templates in all
splits, so they have no groups; what sets splits apart is told in `docendo.lab.problems.family`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from docendo.core.errors import UnknownNameError
from docendo.core.protocols import Format, Verifier
from docendo.core.records import Label, Problem
from docendo.lab.problems import FAMILIES, LabProblem
from docendo.tasks.formats import formats_for
from docendo.tasks.gold import SPLITS
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.verifiers.exact import Exact
from docendo.verifiers.numeric import Numeric

MOST = {"train": 100_000, "validation": 10_000, "test": 10_000}
"""Problems of a split where no limit is given, and at most, as far as the family has so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabTask:
    """A family of generated problems with one seed."""

    name: str
    family: str
    """Name of the family in `FAMILIES`."""
    seed: int
    formats: Mapping[str, Format]
    verifier: Verifier
    has_groups: bool = False
    """Whether the family's groups lie within one split."""

    @property
    def splits(self) -> tuple[str, ...]:
        """All three: a family makes problems for each."""
        return SPLITS

    @property
    def identity(self) -> Mapping[str, Any]:
        """Family and seed: they decide everything."""
        return {"family": self.family, "seed": self.seed}

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        """Return the problems of a split in their fixed order, the first ``limit`` of them.

        Raises:
            UnknownNameError: The task has no such split.
        """
        return (
            Problem(self._id(one), one.question, split, group=one.group if self.has_groups else "")
            for one in self._generated(split, limit)
        )

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        """Return the Labels of the same problems by problem id.

        Raises:
            UnknownNameError: The task has no such split.
        """
        return {
            self._id(one): Label(self._id(one), one.answer, one.rationales[0])
            for one in self._generated(split, limit)
        }

    def _id(self, problem: LabProblem) -> str:
        return f"{self.name}-{problem.seed}-{problem.split}-{problem.index}"

    def _generated(self, split: str, limit: int | None) -> Iterator[LabProblem]:
        if split not in self.splits:
            raise UnknownNameError.of("split", split, self.splits)
        family = FAMILIES[self.family]
        most = min(MOST[split], family.size(split))
        return iter(_drawn(self.family, split, most if limit is None else min(limit, most), self.seed))


@lru_cache(maxsize=8)
def _drawn(family: str, split: str, count: int, seed: int) -> tuple[LabProblem, ...]:
    """Draw problems once: every stage of a run asks for the same ones."""
    return tuple(FAMILIES[family].problems(split, count, seed))


def story_problems(options: TaskOptions = DEFAULTS) -> LabTask:
    """Return story problems of two to four operations: the lab's main task."""
    return _number_task("story-problems", "stories", options)


def chain(options: TaskOptions = DEFAULTS) -> LabTask:
    """Return chained sums of three to five numbers."""
    return _number_task("chain", "chain", options)


def addition(options: TaskOptions = DEFAULTS) -> LabTask:
    """Return long additions of two numbers with three digits."""
    return _number_task("addition", "addition", options)


def letters(options: TaskOptions = DEFAULTS) -> LabTask:
    """Return names whose last letters are to be joined."""
    return _text_task("letters", options)


def dates(options: TaskOptions = DEFAULTS) -> LabTask:
    """Return questions for the date so many days before or after another."""
    return _text_task("dates", options)


def verbs(options: TaskOptions = DEFAULTS) -> LabTask:
    """Return problems with invented verbs, which only a worked example with the same verb can explain."""
    return _number_task("verbs", "verbs", options, has_groups=True)


def verb_book(options: TaskOptions = DEFAULTS) -> LabTask:
    """Return problems with three invented verbs that mean the same everywhere: exemplars can teach them."""
    return _number_task("verb-book", "verb-book", options)


def _number_task(name: str, family: str, options: TaskOptions, *, has_groups: bool = False) -> LabTask:
    options.only(name, "task_seed")
    formats = formats_for("number", strict=True)
    return LabTask(
        name=name,
        family=family,
        seed=options.task_seed,
        formats=formats,
        verifier=Numeric(),
        has_groups=has_groups,
    )


def _text_task(name: str, options: TaskOptions) -> LabTask:
    options.only(name, "task_seed")
    formats = formats_for("text", strict=True)
    return LabTask(name=name, family=name, seed=options.task_seed, formats=formats, verifier=Exact())
