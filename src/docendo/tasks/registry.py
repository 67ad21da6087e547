"""A task by its name, its file, or its Hugging Face data set id."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from docendo.core.errors import UnknownNameError
from docendo.core.protocols import Task
from docendo.tasks.code import is_code, needs_sandbox
from docendo.tasks.files import file_task, kind_of
from docendo.tasks.hub import hub_task
from docendo.tasks.options import DEFAULTS, TaskOptions

GROUP = "docendo.tasks"
"""Entry points of named tasks. Each is a function from `TaskOptions` to a `Task`."""


def open_task(name: str, options: TaskOptions = DEFAULTS) -> Task:
    """Return a task.

    Args:
        name: A registered name; else a file or folder; else ``org/name`` of a Hugging Face data set.
        options: Settings of the task.

    Raises:
        UnknownNameError: It is none of these; the nearest name is named.
        DataError: Its data cannot be read, or it asks for programs.
        SettingError: A setting cannot be, or the task has no use for it.
    """
    points = {point.name: point for point in entry_points(group=GROUP)}
    if name in points:
        return cast("Callable[[TaskOptions], Task]", points[name].load())(options)
    path = Path(name).expanduser()
    if path.exists() or kind_of(path) or path.is_absolute() or name.startswith((".", "~")):
        return file_task(path, options)
    if is_code(name):
        raise needs_sandbox(f"task {name}")
    if "/" in name:
        return hub_task(name, options)
    raise UnknownNameError.of("task", name, points)


__all__ = ["DEFAULTS", "GROUP", "TaskOptions", "open_task"]
