"""What results say of choosing among scored samples: cost curve, score variances, teachers and students."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from docendo.report.figures import percent, percent_interval, points, points_interval
from docendo.report.results import Result, finals, mean_accuracy

Point = Mapping[str, Any]
Judged = Mapping[str, Any]
ALONE = "*"
"""Stands behind what was computed from the scores of one judge in a run with several."""


def rules(result: Result) -> list[str]:
    """Return the rules, the method's first, the vote that knows no scores last; empty where none chooses."""
    told = result.get("choosing")
    if not told:
        return []
    every = dict.fromkeys(point["rule"] for point in told["curve"])
    return sorted(every, key=lambda rule: (rule == told["vote"], rule != told["rule"]))


def curve(result: Result) -> dict[int, dict[str, Point]]:
    """Return the points of the cost curve: number of samples -> rule -> point."""
    found: dict[int, dict[str, Point]] = {}
    for point in result["choosing"]["curve"]:
        found.setdefault(point["n"], {})[point["rule"]] = point
    return dict(sorted(found.items()))


def completions(result: Result, points_at: Mapping[str, Point]) -> str:
    """Return what the method's rule takes of completions for a problem, or the vote where it has no point."""
    told = result["choosing"]
    point = points_at.get(told["rule"]) or points_at[told["vote"]]
    return f"{point['completions']:.1f}"


def greedy(result: Result) -> float | None:
    """Return the accuracy of one greedy answer of the base."""
    entries = finals(result).get("base")
    return mean_accuracy(entries) if entries else None


def band_in_words(band: Mapping[str, Any]) -> str:
    """Return which scores the problems of a band have.

    Example:
        >>> [band_in_words({"variance": one}) for one in (None, [0, 0], [0.05, 0.1])]
        ['no score', '0: constant', '0.05 to 0.1']
    """
    if band["variance"] is None:
        return "no score"
    low, high = band["variance"]
    return "0: constant" if high == 0 else f"{low:g} to {high:g}"


def share_in_words(share: float, interval: Sequence[float]) -> str:
    """Return a share with its interval."""
    return f"{percent(share)} {percent_interval(interval)}"


def gain_in_words(one: Judged) -> str:
    """Return the gain over the vote with its interval, in points."""
    return f"{points(one['difference'])} {points_interval(one['interval_of_difference'])}"


def judges_in_words(one: Judged) -> str:
    """Return who judges."""
    return " + ".join(one["judges"]) or "nobody"


def matrix(results: Iterable[Result]) -> tuple[list[str], dict[str, dict[str, tuple[Judged, bool]]]]:
    """Return students, and for each teacher what choosing by their exams gave.

    A run with several students has an entry of each alone, too, and a run of that student itself goes
    before it. Runs of the same teacher and students stand in rows of their own, with their names; so do all
    where the results are of several tasks.

    Returns:
        The students, as they stand in the head; teacher -> students -> (entry, whether it is of one student
        in a run with several).
    """
    told = [one for one in results if one.get("choosing")]
    several = len({one["task"] for one in told}) > 1
    rows: dict[str, dict[str, tuple[Judged, bool]]] = {}
    for result in told:
        whole, *alone = result["choosing"]["judges"]
        label = f"{result['model']}, {result['task']}" if several else result["model"]
        before = rows.get(label, {}).get(judges_in_words(whole))
        if before is not None and not before[1]:
            label = f"{label} ({result['name']})"
        row = rows.setdefault(label, {})
        row[judges_in_words(whole)] = whole, False
        for one in alone:
            row.setdefault(judges_in_words(one), (one, True))
    return list(dict.fromkeys(students for row in rows.values() for students in row)), rows
