"""A plan starts nothing, is exact where everything is there, and is never below what then happens."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from docendo.evidence.experiment import experiment, plan
from docendo.recipes.rest_em import RestEmConfig
from docendo.runs.plan import Plan
from docendo.runs.settings import RunSettings
from tests.fakes import House, tree_digest
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=8, validation_problems=6, test_problems=6, evaluation_samples=2)
CONFIG = RestEmConfig(rounds=2, samples_per_problem=4)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL)


def made_by(house: House, before: set[str]) -> tuple[Counter[str], Counter[str]]:
    """Return how many stages were made of each kind, and rows of each, since there were those of before."""
    stages, rows = Counter[str](), Counter[str]()
    for sealed in house.workspace.all_sealed():
        if sealed.name not in before:
            stages[sealed.kind] += 1
            rows[sealed.kind] += sealed.rows
    return stages, rows


def planned(found: Plan) -> tuple[Counter[str], Counter[str]]:
    """Return how many stages of each kind a plan would make, and at most how many rows."""
    stages, rows = Counter[str](), Counter[str]()
    for stage in found.stages:
        if not stage.is_there:
            stages[stage.kind] += 1
            assert stage.rows is not None
            rows[stage.kind] += stage.rows
    return stages, rows


def names(house: House) -> set[str]:
    return {sealed.name for sealed in house.workspace.all_sealed()}


def test_a_plan_asks_nobody_and_writes_nothing(house: House) -> None:
    house.workspace  # noqa: B018
    before = tree_digest(house.workspace.path)
    found = plan(asked(house, controls="full"))
    assert tree_digest(house.workspace.path) == before
    assert (house.engine.asked, house.trainer.rows) == ([], [])
    assert found.is_complete
    assert found.stages


@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])
@given(
    rounds=st.integers(1, 3),
    choose_epoch=st.booleans(),
    controls=st.sampled_from(["none", "basic", "full"]),
    restart=st.booleans(),
    human_data=st.booleans(),
)
def test_what_happens_stays_within_what_was_planned(
    tmp_path_factory: pytest.TempPathFactory, rounds: int, choose_epoch: bool, **more: Any
) -> None:
    house = House(tmp_path_factory.mktemp("house"), settings=SMALL)
    controls = more.pop("controls")
    config = replace(CONFIG, rounds=rounds, choose_epoch=choose_epoch, **more)
    found = plan(asked(house, config=config, controls=controls))
    assert found == plan(asked(house, config=config, controls=controls))
    stages, rows = planned(found)
    experiment(asked(house, config=config, controls=controls))
    made_stages, made_rows = made_by(house, set())
    assert {kind: count for kind, count in made_stages.items() if count > stages[kind]} == {}
    assert {kind: count for kind, count in made_rows.items() if count > rows[kind]} == {}
    assert stages["sample"] <= made_stages["sample"] * 2  # a bound that is of use


def test_after_the_run_everything_is_there_and_the_plan_is_exact(house: House) -> None:
    experiment(asked(house, controls="full"))
    found = plan(asked(house, controls="full"))
    assert all(stage.is_there and stage.is_exact for stage in found.stages)
    listing = house.workspace.runs / "trial" / "stages.jsonl"
    first: dict[str, tuple[str, str, int]] = {}  # a stage that is asked again is planned once
    for record in map(orjson.loads, listing.read_bytes().splitlines()):
        first.setdefault(record["stage"], (record["place"], record["kind"], record["rows"]))
    assert [(stage.label, stage.kind, stage.rows) for stage in found.stages] == list(first.values())


def test_a_further_round_is_planned_behind_what_is_there(house: House) -> None:
    experiment(asked(house, config=CONFIG))
    before = names(house)
    found = plan(asked(house, config=replace(CONFIG, rounds=3)))
    for stage in found.stages:
        if "/round-1/" in stage.label or "/round-2/" in stage.label or stage.label.startswith("base/"):
            assert stage.is_there, stage.label
    todo = [stage for stage in found.stages if not stage.is_there]
    first = todo[0]
    assert (first.label, first.rows, first.is_exact) == ("method/round-3/sample", 32, True)
    experiment(asked(house, config=replace(CONFIG, rounds=3)))
    stages, rows = made_by(house, before)
    planned_stages, planned_rows = planned(found)
    assert all(count <= planned_stages[kind] for kind, count in stages.items())
    assert all(count <= planned_rows[kind] for kind, count in rows.items())


def test_of_several_seeds_the_first_is_planned(house: House) -> None:
    one = plan(asked(house, seeds=(3,)))
    several = plan(asked(house, seeds=(3, 4)))
    assert one == several
