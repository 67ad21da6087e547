"""LbT M1 with teacher and student at two addresses, each a ``transformers serve`` of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from docendo.cli.main import main
from docendo.core.seeds import digest_of
from docendo.lab import models
from tests.engines.serving import Serve

pytest.importorskip("uvicorn", reason="transformers serve needs transformers[serving]")
TEACHER, STUDENT = (str(models.path(f"lab/{name}")) for name in ("base", "student"))
SMALL = (
    *("--task", "hinted-verb-lessons", "--test-problems", "3", "--samples-per-problem", "2"),
    # Plain text: this server ends a begun turn of the model instead of going on with it.
    *(
        "--format",
        "few-shot",
        "--exam-problems",
        "2",
        "--controls",
        "none",
        "--evaluation-samples",
        "0",
        "--max-new-tokens",
        "48",
    ),
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Serve, Serve]]:
    both = (
        Serve(tmp_path_factory.mktemp("teacher"), TEACHER),
        Serve(tmp_path_factory.mktemp("student"), STUDENT),
    )
    for server in both:
        server.begin()
    for server in both:
        server.wait()
    yield both
    for server in both:
        server.kill()


def requests_told(workspace: Path, result: dict[str, Any]) -> dict[str, int]:
    """Count what the sample stages asked of each model, by its name: equal questions once."""
    asked: dict[str, set[str]] = {}
    for name in {one["stage"] for one in result["stages"] if one["kind"] == "sample"}:
        record = json.loads((workspace / "stages" / name / "stage.json").read_bytes())
        drawn = record["asked"]["sampling"]
        for row in pq.read_table(workspace / "stages" / name / "rows.parquet").to_pylist():
            number = (row["problem"]["id"], row["number"]) if drawn["temperature"] else None
            asked.setdefault(record["model"], set()).add(digest_of([drawn, row["prompt"], number]))
    return {model: len(questions) for model, questions in asked.items()}


@pytest.mark.slow
def test_lbt_m1_runs_with_teacher_and_student_at_two_addresses(
    servers: tuple[Serve, Serve], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    teacher, student = servers
    named = (
        *("--model", f"openai:{TEACHER}", "--base-url", teacher.url),
        *("--student", f"openai:{STUDENT}", "--student-base-url", student.url),
    )
    command = ["run", "lbt-m1", *SMALL, *named, "--name", "two", "--workspace", str(tmp_path)]
    with pytest.raises(SystemExit) as stopped:
        main(command)
    out, err = capsys.readouterr()
    assert not stopped.value.code, err
    result = json.loads((tmp_path / "runs" / "two" / "result.json").read_bytes())
    finals = {one["arm"]: one for one in result["evaluations"] if one["round"] == "final"}
    assert (finals["method"]["n"], finals["method"]["failed"]) == (3, 0)
    assert "method" in out
    told = requests_told(tmp_path, result)
    # 3 greedy answers and 2 draws of each; every lesson has 2 exams, and equal lessons are examined once.
    assert told[f"openai:{TEACHER}"] == teacher.answered() == 3 + 3 * 2
    assert told[f"openai:{STUDENT}"] == student.answered()
    assert 3 * 2 <= student.answered() <= 3 * 2 * 2
    with pytest.raises(SystemExit):
        main(command)
    assert (told[f"openai:{TEACHER}"], told[f"openai:{STUDENT}"]) == (teacher.answered(), student.answered())
