"""Exams: which problems a student answers after a lesson on another one.

====================  =====================================================================================
`SameGroup`           problems with the same ``group``: given variants of the problem, or its topic
`NearestByEmbedding`  problems whose question's embedding points nearly the same way
`LexicallyNearest`    problems whose question has the most similar words
`FixedList`           the same problems for every lesson
====================  =====================================================================================

A problem is never its own exam, neither by its id nor by its question. Exams come from one split, whose
gold answers a recipe may read: never from test.

References:
    Ning et al. (2024), arXiv:2406.14629, sections 3.2.1 and 3.2.2. There the nearest problems are found by a
    sentence embedding (all-mpnet-base-v2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, ClassVar, Protocol

import numpy as np

from docendo.core.errors import DataError, SettingError
from docendo.core.records import Embedding, Label, Model, Problem, Shot
from docendo.core.seeds import derived_rng
from docendo.core.table import Derived, Table
from docendo.core.verbs import Verbs
from docendo.tasks.formats import worked_example

_BLOCK_NUMBERS = 1 << 22
"""Similarities that are held at once, 32 MiB."""


@dataclass(frozen=True, slots=True)
class Exam:
    """One exam problem of a problem that is taught."""

    problem: Problem
    similarity: float
    """To the problem that is taught, in [0, 1], of embeddings in [-1, 1]; 1 where the maker does not measure
    it."""


Embedded = tuple[Problem, Embedding]
Numbers = np.ndarray[Any, np.dtype[np.floating[Any]]]
Exams = tuple[Exam, ...]
"""Those of one problem, the nearest first."""


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

    def exams(self, taught: Table[Problem], pool: Table[Problem], run: Verbs) -> Table[Exams]:
        """Return a row of exams for each problem that is taught, out of the pool: the problems of its split.

        In a plan the rows may not be known: what the maker asks of ``run`` is listed there.
        """
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

    def exams(self, taught: Table[Problem], pool: Table[Problem], run: Verbs) -> Table[Exams]:
        """Return the exams of each problem that is taught."""
        return _lazily(self._rows, taught, pool)

    def _rows(self, taught: Table[Problem], pool: Table[Problem]) -> Iterator[Exams]:
        groups: dict[str, list[Problem]] = {}
        for one in pool:
            groups.setdefault(one.group, []).append(one)
        for problem in taught:
            found = _others(problem, groups.get(problem.group, ())) if problem.group else []
            if self.shuffle_seed is not None:
                derived_rng("exams", self.shuffle_seed, problem.id).shuffle(found)
            yield tuple(Exam(one, 1.0) for one in found[: self.count])


@dataclass(frozen=True, slots=True, kw_only=True)
class NearestByEmbedding:
    """Take the problems whose questions' embeddings have the greatest cosine to that of the problem.

    Equally near ones stand in the order of the pool. A problem whose embedding failed to come has no exams
    and is none.
    """

    version: ClassVar[int] = 1
    embedder: Model
    """Who embeds the questions. Paper: all-mpnet-base-v2."""
    split: str = "train"
    count: int = 2
    """q. Paper: 2 nearest of the training set; released code: 1."""

    def __post_init__(self) -> None:
        _check(self)

    def exams(self, taught: Table[Problem], pool: Table[Problem], run: Verbs) -> Table[Exams]:
        """Return the exams of each problem that is taught.

        Raises:
            DataError: When the rows are read: the embeddings differ in width.
        """
        near = run.embed(self.embedder, taught, name="embeddings-taught")
        among = run.embed(self.embedder, pool, name=f"embeddings-{self.split}")
        return _lazily(self._rows, near, among)

    def _rows(self, taught: Table[Embedded], pool: Table[Embedded]) -> Iterator[Exams]:
        found = [(problem, np.asarray(own.vector, dtype=np.float32)) for problem, own in pool if own.vector]
        there = [problem for problem, _ in found]
        among = _directions([vector for _, vector in found])
        given = [(problem, np.asarray(own.vector, dtype=np.float32)) for problem, own in taught]
        asked = [_asked(one) for one in there]
        times = Counter(asked)
        size = max(1, _BLOCK_NUMBERS // max(1, len(there)))
        for first in range(0, len(given), size):
            block = given[first : first + size]
            cosines = iter(_cosines([vector for _, vector in block if len(vector)], among))
            for problem, vector in block:
                row, own = next(cosines) if len(vector) else np.empty(0), _asked(problem)
                others = (
                    Exam(there[place], float(row[place]))
                    for place in _largest(row, self.count + times[own] + 1)
                    if asked[place] != own and there[place].id != problem.id
                )
                yield tuple(islice(others, self.count))


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

    def exams(self, taught: Table[Problem], pool: Table[Problem], run: Verbs) -> Table[Exams]:
        """Return the exams of each problem that is taught."""
        return _lazily(self._rows, taught, pool)

    def _rows(self, taught: Table[Problem], pool: Table[Problem]) -> Iterator[Exams]:
        from rapidfuzz import fuzz, process

        there = list(pool)
        asked = [_asked(one) for one in there]
        questions = [question for question, _ in asked]
        times = Counter(asked)
        for problem in taught:
            own = _asked(problem)
            near = process.extract(  # equally near ones in the order of the pool
                own[0], questions, scorer=fuzz.token_sort_ratio, limit=self.count + times[own] + 1
            )
            others = (
                Exam(there[place], ratio / 100)
                for _, ratio, place in near
                if asked[place] != own and there[place].id != problem.id
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

    def exams(self, taught: Table[Problem], pool: Table[Problem], run: Verbs) -> Table[Exams]:
        """Return the exams of each problem that is taught.

        Raises:
            SettingError: When the rows are read: the split has no problem with one of the ids.
        """
        return _lazily(self._rows, taught, pool)

    def _rows(self, taught: Table[Problem], pool: Table[Problem]) -> Iterator[Exams]:
        there = {one.id: one for one in pool}
        if missing := [name for name in self.ids if name not in there]:
            raise SettingError(
                f"exam problem {missing[0]!r} is none of the {len(there):,} problems of split {self.split}",
                hint="`docendo show` tells ids; the split may be cut by its limit in the run's settings",
            )
        for problem in taught:
            yield tuple(Exam(one, 1.0) for one in _others(problem, [there[name] for name in self.ids]))


def shown(problem: Problem, label: Label, *, with_solution: bool = True) -> Shot:
    """Return a problem as a worked example, with its gold rationale or with the answer alone."""
    return worked_example(problem, label if with_solution else replace(label, solution=""))


def _lazily(
    rows: Callable[[Table[Any], Table[Any]], Iterator[Exams]], taught: Table[Any], pool: Table[Any]
) -> Table[Exams]:
    """Return a table of what ``rows`` makes of two tables, when it is read."""
    return Derived([taught, pool], lambda: rows(taught, pool), bound=taught.bound, exact=True)


def _cosines(vectors: Sequence[Numbers], among: Numbers) -> Numbers:
    """Return the cosine of each vector to each row of ``among``, whose rows have length 1 or 0.

    Rounded to 6 places, so that equally near ones are equal: the last bits depend on the place in a product.

    Raises:
        DataError: The widths differ.
    """
    near = _directions(vectors)
    if not len(near) or not len(among):
        return np.zeros((len(near), len(among)))
    _check_widths({near.shape[1], among.shape[1]})
    cosines: Numbers = (near @ among.T).astype(np.float64)
    return cosines.round(6)


def _directions(vectors: Sequence[Numbers]) -> Numbers:
    """Return vectors made to length 1, one a row; one without a direction stays 0 and is near to nothing.

    Raises:
        DataError: They differ in width.
    """
    if not vectors:
        return np.zeros((0, 0), dtype=np.float32)
    _check_widths({len(vector) for vector in vectors})
    found: Numbers = np.stack(vectors)
    lengths: Numbers = np.linalg.norm(found, axis=1, keepdims=True)
    unit: Numbers = found / np.where(lengths > 0, lengths, 1)
    return unit


def _check_widths(widths: set[int]) -> None:
    if len(widths) > 1:
        raise DataError(
            f"embeddings of {' and '.join(map(str, sorted(widths)))} numbers; expected all of one model",
            hint="a server that changes its model behind one name does that",
        )


def _largest(values: Numbers, count: int) -> Iterator[int]:
    """Return the places of the largest values in falling order; equal ones in theirs."""
    count = min(count, len(values))
    if not count:
        return iter(())
    least = np.partition(values, -count)[-count]
    places = np.flatnonzero(values >= least)
    return iter(places[np.argsort(-values[places], kind="stable")].tolist())


def _check(maker: SameGroup | NearestByEmbedding | LexicallyNearest | FixedList) -> None:
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
