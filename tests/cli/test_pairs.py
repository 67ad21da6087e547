"""Pairs of models in one command: a run each, shared stages, one page; mistakes told before work starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docendo.cli.main import main
from docendo.cli.roles import Pairs
from docendo.core.errors import SettingError

Outcome = tuple[int, str, str]
SMALL = (
    *("--task", "addition", "--train-problems", "24", "--validation-problems", "6", "--test-problems", "6"),
    *("--evaluation-samples", "0", "--epochs", "1", "--stop", "last", "--threads", "1", "--workers", "1"),
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


def stages(found: dict[str, Any], *places: str) -> list[str]:
    return [one["stage"] for one in found["stages"] if one["place"] in places]


def test_every_earlier_model_supervises_every_later_one(
    docendo: Callable[..., Outcome], tmp_path: Path
) -> None:
    models = ("--models", "lab/student,lab/base,lab/teacher", "--name", "all", "--workspace", tmp_path)
    code, out, err = docendo("run", "weak-to-strong", *SMALL, *models)
    assert code == 0, err
    names = ["all-student-base", "all-student-teacher", "all-base-teacher"]
    results = [result(tmp_path, name) for name in names]
    assert [(one["roles"]["weak"], one["model"]) for one in results] == [
        ("lab/student", "lab/base"),
        ("lab/student", "lab/teacher"),
        ("lab/base", "lab/teacher"),
    ]
    first, second, third = results
    assert stages(first, "method/weak") == stages(second, "method/weak") != stages(third, "method/weak")
    assert stages(second, "ceiling/ceiling") == stages(third, "ceiling/ceiling")
    assert "Gap recovered, with 95 % intervals" in out
    assert out.splitlines()[-1] == str(tmp_path / "pairs" / "all.html")
    assert (tmp_path / "pairs" / "all.html").read_text("utf-8").count("<svg") <= 1


def test_a_model_may_supervise_itself() -> None:
    alone = Pairs(models=("lab/base",), self_pairs=True)
    assert alone.runs("x") == {"x-base-base": {"base": "lab/base", "weak": "lab/base"}}
    both = Pairs(models=("a", "b"), self_pairs=True)
    assert list(both.runs("x")) == ["x-a-a", "x-a-b", "x-b-b"]
    with pytest.raises(SettingError, match="models is a; expected at least 2"):
        Pairs(models=("a",)).runs("x")


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (("--models", "lab/base,lab/base"), "expected at least 2, with different last names"),
        (("--models", "lab/student,lab/base", "--weak", "lab/teacher"), "--models was given beside --model"),
        (
            ("--weak", "openai:gpt"),
            "weak is 'openai:gpt', but weak-to-strong trains it, which needs its weights",
        ),
        (("--supervision", "words"), "the task's problems have no choices"),
    ],
)
def test_mistakes_are_told_before_work_starts(
    docendo: Callable[..., Outcome], tmp_path: Path, tokens: tuple[str, ...], told: str
) -> None:
    code, out, err = docendo("run", "weak-to-strong", *SMALL, *tokens, "--workspace", tmp_path)
    assert code != 0
    assert out == ""
    assert told in err
    assert not list(tmp_path.glob("stages/train-*"))
