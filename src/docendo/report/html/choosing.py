"""The section on choosing among scored samples: the cost curve, score variances, judges."""

from __future__ import annotations

from math import log2

from docendo.report.charts import Point, Series, line_chart
from docendo.report.choosing import (
    band_in_words,
    completions,
    curve,
    gain_in_words,
    greedy,
    judges_in_words,
    rules,
    share_in_words,
)
from docendo.report.escaping import escaped
from docendo.report.figures import count, percent
from docendo.report.html.parts import figure, note, shown_name, table
from docendo.report.results import Result, is_over_seeds

_COLOURS = ("other", "unverified", "gold")


def choosing_section(result: Result) -> str:
    """Show what every rule makes of fewer samples; empty where the recipe does not choose by scores."""
    if not rules(result):
        return ""
    vote = result["choosing"]["vote"]
    captions = (
        "Accuracy against the number of samples of a problem, n.",
        f"The same against all completions of a problem: for {vote} its samples alone, for the others also "
        "what their scores rest on, identical requests counted once.",
    )
    charts = "".join(
        figure(_chart(result, by_cost=by_cost), caption)
        for by_cost, caption in zip((False, True), captions, strict=True)
    )
    about = (
        "Mean over all sets of n of a problem's samples, or over 100 drawn ones where there are more; with "
        "95 % intervals of a bootstrap over problems and seeds. Nothing was drawn for it anew."
    )
    return (
        f'<div class="pair">{charts}</div>{_points(result)}{note(about)}'
        f"<h3>Variance of a problem's scores</h3>{_variances(result)}"
        f"<h3>By whose scores</h3>{_judges(result)}"
    )


def _chart(result: Result, *, by_cost: bool) -> str:
    series: list[Series] = []
    every = rules(result)
    told = result["choosing"]
    last = 0.0
    # The method is drawn last and so lies on top; the rules stand a little apart, so that intervals do too.
    for place, rule in reversed(list(enumerate(every))):
        shown = [(one["completions"] if by_cost else n, one) for n, by in curve(result).items()
                 for name, one in by.items() if name == rule]  # fmt: skip
        last = max([last, *(x for x, _ in shown)])
        marks = [
            Point(
                log2(x) + 0.05 * (place - (len(every) - 1) / 2),
                one["accuracy"],
                one["interval"],
                f"{rule}, n={one['n']}, {one['completions']:.1f} completions: "
                + share_in_words(one["accuracy"], one["interval"]),
            )
            for x, one in shown
        ]
        colour = "method" if rule == told["rule"] else "majority" if rule == told["vote"] else _other(place)
        series.append(Series(rule, marks, colour, "" if rule == told["rule"] else "dashed"))
    base = greedy(result)
    return line_chart(
        series,
        title=f"Accuracy by {'completions' if by_cost else 'samples'} of a problem",
        x_ticks=[(power, str(1 << power)) for power in range(int(log2(last)) + 1)],
        x_label="completions of a problem" if by_cost else "samples of a problem, n",
        width=620,
        height=320,
        levels=[] if base is None else [("greedy", base, "base")],
    )


def _other(place: int) -> str:
    return _COLOURS[(place - 1) % len(_COLOURS)]


def _points(result: Result) -> str:
    every = rules(result)
    rows = (
        (
            count(n),
            completions(result, by_rule),
            *(
                share_in_words(by_rule[rule]["accuracy"], by_rule[rule]["interval"])
                if rule in by_rule
                else "-"
                for rule in every
            ),
        )
        for n, by_rule in curve(result).items()
    )
    base = greedy(result)
    one = "" if base is None else f" One greedy answer: {percent(base)}."
    told = f"completions: of a problem, by {every[0]}; of {every[-1]} they are the n samples.{one}"
    return table(("n", "completions", *every), rows, words=0) + note(told)


def _variances(result: Result) -> str:
    told = result["choosing"]
    bands = told["variances"]
    most = max(band["problems"] for band in bands)
    rows = [
        (
            escaped(band_in_words(band)),
            f'<span class="mono">{"█" * max(1, round(20 * band["problems"] / most))}</span>',
            count(band["problems"]),
            share_in_words(band["accuracy"], band["interval"]),
            share_in_words(band["accuracy_of_vote"], band["interval_of_vote"]),
        )
        for band in bands
    ]
    over = " Sums over seeds; in an interval a problem counts once." if is_over_seeds(result) else ""
    return table(("variance", "", "problems", told["rule"], told["vote"]), rows, words=2) + note(
        "Constant scores carry no information: there the vote alone decides. Accuracies with exact 95 % "
        f"intervals.{over}"
    )


def _judges(result: Result) -> str:
    told = result["choosing"]
    rows = [
        (
            escaped(shown_name(judges_in_words(one))),
            share_in_words(one["accuracy"], one["interval"]),
            gain_in_words(one),
        )
        for one in told["judges"]
    ]
    alone = " Each alone: the same samples, chosen by its scores only." if len(rows) > 1 else ""
    return table(("judges", told["rule"], f"points over {told['vote']}"), rows) + note(
        f"Paired, on the same problems, with 95 % intervals.{alone}"
    )
