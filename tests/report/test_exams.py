"""Lessons and exams in the report: marks as they were given, votes, and the chosen lesson."""

from __future__ import annotations

import json
from typing import Any

import pytest

from docendo.cli.main import main
from docendo.report.exams import picked_exams
from docendo.runs.workspace import Workspace
from docendo.scorers.student_exam import Mark, marks_in


@pytest.mark.parametrize(
    ("reason", "marks"),
    [
        ("lab/base 3/3, lab/student 1/3", [("lab/base", 3, 3), ("lab/student", 1, 3)]),
        ("lab/base 0/9, similarity 0.81", [("lab/base", 0, 9)]),
        ("no exam", []),
        ("", []),
    ],
)
def test_marks_are_read_off_the_reason(reason: str, marks: list[tuple[str, int, int]]) -> None:
    assert marks_in(reason) == tuple(Mark(*one) for one in marks)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("exams")
    command = f"""
        run lbt-m1 --task verb-lessons --model lab/base --student lab/base,lab/student --name lessons
        --train-problems 4 --validation-problems 4 --test-problems 8 --samples-per-problem 4
        --evaluation-samples 0 --controls none --workspace {folder}
    """
    with pytest.raises(SystemExit) as stopped:
        main(command.split())
    assert not stopped.value.code
    return Workspace(folder)


@pytest.fixture(scope="module")
def result(workspace: Workspace) -> dict[str, Any]:
    return json.loads((workspace.runs / "lessons" / "result.json").read_bytes())


def test_every_lesson_stands_with_its_marks_and_one_is_chosen(
    workspace: Workspace, result: dict[str, Any]
) -> None:
    (entry,) = (one for one in result["stages"] if one["arm"] == "method" and one["place"].endswith("/exam"))
    (final,) = (one for one in result["evaluations"] if one["arm"] == "method" and one["round"] == "final")
    found = picked_exams(workspace, entry, final["stages"]["greedy"], count=8)
    assert len(found) == 8
    for one in found:
        assert len(one.candidates) == 4
        assert sum(candidate.is_chosen for candidate in one.candidates) == 1
        for candidate in one.candidates:
            if candidate.score is not None:
                right = sum(mark.right for mark in candidate.marks)
                asked = sum(mark.asked for mark in candidate.marks)
                assert candidate.score == pytest.approx(right / asked)
                assert [mark.student for mark in candidate.marks] == ["lab/base", "lab/student"]
        (winner,) = (candidate for candidate in one.candidates if candidate.is_chosen)
        best = max(total for _, _, total in one.votes)
        assert dict((answer, total) for answer, _, total in one.votes)[winner.answer] == pytest.approx(best)


def test_the_page_shows_them(workspace: Workspace) -> None:
    page = (workspace.runs / "lessons" / "report.html").read_text("utf-8")
    assert '<section id="exams">' in page
    assert "lab/student" in page
    assert page.count(">chosen</span>") == 6
