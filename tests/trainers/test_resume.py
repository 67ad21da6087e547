from __future__ import annotations

import logging
import multiprocessing
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import StageError
from docendo.core.protocols import TrainingStep
from docendo.trainers.state import read, write
from tests.trainers.tiny import sums, write_model, write_rows
from tests.trainers.training import bytes_of, train, train_slowly


class Interrupted(Exception):
    """Stops a training from within."""


def after(steps: int, damage: Callable[[], None] = lambda: None) -> Callable[[TrainingStep], None]:
    """Interrupt when so many steps were reported."""

    def report(step: TrainingStep) -> None:
        if step.step == steps:
            damage()
            raise Interrupted

    return report


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.parquet", sums(30))


@pytest.fixture
def unbroken(start: Path, rows: Path, tmp_path: Path) -> list[dict[str, bytes]]:
    """The checkpoints of two epochs of four steps."""
    return [bytes_of(one.folder) for one in train(start, rows, tmp_path / "unbroken")]


def steps_of(folder: Path) -> list[int]:
    return sorted(int(path.stem.split("-")[1]) for path in (folder / "state").glob("step-*.json"))


@pytest.mark.parametrize("settings", [{}, {"lora_rank": 4}], ids=["all weights", "adapters"])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(
    rows: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    start = write_model(tmp_path / "start", dropout=0.2)
    unbroken = [bytes_of(one.folder) for one in train(start, rows, tmp_path / "unbroken", **settings)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.trainers.training", "transformers.models.llama.modeling_llama", "peft"]
    )
    rng, kills, done = random.Random(1), 0, 0
    while done < 8 and kills < 6:
        told, tell = context.Pipe(duplex=False)
        child = context.Process(target=train_slowly, args=(tell, start, rows, tmp_path / "out", settings))
        child.start()
        tell.close()
        for _ in range(
            rng.randint(1, 3)
        ):  # some steps further, then somewhere within a step, a save or an export
            try:
                done = told.recv()
            except EOFError:
                break
        child.join(rng.uniform(0.0, 0.05))
        child.kill()
        child.join()
        kills += 1
    assert kills >= 3
    resumed = train(start, rows, tmp_path / "out", **settings)
    assert [bytes_of(one.folder) for one in resumed] == unbroken


def test_it_goes_on_after_the_last_saved_step(
    start: Path, rows: Path, tmp_path: Path, unbroken: list[dict[str, bytes]]
) -> None:
    with pytest.raises(Interrupted):
        train(start, rows, tmp_path / "out", save_seconds=0.0, report=after(6))
    assert steps_of(tmp_path / "out") == [4, 5]  # the sixth was reported and not yet saved
    seen: list[int] = []
    resumed = train(start, rows, tmp_path / "out", report=lambda step: seen.append(step.step))
    assert seen == [6, 7, 8]
    assert [bytes_of(one.folder) for one in resumed] == unbroken
    assert steps_of(tmp_path / "out") == []


def test_what_is_reported_of_an_epoch_does_not_depend_on_a_break(
    start: Path, rows: Path, tmp_path: Path
) -> None:
    unbroken = train(start, rows, tmp_path / "unbroken", held_out=rows)
    with pytest.raises(Interrupted):
        train(start, rows, tmp_path / "out", save_seconds=0.0, report=after(3), held_out=rows)
    resumed = train(start, rows, tmp_path / "out", held_out=rows)
    for ours, theirs in zip(resumed, unbroken, strict=True):
        assert (ours.train_loss, ours.held_out_loss) == (theirs.train_loss, theirs.held_out_loss)
        assert (ours.steps, ours.learned_tokens, ours.rows) == (
            theirs.steps,
            theirs.learned_tokens,
            theirs.rows,
        )


def test_a_finished_training_is_given_again_at_once(start: Path, rows: Path, tmp_path: Path) -> None:
    first = train(start, rows, tmp_path / "out")
    seen: list[TrainingStep] = []
    rows.unlink()  # nothing is read
    assert train(start, rows, tmp_path / "out", report=seen.append) == first
    assert seen == []


def damaged(kind: str, path: Path) -> None:
    content = path.read_bytes()
    match kind:
        case "truncated":
            path.write_bytes(content[: len(content) // 2])
        case "flipped":
            path.write_bytes(content[:-5] + bytes([content[-5] ^ 1]) + content[-4:])
        case "empty":
            path.write_bytes(b"")
        case _:
            path.unlink()


@pytest.mark.parametrize("suffix", ["safetensors", "json"])
@pytest.mark.parametrize("kind", ["truncated", "flipped", "empty", "missing"])
def test_a_damaged_state_is_noticed_and_the_one_before_is_taken(
    start: Path,
    rows: Path,
    tmp_path: Path,
    unbroken: list[dict[str, bytes]],
    kind: str,
    suffix: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        train(start, rows, out, save_seconds=0.0, report=after(4))
    assert steps_of(out) == [2, 3]
    damaged(kind, out / "state" / f"step-000000003.{suffix}")
    seen: list[int] = []
    with caplog.at_level(logging.WARNING, "docendo"):
        resumed = train(start, rows, out, report=lambda step: seen.append(step.step))
    assert seen[0] == 3
    assert [bytes_of(one.folder) for one in resumed] == unbroken
    assert ("step-000000003 is damaged" in caplog.text) or (kind, suffix) == ("missing", "json")


def test_a_changed_number_in_a_record_is_noticed(
    start: Path, rows: Path, tmp_path: Path, unbroken: list[dict[str, bytes]]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        train(start, rows, out, save_seconds=0.0, report=after(4))
    record = out / "state" / "step-000000003.json"
    record.write_text(record.read_text().replace('"numerator": ', '"numerator": 1'))
    seen: list[int] = []
    resumed = train(start, rows, out, report=lambda step: seen.append(step.step))
    assert seen[0] == 3
    assert [bytes_of(one.folder) for one in resumed] == unbroken


def test_with_all_states_damaged_it_begins_again(
    start: Path, rows: Path, tmp_path: Path, unbroken: list[dict[str, bytes]]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        train(start, rows, out, save_seconds=0.0, report=after(4))
    for path in (out / "state").glob("step-*.safetensors"):
        damaged("truncated", path)
    seen: list[int] = []
    resumed = train(start, rows, out, report=lambda step: seen.append(step.step))
    assert seen[0] == 1
    assert [bytes_of(one.folder) for one in resumed] == unbroken


def test_without_a_note_of_what_was_begun_it_begins_again(
    start: Path, rows: Path, tmp_path: Path, unbroken: list[dict[str, bytes]]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        train(start, rows, out, save_seconds=0.0, report=after(6))
    damaged("truncated", out / "state" / "begun.json")
    seen: list[int] = []
    resumed = train(start, rows, out, report=lambda step: seen.append(step.step))
    assert seen[0] == 1
    assert [bytes_of(one.folder) for one in resumed] == unbroken


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_damaged_checkpoint_is_made_again(
    start: Path, rows: Path, tmp_path: Path, unbroken: list[dict[str, bytes]], epoch: int
) -> None:
    out = tmp_path / "out"
    train(start, rows, out)
    damaged("flipped", out / f"epoch-{epoch}" / "model.safetensors")
    assert [bytes_of(one.folder) for one in train(start, rows, out)] == unbroken


def test_an_export_that_was_cut_off_is_made_again(
    start: Path, rows: Path, tmp_path: Path, unbroken: list[dict[str, bytes]]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        train(start, rows, out, report=after(5))
    (out / "state" / "epoch-1.json").unlink()  # killed after the checkpoint had its name
    (out / "epoch-1.tmp").mkdir()
    (out / "epoch-1.tmp" / "model.safetensors").write_bytes(b"half")
    assert [bytes_of(one.folder) for one in train(start, rows, out)] == unbroken
    assert not (out / "epoch-1.tmp").exists()


def test_it_goes_on_with_the_threads_it_was_begun_with(
    start: Path,
    rows: Path,
    tmp_path: Path,
    unbroken: list[dict[str, bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        train(start, rows, out, threads=1, save_seconds=0.0, report=after(3))
    with caplog.at_level(logging.WARNING, "docendo"):
        resumed = train(start, rows, out, threads=2)
    assert "begun with threads 1, now 2: going on with the former" in caplog.text
    assert [bytes_of(one.folder) for one in resumed] == unbroken


def test_other_versions_are_said(
    start: Path, rows: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        train(start, rows, out, save_seconds=0.0, report=after(3))
    note = out / "state" / "begun.json"
    noted = read(note)
    assert noted is not None
    write(note, {**noted, "versions": {**noted["versions"], "torch": "1.0"}})
    with caplog.at_level(logging.WARNING, "docendo"):
        train(start, rows, out)
    assert "'torch': '1.0'" in caplog.text


def test_another_training_in_the_same_folder_is_refused(start: Path, rows: Path, tmp_path: Path) -> None:
    train(start, rows, tmp_path / "out", epochs=1)
    with pytest.raises(StageError, match="holds another training: optimizer, seed differ"):
        train(start, rows, tmp_path / "out", epochs=1, seed=8, learning_rate=1e-4)


def test_other_rows_in_the_same_folder_are_refused(start: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(start, rows, tmp_path / "out", report=after(2))
    with pytest.raises(StageError, match="was begun with other rows"):
        train(start, write_rows(tmp_path / "other.parquet", sums(31)), tmp_path / "out")


def test_the_state_holds_no_pickle(start: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        train(start, rows, tmp_path / "out", save_seconds=0.0, report=after(3))
    state = {path.suffix for path in (tmp_path / "out" / "state").iterdir()}
    assert state == {".json", ".safetensors"}
