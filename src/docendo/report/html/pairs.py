"""A page on several pairs of a weak and a strong model: accuracies as a chart, gaps recovered as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from docendo.report.charts import Point, Series, line_chart
from docendo.report.escaping import escaped
from docendo.report.figures import percent
from docendo.report.html.page import page
from docendo.report.html.parts import figure, note, shown_name, table
from docendo.report.recovered import Recovered, medians_in_words, pairs, pgr_in_words, triangle
from docendo.report.results import Result, result_of, seeds_in_words
from docendo.runs.workspace import Workspace, write_durably

_COLOURS = ("method", "majority", "unverified", "other", "base")


def write_pairs(workspace: Workspace, name: str, runs: Sequence[str]) -> Path:
    """Write ``pairs/NAME.html`` in the workspace and return its path.

    Raises:
        UserError: As for `docendo.report.results.result_of`.
    """
    path = workspace.path / "pairs" / f"{name}.html"
    path.parent.mkdir(exist_ok=True)
    write_durably(path, pairs_html(name, [result_of(workspace, run) for run in runs]).encode())
    return path


def pairs_html(name: str, results: Sequence[Result]) -> str:
    """Return the page of the results of several pairs."""
    found = pairs(results)
    strong, rows = triangle(found)
    first = results[0]
    cells = [(escaped(shown_name(weak)), *(_cell(one) for one in entries)) for weak, entries in rows]
    medians = "".join(f"<p>{escaped(told)}</p>" for told in medians_in_words(results))
    links = "".join(
        f'<li><a href="../runs/{escaped(one["name"])}/report.html">{escaped(one["name"])}</a></li>'
        for one in results
    )
    caption = (
        "Accuracy on the test split: each line is a supervisor's students; the top one are the ceilings."
    )
    body = (
        f'<header><p class="brand">Docendo report</p><h1>{escaped(name)}</h1><p class="about">'
        f"{escaped(first['recipe'])} on {escaped(first['task'])}, {len(results)} pairs, "
        f"{escaped(seeds_in_words(first))}</p></header><main><section><h2>Gap recovered</h2>"
        + table(("weak, below: strong", *map(shown_name, strong)), cells)
        + note("Gap recovered with its 95 % interval; under it accuracy of supervisor, student and ceiling.")
        + f"{medians}</section><section><h2>Accuracy</h2>{figure(_chart(found), caption)}</section>"
        f"<section><h2>The pairs</h2><ul>{links}</ul></section></main>"
    )
    return page(f"{name}: {first['recipe']} over pairs", body)


def _cell(one: Recovered | None) -> str:
    if one is None:
        return ""
    three = (one["accuracy_of_supervisor"], one["accuracy"], one["accuracy_of_ceiling"])
    return f"{escaped(pgr_in_words(one))}<br><small>{escaped(', '.join(map(percent, three)))}</small>"


def _chart(found: Mapping[tuple[str, str], Recovered]) -> str:
    strong, rows = triangle(found)
    series = [
        Series(
            f"from {shown_name(weak)}",
            [
                Point(place, one["accuracy"], says=f"{weak} to {strong[place]}: {percent(one['accuracy'])}")
                for place, one in enumerate(entries)
                if one is not None
            ],
            _COLOURS[number % len(_COLOURS)],
        )
        for number, (weak, entries) in enumerate(rows)
    ]
    tops = [next(one for pair, one in found.items() if pair[1] == name) for name in strong]
    series.append(
        Series(
            "ceiling", [Point(place, one["accuracy_of_ceiling"]) for place, one in enumerate(tops)], "gold"
        )
    )
    return line_chart(
        series,
        title="Accuracy of students and ceilings by strong model",
        x_ticks=[(place, shown_name(name)) for place, name in enumerate(strong)],
        x_label="strong model",
        width=760,
    )
