"""Lessons and their exams, read from the stages: what each candidate's students got right, and who won.

The score of a lesson tells each student's marks in its reason (``lab/base 3/3, lab/student 1/3``), as
`docendo.scorers.student_exam` writes it. Problems are drawn by a hash of their ids.
"""

# pyright: basic
# pyarrow has no complete types

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docendo.report.samples import Shown, drawn_ids, rows_where, samples_of, there
from docendo.runs.stored import column_values
from docendo.runs.workspace import Sealed, Workspace
from docendo.scorers.student_exam import Mark, marks_in


@dataclass(frozen=True, slots=True)
class Candidate:
    """One lesson: a rationale with its answer."""

    sample: Shown
    answer: str
    score: float | None
    """None where no exam was taken."""
    told: str
    """Why there is no score; else the marks in words."""
    marks: tuple[Mark, ...]
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Examined:
    """One problem with its lessons."""

    problem_id: str
    candidates: tuple[Candidate, ...]

    @property
    def votes(self) -> list[tuple[str, int, float]]:
        """Answers with their votes and sums of scores, the largest sum first; by equal text."""
        found: dict[str, tuple[int, float]] = {}
        for one in self.candidates:
            if one.answer:
                count, total = found.get(one.answer, (0, 0.0))
                found[one.answer] = (count + 1, total + (one.score or 0.0))
        return sorted(((answer, *both) for answer, both in found.items()), key=lambda one: (-one[2], -one[1]))


def picked_exams(
    workspace: Workspace, entry: Mapping[str, Any], chosen: Sequence[str], *, count: int = 6
) -> list[Examined]:
    """Return some problems with their lessons, exams and votes; none where a stage is gone.

    Args:
        workspace: Where the stages lie.
        entry: The score stage, as ``stages`` of a result has it.
        chosen: The stages of the method's final evaluation: their samples are the chosen ones.
        count: How many problems.
    """
    stages = there(workspace, entry["inputs"])
    scored = workspace.sealed(entry["stage"])
    read = [one for one in stages if one.kind == "read"]
    if scored is None or not read:
        return []
    scores = {
        row_id: (value, reason)
        for row_id, value, reason in zip(
            *(column_values(scored, name) for name in ("id", "score", "reason")), strict=True
        )
    }
    of_problem = _problems_of(stages, scores)
    drawn = drawn_ids([("", problem_id) for problem_id in of_problem], {"": count}).get("", [])
    wanted = {row_id for problem_id in drawn for row_id in of_problem[problem_id]}
    texts = samples_of(stages, wanted)
    answers = _answers(read, wanted)
    winners = _winners(there(workspace, chosen))
    return [
        Examined(
            problem_id,
            tuple(
                _candidate(texts[row_id][1], answers.get(row_id, ""), *scores[row_id], row_id in winners)
                for row_id in of_problem[problem_id]
                if row_id in texts
            ),
        )
        for problem_id in drawn
    ]


def _candidate(sample: Shown, answer: str, score: float | None, reason: str, is_chosen: bool) -> Candidate:
    return Candidate(sample, answer, score, reason, marks_in(reason), is_chosen)


def _problems_of(stages: Sequence[Sealed], scores: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the scored samples of each problem, in the order of their stage."""
    found: dict[str, list[str]] = {}
    for sealed in stages:
        if sealed.kind == "sample":
            names = ("id", "problem")
            for row_id, problem in zip(*(column_values(sealed, name) for name in names), strict=True):
                if row_id in scores:
                    found.setdefault(problem["id"], []).append(row_id)
    return found


def _answers(read: Sequence[Sealed], wanted: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for sealed in read:
        for row in rows_where(sealed, "id", wanted - found.keys(), ["id", "answer", "is_parsed"]):
            found[row["id"]] = row["answer"] if row["is_parsed"] else ""
    return found


def _winners(stages: Sequence[Sealed]) -> set[str]:
    return {
        row_id for sealed in stages if sealed.kind == "evaluate" for row_id in column_values(sealed, "id")
    }
