"""``docendo check task NAME``: the conformance checks."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from docendo.tasks.conformance import check_task
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task

app = App(name="check", help="Run the conformance checks on a task.", help_format="plaintext")


@app.command(name="task")
def task(
    name: Annotated[str, Parameter(help="A task's name, a file, or a Hugging Face data set id.")],
    *,
    options: Annotated[TaskOptions | None, Parameter(name="*")] = None,
) -> int:
    """Check a task: ids, splits, gold answers, formats. Exit code 1 where a check fails."""
    failed = 0
    chosen = options or TaskOptions()
    for check in check_task(open_task(name, chosen), open_task(name, chosen)):
        failed += not check.passed
        print(f"{'ok  ' if check.passed else 'FAIL'}  {check.name}: {check.detail}")
    return 1 if failed else 0
