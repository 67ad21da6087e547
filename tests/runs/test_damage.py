"""What is damaged is never believed: it is set aside and made again, and nothing sound is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.errors import StageError, WorkspaceError
from docendo.core.protocols import Chunk, Silent
from docendo.core.records import Model
from docendo.evidence.experiment import experiment
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import Workspace
from docendo.selectors.verdict import correct
from tests.fakes import GuessingEngine, House
from tests.runs.experiments import asked, lasting

SMALL = RunSettings(train_problems=8, validation_problems=6, test_problems=6, evaluation_samples=2)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL, watcher=Silent())


# -- the workspace itself ---------------------------------------------------------------------------------


def test_a_workspace_that_is_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("mine")
    with pytest.raises(
        WorkspaceError, match=r"notes.txt' is a file; expected a directory\nhint: name another"
    ):
        Workspace(path)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("place", ["/proc/docendo", "/dev/null/x"])
def test_a_workspace_that_cannot_be_written_to_is_refused(place: str) -> None:
    with pytest.raises(WorkspaceError, match="cannot be written to"):
        Workspace(place)


def test_a_workspace_of_a_newer_format_is_refused_untouched(tmp_path: Path) -> None:
    Workspace(tmp_path)
    marker = tmp_path / "workspace.json"
    marker.write_bytes(b'{"format":2}')
    with pytest.raises(WorkspaceError, match="has format 2; this version reads up to 1"):
        Workspace(tmp_path)
    assert marker.read_bytes() == b'{"format":2}'


@pytest.mark.parametrize("content", [b"", b"garbage", b"[]", b"{}", b"1", b'{"format":null}', b"\xff\xfe"])
def test_a_marker_that_cannot_be_read_is_named(tmp_path: Path, content: bytes) -> None:
    Workspace(tmp_path)
    (tmp_path / "workspace.json").write_bytes(content)
    with pytest.raises(WorkspaceError, match="workspace"):
        Workspace(tmp_path)


def test_a_stage_of_a_newer_format_is_refused_and_left_alone(house: House) -> None:
    sampled(house)
    (stage,) = house.workspace.stages.glob("sample-*")
    record = orjson.loads((stage / "stage.json").read_bytes())
    (stage / "stage.json").write_bytes(orjson.dumps({**record, "format": 2}))
    with pytest.raises(WorkspaceError, match="newer format"):
        sampled(house)
    assert stage.is_dir()


# -- stages -----------------------------------------------------------------------------------------------


def sampled(house: House) -> list[tuple[str, str, bool]]:
    """Sample and verify, and return what came."""
    run = house.run()
    rows = run.verify(run.sample(run.base, run.problems("train"), 4, temperature=1.0))
    return [(row.id, row.text, row.is_correct) for row in rows]


def _truncate(stage: Path) -> None:
    rows = stage / "rows.parquet"
    rows.write_bytes(rows.read_bytes()[:-7])


def _garble(stage: Path) -> None:
    (stage / "stage.json").write_bytes(b'{"format": 1, "fil')


def _empty_record(stage: Path) -> None:
    (stage / "stage.json").write_bytes(b'{"format": 1, "files": {}}')


def _no_object(stage: Path) -> None:
    (stage / "stage.json").write_bytes(b"[]")


def _binary(stage: Path) -> None:
    (stage / "stage.json").write_bytes(bytes(range(256)))


def _other_count(stage: Path) -> None:
    content = (stage / "stage.json").read_bytes()
    assert b'"rows": 32' in content
    (stage / "stage.json").write_bytes(content.replace(b'"rows": 32', b'"rows": 31'))


@pytest.mark.parametrize(
    "harm",
    [
        _truncate,
        _garble,
        _empty_record,
        _no_object,
        _binary,
        _other_count,
        lambda stage: (stage / "stage.json").unlink(),
        lambda stage: (stage / "rows.parquet").unlink(),
        lambda stage: shutil.rmtree(stage),
    ],
    ids=[
        "rows cut off",
        "record cut off",
        "record of nothing",
        "record a list",
        "record binary",
        "record altered",
        "no record",
        "no rows",
        "gone",
    ],
)
@pytest.mark.parametrize("kind", ["sample", "read", "verify"])
def test_a_damaged_stage_is_set_aside_and_made_again(
    house: House, harm: Callable[[Path], None], kind: str
) -> None:
    before = sampled(house)
    (stage,) = house.workspace.stages.glob(f"{kind}-*")
    whole = (stage / "rows.parquet").read_bytes()
    chunks = len(house.engine.asked)
    harm(stage)
    was_there = stage.exists()
    assert sampled(house) == before
    assert (stage / "rows.parquet").read_bytes() == whole
    assert stage.with_name(f"{stage.name}.damaged-1").exists() == was_there
    assert len(house.engine.asked) - chunks == (chunks if kind == "sample" else 0)
    assert house.watcher is not None
    assert any("damaged" in said for said in house.watcher.said) == was_there  # type: ignore[attr-defined]


@settings(max_examples=40)
@given(
    place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), kind=st.sampled_from(["sample", "verify"])
)
def test_a_flipped_bit_in_the_rows_is_noticed_or_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, place: float, bit: int, kind: str
) -> None:
    house = _flipped_house(tmp_path_factory)
    before = sampled(house)
    (stage,) = house.workspace.stages.glob(f"{kind}-*[!.]")
    path = stage / "rows.parquet"
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    path.write_bytes(content)
    try:
        assert sampled(house) == before
    except WorkspaceError as error:
        assert " is damaged and was set aside as " in str(error)
        assert not stage.exists()  # it was set aside, so the same command goes on
        assert sampled(house) == before
    finally:
        shutil.rmtree(house.path)


def _flipped_house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"), settings=RunSettings(train_problems=8))


def test_damaged_rows_in_the_middle_of_a_run_end_it_and_the_same_command_mends_it(house: House) -> None:
    whole = experiment(asked(house))
    (stage, *_) = sorted(house.workspace.stages.glob("evaluate-*"))
    content = bytearray((stage / "rows.parquet").read_bytes())
    content[60] ^= 255
    (stage / "rows.parquet").write_bytes(content)
    with pytest.raises(WorkspaceError, match=f"{stage.name} is damaged"):
        experiment(asked(house))
    assert experiment(asked(house))["comparisons"] == whole["comparisons"]


# -- journals ---------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Ends a process in a test."""


def killed_in_the_middle(house: House) -> Path:
    """Sample until the third chunk and return the journal."""

    def hook(chunk: Chunk) -> None:
        if chunk.id == "2":
            raise Killed

    house.engine = GuessingEngine(rows_per_chunk=8, before_chunk=hook)
    with pytest.raises(Killed):
        sampled(house)
    house.engine = GuessingEngine(rows_per_chunk=8)
    (journal,) = house.workspace.stages.glob("sample-*.work/journal.db")
    return journal


@pytest.mark.parametrize("content", [b"", b"garbage", b"SQLite format 3\x00" + b"\xff" * 4000, None])
def test_a_garbage_journal_is_set_aside_and_its_stage_begun_anew(house: House, content: bytes | None) -> None:
    whole = House(house.path / "whole", settings=SMALL)
    expected = sampled(whole)
    journal = killed_in_the_middle(house)
    for beside in journal.parent.glob("journal.db-*"):
        beside.unlink()
    if content is None:
        journal.unlink()
    else:
        journal.write_bytes(content)
    assert [text for _, text, _ in sampled(house)] == [text for _, text, _ in expected]
    assert house.engine.asked == ["0", "1", "2", "3"]


@settings(max_examples=15)
@given(share=st.floats(0, 1), with_log=st.booleans())
def test_a_journal_cut_off_anywhere_is_continued_or_begun_anew(
    tmp_path_factory: pytest.TempPathFactory, share: float, with_log: bool
) -> None:
    house = House(tmp_path_factory.mktemp("house"), settings=RunSettings(train_problems=8))
    whole = House(house.path / "whole", settings=house.settings)
    whole.engine = GuessingEngine(rows_per_chunk=8)
    expected = sampled(whole)
    journal = killed_in_the_middle(house)
    cut = journal.with_name("journal.db-wal") if with_log else journal
    if cut.exists():
        os.truncate(cut, int(share * cut.stat().st_size))
    assert sampled(house) == expected
    shutil.rmtree(house.path)


# -- checkpoints ------------------------------------------------------------------------------------------


def trained(run: Run) -> Model:
    samples = run.verify(run.sample(run.base, run.problems("train"), 4, temperature=1.0))
    return run.train(run.base, run.select(samples, correct), epochs=2)


def _cut_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])


@pytest.mark.parametrize(
    "harm",
    [
        shutil.rmtree,
        _cut_weights,
        lambda folder: (folder / "config.json").unlink(),
        lambda folder: (folder / "epoch-1" / "model.safetensors").unlink(),
        lambda folder: [file.unlink() for file in folder.iterdir() if file.is_file()],
    ],
    ids=["gone", "weights cut off", "no config", "no weights of an epoch", "emptied"],
)
def test_a_damaged_checkpoint_is_trained_again_when_it_is_needed_and_not_before(
    house: House, harm: Callable[[Path], None]
) -> None:
    model = trained(house.run())
    folder = Path(model.checkpoint.location)
    whole = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    harm(folder)
    run = house.run()
    again = trained(run)
    assert again == model
    assert len(house.trainer.rows) == 1  # nobody has asked it anything
    run.evaluate(again.snapshots[0], "validation")
    assert len(house.trainer.rows) == 2
    run.evaluate(again, "validation")
    assert house.trainer.rows[0] == house.trainer.rows[1]
    assert {path.name: path.read_bytes() for path in folder.glob("*.safetensors")} == whole
    run.evaluate(again, "validation")
    assert len(house.trainer.rows) == 2
    assert not list(house.workspace.stages.glob("*.remake"))


def test_a_deleted_start_is_made_again_before_what_trains_from_it(house: House) -> None:
    run = house.run()
    first = trained(run)
    rows = run.select(run.verify(run.sample(run.base, run.problems("train"), 4, temperature=1.0)), correct)
    shutil.rmtree(first.checkpoint.location)
    run = house.run()
    first = trained(run)
    second = run.train(first, rows, name="further")
    assert second.checkpoint.root == run.base.checkpoint.digest
    assert len(house.trainer.rows) == 3
    assert Path(first.checkpoint.location).is_dir()


def test_a_checkpoint_that_comes_out_different_is_told_and_what_depends_on_it_recomputed(
    house: House,
) -> None:
    run = house.run()
    model = trained(run)
    run.evaluate(model, "validation")
    shutil.rmtree(model.checkpoint.location)
    house.trainer.drift = 0.25
    run = house.run()
    again = trained(run)
    run.evaluate(again, "validation")  # sealed, so nobody needs the weights
    with pytest.raises(StageError, match="was made again and came out different") as caught:
        run.evaluate(again, "test")
    assert "run the same command again" in str(caught.value)
    run = house.run()
    other = trained(run)
    assert other.checkpoint.digest != model.checkpoint.digest
    before = len(house.engine.asked)
    run.evaluate(other, "validation")
    assert len(house.engine.asked) > before
    assert list(house.workspace.stages.glob("train-*.damaged-1"))


def test_a_checkpoint_folder_left_without_its_record_does_not_stop_training(house: House) -> None:
    model = trained(house.run())
    folder = Path(model.checkpoint.location)
    (folder / "train.json").unlink()
    (stage,) = house.workspace.stages.glob("train-*")
    shutil.rmtree(stage)
    assert trained(house.run()) == model


# -- a full disk ------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("left_kb", [0, 16, 64, 96, 160])
def test_a_full_disk_ends_a_run_with_a_hint_and_loses_nothing(
    tmp_path: Path, small_disk: Path, left_kb: int
) -> None:
    whole = House(tmp_path / "whole", settings=SMALL)
    experiment(asked(whole))
    house = House(small_disk, settings=SMALL)
    house.base  # noqa: B018 - made while there is room
    house.workspace  # noqa: B018
    ballast = small_disk / "ballast"
    room = shutil.disk_usage(small_disk).free - left_kb * 1024
    ballast.write_bytes(b"\0" * max(0, room))
    try:
        experiment(asked(house))
        finished = True
    except (StageError, WorkspaceError) as error:
        finished = False
        assert "No space left on device" in str(error)
        assert "hint:" in str(error)
    assert not finished or left_kb >= 128
    sealed = {one.name: one.digest for one in house.workspace.all_sealed()} if left_kb >= 16 else {}
    ballast.unlink()
    chunks = len(house.engine.asked)
    experiment(asked(house))
    assert lasting(house.workspace.path) == lasting(whole.workspace.path)
    assert {one.name: one.digest for one in house.workspace.all_sealed()}.items() >= sealed.items()
    assert len(house.engine.asked) <= len(whole.engine.asked) + 1
    assert chunks <= len(whole.engine.asked)
