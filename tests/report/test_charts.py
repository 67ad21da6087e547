from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.report.charts import (
    Bar,
    Difference,
    Point,
    Series,
    difference_chart,
    line_chart,
    stacked_bars,
    ticks,
)

NUMBERS = st.floats(min_value=-1e6, max_value=1e6, allow_nan=False)
SHARES = st.floats(min_value=0, max_value=1)


@given(NUMBERS, st.floats(min_value=1e-6, max_value=1e6), st.integers(min_value=2, max_value=10))
def test_ticks_are_evenly_spaced_round_numbers_inside_the_range(low: float, span: float, most: int) -> None:
    high = low + span
    found = ticks(low, high, most)
    assert len(found) <= most + 1
    slack = 1e-6 * max(1.0, abs(low), abs(high), span)
    assert all(low - slack <= value <= high + slack for value in found)
    gaps = [right - left for left, right in pairwise(found)]
    assert all(gap == pytest.approx(gaps[0], rel=1e-3, abs=slack) for gap in gaps)


def test_ticks_of_nothing_are_one() -> None:
    assert ticks(0.3, 0.3) == [0.3]
    assert ticks(0.0, 1.0) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-0.05, 0.31, 6) == [-0.0 + 0.0, 0.1, 0.2, 0.3]


def lines(values: Sequence[float], name: str = "method") -> str:
    marks = [
        Point(place, y, (max(0.0, y - 0.1), min(1.0, y + 0.1)), f"{name} {y}")
        for place, y in enumerate(values)
    ]
    return line_chart(
        [Series(name, marks, "method")],
        title="t",
        x_ticks=[(place, str(place)) for place in range(len(values))],
        levels=[("base", 0.2, "base")],
    )


@given(st.lists(SHARES, min_size=1, max_size=6), st.text())
def test_charts_are_well_formed_for_any_numbers_and_names(values: list[float], name: str) -> None:
    rows = [Difference(name, y - 0.5, (y - 0.6, y - 0.4), "base", name) for y in values]
    bars = [Bar(name, [(name, y, "kept"), ("rest", 1.0, "drop1")]) for y in values]
    for chart in (lines(values, name), difference_chart(rows, title=name), stacked_bars(bars, title=name)):
        ElementTree.fromstring(chart)


def test_marks_lie_inside_the_view_and_higher_values_lie_higher() -> None:
    root = ElementTree.fromstring(lines([0.1, 0.5, 0.9]))
    _, _, width, height = (float(part) for part in root.attrib["viewBox"].split())
    circles = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in root.iter("circle")]
    assert all(0 < x < width and 0 < y < height for x, y in circles)
    assert [x for x, _ in circles] == sorted(x for x, _ in circles)
    ys = [y for _, y in circles]
    assert ys == sorted(ys, reverse=True)
    assert ys[0] - ys[1] == pytest.approx(ys[1] - ys[2], abs=0.2)  # equal steps stay equal


def test_names_at_the_end_never_overlap() -> None:
    series = [Series(f"arm {n}", [Point(0, 0.5), Point(1, 0.5 + n / 1000)], "base") for n in range(6)]
    chart = line_chart(series, title="t", x_ticks=[(0, "0"), (1, "1")])
    ys = sorted(float(y) for y in re.findall(r'class="name [^"]*" x="[\d.]+" y="([\d.]+)"', chart))
    assert len(ys) == 6
    assert all(right - left >= 15 for left, right in pairwise(ys))


def test_the_same_numbers_give_the_same_bytes() -> None:
    assert lines([0.1, 0.2]) == lines([0.1, 0.2])


def test_the_line_at_zero_is_where_differences_change_sign() -> None:
    chart = difference_chart([Difference("against base", 0.2, (-0.1, 0.4), "base")], title="t")
    zero = float(re.findall(r'class="zero" d="M([\d.]+)', chart)[0])
    low, high = (float(x) for x in re.findall(r'class="bar thick" d="M([\d.]+) [\d.]+H([\d.]+)', chart)[0])
    assert low < zero < high
    dot = float(re.findall(r'cx="([\d.]+)"', chart)[0])
    assert dot - zero == pytest.approx(2 * (zero - low), abs=0.3)


def test_there_is_no_chart_without_numbers() -> None:
    assert line_chart([], title="t", x_ticks=[]) == ""
    assert difference_chart([], title="t") == ""
    assert stacked_bars([Bar("a", [("x", 0, "kept")])], title="t") == ""
