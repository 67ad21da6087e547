"""How much of the gap between a supervisor and a ceiling the method and its sibling arms recover."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docendo.evidence.measures import Measured, Same, as_pair
from docendo.metrics.pgr import agreement, recovery
from docendo.runs.recipe import CONTROLS, Gap


def recoveries(gap: Gap, finals_S: Sequence[Mapping[str, Measured]], same: Same) -> list[dict[str, Any]]:
    """Return an entry of ``result.json`` for the method and each further arm of the recipe's own.

    Args:
        gap: The arms in question. Where one of them is not there, there is no entry.
        finals_S: What counts in the end, of each seed.
        same: Whether two answers are the same.
    """
    there = [name for name in finals_S[0] if all(name in finals for finals in finals_S)]
    if gap.supervisor not in there or gap.ceiling not in there:
        return []
    students = [name for name in there if name not in (*CONTROLS, "gold", gap.supervisor, gap.ceiling)]
    return [_entry(gap, name, finals_S, same) for name in students]


def _entry(gap: Gap, arm: str, finals_S: Sequence[Mapping[str, Measured]], same: Same) -> dict[str, Any]:
    ids = sorted(finals_S[0][arm].outcomes)

    def right(name: str) -> list[list[float]]:
        return [[float(one) for one in finals[name].is_correct(ids)] for finals in finals_S]

    weak_S_P, student_S_P, ceiling_S_P = right(gap.supervisor), right(arm), right(gap.ceiling)
    found = recovery(weak_S_P, student_S_P, ceiling_S_P)
    by_seed = zip(weak_S_P, student_S_P, ceiling_S_P, strict=True)
    alone = [recovery([weak], [student], [ceiling]).pgr for weak, student, ceiling in by_seed]
    told = _agreement([(finals[arm], finals[gap.supervisor]) for finals in finals_S], ids, same)
    return {
        "arm": arm,
        "supervisor": gap.supervisor,
        "ceiling": gap.ceiling,
        "n": found.n_problems,
        "seeds": found.n_seeds,
        "accuracy": found.student,
        "accuracy_of_supervisor": found.weak,
        "accuracy_of_ceiling": found.ceiling,
        "gap": as_pair(found.gap),
        "pgr": found.pgr,
        "interval": None if found.interval is None else as_pair(found.interval),
        "reason": found.reason,
        "pgr_of_seed": alone,
        "agreement": told,
    }


def _agreement(
    pairs_S: Sequence[tuple[Measured, Measured]], ids: Sequence[str], same: Same
) -> dict[str, Any]:
    """Say how often the student answers as its supervisor does, over all seeds and problems."""
    student: list[str | None] = []
    supervisor: list[str | None] = []
    gold: list[str | None] = []
    for ours, theirs in pairs_S:
        for problem in ids:
            said, told = ours.answers.get(problem), theirs.answers.get(problem)
            is_same = said is not None and told is not None and same(said, told)
            supervisor.append(told)
            student.append(told if is_same else f"not {told}")
            gold.append(told if theirs.outcomes[problem] == "correct" else f"not {told}")
    found = agreement(student, supervisor, gold)
    return {
        "overall": found.overall,
        "where_right": found.where_right,
        "where_wrong": found.where_wrong,
        "n_right": found.n_right,
        "n_wrong": found.n_wrong,
    }
