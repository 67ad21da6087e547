"""A run's ``result.json``, found and looked at from a few sides. Its fields stand in ``docs/result.md``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, cast

import orjson

from docendo.core.errors import DataError, UnknownNameError, WorkspaceError
from docendo.report.figures import p_value, percent, percent_interval, points, points_interval
from docendo.runs.workspace import Workspace

FORMAT = 1
"""The newest ``format`` of ``result.json`` that is understood."""

Result = Mapping[str, Any]
Entry = Mapping[str, Any]

ARMS = ("method", "base", "majority", "unverified", "gold")
"""In the order in which they are shown; others follow by name."""

ARM_MEANINGS = {
    "method": "what the recipe made",
    "base": "the model it started from",
    "majority": "the base's most frequent answer",
    "unverified": "the recipe on as many rows, drawn at random",
    "gold": "the base trained on the task's own solutions",
}


TRANSITIONS = ("right_right", "wrong_right", "right_wrong", "wrong_wrong")


def known_runs(workspace: Workspace) -> list[str]:
    """Return the names of all runs of a workspace, finished or not."""
    return sorted(folder.name for folder in workspace.runs.iterdir() if folder.is_dir())


def result_of(workspace: Workspace, name: str) -> dict[str, Any]:
    """Read the result of a run.

    Raises:
        UnknownNameError: There is no run of that name.
        WorkspaceError: It has no result yet, or one of a newer format.
        DataError: Its ``result.json`` cannot be read.
    """
    known = known_runs(workspace)
    if name not in known:
        raise UnknownNameError.of("run", name, known)
    path = workspace.runs / name / "result.json"
    hint = "run the same command again: what is done is kept, and the result is written at the end"
    try:
        found: Any = orjson.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise WorkspaceError(f"run {name!r} has no result yet", hint=hint) from error
    except orjson.JSONDecodeError as error:
        raise DataError(f"result.json of run {name!r} cannot be read: {error}", hint=hint) from error
    result = cast("dict[str, Any]", found)
    if not isinstance(found, dict) or "format" not in result:
        raise DataError(f"result.json of run {name!r} is not a result; expected an object", hint=hint)
    if result["format"] > FORMAT:
        raise WorkspaceError(
            f"result.json of run {name!r} has format {result['format']}; this version reads up to {FORMAT}",
            hint="update docendo",
        )
    return result


def is_over_seeds(result: Result) -> bool:
    """Whether the result sums up several runs, one a seed."""
    return "runs" in result


def seeds_in_words(result: Result) -> str:
    """Return ``seed 0`` or ``seeds 0, 1, 2``."""
    seeds = result["seeds"]
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {', '.join(str(seed) for seed in seeds)}"


def finals(result: Result) -> dict[str, list[Entry]]:
    """Return what counts in the end on the test split: arm -> one entry a seed."""
    found: dict[str, list[Entry]] = {}
    for entry in result["evaluations"]:
        if entry["split"] == "test" and (entry["round"] == "final" or entry["arm"] == "majority"):
            found.setdefault(entry["arm"], []).append(entry)
    return {arm: found[arm] for arm in in_order(found)}


def rounds(result: Result) -> dict[str, dict[int, list[Entry]]]:
    """Return the evaluations of single rounds on the test split: arm -> round -> one entry a seed.

    The base model is round 0 of every arm that has rounds.
    """
    found: dict[str, dict[int, list[Entry]]] = {}
    for entry in result["evaluations"]:
        if entry["split"] == "test" and isinstance(entry["round"], int) and entry["arm"] != "majority":
            found.setdefault(entry["arm"], {}).setdefault(entry["round"], []).append(entry)
    base = finals(result).get("base", [])
    return {
        arm: {**({} if 0 in found[arm] or not base else {0: base}), **dict(sorted(found[arm].items()))}
        for arm in in_order(found)
    }


def rows_learned(result: Result) -> dict[int, list[int]]:
    """Return how many rows the method's train stages learned from: round -> one number a stage and seed."""
    found: dict[int, list[int]] = {}
    for one in result["contamination"]:
        parts = str(one["stage"]).split("/")
        if len(parts) == 3 and parts[0] == "method" and parts[1].startswith("round-"):
            left = one["rows"] - sum(one["dropped"].values())
            found.setdefault(int(parts[1].removeprefix("round-")), []).append(left)
    return found


def found_but_learned(checked: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """Return what the contamination check found in rows that were learned all the same: reason -> rows."""
    sums: dict[str, int] = {}
    for one in checked:
        for reason, number in one.get("found_but_learned", {}).items():
            sums[reason] = sums.get(reason, 0) + number
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def choices(result: Result) -> list[Entry]:
    """Return the evaluations on other splits than test: what the recipe chose by."""
    return [entry for entry in result["evaluations"] if entry["split"] != "test"]


def in_order(arms: Mapping[str, Any] | Sequence[str]) -> list[str]:
    """Return the arms in the order in which they are shown."""
    return [arm for arm in ARMS if arm in arms] + sorted(arm for arm in arms if arm not in ARMS)


def mean_accuracy(entries: Sequence[Entry]) -> float:
    """Return the mean accuracy over seeds."""
    return fmean(entry["accuracy"] for entry in entries)


def spread(entries: Sequence[Entry]) -> list[float]:
    """Return what is shown around an accuracy: one seed's interval, or the range over several seeds."""
    if len(entries) == 1:
        return list(entries[0]["interval"])
    values = [entry["accuracy"] for entry in entries]
    return [min(values), max(values)]


def f1_of_arm(entries: Sequence[Entry]) -> tuple[str, str]:
    """Return F1 and its interval as text; over seeds its mean and range."""
    found = [entry["f1"] for entry in entries if entry.get("f1")]
    if not found:
        return "-", "-"
    values = [one["value"] for one in found]
    around = found[0]["interval"] if len(found) == 1 else [min(values), max(values)]
    return percent(fmean(values)), percent_interval(around)


def at_most_k(entries: Sequence[Entry], name: str) -> tuple[int, float] | None:
    """Return (k, mean over seeds) of a curve at its largest k that all seeds have; None without samples."""
    curves: list[Mapping[str, float]] = [entry[name] for entry in entries if entry.get(name)]
    if not curves or len(curves) < len(entries):
        return None
    shared = {int(k) for k in curves[0]}.intersection(*({int(k) for k in curve} for curve in curves))
    if not shared:
        return None
    k = max(shared)
    return k, fmean(curve[str(k)] for curve in curves)


def shared_k(groups: Iterable[Sequence[Entry]]) -> int | None:
    """Return the largest k of pass@k that all arms with a curve agree on; None where they differ."""
    found = {at[0] for entries in groups if (at := at_most_k(entries, "pass_at_k")) is not None}
    return found.pop() if len(found) == 1 else None


def mean_of(entries: Sequence[Entry], name: str) -> float | None:
    """Return the mean over seeds of a number that some arms lack."""
    values = [entry[name] for entry in entries if entry.get(name) is not None]
    return fmean(values) if values else None


def listed(value: Any) -> list[Any]:
    """Return what a result over seeds has as a list, and one of a single seed as it is, as a list."""
    return list(value) if isinstance(value, list) else [value]  # pyright: ignore[reportUnknownArgumentType]


def costs(result: Result) -> dict[str, dict[str, float]]:
    """Return the cost of each arm, in the order in which they ran; over seeds its sum."""
    found: dict[str, dict[str, float]] = {}
    for one in listed(result["cost"]):
        for arm, parts in one.items():
            sums = found.setdefault(arm, {})
            for name, value in parts.items():
                sums[name] = sums.get(name, 0) + value
    return found


def labels_read(result: Result) -> dict[str, list[Mapping[str, Any]]]:
    """Return which gold answers each arm read, over seeds each (verb, split) once: arm -> entries."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for information in listed(result["information"]):
        for arm, read in information.items():
            if arm == "in_the_result":
                continue
            mine = found.setdefault(arm, [])
            mine += [one for one in read["labels_read"] if one not in mine]
    return {arm: found[arm] for arm in in_order(found)}


def sources_in_the_result(result: Result) -> list[str]:
    """Return where the information in the returned model or answers came from."""
    return sorted({source for one in listed(result["information"]) for source in one["in_the_result"]})


def transitions(result: Result) -> dict[str, dict[str, int]]:
    """Return what became of the problems from the base to each arm, summed over seeds."""
    found: dict[str, dict[str, int]] = {}
    for one in result["transitions"]:
        sums = found.setdefault(one["to"], dict.fromkeys(TRANSITIONS, 0))
        for name in TRANSITIONS:
            sums[name] += one[name]
    return {arm: found[arm] for arm in in_order(found)}


def rivals(result: Result) -> list[Mapping[str, Any]]:
    """Return the comparisons that the verdict rests on: the method against each rival."""
    return [one for one in result["comparisons"] if one["is_rival"]]


def facts(result: Result) -> dict[str, list[str]]:
    """Return the recipe's own numbers as text: what they are called -> one for each seed."""
    found: dict[str, list[str]] = {}
    for by_arm in listed(result.get("facts", {})):
        for arm, told in by_arm.items():
            for name, value in told.items():
                named = name if arm == "method" else f"{arm}: {name}"
                found.setdefault(named, []).append(_as_text(value))
    return found


def _as_text(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def comparison_in_words(one: Mapping[str, Any]) -> str:
    """Return a comparison as one sentence.

    Example:
        >>> comparison_in_words({"arm": "method", "against": "majority", "accuracy": 0.582,
        ...     "accuracy_against": 0.284, "difference": 0.298, "interval": [0.251, 0.344], "n": 500,
        ...     "seeds": 1, "p_value": 1e-9})
        'method 58.2 % against majority 28.4 %: +29.8 points [+25.1, +34.4], p < 0.0001, 500 problems'
    """
    rival = f"{one['against']} {percent(one['accuracy_against'])}"
    difference = f"{points(one['difference'])} points {points_interval(one['interval'])}"
    words = f"{one['arm']} {percent(one['accuracy'])} against {rival}: {difference}"
    if one.get("p_value") is not None:
        words += f", {p_value(one['p_value'])}"
    words += f", {one['n']:,} problems"
    return words if one["seeds"] == 1 else f"{words}, {one['seeds']} seeds"


def verdict_in_words(result: Result) -> tuple[str, str]:
    """Return why the verdict is what it is: the rule as it applied, and the comparison that decided it.

    ``improved`` rests on the rival that came nearest, ``worse`` on the one that beat the method most clearly,
    ``no evidence`` on the one that could not be told apart, or least so.
    """
    against = rivals(result)
    if result.get("chose_on_test"):
        return "Something was chosen by answers to the test problems, so the test proves nothing.", ""
    if not against:
        return "There was no rival to compare with.", ""
    word = result["verdict"]
    nearest = min(against, key=lambda one: (one["interval"][0], one["against"]))
    if word == "improved":
        many = len(against)
        rule = (
            "Better than its only rival, with an interval above zero."
            if many == 1
            else f"Better than each of its {many} rivals, every interval above zero. The nearest:"
        )
        return rule, comparison_in_words(nearest)
    if word == "worse":
        beaten = min(against, key=lambda one: (one["interval"][1], one["against"]))
        return f"Worse than {beaten['against']}, with an interval below zero.", comparison_in_words(beaten)
    return (
        f"Cannot be told apart from {nearest['against']}: the interval contains zero.",
        comparison_in_words(nearest),
    )
