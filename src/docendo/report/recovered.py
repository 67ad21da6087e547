"""What results say of recovered gaps: of one run, and of several pairs of models side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docendo.metrics.pgr import median_recovery
from docendo.report.figures import percent
from docendo.report.results import Result

Recovered = Mapping[str, Any]


def recovered(result: Result) -> list[Recovered]:
    """Return the entries of a result, the method's first; empty where the recipe has no gap."""
    return sorted(result.get("recovered", ()), key=lambda one: (one["arm"] != "method", one["arm"]))


def pgr_in_words(one: Recovered) -> str:
    """Return the gap recovered and its interval, or that it was refused.

    Example:
        >>> pgr_in_words({"pgr": 0.4211, "interval": [0.21, 0.6]}), pgr_in_words({"pgr": None})
        ('0.42 [0.21, 0.60]', 'refused')
    """
    if one["pgr"] is None:
        return "refused"
    low, high = one["interval"]
    return f"{one['pgr']:.2f} [{low:.2f}, {high:.2f}]"


def agreement_in_words(one: Recovered) -> str:
    """Return how often the student says what its supervisor says, where that is right and where it is wrong.

    Example:
        >>> agreement_in_words({"agreement": {"where_right": 0.9, "where_wrong": None}})
        '90.0 % where it is right, - where it is wrong'
    """
    told = one["agreement"]
    return (
        f"{percent(told['where_right'])} where it is right, {percent(told['where_wrong'])} where it is wrong"
    )


def seeds_in_words(one: Recovered) -> str:
    """Return the gap recovered of each seed."""
    return ", ".join("refused" if value is None else f"{value:.2f}" for value in one["pgr_of_seed"])


def pairs(results: Sequence[Result]) -> dict[tuple[str, str], Recovered]:
    """Return the method's entry of each result, by (weak model, strong model); empty where one has none."""
    found: dict[tuple[str, str], Recovered] = {}
    for result in results:
        own = [one for one in recovered(result) if one["arm"] == "method"]
        if not own:
            return {}
        found[result["roles"].get(own[0]["supervisor"], "?"), result["model"]] = own[0]
    return found


def triangle(
    found: Mapping[tuple[str, str], Recovered],
) -> tuple[list[str], list[tuple[str, list[Recovered | None]]]]:
    """Return the strong models, and for each weak one its entry with each strong one, in order of pairs."""
    strong = list(dict.fromkeys(pair[1] for pair in found))
    weak = list(dict.fromkeys(pair[0] for pair in found))
    return strong, [(name, [found.get((name, other)) for other in strong]) for name in weak]


def medians_in_words(results: Sequence[Result]) -> list[str]:
    """Return the median gap recovered over pairs and seeds, of each arm that has one."""
    by_arm: dict[str, list[float | None]] = {}
    for result in results:
        for one in recovered(result):
            by_arm.setdefault(one["arm"], []).extend(one["pgr_of_seed"])
    told: list[str] = []
    for arm, values in by_arm.items():
        middle = median_recovery(values)
        if middle.median is None:
            told.append(f"{arm}: refused for all {len(values)} pairs and seeds")
            continue
        error = "" if middle.standard_error is None else f", standard error {middle.standard_error:.2f}"
        told.append(
            f"{arm}: median {middle.median:.2f} over {middle.n_counted} pairs and seeds{error}; "
            f"{middle.n_refused} refused"
        )
    return told
