"""From a row to a `GoldRow`: columns, gold answers, choices, the split that a row names.

Whatever a row was read from, it becomes a `GoldRow` in one way.

Gold answers. GSM8K writes solution and answer into one column, ``... #### 72``: what stands before the last
``####`` is the solution, what stands behind it the answer. MATH has no answer column: the answer is the last
box of the solution. Boxes and calculator marks (``<<48/2=24>>``) are taken out of solutions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from docendo.core.errors import DataError
from docendo.tasks.code import has_tests, needs_sandbox
from docendo.tasks.formats import LETTERS
from docendo.tasks.options import TaskOptions
from docendo.tasks.readers import boxed, unboxed

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
