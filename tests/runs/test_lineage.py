"""Walks through a real run: back to the base, forwards to what came of it, by whole and by short names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from docendo.core.errors import UnknownNameError
from docendo.evidence.experiment import experiment
from docendo.recipes.rest_em import RestEmConfig
from docendo.runs.lineage import Lineage, Origin
from docendo.runs.settings import RunSettings
from docendo.runs.stored import column_values
from docendo.runs.workspace import Sealed
from tests.fakes import House
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=10, validation_problems=6, test_problems=6, evaluation_samples=0)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("house"), settings=SMALL)
    config = RestEmConfig(rounds=2, samples_per_problem=4, epochs=2, choose_epoch=False)
    experiment(asked(house, config=config))
    return house


@pytest.fixture
def lineage(house: House) -> Lineage:
    return Lineage.of(house.workspace)


def trained(lineage: Lineage, label: str) -> Sealed:
    (found,) = [sealed for sealed in lineage.stages.values() if sealed.record["first_made"]["label"] == label]
    return found


def all_of(origin: Origin) -> Iterator[Origin]:
    yield origin
    for one in origin.before:
        yield from all_of(one)


def test_a_checkpoint_is_walked_back_to_the_base(house: House, lineage: Lineage) -> None:
    second = trained(lineage, "method/round-2/train")
    kind, digest = lineage.find(second.record["checkpoint"]["digest"])
    walk = lineage.backwards(kind, digest)
    start, rows = walk.before
    assert (start.kind, start.name) == ("model", house.base.checkpoint.digest)
    assert rows.name == second.name
    assert rows.says.startswith(f"{second.rows} training rows: {second.rows} from sample-")
    names = {one.name for one in all_of(walk)}
    first = trained(lineage, "method/round-1/train")
    assert first.record["checkpoint"]["digest"] in names  # who wrote the samples
    assert "base" in names  # and who wrote those before


def test_every_training_row_is_walked_back_to_its_sample_and_forwards_again(lineage: Lineage) -> None:
    stage = trained(lineage, "method/round-1/train")
    parents = [parent for parents in column_values(stage, "parents") for parent in parents]
    assert len(parents) == stage.rows
    for place, parent in enumerate(parents):
        kind, row = lineage.find(parent)
        assert kind == "sample"
        assert lineage.backwards(kind, row).before[0].name == "base"
        forwards = lineage.forwards(kind, row)
        assert forwards.before[0].says == f"training row {place}"
        assert forwards.before[0].before[0].name == stage.record["checkpoint"]["digest"]


def test_a_sample_that_was_not_learned_leads_nowhere(lineage: Lineage) -> None:
    stage = trained(lineage, "method/round-1/train")
    learned = {parent for parents in column_values(stage, "parents") for parent in parents}
    samples = trained(lineage, "method/round-1/sample")
    left = next(row for row in column_values(samples, "id") if row not in learned)
    assert lineage.forwards(*lineage.find(left)).before == ()


def test_a_base_is_walked_forwards_to_what_it_wrote_and_what_was_trained_from_it(
    house: House, lineage: Lineage
) -> None:
    walk = lineage.forwards("checkpoint", house.base.checkpoint.digest)
    kinds = [one.name.rpartition("-")[0] for one in walk.before]
    assert kinds.count("train") == 2
    assert "sample" in kinds


@pytest.mark.parametrize(
    "name",
    [
        lambda stage: stage.name,
        lambda stage: stage.record["fingerprint"],
        lambda stage: stage.record["fingerprint"][:6],
        lambda stage: f"checkpoints/{stage.record['fingerprint']}",
        lambda stage: f"docendo-runs/checkpoints/{stage.record['fingerprint']}/",
        lambda stage: f"/abs/stages/{stage.name}",
        lambda stage: stage.record["checkpoint"]["digest"],
        lambda stage: stage.record["checkpoint"]["digest"][:8],
    ],
    ids=["stage", "fingerprint", "short", "folder", "path", "stage path", "digest", "short digest"],
)
def test_a_checkpoint_is_found_by_any_of_its_names(lineage: Lineage, name: Any) -> None:
    stage = trained(lineage, "method/round-1/train")
    walk = lineage.backwards(*lineage.find(name(stage)))
    assert walk.name == stage.record["checkpoint"]["digest"]


def test_an_earlier_epoch_is_found_by_its_folder_and_its_digest(lineage: Lineage) -> None:
    stage = trained(lineage, "method/round-1/train")
    first = stage.record["epochs"][0]
    assert first["folder"] == "epoch-1"
    assert lineage.find(first["digest"]) == ("checkpoint", first["digest"])
    found = lineage.find(f"checkpoints/{stage.record['fingerprint']}/epoch-1")
    assert found == ("checkpoint", first["digest"])
    assert lineage.backwards(*found).says.startswith("epoch 1, ")


def test_a_name_that_could_be_several_things_is_refused(lineage: Lineage) -> None:
    with pytest.raises(UnknownNameError, match=r"'sample-' could be \d+ things\nhint: give more characters"):
        lineage.find("sample-")


@pytest.mark.parametrize("name", ["nothing", "x", "", "train-0000", "checkpoints/", "ffffffffffffffffffff"])
def test_an_unknown_name_is_refused(lineage: Lineage, name: str) -> None:
    with pytest.raises(UnknownNameError):
        lineage.find(name)


def test_a_torn_last_line_of_a_list_of_stages_is_passed_over(house: House, lineage: Lineage) -> None:
    listing = house.workspace.runs / "torn" / "stages.jsonl"
    listing.parent.mkdir()
    for content in (b'{"place": "method/rou', b'{"stage": 1}\n', b"[]\n", b"{}\n", b"\xff\n"):
        listing.write_bytes(content)
        assert Lineage.of(house.workspace).inputs == lineage.inputs


def test_walks_end_at_their_depth(lineage: Lineage) -> None:
    stage = trained(lineage, "method/round-2/train")
    digest = stage.record["checkpoint"]["digest"]

    def depth_of(origin: Origin) -> int:
        return 1 + max((depth_of(one) for one in origin.before), default=0)

    depths = [depth_of(lineage.backwards("checkpoint", digest, depth=depth)) for depth in (1, 3, 12)]
    assert depths == sorted(depths)
    assert depths[0] == 1
    assert lineage.forwards("stage", stage, depth=0).name == stage.name
