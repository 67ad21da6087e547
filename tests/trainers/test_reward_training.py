"""A head of one score in the loop: begun on a causal start, read off each text's end, resumed, exported."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from docendo.core.errors import DataError, SettingError
from docendo.core.losses import Preference, RewardPairs, Xent, supervised
from docendo.core.protocols import Request, TrainingStep
from docendo.core.records import Message
from docendo.engines.checkpoints import classes_of, open_checkpoint, read_config
from docendo.engines.tokenizer import Tokenizer
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from docendo.trainers.batch import Progress
from docendo.trainers.export import load_model
from docendo.trainers.heads import Pooled, class_logits, head_of, with_head
from docendo.trainers.losses.pairs import preference
from docendo.trainers.objectives import objective_of
from docendo.trainers.rows import Limits, read_rows
from tests.trainers.tiny import EOS, Row, choices, pairs, sums, write_model, write_rows
from tests.trainers.training import bytes_of, train

LOSS = RewardPairs()


def judged(count: int) -> list[Row]:
    """Return pairs of which some are as they were sampled, and some go on with a turn that was begun."""
    found = pairs(count)
    for place, one in enumerate(found):
        if place % 3 == 1:
            one["rejected_token_ids"] = [70, 71 + place, EOS]
        if place % 3 == 2:
            one["prefix"] = "So"
            for text in ("chosen", "rejected"):
                one[text] = [{"role": "assistant", "content": "So" + one[text][0]["content"]}]
    return [{"chosen_token_ids": [], "rejected_token_ids": [], **one} for one in found]


def sequences(rows: list[Row], tokenizer: Tokenizer) -> list[list[int]]:
    """Return what is scored, by hand: prompt as it is sent, then the text up to its end token."""
    made: list[list[int]] = []
    for one in rows:
        begun = (Message("assistant", one["prefix"]),) if one["prefix"] else ()
        asked = (Message("user", one["prompt"][0]["content"]), *begun)
        for text in ("chosen", "rejected"):
            said = one[text][0]["content"].removeprefix(one["prefix"])
            own = one[f"{text}_token_ids"] or tokenizer.completion_ids(asked, said)
            made.append([*tokenizer.prompt_ids(asked), *own])
    return made


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "rows.parquet", judged(13))


@pytest.fixture(scope="module")
def trained(start: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model whose head and backbone have moved."""
    folder = tmp_path_factory.mktemp("trained")
    rows = write_rows(folder / "rows.parquet", judged(13))
    return train(start, rows, folder / "out", loss=LOSS)[-1].folder


def scores(folder: Path, texts: list[list[int]]) -> list[float]:
    """Return the score at the last token of each text, alone."""
    model = load_model(folder, torch.float32).eval()
    with torch.inference_mode():
        return [
            class_logits(model, ids, torch.ones_like(ids, dtype=torch.bool)).item()
            for ids in (torch.tensor([text]) for text in texts)
        ]


def test_a_row_is_two_sequences_that_end_with_an_end_token_and_predict_nothing(
    rows: Path, tokenizer: Tokenizer
) -> None:
    read = read_rows(rows, LOSS.reads, tokenizer, Limits(259, 256, classes=1))
    assert (len(read), read.texts, read.classes) == (13, 2, ("reward",))
    batch = read.batch(np.arange(13))
    assert batch.lengths is not None
    found = [ids[:length].tolist() for ids, length in zip(batch.ids, batch.lengths, strict=True)]
    assert found == sequences(judged(13), tokenizer)
    assert {ids[-1] for ids in found} == {EOS}
    assert not batch.learned.any()
    assert read.learned.tolist() == [1] * 13


def test_the_first_loss_is_ln_2_and_it_falls(start: Path, tmp_path: Path, rows: Path) -> None:
    steps: list[TrainingStep] = []
    first, last = train(start, rows, tmp_path / "out", loss=LOSS, report=steps.append)
    assert steps[0].loss == pytest.approx(math.log(2), abs=1e-6)
    assert last.train_loss < first.train_loss
    assert first.learned_tokens == 13
    assert last.measures["accuracy"] > 0.5
    assert set(last.measures) == {"margin", "accuracy", "chosen_reward", "rejected_reward"}
    before, after = load_model(start, torch.float32), load_model(last.folder, torch.float32)
    assert head_of(after).weight.abs().sum() > 0
    moved = [one.base_model.state_dict()["norm.weight"] for one in (before, after)]
    assert not torch.equal(*moved)
    card = (last.folder / "README.md").read_text()
    assert "# reward-pairs, epoch 2 of 2" in card
    assert "on 13 rows" in card


def test_the_loss_is_bradley_terry_of_the_scores_at_the_end_tokens(
    trained: Path, tmp_path: Path, rows: Path, tokenizer: Tokenizer
) -> None:
    """The start is a reward model itself: its head goes on, and hardly moves here."""
    (held,) = train(trained, rows, tmp_path / "on", epochs=1, loss=LOSS, held_out=rows, learning_rate=1e-12)
    found = scores(trained, sequences(judged(13), tokenizer))
    weights = [one["weight"] for one in judged(13)]
    costs = [
        math.log1p(math.exp(wrong - right)) for right, wrong in zip(found[::2], found[1::2], strict=True)
    ]
    wanted = sum(cost * weight for cost, weight in zip(costs, weights, strict=True)) / sum(weights)
    assert wanted < math.log(2) - 0.01
    assert held.train_loss == pytest.approx(wanted, abs=1e-5)
    assert held.held_out_loss == pytest.approx(wanted, abs=1e-5)
    margin = sum((a - b) * weight for a, b, weight in zip(found[::2], found[1::2], weights, strict=True))
    assert held.measures["margin"] == pytest.approx(margin / sum(weights), abs=1e-4)


def test_micro_batches_make_the_step_of_the_whole_batch(start: Path, tmp_path: Path, rows: Path) -> None:
    found = [
        train(start, rows, tmp_path / f"{size}", epochs=1, micro_batch_rows=size, loss=LOSS, held_out=rows)[0]
        for size in (0, 3)
    ]
    assert found[0].train_loss == pytest.approx(found[1].train_loss, rel=1e-5)
    assert found[0].measures == pytest.approx(found[1].measures, rel=1e-4, abs=1e-5)
    ours, theirs = (load_file(one.folder / "model.safetensors") for one in found)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=2e-4)


def test_padding_and_neighbours_change_nothing(trained: Path, rows: Path, tokenizer: Tokenizer) -> None:
    read = read_rows(rows, LOSS.reads, tokenizer, Limits(259, 256, classes=1))
    model = Pooled(load_model(trained, torch.float32).eval())
    objective = objective_of(LOSS)
    with torch.no_grad():
        together, *alone = (
            objective.numerator(LOSS, model, read.batch(np.array(which)), Progress(0, 1)).numerator
            for which in (range(13), *([row] for row in range(13)))
        )
    torch.testing.assert_close(together, torch.stack(alone).sum(), rtol=1e-5, atol=1e-4)


def test_it_goes_on_after_a_break_to_the_same_bytes(start: Path, tmp_path: Path, rows: Path) -> None:
    class Broken(Exception):
        pass

    def stop(step: TrainingStep) -> None:
        if step.step == 3:
            raise Broken

    unbroken = train(start, rows, tmp_path / "whole", loss=LOSS, held_out=rows)
    with pytest.raises(Broken):
        train(start, rows, tmp_path / "out", loss=LOSS, held_out=rows, save_seconds=0.0, report=stop)
    resumed = train(start, rows, tmp_path / "out", loss=LOSS, held_out=rows)
    assert [bytes_of(one.folder) for one in resumed] == [bytes_of(one.folder) for one in unbroken]
    for ours, theirs in zip(resumed, unbroken, strict=True):
        assert (ours.train_loss, ours.held_out_loss, ours.measures) == (
            theirs.train_loss,
            theirs.held_out_loss,
            theirs.measures,
        )


# -- what is exported ----------------------------------------------------------------------------------------


def transformers_scores(folder: Path, texts: list[list[int]], *, pad: int | None = None) -> list[float]:
    """Return what plain transformers gives: all at once, filled up with ``pad``, or one by one."""
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    with torch.inference_mode():
        if pad is None:
            return [model(torch.tensor([text])).logits.item() for text in texts]
        width = max(map(len, texts))
        ids = torch.tensor([[*text, *[pad] * (width - len(text))] for text in texts])
        mask = torch.tensor([[1] * len(text) + [0] * (width - len(text)) for text in texts])
        return model(ids, attention_mask=mask).logits[:, 0].tolist()


def asked_of(engine: TransformersEngine, folder: Path, requests: list[Request]) -> list[float]:
    checkpoint = open_checkpoint(folder)
    found: dict[int, float] = {}
    for done in engine.logprobs(checkpoint, list(engine.chunks(checkpoint, requests, None))):
        assert hasattr(done, "results")
        for request, result in zip(done.chunk.requests, done.results, strict=True):  # type: ignore[union-attr]
            (found[request.position],) = result.values
    return [found[place] for place in range(len(requests))]


@pytest.fixture(scope="module")
def engine() -> Any:
    engine = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    yield engine
    engine.close()


def test_trainer_engine_and_transformers_read_the_same_score(
    trained: Path, tokenizer: Tokenizer, engine: TransformersEngine
) -> None:
    config = read_config(trained)
    assert config["architectures"] == ["LlamaForSequenceClassification"]
    assert config["id2label"] == {"0": "reward"}
    assert classes_of(trained) == 1
    given = judged(6)
    texts = sequences(given, tokenizer)
    wanted = scores(trained, texts)
    assert len({round(score, 3) for score in wanted}) > 6
    assert transformers_scores(trained, texts, pad=2) == pytest.approx(wanted, abs=1e-5)
    requests: list[Request] = []
    for one in given:
        begun = (Message("assistant", one["prefix"]),) if one["prefix"] else ()
        asked = (Message("user", one["prompt"][0]["content"]), *begun)
        for text in ("chosen", "rejected"):
            said = one[text][0]["content"].removeprefix(one["prefix"])
            ids = one[f"{text}_token_ids"]
            requests.append(Request(len(requests), asked, (), (said,), (tuple(ids),) if ids else None))
    assert asked_of(engine, trained, requests) == pytest.approx(wanted, abs=1e-5)


def test_where_the_end_token_pads_the_score_is_still_read_at_the_end(
    tmp_path: Path, engine: TransformersEngine
) -> None:
    """transformers would look for the last token that is no padding, and find the one before the end."""
    start = write_model(tmp_path / "start")
    _pad_with_end(start)
    rows = write_rows(tmp_path / "rows.parquet", judged(13))
    folder = train(start, rows, tmp_path / "out", loss=LOSS, epochs=1)[0].folder
    tokenizer = Tokenizer.load(folder)
    texts = sequences(judged(6), tokenizer)
    wanted = scores(folder, texts)
    assert transformers_scores(folder, texts) == pytest.approx(wanted, abs=1e-5)
    with pytest.raises(ValueError, match="batch sizes > 1"):
        transformers_scores(folder, texts, pad=EOS)
    damaged = scores(folder, [text[:-1] for text in texts])
    assert max(abs(a - b) for a, b in zip(wanted, damaged, strict=True)) > 1e-3
    # a reward model that comes with such a config is read at the end from then on, too
    _pad_with_end(folder)
    assert transformers_scores(folder, texts) == pytest.approx(damaged, abs=1e-5)
    again = train(folder, rows, tmp_path / "again", loss=LOSS, epochs=1, learning_rate=1e-12)[0].folder
    assert transformers_scores(again, texts) == pytest.approx(wanted, abs=1e-5)


def _pad_with_end(folder: Path) -> None:
    import json

    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": EOS}))


def test_a_head_that_was_begun_elsewhere_goes_on(start: Path, tmp_path: Path, rows: Path) -> None:
    with_head(start, tmp_path / "begun", classes=1)
    begun = train(start, rows, tmp_path / "one", loss=LOSS)
    found = train(tmp_path / "begun", rows, tmp_path / "two", loss=LOSS)
    ours, theirs = (load_file(one[-1].folder / "model.safetensors") for one in (begun, found))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


# -- what is refused -----------------------------------------------------------------------------------------


def test_what_a_score_cannot_learn_from_is_refused(
    start: Path, tmp_path: Path, rows: Path, trained: Path
) -> None:
    cut = judged(2)
    cut[1]["rejected_token_ids"] = [70, 71]
    with pytest.raises(DataError, match=r"row 1 .* its rejected ends with token 71, which is not an end"):
        train(start, write_rows(tmp_path / "cut.parquet", cut), tmp_path / "a", loss=LOSS)
    with pytest.raises(SettingError, match="lora_rank is 4; expected 0 where a head is trained"):
        train(start, rows, tmp_path / "b", loss=LOSS, lora_rank=4)
    soft = write_rows(tmp_path / "soft.parquet", choices(4))
    for loss, made in (
        (supervised(), write_rows(tmp_path / "sums.parquet", sums(3))),
        (Preference(), rows),
        (Xent(), soft),
        (Xent(head="zeros"), soft),
    ):
        with pytest.raises(SettingError, match=f"is a reward model, which loss {loss.name} cannot train"):
            train(trained, made, tmp_path / "c", loss=loss)
    (classes,) = train(start, soft, tmp_path / "d", loss=Xent(head="zeros"), epochs=1)
    with pytest.raises(
        SettingError, match="has a head of 2 classes; loss reward-pairs trains one of a single"
    ):
        train(classes.folder, rows, tmp_path / "e", loss=LOSS)
    one = write_rows(tmp_path / "one.parquet", [{**row, "choices": ["yes"]} for row in choices(2)])
    with pytest.raises(DataError, match="expected the names of the head's 2 classes"):
        train(start, one, tmp_path / "f", loss=Xent(head="zeros"))


def test_pairs_too_long_for_the_model_are_left_out(start: Path, tmp_path: Path) -> None:
    long = judged(1)[0] | {"rejected": [{"role": "assistant", "content": "7" * 300}]}
    rows = write_rows(tmp_path / "rows.parquet", [judged(1)[0], long])
    (epoch,) = train(start, rows, tmp_path / "out", loss=LOSS, epochs=1)
    assert (epoch.rows, epoch.dropped) == (1, {"too long": 1})


# -- an independent implementation ---------------------------------------------------------------------------


def test_the_loss_of_a_batch_equals_that_of_trl(trained: Path, tmp_path: Path, tokenizer: Tokenizer) -> None:
    rows = [row | {"weight": 1.0} for row in pairs(12)]
    model = load_model(trained, torch.float32).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from transformers import AutoTokenizer
        from trl.trainer.reward_config import RewardConfig
        from trl.trainer.reward_trainer import RewardTrainer

        names = ("prompt", "chosen", "rejected")
        trainer = RewardTrainer(
            model=model,
            args=RewardConfig(
                output_dir=str(tmp_path / "trl"),
                use_cpu=True,
                bf16=False,
                report_to=[],
                per_device_train_batch_size=12,
                max_length=None,
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([{name: row[name] for name in names} for row in rows]),
            processing_class=AutoTokenizer.from_pretrained(str(trained)),
        )
        batch = trainer.data_collator([dict(row) for row in trainer.train_dataset])  # type: ignore[union-attr]
        with torch.no_grad():
            their_loss: Any = trainer.compute_loss(model, dict(batch))
    read = read_rows(
        write_rows(tmp_path / "rows.parquet", rows), LOSS.reads, tokenizer, Limits(259, 256, classes=1)
    )
    ours = read.batch(np.arange(12))
    assert ours.ids[0::2].tolist() == batch["input_ids"][:12].tolist()
    assert ours.ids[1::2].tolist() == batch["input_ids"][12:].tolist()
    with torch.no_grad():
        numerator = objective_of(LOSS).numerator(LOSS, Pooled(model), ours, Progress(0, 1)).numerator
    assert float(their_loss) != pytest.approx(math.log(2), abs=1e-2)
    assert abs((numerator / 12).item() - float(their_loss)) < 1e-5


def test_the_worked_numbers() -> None:
    """-log sigmoid(d) for d = 1.3, -0.4, 0; its slope is sigmoid(d) - 1."""
    rewards = torch.tensor([[1.5, 0.2], [0.1, 0.5], [2.0, 2.0]], dtype=torch.float64, requires_grad=True)
    costs = preference(rewards)
    assert costs.tolist() == pytest.approx([0.241008, 0.913015, math.log(2)], abs=1e-6)
    costs.sum().backward()
    assert rewards.grad is not None
    slopes = [1 - 1 / (1 + math.exp(-d)) for d in (1.3, -0.4, 0.0)]
    assert rewards.grad.tolist() == [pytest.approx([-slope, slope]) for slope in slopes]
    assert functional.softplus(-torch.tensor(1.3)).item() == pytest.approx(0.241008, abs=1e-6)
