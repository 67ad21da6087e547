"""The section on what students recover of the gap between their supervisor and the ceiling."""

from __future__ import annotations

from docendo.report.escaping import escaped
from docendo.report.figures import percent, points_interval
from docendo.report.html.parts import dot, note, table
from docendo.report.recovered import pgr_in_words, recovered, seeds_in_words
from docendo.report.results import Result


def recovered_section(result: Result) -> str:
    """Show accuracies, the gap recovered, and the agreement with the supervisor; empty without a gap."""
    found = recovered(result)
    if not found:
        return ""
    rows = [
        (
            dot(one["arm"]),
            percent(one["accuracy_of_supervisor"]),
            percent(one["accuracy"]),
            percent(one["accuracy_of_ceiling"]),
            points_interval(one["gap"]),
            f"{escaped(pgr_in_words(one))}<br><small>{escaped(one['reason'])}</small>",
            escaped(seeds_in_words(one)),
            percent(one["agreement"]["where_right"]),
            percent(one["agreement"]["where_wrong"]),
        )
        for one in found
    ]
    heads = ("student", "supervisor", "student's", "ceiling", "gap, points", "gap recovered", "of each seed")
    agreed = ("agrees where it is right", "where it is wrong")
    return table((*heads, *agreed), rows) + note(
        "Gap recovered: (student - supervisor) / (ceiling - supervisor), with the 95 % interval of a "
        "bootstrap over problems and seeds in which the three meet. 0: no better than the supervisor; "
        "1: as good as with gold answers. It is refused where the ceiling is not significantly above the "
        "supervisor. Last columns: how often the student answers as its supervisor does."
    )
