"""Verdicts on completions that are already there: ``docendo grade TASK FILE``."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import orjson

from docendo.core.errors import DataError, UnknownNameError
from docendo.core.protocols import Task
from docendo.core.records import Label, Outcome, Sample
from docendo.metrics.intervals import Interval, wilson_interval
from docendo.tasks.completions import CompletionReader
from docendo.tasks.files import BadRow, read_rows

KEPT_FAULTS = 1000
"""Bad rows that are kept with their reasons; all are counted."""


@dataclass(slots=True)
class Grading:
    """What came of grading a file."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    """Graded rows by outcome."""
    n_bad: int = 0
    """Rows that could not be graded."""
    bad_rows: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """Number of the line, or of the row where a file has no lines, and why; the first `KEPT_FAULTS`."""
    gold_from_task: int = 0
    """Graded rows without a gold answer of their own, for which the task's was taken."""

    def count_bad(self, number: int, reason: str) -> None:
        """Count a row that cannot be graded."""
        self.n_bad += 1
        if len(self.bad_rows) < KEPT_FAULTS:
            self.bad_rows.append((number, reason))

    @property
    def graded(self) -> int:
        """How many rows were graded."""
        return self.outcomes.total()

    @property
    def accuracy(self) -> float:
        """Share of the graded rows that are correct."""
        return self.outcomes[Outcome.CORRECT.value] / self.graded

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy, with rows taken as independent."""
        return wilson_interval(self.outcomes[Outcome.CORRECT.value], self.graded)


def grade(
    task: Task,
    path: Path,
    output: TextIO | None = None,
    *,
    completion_column: str = "completion",
    answer_column: str = "answer",
    format: str = "default",
) -> Grading:
    """Read and judge the completions of a file, row by row, in memory that does not grow with it.

    The gold answer of a row stands in its ``answer_column``. Where the row has none it is the task's, found
    by the row's ``id``, else by its question. Only then are the task's rows read.

    Args:
        task: Its Format reads answers, its Verifier decides.
        path: Rows in any form that `docendo.tasks.files` reads; JSON Lines, CSV and Parquet are streamed.
        output: Gets one JSON object a graded row, in the order of the file: ``id``, ``answer``, ``verdict``,
            ``reason``. The id is the row's own, else the problem's, else the number of the row.
        completion_column: Column of the model's text. A prefilled trigger may be part of it or not.
        answer_column: Column of the gold answer; GSM8K's ``... #### 72`` is understood.
        format: Which of the task's Formats reads.

    Returns:
        Counts and bad rows.

    Raises:
        DataError: The file cannot be read, or no row of it could be graded.
        UnknownNameError: The task has no such Format.
    """
    if format not in task.formats:
        raise UnknownNameError.of(f"format of task {task.name}", format, task.formats)
    reader = CompletionReader(
        task, task.formats[format], completion_column=completion_column, answer_column=answer_column
    )
    grading = Grading()
    # A Verifier may read ahead, so what it was handed waits here for its verdict.
    waiting: deque[tuple[Sample, bool]] = deque()

    def pairs() -> Iterator[tuple[Sample, Label]]:
        for row in read_rows(path):
            if isinstance(row, BadRow):
                grading.count_bad(row.origin.number, row.reason)
                continue
            try:
                sample, label, is_own = reader.pair(row.values, row.origin)
            except DataError as fault:
                grading.count_bad(row.origin.number, fault.message.removeprefix(f"{row.origin}: "))
                continue
            waiting.append((sample, is_own))
            yield sample, label

    for verdict in task.verifier.verdicts(pairs()):
        sample, is_own = waiting.popleft()
        grading.outcomes[verdict.outcome.value] += 1
        grading.gold_from_task += not is_own
        if output is not None:
            graded = {
                "id": sample.id,
                "answer": sample.answer,
                "verdict": verdict.outcome.value,
                "reason": verdict.reason,
            }
            output.write(orjson.dumps(graded, option=orjson.OPT_APPEND_NEWLINE).decode())
    if not grading.graded:
        number, reason = grading.bad_rows[0]
        raise DataError(
            f"no row of {path} could be graded; {number}: {reason}",
            hint="name the columns with --completion-column and --answer-column",
        )
    return grading
