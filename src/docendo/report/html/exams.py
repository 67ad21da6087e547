"""Lessons and exams as HTML: for some problems the candidates, a grid of marks, and the weighted vote."""

from __future__ import annotations

from docendo.report.escaping import cut, escaped
from docendo.report.exams import Candidate, Examined, picked_exams
from docendo.report.html.parts import folded, note, table
from docendo.report.results import Result, finals
from docendo.runs.workspace import Workspace
from docendo.scorers.student_exam import Mark


def exams_section(workspace: Workspace, result: Result) -> str:
    """Show what the students of each lesson got right, for a method that scores its samples by exams."""
    entries = [
        one
        for one in result["stages"]
        if one["arm"] == "method" and one["kind"] == "score" and one["place"].endswith("/exam")
    ]
    method = finals(result).get("method")
    if not entries or not method:
        return ""
    found = picked_exams(workspace, entries[-1], method[0]["stages"].get("greedy", ()))
    if not any(candidate.marks for one in found for candidate in one.candidates):
        return ""
    return note(
        "Problems drawn by a hash of their ids. A lesson is a rationale with its answer; behind it "
        "stand each student's right answers of the exams that it sat after the lesson."
    ) + "".join(_card(one) for one in found)


def _card(one: Examined) -> str:
    question = one.candidates[0].sample.question if one.candidates else ""
    rows = [_row(candidate) for candidate in one.candidates]
    students = [mark.student for mark in max((each.marks for each in one.candidates), key=len, default=())]
    lessons = table(("lesson", "answer", *students, "score"), rows, words=2)
    votes = table(
        ("answer", "votes", "sum of scores"),
        [(escaped(cut(answer, 80)), str(count), f"{total:.2f}") for answer, count, total in one.votes],
    )
    return (
        f'<article class="card"><h4>{escaped(cut(one.problem_id, 120))}</h4>'
        f'<p class="question" dir="auto">{escaped(cut(question))}</p>'
        f"{lessons}{folded('Weighted vote', votes)}</article>"
    )


def _row(candidate: Candidate) -> tuple[str, ...]:
    mark = ' <span class="chip good">chosen</span>' if candidate.is_chosen else ""
    text = f'<span dir="auto">{escaped(cut(candidate.sample.text.strip(), 400))}</span>{mark}'
    score = "-" if candidate.score is None else f"{candidate.score:.2f}"
    grid = [_box(one) for one in candidate.marks] or [escaped(cut(candidate.told, 80))]
    return text, escaped(cut(candidate.answer, 80)), *grid, score


def _box(mark: Mark) -> str:
    """Return one student's marks as filled and empty boxes, with the count for those who cannot see them."""
    boxes = "■" * mark.right + "□" * (mark.asked - mark.right) if mark.asked <= 12 else ""
    return f'<span class="mono" title="{mark.right} of {mark.asked}">{boxes} {mark.right}/{mark.asked}</span>'
