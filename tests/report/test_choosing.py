"""The cost curve, score variances and the matrix of teachers by students, as text and as HTML."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest

from docendo.evidence.experiment import experiment
from docendo.recipes.lbt_m1 import LbtM1Config, lbt_m1
from docendo.report.choosing import band_in_words, curve, matrix, rules
from docendo.report.html import report_html
from docendo.report.html.choosing import choosing_section
from docendo.report.results import result_of
from docendo.report.terminal import _printed as printed  # pyright: ignore[reportPrivateUsage]
from docendo.report.terminal import render_result, side_by_side
from tests.lessons import SIZE, Classroom
from tests.report.conftest import HOSTILE, Ran


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    return Classroom(tmp_path_factory.mktemp("lessons"))


@pytest.fixture(scope="module")
def lessons(room: Classroom) -> dict[str, Any]:
    students = ("scripted/base", "scripted/weak")
    return experiment(room.experiment(lbt_m1, LbtM1Config(samples_per_problem=4), students=students))


def told(name: str, model: str, *judges: tuple[str, float], task: str = "lessons") -> dict[str, Any]:
    """Return as much of a result as the matrix looks at: judges and their accuracies."""
    entries = [
        {
            "judges": names.split("+"),
            "accuracy": accuracy,
            "interval": [0.0, 1.0],
            "difference": accuracy - 0.5,
            "interval_of_difference": [accuracy - 0.6, accuracy - 0.4],
        }
        for names, accuracy in judges
    ]
    return {"name": name, "model": model, "task": task, "choosing": {"judges": entries}}


def words(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_methods_rule_stands_first_and_the_vote_last(lessons: dict[str, Any]) -> None:
    assert rules(lessons) == ["sum", "max", "avg", "self-consistency"]
    assert list(curve(lessons)) == [1, 2, 4, 8, 16, 28]


def test_the_terminal_shows_curve_variances_and_judges(lessons: dict[str, Any]) -> None:
    text = render_result(lessons)
    assert max(map(len, text.splitlines())) <= 100
    lines = words(text)
    assert "n completions sum 95 % interval max avg self-consistency" in lines
    by_n = {line.split()[0]: line for line in lines if line[:1].isdigit() and "%" in line}
    point = curve(lessons)[4]["sum"]
    assert by_n["4"].startswith(f"4 {point['completions']:.1f} {100 * point['accuracy']:.1f} %")
    assert by_n["28"].startswith("28 28.0 - - - - ")  # the vote alone goes on
    bands = [
        line.split() for line in lines if line.startswith(("0: constant ", "0.15 to 0.2 ", "0.2 to 0.25 "))
    ]
    assert sum(int(line[3 if line[1] == "to" else 2]) for line in bands) == SIZE
    assert any(line.startswith("scripted/base + scripted/weak ") for line in lines)
    assert any(line.startswith("scripted/weak ") for line in lines)


def test_the_page_has_two_charts_with_all_rules_and_their_numbers(
    room: Classroom, lessons: dict[str, Any]
) -> None:
    page = choosing_section(lessons)
    assert page.count("<svg") == 2
    for rule in ("sum", "max", "avg", "self-consistency", "greedy"):
        assert page.count(f">{rule}</text>") == 2  # a name at the end of each line, not a colour alone
    for n, by_rule in curve(lessons).items():
        for rule, point in by_rule.items():
            assert page.count(f"<title>{rule}, n={n}, {point['completions']:.1f} completions: ") == 2
    for band in lessons["choosing"]["variances"]:
        assert f"<td>{band_in_words(band)}</td>" in page
    assert '<section id="choosing">' in report_html(room.workspace, lessons)


def test_what_others_named_is_escaped(lessons: dict[str, Any]) -> None:
    judges = [{**one, "judges": [HOSTILE]} for one in lessons["choosing"]["judges"]]
    page = choosing_section({**lessons, "choosing": {**lessons["choosing"], "judges": judges}})

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            assert tag not in ("img", "script")

    Checker().feed(page)


def test_a_result_that_does_not_choose_says_nothing_of_it(ran: Ran) -> None:
    result = result_of(ran.workspace, "one")
    assert "choosing" not in result
    assert choosing_section(result) == ""
    assert "Choosing" not in render_result(result)
    assert matrix([result, result]) == ([], {})


def test_runs_side_by_side_are_a_matrix_of_teachers_by_students(lessons: dict[str, Any]) -> None:
    own = told("a", "lab/base", ("lab/base", 0.8))
    both = told("b", "lab/base", ("lab/base+lab/student", 0.9), ("lab/base", 0.7), ("lab/student", 0.6))
    other = told("c", "lab/teacher", ("lab/student", 0.95))
    students, rows = matrix([both, own, other])
    assert students == ["lab/base + lab/student", "lab/base", "lab/student"]
    shown = {teacher: {name: (one["accuracy"], alone) for name, (one, alone) in row.items()}
             for teacher, row in rows.items()}  # fmt: skip
    assert shown == {
        "lab/base": {
            "lab/base + lab/student": (0.9, False),
            "lab/base": (0.8, False),  # the run of its own goes before what was computed
            "lab/student": (0.6, True),
        },
        "lab/teacher": {"lab/student": (0.95, False)},
    }
    heads = [
        {**lessons, **one, "choosing": lessons["choosing"] | one["choosing"]} for one in (both, own, other)
    ]
    lines = words(printed(side_by_side(heads), 100, False))
    at = lines.index("students; right: teachers lab/base lab/teacher")
    assert lines[at + 1 : at + 7] == [
        "lab/base + lab/student 90.0 %",
        "+40.0 [+30.0, +50.0]",
        "lab/base 80.0 %",
        "+30.0 [+20.0, +40.0]",
        "lab/student 60.0 %* 95.0 %",
        "+10.0 [0.0, +20.0] +45.0 [+35.0, +55.0]",
    ]
    assert any(line.startswith("*: from the scores of this one alone") for line in lines)


def test_runs_that_would_share_a_cell_stand_in_rows_of_their_own() -> None:
    first, second = (told(name, "lab/base", ("lab/base", 0.8)) for name in ("a", "b"))
    assert list(matrix([first, second])[1]) == ["lab/base", "lab/base (b)"]
    elsewhere = told("c", "lab/base", ("lab/base", 0.8), task="hinted")
    assert list(matrix([first, elsewhere])[1]) == ["lab/base, lessons", "lab/base, hinted"]
