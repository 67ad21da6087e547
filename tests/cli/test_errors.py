"""A user's mistake gives exit code 2, one clear line that names the value, and no traceback."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from docendo.cli.main import main
from docendo.lab import models

Outcome = tuple[int, str, str]


@pytest.fixture
def docendo(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command line in this process: (exit code, stdout, stderr)."""

    def call(*tokens: object) -> Outcome:
        with pytest.raises(SystemExit) as stopped:
            main([str(token) for token in tokens])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


def refused(outcome: Outcome, *told: str) -> None:
    code, _, err = outcome
    assert code == 2, err
    assert err.startswith("error: "), err
    assert "Traceback" not in err
    for text in told:
        assert text in err, err


def test_unknown_recipe_names_the_nearest(docendo: Callable[..., Outcome], tmp_path: Path) -> None:
    refused(docendo("run", "rest-en", "--workspace", tmp_path), "rest-en", "rest-em")


def test_unknown_command_names_the_nearest(docendo: Callable[..., Outcome]) -> None:
    refused(docendo("lineag", "x"), "lineag", "lineage")


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (["--task", "story-problem"], ["story-problem", "did you mean 'story-problems'?"]),
        (["--task", "missing.jsonl"], ["missing.jsonl"]),
        (["--model", "lab/bas"], ["lab/bas", "did you mean 'lab/base'?"]),
        (["--model", "./no-such-model"], ["no-such-model"]),
        (["--round", "2"], ["--round"]),
        (["--rounds", "two"], ["rounds", "two"]),
        (["--temperature", "-0.5"], ["temperature is -0.5"]),
        (["--samples-per-problem", "0"], ["samples_per_problem is 0"]),
        (["--rounds", "0", "--cap", "0"], ["rounds is 0", "cap is 0"]),
        (["--test-problems", "0"], ["test_problems is 0"]),
        (["--seeds", "0"], ["seeds is 0"]),
        (["--learning-rate", "nan"], ["learning_rate is nan"]),
        (["--controls", "all"], ["controls", "all"]),
        (["--format", "defaul"], ["defaul"]),
        (["--name", "../x"], ["../x"]),
        (["--config", "missing.yaml"], ["missing.yaml"]),
    ],
)
def test_bad_settings_are_refused_before_work_starts(
    docendo: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tokens: list[str],
    told: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    refused(docendo("run", "rest-em", "--workspace", tmp_path / "ws", *tokens), *told)
    stages = tmp_path / "ws" / "stages"
    assert not stages.exists() or not list(stages.iterdir())


def test_what_a_recipe_refuses_it_refuses_before_work_starts(
    docendo: Callable[..., Outcome], tmp_path: Path
) -> None:
    refused(
        docendo("run", "lbt-m1", "--task", "story-problems", "--workspace", tmp_path),
        "exam_split is 'exams'; task story-problems has",
    )
    assert not list((tmp_path / "stages").glob("*"))
    assert not list((tmp_path / "runs").glob("*"))


def test_a_recipe_is_shown_on_a_task_of_its_own(docendo: Callable[..., Outcome], tmp_path: Path) -> None:
    asked = ("run", "lbt-m1", "--dry-run", "--workspace", tmp_path, "--test-problems", 5)
    code, plan, err = docendo(*asked)
    assert code == 0, err
    assert docendo(*asked, "--task", "verb-lessons")[1] == plan  # story-problems are refused, see above


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ["empty"]),
        (b'{"question": "a b c?", "answer": "1"}\n{"question": \n', ["line 2"]),
        (b'{"text": "a?", "answer": "1"}\n', ["line 1", "question"]),
        (b'{"question": "a?", "gold": "1"}\n', ["answer"]),
        (
            b'{"id": 1, "question": "a b?", "answer": "1"}\n{"id": 1, "question": "c d?", "answer": "2"}\n',
            ["line 2", "line 1"],
        ),
        (b'{"question": "a\xff?", "answer": "1"}\n', ["UTF-8"]),
    ],
    ids=["empty", "malformed", "no question", "no answer", "duplicate ids", "not UTF-8"],
)
def test_bad_task_files_are_refused_with_the_line(
    docendo: Callable[..., Outcome], tmp_path: Path, content: bytes, told: list[str]
) -> None:
    path = tmp_path / "mine.jsonl"
    path.write_bytes(content)
    refused(docendo("run", "rest-em", "--workspace", tmp_path / "ws", "--task", path), "mine.jsonl", *told)


def _spoilt(tmp_path: Path, spoil: Callable[[Path], None]) -> Path:
    folder = tmp_path / "model"
    shutil.copytree(models.path("lab/student"), folder)
    spoil(folder)
    return folder


def _as_pickle(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _without_end(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    config = json.loads(path.read_text("utf-8"))
    config.pop("eos_token", None)
    path.write_text(json.dumps(config), "utf-8")
    (folder / "generation_config.json").unlink(missing_ok=True)
    for name in ("special_tokens_map.json", "config.json"):
        if (folder / name).exists():
            content = json.loads((folder / name).read_text("utf-8"))
            content.pop("eos_token", None)
            content.pop("eos_token_id", None)
            (folder / name).write_text(json.dumps(content), "utf-8")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "model.safetensors").unlink(), ["weights", "safetensors"]),
        (lambda folder: (folder / "tokenizer.json").unlink(), ["tokenizer"]),
        (lambda folder: (folder / "config.json").unlink(), ["config.json"]),
        (_as_pickle, ["pickle", "safetensors"]),
        (_without_end, ["end token"]),
    ],
    ids=["no weights", "no tokenizer", "no config", "pickle only", "no end token"],
)
def test_bad_models_are_refused(
    docendo: Callable[..., Outcome], tmp_path: Path, spoil: Callable[[Path], None], told: list[str]
) -> None:
    folder = _spoilt(tmp_path, spoil)
    refused(docendo("run", "rest-em", "--workspace", tmp_path / "ws", "--model", folder), *told)


def test_unreachable_hub_is_told(
    docendo: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(
        docendo("run", "rest-em", "--workspace", tmp_path / "ws", "--model", "no-such-owner/no-such-model"),
        "no-such-owner/no-such-model",
    )


def test_bad_workspaces_are_refused(docendo: Callable[..., Outcome], tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x", "utf-8")
    refused(docendo("run", "rest-em", "--workspace", file), str(file), "is a file")
    newer = tmp_path / "newer"
    newer.mkdir()
    (newer / "workspace.json").write_text('{"format": 999}', "utf-8")
    refused(docendo("run", "rest-em", "--workspace", newer), "format 999")
    refused(docendo("run", "rest-em", "--workspace", "/proc/docendo"), "/proc/docendo", "cannot be written")
    refused(docendo("list", "runs", "--workspace", tmp_path / "none"), "no workspace")


def test_config_files_are_checked(docendo: Callable[..., Outcome], tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("samples_per_probem: 4\n", "utf-8")
    run = ("run", "rest-em", "--workspace", tmp_path / "ws", "--dry-run", "--config", config)
    refused(docendo(*run), "settings.yaml", "samples_per_probem", "did you mean 'samples_per_problem'?")
    config.write_text("rounds: five\n", "utf-8")
    refused(docendo(*run), "rounds", "five")
    config.write_text("- 1\n", "utf-8")
    refused(docendo(*run), "settings.yaml")


def test_flags_win_over_the_file_and_the_file_over_defaults(
    docendo: Callable[..., Outcome], tmp_path: Path
) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("rounds: 2\ntest_problems: 50\nevaluation-samples: 4\nchoose_epoch: false\n", "utf-8")
    run = ("run", "rest-em", "--workspace", tmp_path / "ws", "--dry-run", "--config", config)
    code, out, _ = docendo(*run)
    assert code == 0
    assert "method/round-2/train" in out
    assert "method/round-3/train" not in out
    code, out, _ = docendo(*run, "--rounds", "1")
    assert code == 0
    assert "method/round-1/train" in out
    assert "method/round-2/train" not in out


def test_unknown_run_names_the_nearest(docendo: Callable[..., Outcome], tmp_path: Path) -> None:
    docendo("run", "rest-em", "--workspace", tmp_path, "--dry-run")
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    refused(docendo("report", "mien", "--workspace", tmp_path), "mien", "mine")
    refused(docendo("lineage", "abcdef", "--workspace", tmp_path), "abcdef")
    refused(docendo("show", "abcdef", "--workspace", tmp_path), "abcdef")


def test_grading_says_what_is_missing(docendo: Callable[..., Outcome], tmp_path: Path) -> None:
    refused(docendo("grade", "gsm8k", tmp_path / "none.jsonl"), "none.jsonl")
    path = tmp_path / "completions.jsonl"
    path.write_text('{"text": "The answer is 1.", "answer": "1"}\n', "utf-8")
    refused(docendo("grade", "gsm8k", path), "completion")
