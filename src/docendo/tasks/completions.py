"""Rows of completions that are already there: the sample and the gold answer that a row holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from docendo.core.errors import DataError
from docendo.core.protocols import Format, Task
from docendo.core.records import Label, Problem, Prompt, Sample
from docendo.tasks.gold import CANDIDATES, Columns, Origin, text_of
from docendo.tasks.options import TaskOptions
from docendo.tasks.rows import normalised_question


@dataclass(frozen=True, slots=True)
class Gold:
    """What a row is about, and the answer that is right."""

    problem: Problem
    label: Label
    is_own: bool
    """Whether the row has brought the answer; else it is the task's."""


class CompletionReader:
    """Makes of a row the sample and the gold answer that are compared.

    Args:
        task: Knows gold answers of rows without one. None: every row must bring its own.
        shape: Reads answers off completions.
        completion_column: Column of the model's text.
        answer_column: Column of the gold answer.
        prediction_column: Column of answers that were read before; then no completion is read. Empty: none.
    """

    def __init__(
        self,
        task: Task | None,
        shape: Format,
        *,
        completion_column: str,
        answer_column: str,
        prediction_column: str = "",
    ) -> None:
        self._task = task
        self._shape = shape
        self._completion_column = completion_column
        self._prediction_column = prediction_column
        self._answer_column = answer_column
        self._columns = Columns(TaskOptions(answer_column=answer_column))
        self._by_id: dict[str, tuple[Problem, Label]] = {}
        self._by_question: dict[str, tuple[Problem, Label]] = {}
        self._unread: list[str] | None = None

    @property
    def text_column(self) -> str:
        """The column that answers are taken from."""
        return self._prediction_column or self._completion_column

    def pair(self, row: Mapping[str, Any], origin: Origin) -> tuple[Sample, Label, bool]:
        """Return sample, gold answer, and whether the row has brought it.

        Raises:
            DataError: The row has no text, or no gold answer can be found.
        """
        text = self.text(row)
        gold = self.gold(row, origin)
        own_id = row.get("id")
        name = str(own_id) if own_id is not None else gold.problem.id or str(origin.number)
        return self.sample(text, name, gold.problem, origin), gold.label, gold.is_own

    def text(self, row: Mapping[str, Any]) -> Any:
        """Return what stands in the column of the completion, or of the answer that was read before.

        Raises:
            DataError: There is no such column; a null stands only for an answer that could not be read.
        """
        text = row.get(self.text_column)
        is_there = self.text_column in row if self._prediction_column else text is not None
        if not is_there:
            raise DataError(f"there is no column {self.text_column}; the row has {', '.join(row) or 'none'}")
        return text

    def sample(self, text: Any, name: str, problem: Problem, origin: Origin) -> Sample:
        """Return the sample of a text, with the answer that is read off it.

        Raises:
            DataError: It is no text.
        """
        if self._prediction_column:
            is_blank = text is None or (isinstance(text, str) and not text.strip())
            answer = "" if is_blank else text_of(text, self._prediction_column, origin)
            rationale, text, is_parsed = "", answer, not is_blank
        elif isinstance(text, str):
            reading = self._shape.read(text)
            rationale, answer, is_parsed = reading.rationale, reading.answer, reading.is_parsed
        else:
            raise DataError(f"{self._completion_column} is a {type(text).__name__}; expected a text")
        return Sample(
            id=name,
            prompt=Prompt(problem, ()),
            number=0,
            text=text,
            finish="stop",
            rationale=rationale,
            answer=answer,
            is_parsed=is_parsed,
        )

    def gold(self, row: Mapping[str, Any], origin: Origin) -> Gold:
        """Return the gold answer of a row: its own, else the task's, found by id or by question.

        Raises:
            DataError: There is none, or it is no answer.
        """
        is_own = row.get(self._answer_column) is not None
        return Gold(*(self._own(row, origin) if is_own else self._from_task(row)), is_own)

    def _own(self, row: Mapping[str, Any], origin: Origin) -> tuple[Problem, Label]:
        # Nothing else of the row has a part in the verdict: it may be there or not, and be what it likes.
        needed = {self._answer_column, *CANDIDATES["choices"]}
        known = {column: value for column, value in row.items() if column in needed}
        gold = self._columns.gold_row({**known, "question": "-"}, origin)
        return Problem("", gold.question, "", gold.choices), Label("", gold.answer)

    def _from_task(self, row: Mapping[str, Any]) -> tuple[Problem, Label]:
        if self._task is None:
            raise DataError(
                f"there is no column {self._answer_column}; the row has {', '.join(row) or 'none'}"
            )
        own_id = None if row.get("id") is None else str(row["id"])
        questions = [row[column] for column in CANDIDATES["question"] if isinstance(row.get(column), str)]
        keys = [normalised_question(question) for question in questions]
        if self._unread is None:
            self._unread = list(self._task.splits)  # the test split is the last, and read first
        while True:
            if own_id is not None and own_id in self._by_id:
                return self._by_id[own_id]
            for key in keys:
                if key in self._by_question:
                    return self._by_question[key]
            if not self._unread:
                break
            self._read(self._task, self._unread.pop())
        raise DataError(
            f"there is no column {self._answer_column}, and task {self._task.name} knows neither the id nor "
            "the question of the row"
        )

    def _read(self, task: Task, split: str) -> None:
        """Remember the problems of a split; of two with one question, the one that was met first counts."""
        labels = task.labels(split)
        for problem in task.problems(split):
            known = problem, labels[problem.id]
            self._by_id.setdefault(problem.id, known)
            self._by_question.setdefault(normalised_question(problem.question), known)
