from __future__ import annotations

import gzip
import io
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import DataError, UnknownNameError
from docendo.lab.tasks import letters, story_problems
from docendo.metrics.intervals import wilson_interval
from docendo.tasks.files import file_task
from docendo.tasks.grading import KEPT_FAULTS, grade
from docendo.tasks.gsm8k import gsm8k
from docendo.tasks.options import TaskOptions

# Without a folder of data: these tasks judge, and have no rows to give.
NUMBERS = gsm8k(TaskOptions(data_dir=Path("nowhere")))


def write(path: Path, *lines: dict[str, Any] | str) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def graded(output: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.getvalue().splitlines()]


def test_rows_are_judged_by_their_own_gold_answers(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x.jsonl",
        {"id": "a", "completion": "So 3 + 4 = 7. The answer is 7.", "answer": "7"},
        {"id": "b", "completion": "The answer is 8.", "answer": "3 + 4 = 7\n#### 7"},
        {"id": 3, "completion": "no idea", "answer": 7},
        {"completion": "The answer is 3 + 4.", "answer": 7.0, "question": None, "split": "any"},
    )
    output = io.StringIO()
    found = grade(NUMBERS, path, output)
    assert graded(output) == [
        {"id": "a", "answer": "7", "verdict": "correct", "reason": "same text"},
        {"id": "b", "answer": "8", "verdict": "incorrect", "reason": "another number"},
        {"id": "3", "answer": "", "verdict": "failed", "reason": "no answer could be read"},
        {"id": "4", "answer": "3 + 4", "verdict": "undecided", "reason": "not one number"},
    ]
    assert (found.graded, found.accuracy, found.n_bad, found.gold_from_task) == (4, 0.25, 0, 0)
    assert found.interval == wilson_interval(1, 4)


def test_columns_and_format_can_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", {"text": "The answer is 5.\n#### 7", "gold": "5"})
    assert grade(NUMBERS, path, completion_column="text", answer_column="gold").accuracy == 0
    task = story_problems()
    assert grade(task, path, completion_column="text", answer_column="gold").accuracy == 1
    assert grade(task, path, completion_column="text", answer_column="gold", format="hash").accuracy == 0
    with pytest.raises(
        UnknownNameError, match="unknown format of task gsm8k 'hush'\nhint: did you mean 'hash'"
    ):
        grade(NUMBERS, path, format="hush")


def test_gold_comes_from_the_task_by_id_or_question(tmp_path: Path) -> None:
    task = letters()
    first, second, third = task.problems("test", 3)
    labels = task.labels("test", 3)

    def said(problem_id: str) -> str:
        return f"The answer is {labels[problem_id].answer}."

    path = write(
        tmp_path / "x.jsonl",
        {"id": first.id, "completion": said(first.id)},
        {"question": f" {second.question.upper()}", "completion": said(second.id)},
        {"id": "unknown", "question": third.question, "completion": said(third.id)},
        {"id": "unknown", "completion": "The answer is 5."},
    )
    output = io.StringIO()
    found = grade(task, path, output)
    assert [row["id"] for row in graded(output)] == [first.id, second.id, "unknown"]
    assert (found.accuracy, found.gold_from_task) == (1, 3)
    ((number, reason),) = found.bad_rows
    assert number == 4
    assert reason.endswith("and task letters knows neither the id nor the question of the row")


def test_bad_rows_are_told_by_line_and_the_others_graded(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl.gz"
    good = json.dumps({"completion": "The answer is 7.", "answer": "7"})
    lines = [
        good,
        "{",
        '{"completion": "caf\xe9"}',
        "[1]",
        '{"answer": "7"}',
        '{"completion": 7, "answer": "7"}',
        '{"completion": "7", "answer": " "}',
        '{"completion": "7", "answer": [7]}',
        "",
        good,
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode("latin-1")))
    output = io.StringIO()
    found = grade(NUMBERS, path, output)
    assert [row["id"] for row in graded(output)] == ["1", "10"]
    assert (found.graded, found.n_bad) == (2, 7)
    assert [number for number, _ in found.bad_rows] == [2, 3, 4, 5, 6, 7, 8]
    reasons = dict(found.bad_rows)
    assert reasons[2].startswith("not JSON: ")
    assert reasons[3] == "not UTF-8 (byte 0xe9 at 20)"
    assert reasons[4].startswith("is a list; expected an object")
    assert reasons[5] == "there is no column completion; the row has answer"
    assert reasons[6] == "completion is a int; expected a text"
    assert reasons[7] == "answer is empty; expected a text or a number"
    assert reasons[8] == "answer is a list; expected a text or a number"


def test_choices_of_the_row_or_of_the_task_are_heeded(tmp_path: Path) -> None:
    choices = {"choices": ["red", "blue"]}
    task = file_task(
        write(tmp_path / "t.jsonl", {"id": "q", "question": "Sky?", "answer": "blue", **choices})
    )
    path = write(
        tmp_path / "x.jsonl",
        {"completion": "The answer is blue.", "answer": "B", **choices},
        {"completion": "So it is (A)", "answer": "blue", **choices},
        {"id": "q", "completion": "The answer is blue."},
    )
    output = io.StringIO()
    grade(task, path, output)
    assert [row["verdict"] for row in graded(output)] == ["correct", "incorrect", "correct"]


def test_files_of_which_nothing_can_be_graded_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", {"text": "The answer is 7.", "answer": "7"})
    with pytest.raises(
        DataError, match=r"no row of .* could be graded; 1: there is no column compl.*\nhint:"
    ):
        grade(NUMBERS, path)
    with pytest.raises(DataError, match="there is no file"):
        grade(NUMBERS, tmp_path / "nowhere.jsonl")


def test_csv_and_parquet_are_graded_too(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('id,completion,answer\na,"The answer is 7.\nIndeed.",7\nb,The answer is 8.,7\n')
    assert grade(NUMBERS, path).accuracy == 0.5


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    row = {"completion": "3 + 4 = 7. The answer is 7." + " So it is." * 20, "answer": "7"}
    bad = {"completion": 5}

    class Nowhere(io.StringIO):
        def write(self, text: str) -> int:
            return len(text)

    peaks: list[int] = []
    for n_rows in (2_000, 10_000):
        path = write(tmp_path / "x.jsonl", *[row if n % 4 else bad for n in range(n_rows)])
        tracemalloc.start()
        found = grade(NUMBERS, path, Nowhere()) if n_rows else None
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found is not None
        assert found.n_bad == n_rows // 4
        assert len(found.bad_rows) == min(KEPT_FAULTS, n_rows // 4)
    assert peaks[1] < peaks[0] + 300_000


def test_official_verdicts_on_gsm8k_solutions_are_met(
    data_dir: Path, data_rows: Callable[[str], Iterator[dict[str, Any]]], tmp_path: Path
) -> None:
    name = "gold_gsm8k_model_solutions"
    official = [row["is_correct"] for row in data_rows(name)]
    output = io.StringIO()
    found = grade(NUMBERS, data_dir / f"{name}.jsonl.gz", output, completion_column="solution")
    assert [row["verdict"] == "correct" for row in graded(output)] == official
    assert (found.graded, found.outcomes["correct"]) == (2540, 940)
    # The same gold answers by the question, from the test split.
    bare = write(
        tmp_path / "bare.jsonl",
        *[{key: row[key] for key in ("question", "solution")} for row in data_rows(name)],
    )
    again = grade(gsm8k(TaskOptions(data_dir=data_dir)), bare, completion_column="solution")
    assert (again.outcomes, again.gold_from_task) == (found.outcomes, 2540)
