"""``docendo grade TASK FILE``: apply a task's reading and verifier to existing completions."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from docendo.core.errors import DataError
from docendo.tasks.grading import grade
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task

MOST_SHOWN = 20
"""Bad rows that are told one by one."""


def main(
    task: Annotated[str, Parameter(help="A task's name, a file, or a Hugging Face data set id.")],
    file: Annotated[Path, Parameter(help="The completions: .jsonl, .json, .csv or .parquet, also with .gz.")],
    *,
    completion_column: Annotated[str, Parameter(help="Column of what the model wrote.")] = "completion",
    answer_column: Annotated[
        str, Parameter(help="Column of the gold answer; without it the task's own is used.")
    ] = "answer",
    format: Annotated[str, Parameter(help="The task's format that reads the answers.")] = "default",
    output: Annotated[Path | None, Parameter(help="Write a JSON line a row here.")] = None,
    data_dir: Annotated[Path | None, Parameter(help="Folder with the task's files.")] = None,
    columns: Annotated[
        TaskOptions | None, Parameter(name="task", help="Columns of the task's own file, and how it is read.")
    ] = None,
) -> None:
    """Grade a file of completions: accuracy with its interval, and a verdict a row with --output."""
    options = columns or TaskOptions()
    opened = open_task(task, replace(options, data_dir=data_dir) if data_dir is not None else options)
    try:
        rows = output.open("w", encoding="utf-8") if output is not None else nullcontext(None)
    except OSError as error:
        raise DataError(f"{str(output)!r} cannot be written: {error.strerror}") from error
    with rows as stream:
        found = grade(
            opened,
            file,
            stream,
            completion_column=completion_column,
            answer_column=answer_column,
            format=format,
        )
    for line, why in found.bad_rows[:MOST_SHOWN]:
        sys.stderr.write(f"{file}, line {line}: {why}\n")
    if found.n_bad > MOST_SHOWN:
        sys.stderr.write(f"... and {found.n_bad - MOST_SHOWN:,} more rows\n")
    low, high = found.interval.low, found.interval.high
    print(f"accuracy {found.accuracy:.1%} [{low:.1%}, {high:.1%}], n = {found.graded:,}")
    print(", ".join(f"{count:,} {outcome}" for outcome, count in found.outcomes.most_common()))
    if found.gold_from_task:
        print(f"{found.gold_from_task:,} gold answers were taken from the task")
    if found.n_bad:
        print(f"{found.n_bad:,} rows could not be graded")
