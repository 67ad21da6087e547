from __future__ import annotations

import json
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from docendo.core.errors import DataError, UnknownNameError, UserError
from docendo.core.protocols import Task
from docendo.lab.tasks import LabTask
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import GROUP, open_task
from docendo.tasks.rows import RowsTask


def test_every_registered_task_opens_by_its_name() -> None:
    names = {point.name for point in entry_points(group=GROUP)}
    assert {"story-problems", "chain", "addition", "letters", "dates", "gsm8k", "math"} <= names
    for name in names:
        task: Task = open_task(name)
        assert task.name == name
        assert "default" in task.formats


def test_lab_tasks_heed_their_seed() -> None:
    task = open_task("chain", TaskOptions(task_seed=3))
    assert isinstance(task, LabTask)
    assert task.identity == {"family": "chain", "seed": 3}


def test_files_open_by_their_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"question": "What is 1 + 1?", "answer": "2"}
    (tmp_path / "my.jsonl").write_text(json.dumps(row))
    monkeypatch.chdir(tmp_path)
    for name in ("my.jsonl", "./my.jsonl", str(tmp_path / "my.jsonl")):
        task = open_task(name)
        assert isinstance(task, RowsTask)
        assert task.name == "my.jsonl"


@pytest.mark.parametrize(
    "name", ["nowhere.jsonl", "nowhere.csv.gz", "./nowhere", "/nowhere/at/all", "~/nowhere"]
)
def test_missing_files_are_no_data_set_ids(name: str) -> None:
    with pytest.raises(DataError, match=r"there is no file .*nowhere"):
        open_task(name)


def test_ids_with_a_slash_are_data_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    task = open_task("org/name:main")
    assert task.name == "org/name:main"
    with pytest.raises(DataError, match=r"data set org/name:main cannot be loaded"):
        _ = task.splits


def test_unknown_names_are_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown task 'gsm8'\nhint: did you mean 'gsm8k'?"):
        open_task("gsm8")
    with pytest.raises(UserError):
        open_task("")


def test_tasks_of_other_packages_come_through_the_same_door(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "their_tasks-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: their-tasks\nVersion: 1.0\n")
    (folder / "entry_points.txt").write_text("[docendo.tasks]\ntheir-sums = their_tasks:sums\n")
    (tmp_path / "their_tasks.py").write_text(
        "from docendo.tasks.rows import GoldRow, Origin, RowsTask\n"
        "def sums(options):\n"
        "    numbers = range(options.task_seed)\n"
        "    rows = [GoldRow(Origin('sums', n), f'What is {n} + 1?', str(n + 1)) for n in numbers]\n"
        "    return RowsTask('their-sums', lambda: rows, options)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    task = open_task("their-sums", TaskOptions(task_seed=30))
    assert {split: len(list(task.problems(split))) for split in task.splits} == {
        "train": 24,
        "validation": 3,
        "test": 3,
    }
