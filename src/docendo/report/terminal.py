"""A result as text: verdict, arms, rounds, comparisons, transitions, information, contamination, cost.

And as JSON, for other programs.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from docendo.report.choosing import (
    ALONE,
    band_in_words,
    completions,
    curve,
    gain_in_words,
    greedy,
    judges_in_words,
    matrix,
    share_in_words,
)
from docendo.report.choosing import rules as choosing_rules
from docendo.report.escaping import visible
from docendo.report.figures import (
    bare_p_value,
    count,
    dollars,
    duration,
    percent,
    percent_interval,
    points,
    points_interval,
    short_count,
)
from docendo.report.recovered import (
    agreement_in_words,
    medians_in_words,
    pairs,
    pgr_in_words,
    recovered,
    triangle,
)
from docendo.report.recovered import seeds_in_words as pgr_of_seeds
from docendo.report.results import (
    TRANSITIONS,
    Entry,
    Result,
    at_most_k,
    costs,
    f1_of_arm,
    facts,
    finals,
    found_but_learned,
    in_order,
    is_over_seeds,
    labels_read,
    listed,
    mean_accuracy,
    mean_of,
    result_of,
    rivals,
    rounds,
    rows_learned,
    seeds_in_words,
    shared_k,
    sources_in_the_result,
    spread,
    transitions,
    verdict_in_words,
)
from docendo.runs.workspace import Workspace

STYLES = {"improved": "bold green", "no evidence": "bold yellow", "worse": "bold red"}


def render_result(
    result: Result, *, width: int = 100, colour: bool = False, places: Mapping[str, str] | None = None
) -> str:
    """Return a result as text of at most ``width`` cells a line where its words allow it.

    Args:
        result: What ``result.json`` says.
        width: Cells a line.
        colour: Colour and weight by terminal codes.
        places: Names and paths to end with: checkpoint, report.
    """
    return _printed(result_view(result, places=places), width, colour)


def _printed(view: RenderableType, width: int, colour: bool) -> str:
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    console.print(view)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def report_text(workspace: Workspace, name: str, *, width: int = 100, colour: bool = False) -> str:
    """Return the report of a finished run as text, with the places of its checkpoint and its page.

    Raises:
        UserError: As for `docendo.report.results.result_of`.
    """
    result = result_of(workspace, name)
    folder = workspace.runs / name
    places: dict[str, str] = {}
    for chosen in listed(result["chosen"]):
        if chosen.get("folder"):
            label = "checkpoint" if "checkpoint" not in places else f"checkpoint {len(places) + 1}"
            places[label] = _path(workspace, str(chosen["folder"]))
    if (folder / "report.html").exists():
        places["report"] = _path(workspace, f"runs/{name}/report.html")
    places["result"] = _path(workspace, f"runs/{name}/result.json")
    return render_result(result, width=width, colour=colour, places=places)


def reports_text(
    workspace: Workspace, names: Sequence[str], *, width: int = 100, colour: bool = False
) -> str:
    """Return the report of one run, or several runs side by side and where the report of each lies.

    Raises:
        UserError: As for `docendo.report.results.result_of`.
    """
    if len(names) == 1:
        return report_text(workspace, names[0], width=width, colour=colour)
    results = [result_of(workspace, name) for name in names]
    pages = {name: _path(workspace, f"runs/{name}/report.html") for name in names}
    return _printed(side_by_side(results), width, colour) + "".join(f"{page}\n" for page in pages.values())


def report_json(workspace: Workspace, name: str) -> str:
    """Return ``result.json`` of a run as indented text.

    Raises:
        UserError: As for `docendo.report.results.result_of`.
    """
    return orjson.dumps(result_of(workspace, name), option=orjson.OPT_INDENT_2).decode()


def _path(workspace: Workspace, place: str) -> str:
    return str(workspace.path / place)


def result_view(result: Result, *, places: Mapping[str, str] | None = None) -> RenderableType:
    """Return a result as something that rich prints."""
    parts: list[RenderableType] = [_head(result), _verdict(result), *_arms(result), *_rounds(result)]
    parts += [*_comparisons(result), *_recovered(result), *_choosing(result), *_transitions(result)]
    parts += [*_information(result), *_contamination(result)]
    parts += [*_facts(result), *_costs(result), *_notes(result)]
    if places:
        longest = max(len(label) for label in places)
        # Paths are neither wrapped nor cut: they are there to be copied.
        parts += [
            Text(f"{label:<{longest}}  {path}", no_wrap=True, overflow="ignore")
            for label, path in places.items()
        ]
    return Group(*parts)


def side_by_side(results: Sequence[Result]) -> RenderableType:
    """Return several results as a table with a column for each: accuracies of the arms, gain, verdict."""
    by_arm = [finals(result) for result in results]
    table = _table("", *(visible(result["name"]) for result in results))
    for column in table.columns:
        column.no_wrap = False
    table.add_row("started from", *(visible(result["model"]) for result in results))
    for arm in in_order({arm: None for found in by_arm for arm in found}):
        shown = (percent(mean_accuracy(found[arm])) if arm in found else "-" for found in by_arm)
        table.add_row(Text(arm, style="bold" if arm == "method" else ""), *shown)
    nearest = [min(rivals(one), key=_lowest, default=None) for one in results]
    table.add_row("nearest rival", *(visible(one["against"]) if one else "-" for one in nearest))
    table.add_row("gain over it, points", *(points(one["difference"]) if one else "-" for one in nearest))
    table.add_row("95 % interval", *(points_interval(one["interval"]) if one else "-" for one in nearest))
    verdicts = (Text(one["verdict"], style=STYLES.get(one["verdict"], "bold")) for one in results)
    table.add_row("verdict", *verdicts)
    table.add_row("test problems", *(count(found["base"][0]["n"]) for found in by_arm))
    return Group(*_section("Runs side by side", table), *_pairs(results), *_matrix(results))


def _pairs(results: Sequence[Result]) -> list[RenderableType]:
    """Return the gaps recovered as a table of weak by strong models; nothing where the runs have none."""
    found = pairs(results)
    if not found:
        return []
    strong, rows = triangle(found)
    table = _table("weak, below: strong", *map(visible, strong))
    for weak, entries in rows:
        table.add_row(visible(weak), *("" if one is None else pgr_in_words(one) for one in entries))
    return _section("Gap recovered, with 95 % intervals", table, *medians_in_words(results))


def _matrix(results: Sequence[Result]) -> list[RenderableType]:
    """Return what choosing by exams gave as a table of students by teachers; nothing where no run does."""
    students, rows = matrix(results)
    if not rows:
        return []
    table = _table("students; right: teachers", *map(visible, rows))
    for name in students:  # the longer names, which may be wrapped
        cells = (row.get(name) for row in rows.values())
        table.add_row(visible(name), *("" if one is None else _cell(*one) for one in cells))
    note = f"{ALONE}: from the scores of this one alone, in a run with several"
    is_needed = any(alone for row in rows.values() for _, alone in row.values())
    title = "Accuracy, and points over the vote of the same samples with 95 % intervals"
    return _section(title, table, note if is_needed else "")


def _cell(one: Mapping[str, Any], alone: bool) -> str:
    return f"{percent(one['accuracy'])}{ALONE if alone else ''}\n{gain_in_words(one)}"


def _lowest(comparison: Mapping[str, Any]) -> tuple[float, str]:
    return comparison["interval"][0], comparison["against"]


def _head(result: Result) -> Text:
    head = Text(visible(result["name"]), style="bold")
    about = f"  {result['recipe']} on {result['task']}, from {result['model']}, {seeds_in_words(result)}"
    return head.append(visible(about), style="not bold")


def _verdict(result: Result) -> Text:
    rule, deciding = verdict_in_words(result)
    text = Text("\n").append(result["verdict"].upper(), style=STYLES.get(result["verdict"], "bold"))
    text.append(f"  {rule}")
    if deciding:
        text.append(f"\n{deciding}", style="bold")
    return text.append("\n")


def _table(*columns: str, left: int = 1) -> Table:
    """Return a table without lines; its first ``left`` columns hold words, the others numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim", show_edge=False, padding=(0, 2, 0, 0))
    for place, name in enumerate(columns):
        is_word = place < left
        table.add_column(name, justify="left" if is_word else "right", overflow="fold", no_wrap=not is_word)
    return table


def _section(title: str, table: RenderableType, *notes: str) -> list[RenderableType]:
    lines: list[RenderableType] = [Text(title, style="bold underline"), Padding(table, (0, 0, 0, 2))]
    return [*lines, *(Padding(Text(note, style="dim"), (0, 0, 0, 2)) for note in notes if note), Text()]


def _curve(entries: Sequence[Entry], name: str, k: int | None) -> str:
    found = at_most_k(entries, name)
    if found is None:
        return "-"
    return percent(found[1]) if found[0] == k else f"{percent(found[1])} (k={found[0]})"


def _arms(result: Result) -> list[RenderableType]:
    arms = finals(result)
    several = is_over_seeds(result)
    k = shared_k(arms.values())
    at = f"@{k}" if k else "@k"
    around = "range of seeds" if several else "95 % interval"
    # Seldom other than zero, and then worth a column.
    doubts = [name for name in ("undecided", "failed") if any(e[name] for es in arms.values() for e in es)]
    has_f1 = any(entry.get("f1") for entries in arms.values() for entry in entries)
    f1 = ["F1", "its interval"] if has_f1 else []
    table = _table("arm", "accuracy", around, *f1, f"mean{at}", f"pass{at}", f"maj{at}", "n", *doubts)
    table.columns[0].no_wrap = True
    for arm, entries in arms.items():
        table.add_row(
            Text(arm, style="bold" if arm == "method" else ""),
            percent(mean_accuracy(entries)),
            percent_interval(spread(entries)),
            *(f1_of_arm(entries) if has_f1 else ()),
            percent(mean_of(entries, "mean_at_k")),
            _curve(entries, "pass_at_k", k),
            _curve(entries, "majority_at_k", k),
            count(entries[0]["n"]),
            *(count(sum(entry[name] for entry in entries)) for name in doubts),
        )
    notes = [] if doubts else ["no answer was undecided or failed"]
    if several:
        notes.append(f"means over {len(result['seeds'])} seeds{'; counts are sums' if doubts else ''}")
    return _section("Arms on the test split", table, "; ".join(notes))


def _rounds(result: Result) -> list[RenderableType]:
    found = rounds(result).get("method", {})
    if len(found) < 2:
        return []
    several = is_over_seeds(result)
    learned = rows_learned(result)
    around = "range of seeds" if several else "95 % interval"
    table = _table("round", "accuracy", around, "mean@k", "rows learned")
    for number, entries in found.items():
        rows = learned.get(number, [])
        table.add_row(
            "0 (base)" if number == 0 else str(number),
            percent(mean_accuracy(entries)),
            percent_interval(spread(entries)),
            percent(mean_of(entries, "mean_at_k")),
            " + ".join(count(one) for one in rows) or "-",
        )
    chosen = sorted({str(one.get("name", "answers")) for one in listed(result["chosen"])})
    return _section(
        "Rounds of the method on the test split", table, visible(f"returned: {', '.join(chosen)}")
    )


def _comparisons(result: Result) -> list[RenderableType]:
    if not result["comparisons"]:
        return []
    several = is_over_seeds(result)
    p_name = [] if several else ["p (McNemar)"]  # there is one p-value a seed, and the interval says it all
    table = _table("arm", "against", "points", "95 % interval", *p_name, "verdict", left=2)
    for one in result["comparisons"]:
        p_text = [] if several else [bare_p_value(one["p_value"])]
        word = Text(one["verdict"], style=STYLES.get(one["verdict"], ""))
        difference = (points(one["difference"]), points_interval(one["interval"]))
        table.add_row(one["arm"], one["against"], *difference, *p_text, word)
    return _section("Paired comparisons on the same problems", table)


def _recovered(result: Result) -> list[RenderableType]:
    found = recovered(result)
    if not found:
        return []
    table = _table("student", "supervisor", "student's", "ceiling", "gap recovered", "of each seed")
    for one in found:
        three = (one["accuracy_of_supervisor"], one["accuracy"], one["accuracy_of_ceiling"])
        each = pgr_of_seeds(one) if one["seeds"] > 1 else "-"
        table.add_row(one["arm"], *map(percent, three), pgr_in_words(one), each)
    notes = [f"{one['arm']} agrees with its supervisor: {agreement_in_words(one)}" for one in found]
    notes += sorted({f"refused: {one['reason']}" for one in found if one["reason"]})
    return _section("How much of the gap between supervisor and ceiling is recovered", table, *notes)


def _choosing(result: Result) -> list[RenderableType]:
    every = choosing_rules(result)
    if not every:
        return []
    told = result["choosing"]
    by_n = _table("n", "completions", every[0], "95 % interval", *every[1:], left=0)
    for n, by_rule in curve(result).items():
        shown = [percent(by_rule[rule]["accuracy"]) if rule in by_rule else "-" for rule in every]
        around = percent_interval(by_rule[every[0]]["interval"]) if every[0] in by_rule else "-"
        by_n.add_row(count(n), completions(result, by_rule), shown[0], around, *shown[1:])
    notes = [
        f"mean over sets of n samples; completions of a problem by {every[0]}, of {told['vote']} they are n",
        f"one greedy answer: {percent(greedy(result))}",
    ]
    varied = _table("variance of scores", "problems", every[0], every[-1])
    for band in told["variances"]:
        own = share_in_words(band["accuracy"], band["interval"])
        vote = share_in_words(band["accuracy_of_vote"], band["interval_of_vote"])
        varied.add_row(band_in_words(band), count(band["problems"]), own, vote)
    parts = _section("Choosing among fewer samples", by_n, *notes)
    parts += _section("Choosing, by how much the scores of a problem differ", varied)
    if len(told["judges"]) > 1:
        alone = _table("by the scores of", every[0], f"points over {told['vote']}")
        for one in told["judges"]:
            own = share_in_words(one["accuracy"], one["interval"])
            alone.add_row(visible(judges_in_words(one)), own, gain_in_words(one))
        parts += _section("Choosing by several judges, and by each alone", alone)
    return parts


def _transitions(result: Result) -> list[RenderableType]:
    found = transitions(result)
    if not found:
        return []
    table = _table("from base to", "stays right", "becomes right", "becomes wrong", "stays wrong")
    for arm, counts in found.items():
        table.add_row(arm, *(count(counts[name]) for name in TRANSITIONS))
    note = "sums over seeds" if is_over_seeds(result) else ""
    return _section("What became of each problem", table, note)


def _information(result: Result) -> list[RenderableType]:
    table = _table("arm", "gold answers read", left=2)
    for arm, entries in labels_read(result).items():
        read = (f"{one['by']}: {count(one['problems'])} of {one['split']}" for one in entries)
        table.add_row(arm, "; ".join(read) or "none")
    sources = ", ".join(sources_in_the_result(result)) or "none"
    return _section("Information", table, f"in what the method returned: {sources}")


def _contamination(result: Result) -> list[RenderableType]:
    checked = result["contamination"]
    if not checked:
        return []
    rows = sum(one["rows"] for one in checked)
    reasons: dict[str, int] = {}
    for one in checked:
        for reason, number in one["dropped"].items():
            reasons[reason] = reasons.get(reason, 0) + number
    table = _table("rows", "why", left=0)
    table.columns[-1].justify = "left"
    table.add_row(count(rows), "held against the evaluation splits before training")
    for reason, number in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(count(number), f"dropped: {visible(reason)}")
    if not reasons:
        table.add_row("0", "dropped")
    for reason, number in found_but_learned(checked).items():
        table.add_row(count(number), f"found, but learned: {visible(reason)}")
    return _section("Contamination", table)


def _costs(result: Result) -> list[RenderableType]:
    table = _table("arm", "prompt tokens", "generated", "trained", "time", "money")
    for arm, cost in costs(result).items():
        table.add_row(
            arm,
            *(short_count(cost[name]) for name in ("prompt_tokens", "generated_tokens", "trained_tokens")),
            duration(cost["seconds"]),
            dollars(cost["usd"]),
        )
    note = "what an arm shares with one above it is counted there; time: when it was first computed"
    shared = "sums over seeds; what seeds share is counted for each" if is_over_seeds(result) else ""
    return _section("Cost", table, note, shared)


def _facts(result: Result) -> list[RenderableType]:
    found = facts(result)
    if not found:
        return []
    table = _table("number", "of each seed" if is_over_seeds(result) else "value", left=2)
    for name, values in found.items():
        table.add_row(visible(name), visible(", ".join(values)))
    return _section("Numbers of the recipe", table)


def _notes(result: Result) -> list[RenderableType]:
    if not result["notes"]:
        return []
    notes = [Padding(Text(visible(note)), (0, 0, 0, 2)) for note in result["notes"]]
    return [Text("Notes", style="bold underline"), *notes, Text()]
