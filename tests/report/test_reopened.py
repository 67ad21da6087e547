from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import DataError, WorkspaceError
from docendo.core.records import Source
from docendo.report.results import result_of
from docendo.runs.reopened import ByIds, reopened
from docendo.runs.stages import Place, written_stage
from docendo.runs.stored import Read, Verified
from docendo.runs.workspace import StageKey, Workspace
from tests.fakes import House
from tests.report.conftest import Ran


def test_every_evaluation_of_a_result_opens_again_with_the_same_accuracy(ran: Ran) -> None:
    for entry in result_of(ran.workspace, "one")["evaluations"]:
        for kind, names in entry["stages"].items():
            table = reopened(ran.workspace, list(reversed(names)))
            assert isinstance(table, Verified)
            assert isinstance(table.rows, Read)
            rows = list(table)
            right = sum(row.is_correct for row in rows)
            if kind == "greedy":
                assert (right, len(rows)) == (entry["correct"], entry["n"])
            elif entry["mean_at_k"] is not None:
                assert right / len(rows) == pytest.approx(entry["mean_at_k"])
            assert all(row.answer in row.text for row in rows)
            assert {row.verdict.source for row in rows} == {Source.GOLD}


def test_a_reopened_table_is_the_one_that_was_closed(tmp_path: Path) -> None:
    house = House(tmp_path)
    run = house.run()
    tried = run.verify(run.sample(run.base, run.problems("train"), 3, temperature=1.0))
    names = sorted(tried.stages)
    again = reopened(house.workspace, names)
    assert again.digest == tried.digest
    assert list(again) == list(tried)
    assert again.columns(["problem_id", "verdict"]) == tried.columns(["problem_id", "verdict"])
    assert again.sources == tried.sources


def test_answers_chosen_from_several_stages_are_found_by_their_ids(tmp_path: Path) -> None:
    house = House(tmp_path)
    run = house.run()
    first = run.sample(run.base, run.problems("test"))
    more = run.sample(run.base, run.problems("test"), 2, temperature=1.0)
    chosen = [*list(more)[1:20:2], *list(first)[10:]]

    def rows() -> Iterator[list[Any]]:
        for place, sample in enumerate(chosen):
            yield [sample.id, sample.problem.id, "voted", "correct" if place % 2 else "incorrect", ""]

    key = StageKey("evaluate", {"samples": "of Answers", "labels": "some"})
    sealed, _ = written_stage(house.workspace, key, Place("run", "evaluate"), rows, total=len(chosen))
    table = reopened(house.workspace, [*first.stages, *more.stages, sealed.name])
    assert isinstance(table, Verified)
    assert isinstance(table.rows, ByIds)
    assert [row.id for row in table] == [sample.id for sample in chosen]
    assert [row.text for row in table] == [sample.text for sample in chosen]
    assert {row.answer for row in table} == {"voted"}  # what was judged, not what was read at first
    missing = reopened(house.workspace, [*first.stages, sealed.name])
    with pytest.raises(DataError, match="is in none of the stages that were named"):
        list(missing)


def test_names_without_one_stage_of_verdicts_are_refused(ran: Ran, tmp_path: Path) -> None:
    entry = next(one for one in result_of(ran.workspace, "one")["evaluations"] if one["split"] == "test")
    names = entry["stages"]["greedy"]
    with pytest.raises(DataError, match="0 stages of verdicts"):
        reopened(ran.workspace, [name for name in names if not name.startswith("evaluate")])
    with pytest.raises(DataError, match="2 stages of verdicts"):
        reopened(ran.workspace, [*names, *entry["stages"]["sampled"]])
    moved = Workspace(shutil.copytree(ran.path, tmp_path / "moved"))
    shutil.rmtree(moved.stages / names[0])
    with pytest.raises(WorkspaceError, match=f"stage {names[0]} is not there"):
        reopened(moved, names)
