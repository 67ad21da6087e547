"""Code tasks are refused, by name and by what their rows hold, and the reason is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docendo.cli.main import main
from docendo.core.errors import DataError
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task

REASON = r"asks for programs, which are judged by running their tests; that needs the sandbox"
ROW = {"question": "def f(x):", "answer": "    return x\n", "tests": "def check(f):\n    assert f(1) == 1\n"}


@pytest.mark.parametrize(
    "name",
    [
        "humaneval",
        "HumanEval",
        "mbpp",
        "openai/openai_humaneval",
        "google-research-datasets/mbpp:full",
        "evalplus/mbppplus",
    ],
)
def test_a_code_task_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(DataError, match=f"task {name} {REASON}"):
        open_task(name)


@pytest.mark.parametrize(
    "row", [ROW, {**ROW, "tests": None, "test_list": ["assert f(1) == 1"]}, {**ROW, "split": "prompt"}]
)
def test_rows_with_tests_are_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    path = tmp_path / "programs.jsonl"
    path.write_text(json.dumps(row) + "\n", "utf-8")
    with pytest.raises(DataError, match=rf"programs\.jsonl line 1 {REASON}"):
        _ = open_task(str(path)).splits


def test_a_column_of_that_name_without_programs_is_nothing_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    path.write_text(json.dumps({"question": "1 + 1?", "answer": "2", "test": "arithmetic"}) + "\n", "utf-8")
    assert open_task(str(path)).splits == ("train",)


def test_who_says_what_answers_are_may_compare_them_as_texts(tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    path.write_text(json.dumps(ROW) + "\n", "utf-8")
    assert open_task(str(path), TaskOptions(answer_kind="text")).splits == ("train",)


@pytest.mark.parametrize("name", ["humaneval", "mbpp"])
def test_the_real_data_sets_are_refused(
    data_dir: Path, data_rows: Callable[[str], Iterator[dict[str, Any]]], name: str
) -> None:
    next(data_rows(name))  # skips where it is not there
    (path,) = data_dir.glob(f"{name}.jsonl*")
    with pytest.raises(DataError, match=REASON):
        _ = open_task(str(path)).splits


def test_lbt_m1_on_a_code_task_says_that_it_needs_the_sandbox(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["run", "lbt-m1", "--task", "humaneval", "--workspace", str(tmp_path / "ws")])
    _, err = capsys.readouterr()
    assert stopped.value.code == 2
    assert err.startswith("error: task humaneval asks for programs, which are judged by running their tests;")
    assert "needs the sandbox" in err
    assert not (tmp_path / "ws").exists()
