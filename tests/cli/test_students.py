"""Several students in one command: one run each, one teacher for all, shown side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docendo.cli.main import main

Outcome = tuple[int, str, str]
SMALL = (
    *("--task", "addition", "--train-problems", "12", "--validation-problems", "6", "--test-problems", "6"),
    *("--evaluation-samples", "0", "--samples-per-problem", "2", "--epochs", "1", "--shots", "0"),
)


@pytest.fixture
def docendo(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def call(*tokens: object) -> Outcome:
        with pytest.raises(SystemExit) as stopped:
            main([str(token) for token in tokens])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


def result(workspace: Path, name: str) -> dict[str, Any]:
    return json.loads((workspace / "runs" / name / "result.json").read_bytes())


def test_students_share_the_teacher_and_stand_side_by_side(
    docendo: Callable[..., Outcome], tmp_path: Path
) -> None:
    both = ("--students", "lab/student,lab/base", "--name", "two", "--workspace", tmp_path)
    code, out, err = docendo("run", "fine-tune-cot", *SMALL, *both)
    assert code == 0, err
    names = ["two-student", "two-base"]
    results = [result(tmp_path, name) for name in names]
    assert [one["model"] for one in results] == ["lab/student", "lab/base"]
    asked = [
        [one["stage"] for one in found["stages"] if one["place"] == "method/rationales"] for found in results
    ]
    assert asked[0] == asked[1]
    assert all((tmp_path / "runs" / name / "report.html").exists() for name in names)
    shown = out.splitlines()
    assert shown[0] == "Runs side by side"
    (line,) = (one for one in shown if one.strip().startswith("method "))
    finals = [
        one["accuracy"]
        for found in results
        for one in found["evaluations"]
        if one["arm"] == "method" and one["round"] == "final"
    ]
    assert line.split()[1:] == [part for value in finals for part in (f"{100 * value:.1f}", "%")]
    again = docendo("report", *names, "--workspace", tmp_path)
    assert again == (0, out, "")


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (
            ("--students", "lab/student,lab/student"),
            "students is lab/student,lab/student; expected models with",
        ),
        (("--students", "lab/student,lab/bas"), "did you mean 'lab/base'?"),
        (("--students", "lab/student", "--model", "lab/teacher"), "both --model lab/teacher and --students"),
        (("--degrees", "1,x"), "'1,x' is no list of numbers; expected them with commas between"),
    ],
)
def test_mistakes_are_told_before_work_starts(
    docendo: Callable[..., Outcome], tmp_path: Path, tokens: tuple[str, ...], told: str
) -> None:
    code, _, err = docendo("run", "fine-tune-cot", *SMALL, *tokens, "--workspace", tmp_path)
    assert (code, told in err) == (2, True), err
    assert not list((tmp_path / "stages").glob("*"))


def test_lists_can_stand_in_a_config_file(docendo: Callable[..., Outcome], tmp_path: Path) -> None:
    path = tmp_path / "run.yaml"
    path.write_text("degrees: [1, 3]\nsamples_per_problem: 4\n", "utf-8")
    small = SMALL[:8]
    code, out, err = docendo(
        "run", "fine-tune-cot", *small, "--config", path, "--dry-run", "--workspace", tmp_path / "ws"
    )
    assert code == 0, err
    assert "1 a problem/" in out
    assert "3 a problem/" in out


def test_a_role_of_several_models_is_one_run_with_all_of_them(
    docendo: Callable[..., Outcome], tmp_path: Path
) -> None:
    small = ("--task", "verb-lessons", "--test-problems", "3", "--samples-per-problem", "2", "--dry-run")
    both = ("--student", "lab/student,lab/base", "--workspace", tmp_path)
    code, out, err = docendo("run", "lbt-m1", *small, *both)
    assert code == 0, err
    assert "method/exam-student " in out
    assert "method/exam-base " in out
    code, _, err = docendo("run", "lbt-m1", *small, *both, "--student-base-url", "http://a,http://b,http://c")
    assert code == 2
    assert "student_base_url has 3 addresses for 2 models; expected one, or one each" in err
