"""Published transcripts of text-davinci-002 as the teacher: real data, a real teacher, a tiny student.

The accuracy of the student proves nothing here. What counts: the accuracy of the teacher is the published one
on the same rows, what is learned are its own right rationales, and the run goes to its end.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from benchmarks.zero_shot_cot_logs import recorded, rows_of


@pytest.fixture(scope="module")
def transcripts(data_dir: Path) -> dict[str, dict[str, Any]]:
    path = data_dir / "gold_zero_shot_cot_logs.jsonl.gz"
    if not path.exists():
        pytest.skip("no gold_zero_shot_cot_logs in DOCENDO_DATA_DIR")
    return {row["question"]: row for row in rows_of(path) if row["task"] == "multiarith"}


@pytest.fixture(scope="module")
def problems(data_dir: Path) -> list[tuple[str, str]]:
    """(question, split) of each problem of the authors' files; some questions stand there twice."""
    with gzip.open(data_dir / "multiarith.jsonl.gz", "rt", encoding="utf-8") as file:
        return [(row["question"], row["split"]) for row in map(json.loads, file)]


@pytest.fixture(scope="module")
def workspace(
    transcripts: dict[str, dict[str, Any]], data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("recorded")
    lines = [json.dumps(recorded(row)) + "\n" for row in transcripts.values()]
    (folder / "logs.jsonl").write_text("".join(lines), "utf-8")
    command = f"""
        run fine-tune-cot --task multiarith --data-dir {data_dir} --equality published --name recorded
        --teacher recorded:{folder}/logs.jsonl --recorded-answer-column tail --two-calls
        --teacher-format zs_cot --answer-format ft_token --format ft_cot_token --model lab/student
        --samples-per-problem 1 --temperature 0 --shots 0 --epochs 1 --evaluation-samples 0
        --max-new-tokens 64 --contamination exact --workspace {folder}/runs
    """
    subprocess.run(
        [sys.executable, "-m", "docendo.cli", *command.split()], check=True, capture_output=True, timeout=300
    )
    return folder / "runs"


@pytest.fixture(scope="module")
def result(workspace: Path) -> dict[str, Any]:
    return json.loads((workspace / "runs" / "recorded" / "result.json").read_bytes())


def learned(workspace: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    (stage,) = (one["stage"] for one in result["stages"] if one["place"] == "method/train")
    return pq.read_table(workspace / "stages" / stage / "rows.parquet").to_pylist()  # type: ignore[no-untyped-call]


def test_the_teachers_accuracy_is_the_published_one_on_the_same_rows(
    result: dict[str, Any], transcripts: dict[str, dict[str, Any]], problems: list[tuple[str, str]]
) -> None:
    test = [
        transcripts[asked]["correct"] for asked, split in problems if split == "test" and asked in transcripts
    ]
    (teacher,) = (one for one in result["evaluations"] if one["arm"] == "teacher" and one["round"] == "final")
    assert (len(test), teacher["correct"]) == (100, sum(test))
    told = f"of the other {len(test)} {100 * sum(test) / len(test):.1f} % are right"
    assert any(
        note.startswith(f"teacher: nothing was said to 80 of 180 test problems; {told}")
        for note in result["notes"]
    )


def test_what_is_learned_are_its_right_rationales_with_the_gold_answer(
    workspace: Path,
    result: dict[str, Any],
    transcripts: dict[str, dict[str, Any]],
    problems: list[tuple[str, str]],
) -> None:
    rows = learned(workspace, result)
    by_prompt = {f"{question} ###": row for question, row in transcripts.items()}
    assert rows
    for row in rows:
        transcript = by_prompt[row["prompt"]]
        assert transcript["correct"]
        rationale = recorded(transcript)["completion"].strip()
        assert row["completion"] == f" {rationale} --> {transcript['answer']}"
    facts = result["facts"]["method"]
    asked = facts["rationales asked of the teacher"]
    train = [question for question, split in problems if split == "train"]
    assert asked == 378 < len(train)  # a tenth is the validation split
    there = facts["rationales of the teacher"]
    right = facts["share of them that end right"] * there
    (checked,) = (one for one in result["contamination"] if one["stage"] == "method/train")
    assert checked["rows"] == round(right) == round(facts["share of them that are learned"] * there)
    assert len(rows) == checked["rows"] - sum(checked["dropped"].values())


def test_a_row_read_by_hand(workspace: Path, result: dict[str, Any]) -> None:
    (row,) = (
        one
        for one in learned(workspace, result)
        if one["prompt"].startswith("While on vacation, Megan took 15 pictures")
    )
    assert row["prompt"].endswith(" ###")
    assert row["completion"].endswith("deleted 31 of the pictures, she would be left with 2 pictures. --> 2")
