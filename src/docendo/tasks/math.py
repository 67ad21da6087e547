r"""MATH: competition problems whose solutions box their answer.

Hendrycks et al. (2021), arXiv:2103.03874: 7,500 to learn from and 5,000 to be tested on. Lightman et al.
(2023), arXiv:2305.20050, test on 500 of the 5,000 (MATH-500) and learn from the other 4,500 too. 500 problems
are cut off train for validation, as `docendo.tasks.rows` does. What is read:

========================================  ======================================================
``train/algebra/1.json``, ``test/...``    as published: problem and solution, whose last box is the answer
``train.jsonl`` and ``test.jsonl``        problem, solution and, where there is one, answer
``math_4500.jsonl``, ``math500.jsonl``    the 4,500 to learn from, MATH-500 to be tested on
the hub                                   the 7,500 to learn from, MATH-500 to be tested on
========================================  ======================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from docendo.core.errors import DataError
from docendo.tasks.files import gold_rows, split_files
from docendo.tasks.gold import Columns, GoldRow
from docendo.tasks.hub import HubId, hub_rows, load_splits
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.tasks.rows import RowsTask

SUBJECTS = (
    "algebra",
    "counting_and_probability",
    "geometry",
    "intermediate_algebra",
    "number_theory",
    "prealgebra",
    "precalculus",
)
TRAIN_ID = "EleutherAI/hendrycks_math"
"""One configuration a subject, with the 7,500 and the 5,000 problems as published."""
TEST_ID = HubId("HuggingFaceH4/MATH-500")
VALIDATION_SIZE = 500


def math(options: TaskOptions = DEFAULTS) -> RowsTask:
    """Return the task, from ``options.data_dir`` or from the hub.

    Raises:
        DataError: The files are not there or cannot be read; the hub cannot be reached.
    """
    options.only("math", "data_dir", "validation_size", "task_seed")
    size = options.validation_size or VALIDATION_SIZE
    settings = replace(options, answer_kind="math", validation_size=size)
    return RowsTask("math", lambda: _rows(options), settings)


def _rows(options: TaskOptions) -> Iterator[GoldRow]:
    columns, folder = Columns(options), options.data_dir
    return _from_hub(columns) if folder is None else _from_folder(folder, columns)


def _from_folder(folder: Path, columns: Columns) -> Iterator[GoldRow]:
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        for split in ("train", "test"):
            for path in sorted((folder / split).glob("*/*.json"), key=_place):
                for row in gold_rows(path, columns, split):
                    yield replace(row, id=path.relative_to(folder).as_posix(), split=split)
        return
    files = split_files(folder) if folder.is_dir() else {}
    if not {"train", "test"} <= set(files):
        files = _published_halves(folder)
    for split, paths in files.items():
        for path in paths:
            yield from gold_rows(path, columns, split)


def _place(path: Path) -> tuple[str, int, str]:
    """Order files by subject and number: 2.json before 10.json."""
    return path.parent.name, int(path.stem) if path.stem.isdecimal() else 0, path.stem


def _published_halves(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for split, stem in (("train", "math_4500"), ("test", "math500")):
        paths = [path for end in ("", ".gz") if (path := folder / f"{stem}.jsonl{end}").exists()]
        if not paths:
            raise DataError(
                f"folder {folder} has no files of math that we know",
                hint="expected train/<subject>/*.json and test/..., train.jsonl and test.jsonl, "
                "or math_4500.jsonl.gz and math500.jsonl.gz",
            )
        found[split] = paths[:1]
    return found


def _from_hub(columns: Columns) -> Iterator[GoldRow]:
    for subject in SUBJECTS:
        rows = load_splits(HubId(TRAIN_ID, subject))["train"]
        for row in hub_rows(f"math {subject}", "train", rows, columns):
            yield replace(row, id=f"train/{subject}/{row.origin.number}")
    yield from hub_rows("math", "test", load_splits(TEST_ID)["test"], columns)
