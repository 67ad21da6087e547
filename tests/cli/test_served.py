"""Served and recorded teachers from the command line: flags, caps, refusals, and a whole run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from docendo.cli.main import main
from docendo.tasks.registry import open_task
from tests.engines.unfriendly import UnfriendlyServer

Outcome = tuple[int, str, str]
SMALL = (
    *("--task", "addition", "--train-problems", "12", "--validation-problems", "6", "--test-problems", "6"),
    *("--evaluation-samples", "0", "--samples-per-problem", "2", "--epochs", "1", "--shots", "0"),
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Outcome]:
    """Run fine-tune-cot on a few additions in this process: (exit code, stdout, stderr)."""

    def call(*tokens: object, recipe: str = "fine-tune-cot", small: tuple[str, ...] = SMALL) -> Outcome:
        with pytest.raises(SystemExit) as stopped:
            main(["run", recipe, "--workspace", str(tmp_path / "ws"), *small, *map(str, tokens)])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


def test_a_cap_ends_the_run_and_a_higher_one_goes_on(run: Callable[..., Outcome], tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        teacher = ("--teacher", "openai:m", "--teacher-base-url", server.url)
        code, _, err = run(*teacher, "--max-requests", 5)
        assert code == 1
        assert "error: stopped before more is spent: 5 requests were sent, and max_requests is 5" in err
        assert "hint: raise the cap and run the same command: what was answered is kept" in err
        assert "Traceback" not in err
        assert len(server.calls) == 5
        run(*teacher, "--max-requests", 5)
        assert len(server.calls) == 5, "the cap holds over restarts"
        assert [path.name for path in (tmp_path / "ws" / "runs").iterdir()] == [
            "fine-tune-cot-addition-openai-m"
        ]
        run(*teacher, "--max-requests", 1000)
        asked = [call.key for call in server.calls if call.body.get("n") == 2]
        assert len(asked) == len(set(asked)) == 12


def test_a_plan_asks_nobody(run: Callable[..., Outcome], tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        code, out, _ = run("--teacher", "openai:m", "--teacher-base-url", server.url, "--dry-run")
        assert code == 0
        assert "method/rationales" in out
        assert server.calls == []
    assert not (tmp_path / "ws" / "completions.db").exists()


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["--teacher", "openai:m", "--max-cost", "1"], ["price of 'm'", "--prices"]),
        (["--max-requests", "5"], ["no model of the run is served", "teacher lab/teacher"]),
        (["--teacher", "lab/teacher", "--teacher-base-url", "http://127.0.0.1:1/v1"], ["openai:lab/teacher"]),
        (["--teacher", "openai:m", "--teacher-base-url", "127.0.0.1:1"], ["expected an address such as"]),
        (["--teacher", "openai:"], ["openai:NAME"]),
        (["--teacher", "openai:m", "--max-cost", "-1"], ["max_cost is -1"]),
        (["--teacher", "openai:m", "--prices", "none.yaml"], ["none.yaml"]),
        (["--teacher", "recorded:none.jsonl"], ["no file 'none.jsonl'"]),
        (["--model", "openai:m"], ["fine-tune-cot trains it"]),
        (["--model", "recorded:none.jsonl"], ["none.jsonl"]),
    ],
)
def test_what_cannot_be_is_refused_before_work_starts(
    run: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokens: list[str],
    told: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    code, _, err = run(*tokens)
    assert code == 2, err
    assert err.startswith("error: ")
    assert "Traceback" not in err
    for text in told:
        assert text in err
    assert not list((tmp_path / "ws" / "stages").glob("*"))


def test_a_recipe_without_a_teacher_has_no_flags_for_one(run: Callable[..., Outcome]) -> None:
    code, _, err = run("--teacher", "lab/teacher", recipe="rest-em", small=())
    assert code == 2
    assert "--teacher" in err
    code, _, err = run("--model", "openai:m", recipe="rest-em", small=())
    assert code == 2
    assert "rest-em trains it, which needs its weights" in err


def test_bad_rows_of_a_recording_are_told_first(run: Callable[..., Outcome], tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"question": "q?", "completion": "a"}\n{"question": "q?"}\n', "utf-8")
    code, _, err = run("--teacher", f"recorded:{log}")
    assert code == 2
    assert "log.jsonl line 2: no completion" in err


@pytest.mark.slow
def test_recorded_completions_teach_a_student(run: Callable[..., Outcome], tmp_path: Path) -> None:
    task = open_task("addition")
    labels = task.labels("train", 12)
    shape = task.formats["default"]
    log = tmp_path / "log.jsonl"
    with log.open("w", encoding="utf-8") as file:
        for problem in list(task.problems("train", 12))[:9]:
            label = labels[problem.id]
            completion = shape.target(label.solution, label.answer)
            file.write(json.dumps({"question": problem.question, "completion": completion}) + "\n")
    code, out, err = run("--teacher", f"recorded:{log}", "--controls", "none")
    assert code == 0, err
    assert "fine-tune-cot" in out
    assert f"recorded:{log} has nothing for 3 problems" in err
    assert "of 24 samples 9 go beyond what is recorded" in err
    assert "9 of 24 rows kept" in err
