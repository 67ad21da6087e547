"""Exams: which problems a student answers after a lesson on another one.

===================  ======================================================================================
`SameGroup`          problems with the same ``group``: given variants of the problem, or its topic
`LexicallyNearest`   problems whose question has the most similar words
`FixedList`          the same problems for every lesson
===================  ======================================================================================

A problem is never its own exam, neither by its id nor by its question. Exams come from one split, whose
gold answers a recipe may read: never from test.

References:
    Ning et al. (2024), arXiv:2406.14629, sections 3.2.1 and 3.2.2. There the nearest problems are found by a
    sentence embedding (all-mpnet-base-v2); engines here do not embed yet, so the words are compared.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import ClassVar, Protocol

from docendo.core.errors import SettingError
from docendo.core.records import Label, Problem, Shot
from docendo.core.seeds import derived_rng
from docendo.tasks.formats import worked_example


@dataclass(frozen=True, slots=True)
class Exam:
    """One exam problem of a problem that is taught."""

    problem: Problem
    similarity: float
    """To the problem that is taught, in [0, 1]; 1 where the maker does not measure it."""


class ExamMaker(Protocol):
    """Chooses exam problems; a frozen part."""

    version: ClassVar[int]

    @property
    def split(self) -> str:
        """Where it looks."""
        ...

    @property
    def count(self) -> int:
        """q: at most so many exam problems for each problem that is taught."""
        ...

    def exams(self, taught: Sequence[Problem], pool: Sequence[Problem]) -> Iterator[tuple[Exam, ...]]:
        """Return the exams of each problem that is taught, the nearest first; of the pool of its split."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SameGroup:
    """Take problems with the same ``group``; a problem without one has no exams."""

    version: ClassVar[int] = 1
    split: str = "exams"
    count: int = 3
    """q. Paper: 3 variants of a problem; released code, for problems of a topic: 16."""
    shuffle_seed: int | None = None
    """None: the first ones of the split. Otherwise drawn with this seed."""

    def __post_init__(self) -> None:
        _check(self)

    def exams(self, taught: Sequence[Problem], pool: Sequence[Problem]) -> Iterator[tuple[Exam, ...]]:
        """Return the exams of each problem that is taught."""
        groups: dict[str, list[Problem]] = {}
        for one in pool:
            groups.setdefault(one.group, []).append(one)
        for problem in taught:
            found = _others(problem, groups.get(problem.group, ())) if problem.group else []
            if self.shuffle_seed is not None:
                derived_rng("exams", self.shuffle_seed, problem.id).shuffle(found)
            yield tuple(Exam(one, 1.0) for one in found[: self.count])


@dataclass(frozen=True, slots=True, kw_only=True)
class LexicallyNearest:
    """Take the problems whose questions are most alike in their words, whatever the order of these.

    The similarity is `rapidfuzz.fuzz.token_sort_ratio`: a normalised edit distance of the sorted words. It
    knows no meaning: it is no replacement for an embedding where problems are alike in other words.
    """

    version: ClassVar[int] = 1
    split: str = "train"
    count: int = 2
    """q. Paper: 2 nearest of the training set; released code: 1."""

    def __post_init__(self) -> None:
        _check(self)

    def exams(self, taught: Sequence[Problem], pool: Sequence[Problem]) -> Iterator[tuple[Exam, ...]]:
        """Return the exams of each problem that is taught."""
        from rapidfuzz import fuzz, process

        asked = [_asked(one) for one in pool]
        questions = [question for question, _ in asked]
        times = Counter(asked)
        for problem in taught:
            own = _asked(problem)
            near = process.extract(  # equally near ones in the order of the pool
                own[0], questions, scorer=fuzz.token_sort_ratio, limit=self.count + times[own] + 1
            )
            others = (
                Exam(pool[place], ratio / 100)
                for _, ratio, place in near
                if asked[place] != own and pool[place].id != problem.id
            )
            yield tuple(islice(others, self.count))


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedList:
    """Take the same problems for every lesson."""

    version: ClassVar[int] = 1
    ids: tuple[str, ...]
    split: str = "train"

    def __post_init__(self) -> None:
        _check(self)

    @property
    def count(self) -> int:
        """As many as are listed."""
        return len(self.ids)

    def exams(self, taught: Sequence[Problem], pool: Sequence[Problem]) -> Iterator[tuple[Exam, ...]]:
        """Return the exams of each problem that is taught.

        Raises:
            SettingError: The split has no problem with one of the ids.
        """
        there = {one.id: one for one in pool}
        if missing := [name for name in self.ids if name not in there]:
            raise SettingError(
                f"exam problem {missing[0]!r} is none of the {len(pool):,} problems of split {self.split}",
                hint="`docendo show` tells ids; the split may be cut by its limit in the run's settings",
            )
        for problem in taught:
            yield tuple(Exam(one, 1.0) for one in _others(problem, [there[name] for name in self.ids]))


def shown(problem: Problem, label: Label, *, with_solution: bool = True) -> Shot:
    """Return a problem as a worked example, with its gold rationale or with the answer alone."""
    return worked_example(problem, label if with_solution else replace(label, solution=""))


def _check(maker: SameGroup | LexicallyNearest | FixedList) -> None:
    faults: list[str] = []
    if maker.split == "test":
        faults.append("the exams' split is test, whose gold answers nobody may read; name another one")
    if maker.count < 1:
        faults.append(f"{maker.count} exam problems; expected at least 1: no exam, no score")
    if faults:
        raise SettingError.of_all(faults)


def _others(problem: Problem, pool: Sequence[Problem]) -> list[Problem]:
    """Return the pool without the problem itself, under whatever id."""
    asked = _asked(problem)
    return [one for one in pool if one.id != problem.id and _asked(one) != asked]


def _asked(problem: Problem) -> tuple[str, tuple[str, ...]]:
    return " ".join(problem.question.casefold().split()), problem.choices
