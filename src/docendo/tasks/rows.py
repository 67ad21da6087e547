"""From gold rows to a task: ids, splits, the kind of answers.

Splits. Those that the data name are kept. Where train is among them, or none is named, what is missing of
validation and test is cut off train:

    A  rows with the same question or the same group belong together
    B  what belongs together is put in an order by a hash of the seed and of its first question
    C  from the front of that order, test takes until it has its size, then validation; the rest is train

So the split of a row does not depend on its place in the file nor, but for the ends of the pieces, on other
rows.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from docendo.core.errors import DataError, SettingError, UnknownNameError
from docendo.core.protocols import Format, Verifier
from docendo.core.records import Label, Problem
from docendo.core.seeds import derived_seed, digest_of, digest_of_rows
from docendo.tasks.formats import AnswerKind, formats_for
from docendo.tasks.gold import FURTHER, SPLITS, GoldRow, Origin
from docendo.tasks.options import TaskOptions
from docendo.verifiers.choice import Choice
from docendo.verifiers.exact import Exact
from docendo.verifiers.math import Math
from docendo.verifiers.numbers import parse_number
from docendo.verifiers.numeric import Numeric

VERIFIERS: Mapping[AnswerKind, type[Verifier]] = {
    "number": Numeric,
    "text": Exact,
    "choice": Choice,
    "math": Math,
}
"""Which Verifier decides, by the kind of answers."""


def normalised_question(question: str) -> str:
    """Return the form by which two questions are the same: case, white space and Unicode form do not count.

    Signs do: ``5 + 3`` and ``5 - 3`` are two questions. White space before punctuation is dropped.
    """
    text = " ".join(unicodedata.normalize("NFC", question).casefold().split())
    return re.sub(r" (?=[.,;:?!])", "", text)


@dataclass(frozen=True, slots=True)
class _Content:
    """A task's rows, with problems and gold answers in two places."""

    kind: AnswerKind
    problems: Mapping[str, tuple[Problem, ...]]
    """By split; only splits that have problems."""
    labels: Mapping[str, tuple[Label, ...]]
    """By split, in the order of the problems."""
    identity: Mapping[str, Any]


class RowsTask:
    """A task of rows that are read into memory when they are first asked for.

    Where ``answer_kind`` is set, Formats and Verifier are there without the rows: to grade completions that
    bring their gold answers, no data set is needed.

    Args:
        name: What people call it.
        rows: Reads the rows, in the order of the data.
        options: ``answer_kind``, and the sizes and the seed of splits made here.
        formats: Formats beside those that suit the kind of answers.
        verifier: Decides. None: the one that suits the kind of answers.
        repeats: Ids of problems whose question stands in another of the published splits, too.
        kept: Says which rows are left once each has its split.

    What reads rows raises `DataError` where one cannot be understood, where two have the same id, or where
    there is none; and `SettingError` where a split cannot have its size.
    """

    def __init__(
        self,
        name: str,
        rows: Callable[[], Iterable[GoldRow]],
        options: TaskOptions,
        *,
        formats: Mapping[str, Format] | None = None,
        verifier: Verifier | None = None,
        repeats: frozenset[str] = frozenset(),
        kept: Callable[[Sequence[GoldRow]], Sequence[GoldRow]] = lambda rows: rows,
    ) -> None:
        self._name = name
        self._rows = rows
        self._options = options
        self._more_formats = dict(formats or {})
        self._verifier = verifier
        self.repeats = repeats
        self._kept = kept

    @property
    def name(self) -> str:
        """What people call it."""
        return self._name

    @property
    def formats(self) -> Mapping[str, Format]:
        """The Formats that suit the kind of answers."""
        return self._parts[0]

    @property
    def verifier(self) -> Verifier:
        """The Verifier that suits the kind of answers."""
        return self._parts[1]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have problems."""
        return tuple(self._content.problems)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Digests of the problems and gold answers, split by split, wherever they were read."""
        return self._content.identity

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        """Return the problems of a split in the order of the data, the first ``limit`` of them.

        Raises:
            UnknownNameError: The task has no such split.
        """
        self._check_split(split)
        return iter(self._content.problems[split][:limit])

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        """Return the Labels of the same problems by problem id.

        Raises:
            UnknownNameError: The task has no such split.
        """
        self._check_split(split)
        return {label.problem_id: label for label in self._content.labels[split][:limit]}

    def load(self) -> None:
        """Read the rows, where that has not been done."""
        _ = self._content

    def _check_split(self, split: str) -> None:
        if split not in self.splits:
            raise UnknownNameError.of("split", split, self.splits)

    @cached_property
    def _parts(self) -> tuple[Mapping[str, Format], Verifier]:
        kind = self._content.kind if self._options.answer_kind == "auto" else self._options.answer_kind
        return formats_for(kind) | self._more_formats, self._verifier or VERIFIERS[kind]()

    @cached_property
    def _content(self) -> _Content:
        rows = list(_with_ids(_whole(list(self._rows()), self._name)))
        splits = _splits_of(rows, self._name, self._options)
        rows = self._kept([replace(row, split=split) for row, split in zip(rows, splits, strict=True)])
        if not rows:
            raise DataError(f"{self._name} has no rows left of those that were read")
        known = (*SPLITS, *FURTHER)
        problems: dict[str, list[Problem]] = {split: [] for split in known}
        labels: dict[str, list[Label]] = {split: [] for split in known}
        for row in rows:
            problems[row.split].append(Problem(row.id, row.question, row.split, row.choices, row.group))
            labels[row.split].append(Label(row.id, row.answer, row.solution))
        there = [split for split in known if problems[split]]
        digests = {split: digest_of_rows(zip(problems[split], labels[split], strict=True)) for split in there}
        return _Content(
            kind=_kind_of(rows, self._options, self._name),
            problems={split: tuple(problems[split]) for split in there},
            labels={split: tuple(labels[split]) for split in there},
            identity={"family": "rows", "rows": digests},
        )


def _whole(rows: list[GoldRow], name: str) -> list[GoldRow]:
    if not rows:
        raise DataError(f"{name} has no rows; expected at least one question with its answer")
    has_split = bool(rows[0].split)
    for row in rows:
        if bool(row.split) != has_split:
            without = row if has_split else rows[0]
            raise DataError(f"{without.origin}: the row has no split; others have one")
    return rows


def _with_ids(rows: Sequence[GoldRow]) -> Iterator[GoldRow]:
    """Give every row an id of its own.

    Files of one data set may number their rows each from 0: where an id stands in two files, all ids get
    their split in front.
    """
    first: dict[str, dict[str, Origin]] = {}
    for row in rows:
        if not row.id:
            continue
        met = first.setdefault(row.id, {})
        for split, before in met.items():
            if split == row.split or before.name == row.origin.name:
                place = f"{before.unit} {before.number}" if before.name == row.origin.name else str(before)
                raise DataError(
                    f"{row.origin}: id {row.id!r} stands already in {place}",
                    hint="ids must be unique; name another column with --id-column",
                )
        met[row.split] = row.origin
    is_shared = any(len(met) > 1 for met in first.values())
    times: Counter[str] = Counter()
    for row in rows:
        if row.id and is_shared:
            yield replace(row, id=f"{row.split}/{row.id}")
        elif row.id:
            yield row
        else:
            digest = digest_of([row.question, row.choices])[:16]
            times[digest] += 1
            yield replace(row, id=digest if times[digest] == 1 else f"{digest}-{times[digest]}")


def _kind_of(rows: Sequence[GoldRow], options: TaskOptions, name: str) -> AnswerKind:
    if options.answer_kind != "auto":
        if options.answer_kind == "choice" and not any(row.choices for row in rows):
            raise DataError(
                f"{name}: answer_kind is choice, and no row has choices",
                hint="name their column with --choices-column",
            )
        return options.answer_kind
    if all(row.choices for row in rows):
        return "choice"
    if all(parse_number(row.answer) is not None for row in rows):
        return "number"
    return "math" if any("\\" in row.answer or "$" in row.answer for row in rows) else "text"


def _splits_of(rows: Sequence[GoldRow], name: str, options: TaskOptions) -> list[str]:
    """Return the split of every row: its own, or one that is made here."""
    given = {row.split for row in rows if row.split}
    for split, size in (("validation", options.validation_size), ("test", options.test_size)):
        if size is not None and (split in given or (given and "train" not in given)):
            why = f"they have a {split} split" if split in given else "they have no train split to cut it off"
            raise SettingError(f"{split}_size is {size}, but the data {name} need none: {why}")
    splits = [row.split or "train" for row in rows]
    if given and "train" not in given:
        return splits
    sizes = [
        (split, size, limit)
        for split, size, limit in (
            ("test", options.test_size, 1000),
            ("validation", options.validation_size, 500),
        )
        if split not in given
    ]
    pool = [place for place, split in enumerate(splits) if split == "train"]
    pieces = together([rows[place] for place in pool], options.task_seed)
    n_pool = len(pool)
    for split, size, limit in sizes:
        wanted = max(1, min(round(n_pool / 10), limit)) if size is None else size
        taken = 0
        while taken < wanted and len(pieces) > 1:
            piece = pieces.pop(0)
            taken += len(piece)
            for place in piece:
                splits[pool[place]] = split
        if taken < wanted and size is not None:
            raise SettingError(
                f"{split}_size is {size}; {name} has {n_pool} rows to cut it off, "
                "and some that belong together must stay for train"
            )
    return splits


def together(rows: Sequence[GoldRow], seed: int) -> list[list[int]]:
    """Return the places of rows that belong together, by question or group, in the order of a hash."""
    leader: dict[tuple[str, str], tuple[str, str]] = {}

    def lead(key: tuple[str, str]) -> tuple[str, str]:
        while leader.setdefault(key, key) != key:
            leader[key] = leader[leader[key]]
            key = leader[key]
        return key

    keys = [("question", normalised_question(row.question)) for row in rows]
    for row, key in zip(rows, keys, strict=True):
        if row.group:
            leader[lead(key)] = lead(("group", row.group))
    pieces: dict[tuple[str, str], list[int]] = {}
    for place, key in enumerate(keys):
        pieces.setdefault(lead(key), []).append(place)
    return sorted(
        pieces.values(),
        key=lambda piece: derived_seed("split", seed, min(keys[place][1] for place in piece)),
    )
