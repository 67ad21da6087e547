"""Gaps recovered in reports: of one run, and of several pairs as a triangle, a chart and medians."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from docendo.report.html.pairs import pairs_html
from docendo.report.html.recovered import recovered_section
from docendo.report.recovered import medians_in_words, pairs, triangle
from docendo.report.results import result_of
from docendo.report.terminal import _printed as printed  # pyright: ignore[reportPrivateUsage]
from docendo.report.terminal import render_result, side_by_side
from tests.report.conftest import HOSTILE, Ran


def recovery(arm: str = "method", **more: Any) -> dict[str, Any]:
    """Return an entry as evidence makes it."""
    return {
        "arm": arm,
        "supervisor": "weak",
        "ceiling": "ceiling",
        "n": 500,
        "seeds": 2,
        "accuracy": 0.5,
        "accuracy_of_supervisor": 0.4,
        "accuracy_of_ceiling": 0.6,
        "gap": [0.15, 0.25],
        "pgr": 0.5,
        "interval": [0.3, 0.7],
        "reason": "",
        "pgr_of_seed": [0.4, 0.6],
        "agreement": {"overall": 0.7, "where_right": 0.8, "where_wrong": None, "n_right": 9, "n_wrong": 0},
        **more,
    }


REFUSED: dict[str, Any] = {
    "pgr": None,
    "interval": None,
    "pgr_of_seed": [None, None],
    "reason": "the ceiling is not significantly above the supervisor",
}


@pytest.fixture
def results(ran: Ran) -> list[dict[str, Any]]:
    """Three pairs of three models; one is refused."""
    base = result_of(ran.workspace, "two")

    def made(weak: str, strong: str, *entries: dict[str, Any]) -> dict[str, Any]:
        more = {"name": f"w-{weak}-{strong}", "model": strong, "roles": {"weak": weak}}
        return {**base, **more, "recovered": list(entries)}

    return [
        made("a", "b", recovery("xent", pgr_of_seed=[0.1, 0.2]), recovery()),
        made("a", "c", recovery(accuracy=0.55, pgr=0.75, interval=[0.5, 1.0], pgr_of_seed=[0.7, 0.8])),
        made("b", "c", recovery(**REFUSED)),
    ]


def test_a_result_without_a_gap_says_nothing_of_it(ran: Ran) -> None:
    result = result_of(ran.workspace, "one")
    assert recovered_section(result) == ""
    assert "recovered" not in render_result(result)
    assert pairs([result, result]) == {}


def test_the_terminal_shows_the_gap_of_each_student_and_why_one_is_refused(
    results: list[dict[str, Any]],
) -> None:
    shown = render_result(results[0], width=120)
    lines = [line.split() for line in shown.splitlines()]
    found = next(line for line in lines if line[:1] == ["method"] and "0.50" in line)
    assert " ".join(found) == "method 40.0 % 50.0 % 60.0 % 0.50 [0.30, 0.70] 0.40, 0.60"
    assert "xent agrees with its supervisor: 80.0 % where it is right, - where it is wrong" in shown
    assert "refused: the ceiling is not significantly above" in render_result(results[2], width=120)


def test_pairs_stand_in_a_triangle_with_medians_over_pairs_and_seeds(results: list[dict[str, Any]]) -> None:
    strong, rows = triangle(pairs(results))
    assert strong == ["b", "c"]
    assert [(weak, [one and one["pgr"] for one in entries]) for weak, entries in rows] == [
        ("a", [0.5, 0.75]),
        ("b", [None, None]),
    ]
    assert rows[1][1][0] is None  # there is no such pair
    assert rows[1][1][1] is not None  # there is, and it is refused
    assert medians_in_words(results) == [
        "method: median 0.65 over 4 pairs and seeds, standard error 0.09; 2 refused",
        "xent: median 0.15 over 2 pairs and seeds, standard error 0.05; 0 refused",
    ]
    shown = printed(side_by_side(results), 120, False)
    assert "Gap recovered, with 95 % intervals" in shown
    (line,) = (line for line in shown.splitlines() if line.strip().startswith("a  "))
    assert " ".join(line.split()) == "a 0.50 [0.30, 0.70] 0.75 [0.50, 1.00]"


def test_the_page_of_pairs_has_table_chart_and_links_and_runs_nothing(results: list[dict[str, Any]]) -> None:
    results[1] = {**results[1], "model": HOSTILE, "name": "w-a-x"}
    text = pairs_html("sweep", results)
    assert "<script>alert" not in text
    assert text.count("<svg") == 1
    assert 'href="../runs/w-a-x/report.html"' in text
    assert "refused" in text

    class Checker(HTMLParser):
        images = 0

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            self.images += tag == "img"

    checker = Checker()
    checker.feed(text)
    assert checker.images == 0
