from __future__ import annotations

import logging
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from docendo.core.errors import DataError, ModelError, NothingToLearn, SettingError, StageError
from docendo.core.losses import Loss, Reads, supervised
from docendo.core.protocols import Trainer, TrainingStep
from docendo.core.records import Message
from docendo.engines.tokenizer import Tokenizer
from docendo.trainers import export as exporting
from docendo.trainers.batch import Batch, Progress, learned_logits
from docendo.trainers.export import Probe, compare, load_model
from docendo.trainers.objectives import OBJECTIVES, Computed, Objective, objective_of
from docendo.trainers.rows import Limits, read_rows
from docendo.trainers.trainer import AccelerateTrainer
from tests.trainers.tiny import EOS, row, sums, write_model, write_rows
from tests.trainers.training import bytes_of, train


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    weighted = [one | {"weight": 0.5 + place % 3} for place, one in enumerate(sums(20))]
    return write_rows(tmp_path / "rows.parquet", weighted)


@dataclass
class Steps:
    """Remembers what is reported."""

    seen: list[TrainingStep]

    def __call__(self, step: TrainingStep) -> None:
        self.seen.append(step)

    @property
    def losses(self) -> list[float]:
        return [step.loss for step in self.seen]


@pytest.fixture
def steps() -> Steps:
    return Steps([])


def test_it_is_a_trainer() -> None:
    trainer: Trainer = AccelerateTrainer(device="cpu")
    assert trainer.name == "accelerate"
    assert trainer.signature == {"family": "accelerate", "precision": "float32", "order": "length-grouped-50"}


def test_the_loss_falls_and_each_epoch_is_reported(
    start: Path, rows: Path, tmp_path: Path, steps: Steps
) -> None:
    trained = train(start, rows, tmp_path / "out", epochs=3, report=steps, held_out=rows)
    assert [one.epoch for one in trained] == [1, 2, 3]
    assert [one.folder for one in trained] == [tmp_path / "out" / f"epoch-{epoch}" for epoch in (1, 2, 3)]
    assert all(one.steps == 3 and one.rows == 20 and not one.dropped for one in trained)
    assert [step.step for step in steps.seen] == list(range(1, 10))
    assert {step.steps for step in steps.seen} == {9}
    assert (
        steps.seen[-1].tokens == sum(one.learned_tokens for one in trained) == 3 * trained[0].learned_tokens
    )
    assert trained[0].train_loss > trained[1].train_loss > trained[2].train_loss
    held_out = [one.held_out_loss or 0.0 for one in trained]
    assert held_out == sorted(held_out, reverse=True)


def test_the_first_loss_is_that_of_the_starting_weights(
    start: Path, rows: Path, tmp_path: Path, tokenizer: Tokenizer, steps: Steps
) -> None:
    train(start, rows, tmp_path / "out", epochs=1, batch_rows=20, report=steps)
    objective, loss = objective_of(supervised()), supervised()
    batch = read_rows(rows, loss.reads, tokenizer, Limits(259, 256)).batch(np.arange(20))
    with torch.no_grad():
        model = load_model(start, torch.float32)
        computed = objective.numerator(loss, model, batch, Progress(0, 1))
    expected = computed.numerator / objective.denominator(loss, batch)
    assert steps.losses[0] == pytest.approx(expected.item(), rel=1e-5)


def test_the_first_step_moves_no_weight_further_than_the_learning_rate(
    start: Path, rows: Path, tmp_path: Path
) -> None:
    # AdamW without decay: the first update is rate * g / (|g| + eps), in (-rate, rate)
    (trained,) = train(start, rows, tmp_path / "out", epochs=1, batch_rows=20, learning_rate=1e-3)
    before, after = load_file(start / "model.safetensors"), load_file(trained.folder / "model.safetensors")
    assert before.keys() == after.keys()
    moves = torch.cat([(after[name] - before[name]).abs().flatten() for name in before])
    assert 0.9e-3 < moves.max() < 1.001e-3
    assert bytes_of(start)["model.safetensors"] != bytes_of(trained.folder)["model.safetensors"]


def test_one_times_eight_rows_is_the_same_step_as_eight_times_one(
    start: Path, rows: Path, tmp_path: Path
) -> None:
    # rows differ in length and in weight, so the mean of the means of micro-batches would be another number
    whole, single, threes = Steps([]), Steps([]), Steps([])
    (one,) = train(start, rows, tmp_path / "1", epochs=1, micro_batch_rows=0, report=whole)
    (eight,) = train(start, rows, tmp_path / "8", epochs=1, micro_batch_rows=1, report=single)
    train(start, rows, tmp_path / "3", epochs=1, micro_batch_rows=3, report=threes)
    assert whole.losses == pytest.approx(single.losses, abs=2e-6)
    assert whole.losses == pytest.approx(threes.losses, abs=2e-6)
    ours, theirs = load_file(one.folder / "model.safetensors"), load_file(eight.folder / "model.safetensors")
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=1e-5)


def test_rows_of_weight_zero_change_nothing(start: Path, tmp_path: Path) -> None:
    kept = sums(12)
    mixed = [one | {"weight": weight} for one in kept for weight in (1.0, 0.0)]
    (only,) = train(start, write_rows(tmp_path / "kept", kept), tmp_path / "1", epochs=1)
    (both,) = train(start, write_rows(tmp_path / "mixed", mixed), tmp_path / "2", epochs=1)
    assert both.dropped == {"weight 0": 12}
    assert bytes_of(only.folder)["model.safetensors"] == bytes_of(both.folder)["model.safetensors"]


def test_sampled_ids_are_what_is_learned(start: Path, tmp_path: Path) -> None:
    path = write_rows(tmp_path / "rows", [row("1 + 1", "2.", token_ids=[70, 71, 72, EOS])] * 400)
    (trained,) = train(start, path, tmp_path / "out", epochs=1, micro_batch_rows=0, learning_rate=1e-2)
    assert trained.learned_tokens == 1600
    model: Any = load_model(trained.folder, torch.float32)
    tokenizer = Tokenizer.load(trained.folder)
    prompt = torch.tensor([tokenizer.prompt_ids((Message("user", "1 + 1"),))])
    made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=8, do_sample=False)
    assert made[0, prompt.shape[1] :].tolist() == [70, 71, 72, EOS]


def test_another_seed_is_another_order(start: Path, rows: Path, tmp_path: Path) -> None:
    one, two = Steps([]), Steps([])
    train(start, rows, tmp_path / "1", epochs=1, seed=1, report=one)
    train(start, rows, tmp_path / "2", epochs=1, seed=2, report=two)
    assert one.losses != two.losses


def test_dropout_is_a_function_of_the_seed(tmp_path: Path, rows: Path) -> None:
    start = write_model(tmp_path / "dropout", dropout=0.3)
    found = [train(start, rows, tmp_path / f"{run}", epochs=1)[0].folder for run in range(2)]
    torch.manual_seed(99)
    state = torch.get_rng_state()
    found.append(train(start, rows, tmp_path / "later", epochs=1)[0].folder)
    assert torch.equal(torch.get_rng_state(), state)
    assert bytes_of(found[0]) == bytes_of(found[1]) == bytes_of(found[2])


def test_a_checkpoint_is_complete_and_keeps_the_tokenizer(start: Path, rows: Path, tmp_path: Path) -> None:
    (trained,) = train(start, rows, tmp_path / "out", epochs=1)
    ours, theirs = bytes_of(trained.folder), bytes_of(start)
    assert ours.keys() == {*theirs, "README.md"}
    assert {name for name in theirs if ours[name] == theirs[name]} == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert Tokenizer.load(trained.folder).digest == Tokenizer.load(start).digest
    card = ours["README.md"].decode()
    assert "learning_rate: 0.003" in card
    assert str(tmp_path) not in card
    assert len({path.stat().st_mode for path in trained.folder.iterdir()}) == 1


def test_a_checkpoint_that_differs_from_memory_is_refused(
    start: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = exporting.load_model

    def damaged(folder: Path, dtype: torch.dtype) -> Any:
        model = real(folder, dtype)
        if folder != start:
            with torch.no_grad():
                model.lm_head.weight[3, 3] += 1e-3
        return model

    monkeypatch.setattr(exporting, "load_model", damaged)
    with pytest.raises(StageError, match="does not give the same logits as the model in memory"):
        train(start, rows, tmp_path / "out", epochs=1)
    assert not (tmp_path / "out" / "epoch-1").exists()


class SaysSomethingElse(nn.Module):
    """Gives a model's logits, but not what it would say."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, **inputs: Any) -> Any:
        return self.model(**inputs)

    def generate(self, **inputs: Any) -> Tensor:
        return self.model.generate(**inputs) ^ 1


def test_generations_are_compared_too(start: Path, rows: Path, tokenizer: Tokenizer) -> None:
    probe = Probe.of(read_rows(rows, supervised().reads, tokenizer, Limits(259, 256)))
    assert len(probe.prompts) == 20
    one, two = load_model(start, torch.float32).eval(), load_model(start, torch.float32).eval()
    assert probe.generations(one).shape == (20, 8)
    compare(one, two, probe)
    with pytest.raises(StageError, match="does not give the same greedy generations"):
        compare(one, SaysSomethingElse(two), probe)


def test_bfloat16_computes_in_it_and_is_written_in_it(
    start: Path, rows: Path, tmp_path: Path, steps: Steps
) -> None:
    exact = Steps([])
    train(start, rows, tmp_path / "32", epochs=1, report=exact)
    (trained,) = train(start, rows, tmp_path / "16", epochs=1, precision="bfloat16", report=steps)
    assert steps.losses != exact.losses
    assert steps.losses == pytest.approx(exact.losses, rel=1e-2)
    assert {value.dtype for value in load_file(trained.folder / "model.safetensors").values()} == {
        torch.bfloat16
    }


def test_adapters_are_trained_and_merged(start: Path, rows: Path, tmp_path: Path, steps: Steps) -> None:
    trained = train(start, rows, tmp_path / "out", epochs=2, lora_rank=4, learning_rate=1e-2, report=steps)
    assert trained[1].train_loss < trained[0].train_loss
    before, after = load_file(start / "model.safetensors"), load_file(trained[1].folder / "model.safetensors")
    assert before.keys() == after.keys()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {name for name in before if "proj" in name}
    assert all(np.linalg.matrix_rank((after[name] - before[name]).numpy(), tol=1e-5) <= 4 for name in moved)


@dataclass(frozen=True, slots=True)
class Favour(Loss):
    """A loss over pairs, as others will add it: settings, a function, an entry."""

    name: ClassVar[str] = "favour"
    reads: ClassVar[Reads] = Reads(texts=("chosen", "rejected"), numbers=("reference",))
    beta: float = 0.5


def _favour(loss: Favour, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    costs = functional.cross_entropy(learned_logits(model, batch), batch.targets, reduction="none")
    summed = torch.zeros(len(batch.ids)).index_add(0, batch.sequence_of_token, -costs).view(-1, 2)
    ahead = (summed - batch.numbers["reference"]) * loss.beta
    return Computed((-functional.logsigmoid(ahead[:, 0] - ahead[:, 1]) * batch.weights).sum())


FAVOUR = Objective(numerator=_favour, denominator=lambda loss, batch: float(batch.weights.sum()))


def test_a_loss_over_pairs_needs_no_change_of_the_loop(
    start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: Tokenizer, steps: Steps
) -> None:
    monkeypatch.setitem(OBJECTIVES, Favour, FAVOUR)
    pairs = [
        {
            "prompt": row(f"{i} + 1", "")["prompt"],
            "chosen": f"{i + 1}.",
            "rejected": "nothing",
            "reference": [0.0, 0.0],
        }
        for i in range(8)
    ]
    path = write_rows(tmp_path / "pairs.parquet", pairs)
    batch = read_rows(path, Favour.reads, tokenizer, Limits(259, 256)).batch(np.arange(8))
    with torch.no_grad():
        logits = learned_logits(load_model(start, torch.float32), batch)
    costs = functional.cross_entropy(logits, batch.targets, reduction="none")
    reference = torch.zeros(16).index_add(0, batch.sequence_of_token, -costs).view(8, 2)
    path = write_rows(
        tmp_path / "pairs.parquet",
        [pair | {"reference": reference[place].tolist()} for place, pair in enumerate(pairs)],
    )
    train(start, path, tmp_path / "out", epochs=4, loss=Favour(), report=steps)
    assert steps.losses[0] == pytest.approx(math.log(2), abs=1e-5)  # policy and reference are the same model
    assert steps.losses[-1] < 0.5


def test_a_diverging_training_stops_with_step_and_learning_rate(
    start: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(loss: Loss, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
        computed = objective.numerator(loss, model, batch, progress)
        return replace(computed, numerator=computed.numerator * math.inf) if progress.step == 2 else computed

    objective = objective_of(supervised())
    monkeypatch.setitem(OBJECTIVES, type(supervised()), replace(objective, numerator=broken))
    with pytest.raises(
        StageError, match=r"diverged at step 3 of 6: loss inf, .*learning rate 0\.00\d+\nhint: lower"
    ):
        train(start, rows, tmp_path / "out")


def test_gradients_are_clipped(start: Path, rows: Path, tmp_path: Path) -> None:
    # AdamW does not see the size of a gradient, but its eps does: clipped to almost nothing, nothing moves
    (trained,) = train(start, rows, tmp_path / "out", epochs=1, clip_norm=1e-12)
    before, after = load_file(start / "model.safetensors"), load_file(trained.folder / "model.safetensors")
    assert max((before[name] - after[name]).abs().max().item() for name in before) < 1e-5


def test_weight_decay_pulls_at_matrices_alone(start: Path, rows: Path, tmp_path: Path) -> None:
    found = [
        load_file(
            train(start, rows, tmp_path / f"{decay}", epochs=1, batch_rows=20, weight_decay=decay)[0].folder
            / "model.safetensors"
        )
        for decay in (0.0, 10.0)
    ]
    changed = {name for name in found[0] if not torch.equal(found[0][name], found[1][name])}
    assert changed == {name for name in found[0] if "norm" not in name}
    before = load_file(start / "model.safetensors")["lm_head.weight"]
    # decoupled: w (1 - rate * decay) before the same update
    torch.testing.assert_close(
        found[0]["lm_head.weight"] - found[1]["lm_head.weight"], before * 3e-3 * 10.0, rtol=1e-3, atol=1e-6
    )


def test_nothing_left_to_learn_is_said(start: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows", [row("1", "2." * 200), row("1", "2.", weight=0.0)])
    with pytest.raises(NothingToLearn, match="1 too long, 1 weight 0"):
        train(start, rows, tmp_path / "out")


def test_rows_left_out_are_told_and_counted(
    start: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = write_rows(tmp_path / "rows", [*sums(6), row("1", "2." * 200)])
    with caplog.at_level(logging.WARNING, "docendo"):
        (trained,) = train(start, rows, tmp_path / "out", epochs=1)
    assert trained.rows == 6
    assert trained.dropped == {"too long": 1}
    assert "left out: 1 too long" in caplog.text


def test_a_bad_row_stops_before_anything_is_written(start: Path, tmp_path: Path) -> None:
    rows = write_rows(tmp_path / "rows", [row("1", "2.", token_ids=[9])])
    with pytest.raises(DataError, match="not an end token"):
        train(start, rows, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_wrong_options_are_told_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        AccelerateTrainer(
            threads=-1, device=cast("Any", "tpu"), precision=cast("Any", "int4"), save_seconds=-1
        )
    for part in ("threads is -1", "device is 'tpu'", "precision is 'int4'", "save_seconds is -1"):
        assert caught.match(part)


def test_epochs_below_one_are_refused(start: Path, rows: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="epochs is 0; expected at least 1"):
        train(start, rows, tmp_path / "out", epochs=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_not_silently_replaced() -> None:
    with pytest.raises(SettingError, match="no CUDA device"):
        AccelerateTrainer(device="cuda")


def test_weights_that_are_missing_or_incomplete_are_refused(start: Path, rows: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    folder = tmp_path / "start"
    folder.mkdir()
    for path in start.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.0.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lack 1 tensors, first model\.layers\.0\.mlp\.up_proj\.weight"):
        train(folder, rows, tmp_path / "1")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot load the model"):
        train(folder, rows, tmp_path / "2")
    (folder / "config.json").unlink()
    with pytest.raises(ModelError, match=r"config\.json"):
        train(folder, rows, tmp_path / "3")


def test_the_caller_s_threads_stay(start: Path, rows: Path, tmp_path: Path) -> None:
    torch.set_num_threads(2)
    train(start, rows, tmp_path / "out", epochs=1, threads=1)
    assert torch.get_num_threads() == 2
