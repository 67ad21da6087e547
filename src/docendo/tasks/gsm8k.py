"""GSM8K: grade school word problems with worked solutions, 7,473 to learn from and 1,319 to be tested on.

Cobbe et al. (2021), arXiv:2110.14168. 500 problems are cut off train for validation, as
`docendo.tasks.rows` does. From a folder: ``train.jsonl`` and ``test.jsonl`` as published, or
``gsm8k_train`` and ``gsm8k_test``, in any form that `docendo.tasks.files` reads; also below
``grade-school-math``. A problem's id is its published split and its place there, wherever it is read. One
of Fine-tune-CoT's tasks: see `docendo.tasks.cot`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from docendo.core.errors import DataError
from docendo.tasks.cot.named import COT_OPTIONS, cot_task
from docendo.tasks.files import gold_rows, split_files
from docendo.tasks.gold import Columns, GoldRow
from docendo.tasks.hub import HubId, hub_rows, load_splits
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.tasks.rows import RowsTask

HUB_ID = HubId("openai/gsm8k", "main")


def gsm8k(options: TaskOptions = DEFAULTS) -> RowsTask:
    """Return the task, from ``options.data_dir`` or from the hub.

    Raises:
        DataError: The files are not there or cannot be read; the hub cannot be reached.
    """
    options.only("gsm8k", "keep_calculator_marks", *COT_OPTIONS)
    return cot_task("gsm8k", lambda: _rows(options), options)


def _rows(options: TaskOptions) -> Iterator[GoldRow]:
    columns, folder = Columns(options), options.data_dir
    return _from_hub(columns) if folder is None else _from_folder(folder, columns)


def _from_folder(folder: Path, columns: Columns) -> Iterator[GoldRow]:
    below = folder / "grade-school-math"
    files = split_files(below if below.is_dir() else folder, ("", "gsm8k_")) if folder.is_dir() else {}
    if missing := {"train", "test"} - set(files):
        raise DataError(
            f"folder {folder} has no file for {' and '.join(sorted(missing))} of gsm8k",
            hint="expected train.jsonl and test.jsonl, or gsm8k_train.jsonl.gz and gsm8k_test.jsonl.gz",
        )
    for split, paths in files.items():
        yield from _numbered(split, (row for path in paths for row in gold_rows(path, columns, split)))


def _from_hub(columns: Columns) -> Iterator[GoldRow]:
    for split, values in load_splits(HUB_ID).items():
        yield from _numbered(split, hub_rows("gsm8k", split, values, columns))


def _numbered(split: str, rows: Iterable[GoldRow]) -> Iterator[GoldRow]:
    """Give every row its place as its id: the published files have a fixed order and no ids."""
    for number, row in enumerate(rows):
        yield replace(row, id=f"gsm8k-{split}-{number}", split=split)
