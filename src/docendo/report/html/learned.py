"""The section about training: which rows each selection kept, and what each epoch learned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docendo.report.charts import Bar, stacked_bars
from docendo.report.escaping import escaped
from docendo.report.figures import count, short_count
from docendo.report.html.parts import figure, folded, table
from docendo.report.results import Result, is_over_seeds, result_of
from docendo.runs.workspace import Sealed, Workspace

_COLOURS = ("drop1", "drop2", "drop3", "drop4")
_MOST_ROWS = 12


def learned_section(workspace: Workspace, result: Result) -> str:
    """Draw what was kept and dropped, and show the losses."""
    stages = list(_own_stages(workspace, result))
    selections = [(label, sealed) for label, sealed in stages if sealed.kind == "select"]
    trainings = [(label, sealed) for label, sealed in stages if sealed.kind == "train"]
    return _selections(selections) + _trainings(trainings)


def _own_stages(workspace: Workspace, result: Result) -> Iterator[tuple[str, Sealed]]:
    """Yield the method's select and train stages of all seeds, with a short label each."""
    runs: list[Result] = [result]
    if is_over_seeds(result):
        there = (run for run in result["runs"] if (workspace.runs / run / "result.json").exists())
        runs = [result_of(workspace, run) for run in there]
    for run in runs:
        places: dict[str, Mapping[str, Any]] = {}
        for entry in run["stages"]:
            if entry["arm"] == "method" and entry["kind"] in ("select", "train"):
                places.setdefault(entry["place"], entry)
        for place, entry in places.items():
            sealed = workspace.sealed(entry["stage"])
            if sealed is not None:
                label = place.partition("/")[2].replace("round-", "round ").replace("/", ", ")
                yield (f"seed {run['seeds'][0]}, {label}" if len(runs) > 1 else label), sealed


def _selections(selections: Sequence[tuple[str, Sealed]]) -> str:
    # What is held against the evaluation splits before training has a section of its own.
    library = ("-contamination", "-overlap")
    shown = [(label, one) for label, one in selections if not label.endswith(library)]
    if not shown:
        return ""
    totals: dict[str, int] = {}
    for _, one in shown:
        for reason, number in one.record["reasons"].items():
            totals[reason] = totals.get(reason, 0) + number
    ranked = sorted(totals, key=lambda reason: (-totals[reason], reason))
    colours = {reason: _COLOURS[min(place, len(_COLOURS) - 1)] for place, reason in enumerate(ranked)}
    bars = [
        Bar(
            label,
            [
                ("kept", one.record["kept"], "kept"),
                *((reason, one.record["reasons"].get(reason, 0), colours[reason]) for reason in ranked),
            ],
            f"{short_count(one.record['kept'])} of {short_count(one.rows)}",
        )
        for label, one in shown
    ]
    kept = sum(one.record["kept"] for _, one in shown)
    legend = [("kept", "kept", kept), *((reason, colours[reason], totals[reason]) for reason in ranked)]
    items = "".join(
        f'<li><span class="swatch c-{colour}"></span>{escaped(name)} <small>{count(number)}</small></li>'
        for name, colour, number in legend
    )
    chart = stacked_bars(bars, title="Rows kept and dropped by each selection")
    caption = "Rows that each selection of the method kept, and why it dropped the others."
    return f'<ul class="legend">{items}</ul>{figure(chart, caption)}'


def _trainings(trainings: Sequence[tuple[str, Sealed]]) -> str:
    rows = [
        (
            escaped(label),
            str(epoch["epoch"]),
            count(epoch.get("rows") or one.rows),
            count(epoch["steps"]),
            count(epoch["learned_tokens"]),
            f"{epoch['train_loss']:.4f}",
            "-" if epoch["held_out_loss"] is None else f"{epoch['held_out_loss']:.4f}",
        )
        for label, one in trainings
        for epoch in one.record["epochs"]
    ]
    if not rows:
        return ""
    heads = ("training", "epoch", "rows", "steps", "learned tokens", "train loss", "held-out loss")
    if all(row[-1] == "-" for row in rows):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    shown = table(heads, rows)
    return f"<h3>Training</h3>{shown if len(rows) <= _MOST_ROWS else folded('Losses of every epoch', shown)}"
