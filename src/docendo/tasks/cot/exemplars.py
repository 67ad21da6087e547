"""The few-shot prompts of the authors' repository, read from a file of the user's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from docendo.core.errors import DataError
from docendo.tasks.cot.catalogue import CotTask
from docendo.tasks.files import BadRow, read_rows

FILES = ("few_shot_cot_prompts.jsonl", "few_shot_cot_prompts.json")
"""One row a task, with its key as ``id``; or as published, one object with a member for each task's key."""


def few_shot_prompt(task: CotTask, folder: Path) -> str:
    """Return the task's worked examples as one text; empty where the folder has none for it.

    Raises:
        DataError: The file is there and cannot be understood.
    """
    path = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if path is None:
        return ""
    for row in read_rows(path):
        if isinstance(row, BadRow):
            raise DataError(f"{row.origin}: {row.reason}", hint="mend or delete that line")
        if row.values.get("id") == task.key:
            return _text(row.values, path, task)
        if isinstance(found := row.values.get(task.key), dict):
            return _text(cast("dict[str, Any]", found), path, task)
    return ""


def _text(values: Mapping[str, Any], path: Path, task: CotTask) -> str:
    text = values.get("prompt")
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{path}: {task.key} has no prompt; expected a text in the member prompt")
    return text.strip()
