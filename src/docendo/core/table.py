"""Tables: the rows that stages and pure functions over them give, read lazily, in a fixed order.

A Table can be iterated any number of times and gives the same rows each time. It holds no rows itself (except
`Rows`), so nothing grows with the texts: each operation is a view that streams its inputs again.

    map(f)     one row from each row           each(f)    any number of rows from each row
    where(f)   the rows for which f holds      groups(f)  any number of rows from all rows of one problem
    join(t)    each row with the row of t of the same problem
    zip(t)     rows side by side, by position  +          one after the other

After ``join`` and ``zip`` a row is a pair, and the function given to ``map``, ``each`` or ``where`` takes
its two parts as two arguments.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import compress
from typing import Any, Generic, TypeVar, cast

from docendo.core.errors import PlanEnds
from docendo.core.protocols import Columns
from docendo.core.records import Source
from docendo.core.seeds import digest_of, digest_of_rows

Row = TypeVar("Row", covariant=True)


class Table(ABC, Generic[Row]):
    """Rows of one kind in a fixed order."""

    sources: frozenset[Source]
    """Where the information in it came from."""
    stages: frozenset[str]
    """The stages it was made of, as ``kind-fingerprint``."""
    bound: int | None
    """At most so many rows, where it can be said without looking; exact for tables of sealed stages."""

    is_known: bool = True
    """False in a plan, behind the first stage that must run: there is neither row nor digest."""

    @abstractmethod
    def __iter__(self) -> Iterator[Row]:
        """Yield the rows."""

    def __len__(self) -> int:
        """Count the rows; may have to stream them."""
        return sum(1 for _ in self)

    @property
    def digest(self) -> str:
        """What the rows are known by: tables of one digest have the same rows in the same order.

        Of a function's rows it is the digest of the rows themselves; of a stage's, what the stage was given
        and what came out.
        """
        known: str | None = getattr(self, "_digest", None)
        if known is None:
            known = self._compute_digest()
            self._digest = known
        return known

    def _compute_digest(self) -> str:
        return digest_of_rows(self)

    @property
    def plan_key(self) -> str:
        """What stands for the rows in a plan: their digest; where that is not known yet, what was asked."""
        return self.digest if self.is_known else self._unknown_key()

    def _unknown_key(self) -> str:
        return f"table {id(self)}"  # made by a function, which cannot be compared with another

    def columns(self, names: Sequence[str]) -> Columns:
        """Return the named columns as lists. Names as in `column_of`."""
        out: dict[str, list[Any]] = {name: [] for name in names}
        readers = [(out[name], column_of(name)) for name in names]
        for row in self:
            for values, reader in readers:
                values.append(reader(row))
        return out

    def picked(self, flags: Sequence[bool]) -> Iterator[Row]:
        """Yield the rows whose flag holds; tables of stages do not build the others at all."""
        return compress(self, flags)

    def map(self, function: Callable[..., Any], *, key: Any = None) -> Table[Any]:
        """Return one row for each row.

        Args:
            function: Makes a row from a row.
            key: What tells this function from every other, where the library knows it; then the digest
                follows from the input's, and no row has to be made for it.
        """
        return Derived(
            [self], lambda: (_call(function, row) for row in self), bound=self.bound, exact=True, key=key
        )

    def each(self, function: Callable[..., Iterable[Any]]) -> Table[Any]:
        """Return all rows that the function gives for each row."""
        return Derived([self], lambda: (new for row in self for new in _call(function, row)), bound=None)

    def where(self, function: Callable[..., bool]) -> Table[Row]:
        """Return the rows for which the function holds."""
        return Derived([self], lambda: (row for row in self if _call(function, row)), bound=self.bound)

    def groups(self, function: Callable[[list[Any]], Iterable[Any]]) -> Table[Any]:
        """Return all rows that the function gives for the rows of each problem.

        Problems come in the order of their first row, a problem's rows in table order. The whole table is
        held in memory while it is grouped.
        """

        def grouped() -> Iterator[Any]:
            by_problem: dict[str, list[Any]] = {}
            for row in self:
                by_problem.setdefault(problem_id_of(row), []).append(row)
            for rows in by_problem.values():
                yield from function(rows)

        return Derived([self], grouped, bound=None)

    def join(self, other: Table[Any]) -> Table[Any]:
        """Return pairs (row, row of ``other`` of the same problem); rows without a partner are left out.

        Raises:
            ValueError: ``other`` has two rows of one problem.
        """

        def joined() -> Iterator[Any]:
            partners: dict[str, Any] = {}
            for row in other:
                key = problem_id_of(row)
                if key in partners:
                    raise ValueError(f"join: two rows of problem {key!r} on the right side")
                partners[key] = row
            for row in self:
                partner = partners.get(problem_id_of(row))
                if partner is not None:
                    yield (row, partner)

        return Derived([self, other], joined, bound=self.bound)

    def zip(self, other: Table[Any]) -> Table[Any]:
        """Return pairs of rows by position.

        Raises:
            ValueError: The tables have different lengths.
        """
        return Derived([self, other], lambda: zip(self, other, strict=True), bound=self.bound, exact=True)

    def __add__(self, other: Table[Any]) -> Table[Any]:
        """Return the rows of this table, then those of the other."""
        return Chained([self, other])


def _call(function: Callable[..., Any], row: Any) -> Any:
    return function(*row) if type(row) is tuple else function(row)


def problem_id_of(row: Any) -> str:
    """Return the id of the Problem that a row is about. Of a pair: its first part's."""
    row = _first(row)
    problem_id: Any = getattr(row, "problem_id", None)
    if problem_id is not None:
        return problem_id
    problem: Any = getattr(row, "problem", None)
    return problem.id if problem is not None else row.id


def _first(row: Any) -> Any:
    while type(row) is tuple:  # a pair of a pair, after two joins
        row = cast("Any", row[0])
    return row


def column_of(name: str) -> Callable[[Any], Any]:
    """Return the function that takes the named column's value from a row.

    ``verdict`` and ``verdict:NAME`` are outcomes as strings, ``score:NAME`` the number or None, ``question``
    the problem's question, ``problem_id`` its id; every other name is an attribute, dots descending. Of a
    pair it is the first part's.
    """
    if name == "problem_id":
        return problem_id_of
    if name == "question":
        return lambda row: getattr(_first(row), "problem", _first(row)).question
    if name == "verdict" or name.startswith("verdict:"):
        verdict = name.partition(":")[2] or "verdict"
        return lambda row: _first(row).verdicts[verdict].outcome.value
    if name.startswith("score:"):
        score = name.partition(":")[2]
        return lambda row: _first(row).scores[score].value
    path = name.split(".")

    def descend(row: Any) -> Any:
        row = _first(row)
        for step in path:
            row = getattr(row, step)
        return row

    return descend


class Rows(Table[Row]):
    """A Table of rows in memory."""

    def __init__(
        self,
        rows: Iterable[Row],
        *,
        sources: Iterable[Source] = (),
        stages: Iterable[str] = (),
    ) -> None:
        self._rows = tuple(rows)
        self.sources = frozenset(sources)
        self.stages = frozenset(stages)
        self.bound = len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class Derived(Table[Row]):
    """A Table made from others by a pure function; its digest is over the rows, unless a key is given."""

    def __init__(
        self,
        parents: Sequence[Table[Any]],
        make: Callable[[], Iterator[Row]],
        *,
        bound: int | None,
        exact: bool = False,
        key: Any = None,
    ) -> None:
        self.parents = tuple(parents)
        self._key = key
        self._make = make
        self._exact = exact
        self.bound = bound
        self.sources = frozenset[Source]().union(*(parent.sources for parent in parents))
        self.stages = frozenset[str]().union(*(parent.stages for parent in parents))
        self.is_known = all(parent.is_known for parent in parents)

    def __iter__(self) -> Iterator[Row]:
        _must_be_known(self)
        return self._make()

    def __len__(self) -> int:
        _must_be_known(self)
        return len(self.parents[0]) if self._exact else super().__len__()

    def _compute_digest(self) -> str:
        if self._key is None:
            return super()._compute_digest()
        return digest_of(["derived", self._key, *(parent.digest for parent in self.parents)])

    def _unknown_key(self) -> str:
        if self._key is None:
            return super()._unknown_key()
        return digest_of(["derived", self._key, *(parent.plan_key for parent in self.parents)])


class Chained(Table[Row]):
    """Tables one after the other."""

    def __init__(self, parts: Sequence[Table[Row]]) -> None:
        self.parts = tuple(
            piece for part in parts for piece in (part.parts if isinstance(part, Chained) else (part,))
        )
        bounds = [part.bound for part in self.parts]
        self.bound = None if None in bounds else sum(bound or 0 for bound in bounds)
        self.sources = frozenset[Source]().union(*(part.sources for part in self.parts))
        self.stages = frozenset[str]().union(*(part.stages for part in self.parts))
        self.is_known = all(part.is_known for part in self.parts)

    def __iter__(self) -> Iterator[Row]:
        _must_be_known(self)
        for part in self.parts:
            yield from part

    def picked(self, flags: Sequence[bool]) -> Iterator[Row]:
        """Yield the rows whose flag holds, part by part."""
        _must_be_known(self)
        start = 0
        for part in self.parts:
            yield from part.picked(flags[start : start + len(part)])
            start += len(part)

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def _compute_digest(self) -> str:
        return digest_of(["chained", *(part.digest for part in self.parts)])

    def _unknown_key(self) -> str:
        return digest_of(["chained", *(part.plan_key for part in self.parts)])

    def columns(self, names: Sequence[str]) -> Columns:
        """Return the named columns of all parts."""
        out: dict[str, list[Any]] = {name: [] for name in names}
        for part in self.parts:
            for name, values in part.columns(names).items():
                out[name].extend(values)
        return out


class Unknown(Table[Any]):
    """In a plan: rows of a stage that has not run."""

    is_known = False

    def __init__(
        self, bound: int | None, *, asked: str, sources: Iterable[Source], stages: Iterable[str]
    ) -> None:
        self.bound = bound
        self._asked = asked
        self.sources = frozenset(sources)
        self.stages = frozenset(stages)

    def __iter__(self) -> Iterator[Any]:
        _must_be_known(self)
        return iter(())

    def __len__(self) -> int:
        _must_be_known(self)
        return 0

    def _compute_digest(self) -> str:
        _must_be_known(self)
        return ""

    def _unknown_key(self) -> str:
        return self._asked


def _must_be_known(table: Table[Any]) -> None:
    if not table.is_known:
        raise PlanEnds("the rest of the plan depends on rows of a stage that has not run")
