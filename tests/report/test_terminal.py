from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from docendo.core.errors import DataError, UnknownNameError, WorkspaceError
from docendo.evidence.verdict import verdict
from docendo.metrics.intervals import Interval
from docendo.report.results import finals, result_of, rounds, verdict_in_words
from docendo.report.terminal import render_result, report_json, report_text
from docendo.runs.workspace import Workspace
from tests.report.conftest import Ran


def comparison(against: str, low: float, high: float) -> dict[str, Any]:
    return {
        "arm": "method",
        "against": against,
        "is_rival": True,
        "n": 500,
        "seeds": 1,
        "accuracy": 0.5,
        "accuracy_against": 0.5 - (low + high) / 2,
        "difference": (low + high) / 2,
        "interval": [low, high],
        "p_value": 0.5,
    }


ENDS = st.floats(min_value=-0.5, max_value=0.5)


@given(st.lists(st.tuples(ENDS, ENDS).map(sorted), max_size=4))
def test_the_sentence_names_the_comparison_that_decided(ends: list[list[float]]) -> None:
    comparisons = [comparison(f"rival{place}", low, high) for place, (low, high) in enumerate(ends)]
    word = verdict([Interval(low, high) for low, high in ends])
    rule, deciding = verdict_in_words({"comparisons": comparisons, "verdict": word})
    if not ends:
        assert deciding == ""
        return
    named = next(one for one in comparisons if f"against {one['against']} " in deciding)
    low, high = named["interval"]
    if word == "improved":
        assert low == min(low for low, _ in ends)
        assert low > 0
    elif word == "worse":
        assert high == min(high for _, high in ends)
        assert high < 0
        assert named["against"] in rule
    else:
        assert low <= 0 <= high
        assert named["against"] in rule


def test_the_report_names_every_arm_the_verdict_and_where_things_lie(ran: Ran) -> None:
    text = report_text(ran.workspace, "one")
    result = result_of(ran.workspace, "one")
    for arm in ("method", "base", "majority", "unverified", "gold"):
        assert f"  {arm} " in text
    assert result["verdict"].upper() in text
    assert verdict_in_words(result)[1] in text
    for title in ("Rounds", "Paired comparisons", "What became", "Information", "Contamination", "Cost"):
        assert title in text
    folder = next(line.split()[1] for line in text.splitlines() if line.startswith("checkpoint"))
    assert (Path(folder) / "config.json").exists()
    assert str(ran.workspace.runs / "one" / "result.json") in text


@pytest.mark.parametrize("name", ["one", "two"])
@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_and_are_plain_where_no_colour_is_asked_for(ran: Ran, name: str, width: int) -> None:
    text = render_result(result_of(ran.workspace, name), width=width)
    assert "\x1b" not in text
    assert all(cell_len(line) <= width for line in text.splitlines())
    assert "\x1b[" in render_result(result_of(ran.workspace, name), width=width, colour=True)


def test_a_result_over_seeds_shows_means_and_says_so(ran: Ran) -> None:
    result = result_of(ran.workspace, "two")
    text = report_text(ran.workspace, "two")
    assert "seeds 0, 1" in text
    assert "range of seeds" in text
    assert "means over 2 seeds" in text
    values = [entry["accuracy"] for entry in finals(result)["method"]]
    assert len(values) == 2
    assert f"{50 * sum(values):.1f} %" in text
    problems = sum(entry["n"] for entry in finals(result)["method"])
    row = next(line for line in text.split("What became")[1].splitlines() if line.startswith("  method"))
    assert sum(int(number) for number in row.split()[1:]) == problems


def test_rounds_begin_with_the_base_and_count_one_entry_a_seed(ran: Ran) -> None:
    for name, seeds in (("one", 1), ("two", 2)):
        found = rounds(result_of(ran.workspace, name))["method"]
        assert list(found) == [0, 1, 2]
        assert all(len(entries) == seeds for entries in found.values())
        assert {entry["arm"] for entry in found[0]} == {"base"}


def test_what_a_name_or_a_note_holds_cannot_steer_the_terminal(ran: Ran) -> None:
    result: Mapping[str, Any] = {
        **result_of(ran.workspace, "one"),
        "notes": ["\x1b[2Jgone", "[bold]not markup[/bold]"],
        "model": "\x1b]0;title\x07",
    }
    text = render_result(result)
    assert "\x1b" not in text
    assert "[bold]not markup[/bold]" in text


def test_json_is_the_result_itself(ran: Ran) -> None:
    assert json.loads(report_json(ran.workspace, "one")) == result_of(ran.workspace, "one")


def test_an_unknown_run_is_named_with_the_nearest_one(ran: Ran) -> None:
    with pytest.raises(UnknownNameError, match="unknown run 'onne'") as caught:
        report_text(ran.workspace, "onne")
    assert caught.value.hint == "did you mean 'one'?"
    with pytest.raises(UnknownNameError):
        report_text(ran.workspace, "../runs/one")


def test_an_unfinished_or_damaged_run_is_told_as_what_it_is(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    folder = workspace.runs / "half"
    folder.mkdir()
    with pytest.raises(WorkspaceError, match="run 'half' has no result yet"):
        report_text(workspace, "half")
    (folder / "result.json").write_text("{")
    with pytest.raises(DataError, match=r"result\.json of run 'half' cannot be read"):
        report_text(workspace, "half")
    (folder / "result.json").write_text("[]")
    with pytest.raises(DataError, match="is not a result"):
        report_text(workspace, "half")
    (folder / "result.json").write_text('{"format": 99}')
    with pytest.raises(WorkspaceError, match="has format 99; this version reads up to 1"):
        report_text(workspace, "half")
