"""GSM8K, MATH and data sets of the hub, from small copies of every layout that is read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import DataError, SettingError
from docendo.core.records import Context
from docendo.tasks import gsm8k as gsm8k_file
from docendo.tasks import math as math_file
from docendo.tasks.conformance import check_task
from docendo.tasks.gsm8k import gsm8k
from docendo.tasks.hub import HubId, hub_task
from docendo.tasks.math import SUBJECTS, math
from docendo.tasks.options import TaskOptions
from docendo.verifiers.math import Math
from docendo.verifiers.numeric import Numeric


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def sums(n: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"question": f"What is {k} + 1?", "answer": f"{k} + 1 = <<{k}+1={k + 1}>>{k + 1}\n#### {k + 1}"}
        for k in range(first, first + n)
    ]


def boxes(n: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {
            "problem": f"Halve ${k}$.",
            "solution": f"It is $\\boxed{{\\frac{{{k}}}{{2}}}}$.",
            "level": "Level 1",
        }
        for k in range(first, first + n)
    ]


@pytest.fixture
def local_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose folders ``load_dataset`` reads as it reads the hub's."""
    import datasets  # pyright: ignore[reportMissingTypeStubs]

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    folder = tmp_path / "hub"
    folder.mkdir()
    return folder


def test_gsm8k_is_the_same_task_in_every_layout(
    tmp_path: Path, local_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path / "upstream/train.jsonl", sums(60))
    lines(tmp_path / "upstream/test.jsonl", sums(10, 100))
    for split, rows in (("train", sums(60)), ("test", sums(10, 100))):
        parted: list[dict[str, Any]] = []
        for k, row in enumerate(rows):
            rationale, _, answer = row["answer"].partition("\n#### ")
            question = row["question"]
            parted.append(
                {"id": f"gsm8k-{split}-{k}", "split": split, "question": question}
                | {"answer": answer, "rationale": rationale}
            )
        lines(tmp_path / f"parted/gsm8k_{split}.jsonl", parted)
        lines(local_hub / f"gsm8k/{split}.jsonl", rows)
    monkeypatch.setattr(gsm8k_file, "HUB_ID", HubId(str(local_hub / "gsm8k")))
    upstream = gsm8k(TaskOptions(data_dir=tmp_path / "upstream", validation_size=5))
    parted_task = gsm8k(TaskOptions(data_dir=tmp_path / "parted", validation_size=5))
    hub = gsm8k(TaskOptions(validation_size=5))
    assert upstream.identity == parted_task.identity == hub.identity
    assert [len(list(upstream.problems(split))) for split in ("train", "validation", "test")] == [55, 5, 10]
    label = upstream.labels("test")["gsm8k-test-3"]
    assert (label.answer, label.solution) == ("104", "103 + 1 = 104")
    assert all(problem.id.startswith("gsm8k-train-") for problem in upstream.problems("validation"))
    assert isinstance(upstream.verifier, Numeric)


def test_math_folders_give_the_last_box_and_the_path_as_id(tmp_path: Path) -> None:
    for split, n in (("train", 12), ("test", 3)):
        for number, row in enumerate(boxes(n, 0 if split == "train" else 50), 1):
            path = tmp_path / split / "algebra" / f"{number}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(row))
    task = math(TaskOptions(data_dir=tmp_path, validation_size=2))
    assert [problem.id for problem in task.problems("test")] == [f"test/algebra/{n}.json" for n in (1, 2, 3)]
    train = [problem.id for problem in task.problems("train")]
    assert train == sorted(train, key=lambda name: int(name.split("/")[2].removesuffix(".json")))
    label = task.labels("test")["test/algebra/1.json"]
    assert (label.answer, label.solution) == (r"\frac{50}{2}", r"It is $\frac{50}{2}$.")
    assert isinstance(task.verifier, Math)
    assert task.formats["default"] is task.formats["boxed"]
    sent = task.formats["default"].prompt(next(task.problems("test")), Context()).messages[-1].content
    assert sent == "Halve $50$.\n\nPut the final answer into \\boxed{}."


def test_math_reads_lines_the_published_halves_and_the_hub(
    tmp_path: Path, local_hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines(tmp_path / "lines/train.jsonl", boxes(20))
    lines(tmp_path / "lines/test.jsonl", boxes(5, 50))
    lines(tmp_path / "halves/math_4500.jsonl", boxes(20))
    lines(tmp_path / "halves/math500.jsonl", boxes(5, 50))
    (tmp_path / "halves/gsm8k_test.jsonl").write_text("")
    options = [TaskOptions(data_dir=tmp_path / name, validation_size=3) for name in ("lines", "halves")]
    assert math(options[0]).identity == math(options[1]).identity
    for subject in SUBJECTS:
        lines(local_hub / f"train-{subject}/train.jsonl", boxes(3, 3 * SUBJECTS.index(subject)))
    lines(
        local_hub / "math500/test.jsonl",
        [{**row, "unique_id": f"u{n}"} for n, row in enumerate(boxes(5, 50))],
    )
    monkeypatch.setattr(math_file, "TEST_ID", HubId(str(local_hub / "math500")))
    monkeypatch.setattr(math_file, "HubId", lambda path, subject: HubId(f"{path}-{subject}"))  # pyright: ignore
    monkeypatch.setattr(math_file, "TRAIN_ID", str(local_hub / "train"))
    task = math(TaskOptions(validation_size=3))
    assert [len(list(task.problems(split))) for split in task.splits] == [18, 3, 5]
    assert "train/algebra/1" in {problem.id for split in task.splits for problem in task.problems(split)}
    assert {problem.id for problem in task.problems("test")} == {f"u{n}" for n in range(5)}


@pytest.mark.parametrize("make", [gsm8k, math])
def test_named_tasks_know_how_to_read_and_judge_before_they_have_data(make: Any, tmp_path: Path) -> None:
    task = make(TaskOptions(data_dir=tmp_path / "nowhere"))
    assert "default" in task.formats
    assert task.verifier.same("1/2", "0.5")
    with pytest.raises(DataError, match=r"folder .*nowhere has no file.*\nhint: expected "):
        task.problems("test")


def test_named_tasks_refuse_settings_that_they_do_not_heed(tmp_path: Path) -> None:
    options = TaskOptions(data_dir=tmp_path, question_column="q", answer_kind="text")
    with pytest.raises(SettingError, match=r"question_column is q; task math has .*\nanswer_kind is text"):
        math(options)


# -- the hub -----------------------------------------------------------------------------------------------


def test_hub_ids_name_configuration_and_revision() -> None:
    assert HubId.of("org/name") == HubId("org/name")
    assert HubId.of("org/name:main@v1.2") == HubId("org/name", "main", "v1.2")
    assert HubId.of("org/name@abc") == HubId("org/name", None, "abc")
    assert str(HubId.of("org/name:main@abc")) == "org/name:main@abc"
    with pytest.raises(DataError, match="data set id is ':x'"):
        HubId.of(":x")


def test_hub_data_sets_keep_their_splits(local_hub: Path) -> None:
    folder = local_hub / "sums"
    lines(folder / "train.jsonl", [{"q": row["question"], "a": row["answer"]} for row in sums(30)])
    lines(folder / "validation.jsonl", [{"q": row["question"], "a": row["answer"]} for row in sums(5, 50)])
    options = TaskOptions(question_column="q", answer_column="a", test_size=4)
    task = hub_task(str(folder), options)
    assert {split: len(list(task.problems(split))) for split in task.splits} == {
        "train": 26,
        "validation": 5,
        "test": 4,
    }
    with pytest.raises(DataError, match=r"sums train row 1: there is no column question"):
        hub_task(str(folder)).problems("train")


def test_hub_faults_are_one_clear_line(local_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines(local_hub / "sums/train.jsonl", sums(3))
    with pytest.raises(DataError, match=r"cannot be loaded: .*\nhint: an id is org/name"):
        hub_task(f"{local_hub / 'sums'}:nothing").problems("train")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"datasets is not installed\nhint: pip install 'docendo\[hub\]'"):
        hub_task("org/name").problems("train")


def test_an_unreachable_hub_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, local_hub: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match=r"data set openai/gsm8k:main cannot be loaded: .*\nhint: .*--data-dir"
    ) as caught:
        gsm8k().problems("test")
    assert "\n" not in caught.value.message


# -- the real data, where they are at hand -----------------------------------------------------------------


def test_gsm8k_passes_its_checks(data_dir: Path) -> None:
    options = TaskOptions(data_dir=data_dir)
    task = gsm8k(options)
    assert [len(list(task.problems(split))) for split in task.splits] == [6973, 500, 1319]
    checks = check_task(task, gsm8k(options), limit=None)
    assert not [check for check in checks if not check.passed]


@pytest.mark.slow
def test_math_passes_its_checks(data_dir: Path) -> None:
    options = TaskOptions(data_dir=data_dir)
    task = math(options)
    assert [len(list(task.problems(split))) for split in task.splits] == [4000, 500, 236]
    checks = check_task(task, math(options), limit=None)
    # One gold answer is 1 / 2004!, and math-verify, which compares to six decimals, takes 2 / 2004! for it.
    failed = [check for check in checks if not check.passed]
    assert all("math-test-2854" in check.detail and "1 fault:" in check.detail for check in failed)
