"""From rows to a task: columns, gold answers, ids, splits.

Whatever a row was read from, it becomes a `GoldRow` in one way, and all of them a `RowsTask` in one way.

Gold answers. GSM8K writes solution and answer into one column, ``... #### 72``: what stands before the last
``####`` is the solution, what stands behind it the answer. MATH has no answer column: the answer is the last
box of the solution. Boxes and calculator marks (``<<48/2=24>>``) are taken out of solutions.

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
from typing import Any, cast

from docendo.core.errors import DataError, SettingError, UnknownNameError
from docendo.core.protocols import Format, Verifier
from docendo.core.records import Label, Problem
from docendo.core.seeds import derived_seed, digest_of, digest_of_rows
from docendo.tasks.code import has_tests, needs_sandbox
from docendo.tasks.formats import LETTERS, AnswerKind, formats_for
from docendo.tasks.options import TaskOptions
from docendo.tasks.readers import boxed, unboxed
from docendo.verifiers.choice import Choice
from docendo.verifiers.exact import Exact
from docendo.verifiers.math import Math
from docendo.verifiers.numbers import parse_number
from docendo.verifiers.numeric import Numeric

SPLITS = ("train", "validation", "test")
FURTHER = ("exams",)
"""Splits that rows may also name: variants of problems, which may share their groups."""
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "exams": "exams",
}
"""What data sets call their splits, and what we call them."""

CANDIDATES = {
    "question": ("question", "problem", "prompt", "input", "query"),
    "answer": ("answer", "answerKey", "final_answer", "target"),
    "solution": ("solution", "rationale", "reasoning", "explanation"),
    "choices": ("choices", "options"),
    "id": ("id", "unique_id", "problem_id"),
    "split": ("split",),
    "group": ("group",),
}
"""What a column may be called where the settings do not say; the first that a row has counts."""

_CALCULATOR_MARK = re.compile(r"<<[^<>]*>>")


def normalised_question(question: str) -> str:
    """Return the form by which two questions are the same: case, white space and Unicode form do not count.

    Signs do: ``5 + 3`` and ``5 - 3`` are two questions. White space before punctuation is dropped.
    """
    text = " ".join(unicodedata.normalize("NFC", question).casefold().split())
    return re.sub(r" (?=[.,;:?!])", "", text)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a row was read: a file or data set, and the number of its line or row there, from 1."""

    name: str
    number: int
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.name} {self.unit} {self.number}"


@dataclass(frozen=True, slots=True)
class GoldRow:
    """A row that is understood: a question, its answer, and what else it says."""

    origin: Origin
    question: str
    answer: str
    solution: str = ""
    choices: tuple[str, ...] = ()
    id: str = ""
    split: str = ""
    group: str = ""


class Columns:
    """Finds the values of a row by the settings, or by what columns are usually called."""

    def __init__(self, options: TaskOptions) -> None:
        self._options = options
        self._named = {name: getattr(options, f"{name}_column") for name in CANDIDATES}
        self._missing = {name: column for name, column in self._named.items() if column is not None}

    def value(self, row: Mapping[str, Any], name: str) -> Any:
        """Return the value of a column of that meaning; None where the row has none."""
        named = self._named[name]
        for column in CANDIDATES[name] if named is None else (named,):
            if row.get(column) is not None:
                self._missing.pop(name, None)
                return row[column]
        return None

    def gold_row(self, row: Mapping[str, Any], origin: Origin, split: str = "") -> GoldRow:
        """Understand one row.

        Args:
            row: Values by column.
            origin: Where it was read.
            split: The split of the file that it stands in; empty where only a column can tell.

        Raises:
            DataError: A column is missing, or a value is not what it should be; or it asks for a program.
        """
        if self._options.answer_kind == "auto" and has_tests(row):
            raise needs_sandbox(str(origin))
        question = text_of(self._required(row, "question", origin), "question", origin)
        solution = self._optional(row, "solution", origin)
        answer = self.value(row, "answer")
        if answer is None and not solution:
            self._required(row, "answer", origin)
        gold = self._gold(answer, solution, origin)
        choices, letters = _choices_of(self.value(row, "choices"), origin)
        if choices:
            gold = replace(gold, answer=_letter_of(gold.answer, choices, letters, origin))
        named_split = self.value(row, "split")
        if named_split is not None:
            split = _split_of(named_split, origin)
        return replace(
            gold,
            question=question,
            choices=choices,
            id=self._optional(row, "id", origin),
            split=split,
            group=self._optional(row, "group", origin),
        )

    def _gold(self, answer: Any, solution: str, origin: Origin) -> GoldRow:
        """Return answer and solution, whichever of the two columns they stand in."""
        text = "" if answer is None else text_of(answer, "answer", origin)
        if not text:
            worked, mark, text = solution.rpartition("####")
            box = None if mark else boxed(solution)
            if not mark and box is None:
                raise DataError(
                    f"{origin}: there is no answer column, and the solution has neither #### nor a box",
                    hint="name the column of the gold answer with --answer-column",
                )
            solution, text = (worked, text) if box is None else (solution, box.answer)
        elif "####" in text:
            worked, _, text = text.rpartition("####")
            solution = solution or worked
        if not text.strip():
            raise DataError(f"{origin}: nothing stands behind ####; expected the gold answer")
        if not self._options.keep_calculator_marks:
            solution = _CALCULATOR_MARK.sub("", solution)
        # A line break in an answer is a space: the answer sentence is one line.
        return GoldRow(origin, "", " ".join(text.split()), unboxed(solution).strip())

    def _optional(self, row: Mapping[str, Any], name: str, origin: Origin) -> str:
        """Return the text of a column, empty where the row has none."""
        value = self.value(row, name)
        if value is None or (isinstance(value, str) and not value.strip()):
            return ""
        return text_of(value, name, origin)

    def _required(self, row: Mapping[str, Any], name: str, origin: Origin) -> Any:
        value = self.value(row, name)
        if value is None:
            wanted = self._named[name] or f"{CANDIDATES[name][0]} (or {', '.join(CANDIDATES[name][1:])})"
            raise DataError(
                f"{origin}: there is no column {wanted}; the row has {', '.join(sorted(row)) or 'none'}",
                hint=f"name the column of the {name} with --{name}-column",
            )
        return value

    def check_all_met(self, name: str) -> None:
        """Make sure that every column that was asked for stood in some row.

        Raises:
            DataError: One did not.
        """
        for meaning, column in self._missing.items():
            raise DataError(
                f"{name}: no row has a column {column!r}; expected it, as --{meaning}-column names it",
                hint="look at the first line for what the columns are called",
            )


def text_of(value: Any, name: str, origin: Origin) -> str:
    """Return a value as text that is not empty."""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, float) and value.is_integer():
        text = str(int(value))
    elif isinstance(value, (str, int, float)):
        text = str(value)
    else:
        raise DataError(f"{origin}: {name} is a {type(value).__name__}; expected a text or a number")
    if not text.strip():
        raise DataError(f"{origin}: {name} is empty; expected a text or a number")
    return text.strip()


def _choices_of(value: Any, origin: Origin) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the options, and what the data set calls them: A, B, ... where it does not say."""
    labels: Any = None
    if isinstance(value, Mapping):
        parts = cast("Mapping[str, Any]", value)
        value, labels = parts.get("text"), parts.get("label")
    if value is None:
        return (), ()
    if not isinstance(value, (list, tuple)):
        raise DataError(
            f"{origin}: choices is a {type(value).__name__}; expected a list of texts",
            hint='as in "choices": ["red", "blue"], or with a "text" and a "label" list',
        )
    texts = [text_of(one, "a choice", origin) for one in cast("Sequence[Any]", value)]
    if not 2 <= len(texts) <= len(LETTERS):
        raise DataError(f"{origin}: there are {len(texts)} choices; expected 2 to {len(LETTERS)}")
    names = LETTERS if labels is None else [text_of(one, "a choice's label", origin) for one in labels]
    if labels is not None and len(names) != len(texts):
        raise DataError(f"{origin}: {len(texts)} choices have {len(names)} labels; expected one for each")
    return tuple(texts), tuple(names[: len(texts)])


def _letter_of(answer: str, choices: Sequence[str], names: Sequence[str], origin: Origin) -> str:
    """Return the letter of the choice that the gold answer names, by its label or by its text."""
    for known, wanted in (
        (list(names), answer),
        (list(choices), answer),
        ([name.casefold() for name in names], answer.casefold()),
    ):
        if wanted in known:
            return LETTERS[known.index(wanted)]
    raise DataError(
        f"{origin}: answer {answer!r} is no choice; expected one of {', '.join(names)}, or the text of one"
    )


def _split_of(value: Any, origin: Origin) -> str:
    split = SPLIT_NAMES.get(str(value).strip().lower())
    if split is None:
        raise DataError(
            f"{origin}: unknown split {value!r}; expected train, validation, test or exams",
            hint=f"also read: {', '.join(name for name, split in SPLIT_NAMES.items() if name != split)}",
        )
    return split


# -- a task of rows ----------------------------------------------------------------------------------------


VERIFIERS: Mapping[AnswerKind, type[Verifier]] = {
    "number": Numeric,
    "text": Exact,
    "choice": Choice,
    "math": Math,
}
"""Which Verifier decides, by the kind of answers."""


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
