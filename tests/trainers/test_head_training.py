"""A classification head in the loop: begun on a causal start, read off the prompt's last token, resumed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from docendo.core.errors import DataError, SettingError
from docendo.core.losses import ClassLoss, Head, LogConf, Product, Xent, supervised
from docendo.core.protocols import TrainingStep
from docendo.core.records import Message
from docendo.engines.checkpoints import class_names, classes_of
from docendo.engines.tokenizer import Tokenizer
from docendo.trainers.export import load_model
from docendo.trainers.heads import class_logits, first_token, head_of
from docendo.trainers.rows import Limits, read_rows
from tests.engines.tiny import write_model as write_bpe_model
from tests.trainers.tiny import Row, sums, write_rows
from tests.trainers.training import bytes_of, train

HEADED: list[ClassLoss] = [
    Xent(head="zeros"),
    LogConf(head="zeros", warmup_share=0.0),
    Product(head="zeros"),
]
EACH = pytest.mark.parametrize("loss", HEADED, ids=[loss.name for loss in HEADED])


def judged(count: int) -> list[Row]:
    """Return judgements with soft labels; the model's turn is begun, and prompts differ in length."""
    return [
        {
            "prompt": [{"role": "user", "content": f"is {i} even?" * (1 + i % 3)}],
            "prefix": "The answer is",
            "choices": [" no", " yes"],
            "probabilities": [0.1 + 0.8 * (i % 2), 0.9 - 0.8 * (i % 2)],
            "weight": 0.5 + i % 3,
        }
        for i in range(count)
    ]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.parquet", judged(13))


def test_a_row_is_the_prompt_as_it_is_sent_and_nothing_behind_it(rows: Path, tokenizer: Tokenizer) -> None:
    read = read_rows(rows, Xent().reads, tokenizer, Limits(259, 256, classes=2))
    assert (len(read), read.texts, read.classes) == (13, 1, ("no", "yes"))
    for place, one in enumerate(judged(13)):
        sent = (Message("user", one["prompt"][0]["content"]), Message("assistant", one["prefix"]))
        assert read.sequence(place).tolist() == tokenizer.prompt_ids(sent)
        assert read.prompt(place).tolist() == tokenizer.prompt_ids(sent)
    batch = read.batch(np.arange(13))
    assert not batch.learned.any()
    assert batch.lengths is not None
    assert batch.lengths.tolist() == read.lengths.tolist()
    assert read.learned.tolist() == [1] * 13


@EACH
def test_a_causal_start_gets_a_head_whose_first_loss_is_ln_2(
    start: Path, tmp_path: Path, rows: Path, loss: ClassLoss
) -> None:
    steps: list[TrainingStep] = []
    first, last = train(start, rows, tmp_path / "out", loss=loss, report=steps.append)
    assert steps[0].loss == pytest.approx(math.log(2), abs=1e-6)
    assert last.train_loss < first.train_loss
    assert first.learned_tokens == 13
    assert classes_of(last.folder) == 2
    assert class_names(last.folder) == ("no", "yes")
    before, after = load_model(start, torch.float32), load_model(last.folder, torch.float32)
    assert head_of(after).weight.abs().sum() > 0
    assert not torch.equal(
        before.base_model.state_dict()["norm.weight"], after.base_model.state_dict()["norm.weight"]
    )


def test_the_loss_is_that_of_the_classes_at_the_last_token_by_the_mask(
    start: Path, tmp_path: Path, rows: Path, tokenizer: Tokenizer
) -> None:
    (epoch,) = train(start, rows, tmp_path / "one", epochs=1, loss=Xent(head="zeros"))
    (held,) = train(
        epoch.folder, rows, tmp_path / "two", epochs=1, loss=Xent(), held_out=rows, learning_rate=1e-12
    )  # a start that has a head goes on with it, and hardly moves
    model = load_model(epoch.folder, torch.float32).eval()
    costs: list[float] = []
    for one in judged(13):
        sent = (Message("user", one["prompt"][0]["content"]), Message("assistant", one["prefix"]))
        ids = torch.tensor([tokenizer.prompt_ids(sent)])
        with torch.inference_mode():
            found = class_logits(model, ids, torch.ones_like(ids, dtype=torch.bool))[0].log_softmax(-1)
        costs.append(-float((torch.tensor(one["probabilities"]) * found).sum()))
    weights = [one["weight"] for one in judged(13)]
    wanted = sum(cost * weight for cost, weight in zip(costs, weights, strict=True)) / sum(weights)
    assert held.held_out_loss == pytest.approx(wanted, abs=1e-5)
    assert held.train_loss == pytest.approx(wanted, abs=1e-5)


def test_a_head_of_words_begins_where_the_language_model_is(tmp_path: Path) -> None:
    start = write_bpe_model(tmp_path / "start")
    rows = write_rows(
        tmp_path / "rows.parquet", [{**one, "choices": [" pens", " have"]} for one in judged(8)]
    )
    (epoch,) = train(start, rows, tmp_path / "out", epochs=1, loss=Xent(head="words"), learning_rate=1e-9)
    output: Any = load_model(start, torch.float32).get_output_embeddings()
    wanted = output.weight[[first_token(start, word) for word in ("pens", "have")]]
    torch.testing.assert_close(head_of(load_model(epoch.folder, torch.float32)).weight, wanted)


@EACH
def test_micro_batches_make_the_step_of_the_whole_batch(
    start: Path, tmp_path: Path, rows: Path, loss: ClassLoss
) -> None:
    found = [
        train(start, rows, tmp_path / f"{size}", epochs=1, micro_batch_rows=size, loss=loss, held_out=rows)[0]
        for size in (0, 3)
    ]
    assert found[0].train_loss == pytest.approx(found[1].train_loss, rel=1e-5)
    assert found[0].measures == pytest.approx(found[1].measures, rel=1e-4, abs=1e-5)
    ours, theirs = (load_file(one.folder / "model.safetensors") for one in found)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=2e-4)


@EACH
def test_it_goes_on_after_a_break_to_the_same_bytes(
    start: Path, tmp_path: Path, rows: Path, loss: ClassLoss
) -> None:
    class Broken(Exception):
        pass

    def stop(step: TrainingStep) -> None:
        if step.step == 3:
            raise Broken

    unbroken = train(start, rows, tmp_path / "whole", loss=loss, held_out=rows)
    with pytest.raises(Broken):
        train(start, rows, tmp_path / "out", loss=loss, held_out=rows, save_seconds=0.0, report=stop)
    resumed = train(start, rows, tmp_path / "out", loss=loss, held_out=rows)
    assert [bytes_of(one.folder) for one in resumed] == [bytes_of(one.folder) for one in unbroken]
    for ours, theirs in zip(resumed, unbroken, strict=True):
        assert (ours.train_loss, ours.held_out_loss) == (theirs.train_loss, theirs.held_out_loss)


def test_confidence_without_weight_trains_as_cross_entropy(start: Path, tmp_path: Path, rows: Path) -> None:
    losses: list[ClassLoss] = [Xent(head="zeros"), LogConf(head="zeros", alpha=0.0)]
    weights = [
        load_file(
            train(start, rows, tmp_path / loss.name, epochs=1, loss=loss)[0].folder / "model.safetensors"
        )
        for loss in losses
    ]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_what_a_head_cannot_learn_from_is_refused(start: Path, tmp_path: Path, rows: Path) -> None:
    other = write_rows(
        tmp_path / "other.parquet", [*judged(3), {**judged(1)[0], "choices": [" no", " maybe"]}]
    )
    with pytest.raises(DataError, match=r"row 3 .* expected the names of the head's 2 classes"):
        train(start, other, tmp_path / "a", loss=Xent(head="zeros"))
    (epoch,) = train(start, rows, tmp_path / "b", epochs=1, loss=Xent(head="zeros"))
    turned = write_rows(
        tmp_path / "turned.parquet", [{**one, "choices": [" yes", " no"]} for one in judged(4)]
    )
    with pytest.raises(DataError, match="has the classes"):
        train(epoch.folder, turned, tmp_path / "c", loss=Xent())
    for loss in (supervised(), Xent(renormalised=False)):
        made = write_rows(tmp_path / "sums.parquet", sums(3)) if loss == supervised() else rows
        with pytest.raises(SettingError, match="has a classification head, which loss"):
            train(epoch.folder, made, tmp_path / f"d-{loss.name}", loss=loss)
    with pytest.raises(SettingError, match="lora_rank is 4; expected 0"):
        train(start, rows, tmp_path / "e", loss=Xent(head="zeros"), lora_rank=4)


@pytest.mark.parametrize("made", [Xent, LogConf, Product])
def test_a_head_that_is_no_kind_of_head_is_refused(made: type[ClassLoss]) -> None:
    unknown: Any = "random"
    with pytest.raises(SettingError, match="head is 'random'; expected one of none, zeros, words"):
        made(head=unknown)
    head: Head = "zeros"
    with pytest.raises(SettingError, match="renormalised is False and head is 'zeros'"):
        Xent(head=head, renormalised=False)
