"""Every loss in the loop: micro-batches, resumption, processes, what is reported, what is refused."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

from docendo.core.errors import DataError
from docendo.core.losses import (
    ActorCritic,
    BehaviouralCloning,
    Bvmpo,
    EvaluatorMargin,
    Gold,
    LogConf,
    Loss,
    Preference,
    Product,
    Xent,
)
from docendo.core.protocols import TrainingStep
from docendo.core.records import Message
from docendo.engines.tokenizer import Tokenizer
from docendo.trainers.batch import Batch, Progress, sequence_logprobs
from docendo.trainers.export import load_model
from docendo.trainers.objectives import Computed, objective_of
from docendo.trainers.rows import Limits, Rows, read_rows
from tests.trainers.tiny import EOS, Row, choice_pairs, choices, pairs, tokens, write_rows
from tests.trainers.training import bytes_of, train

LOSSES: list[tuple[Loss, Any]] = [
    (BehaviouralCloning(kept_share=0.5), tokens),
    (Gold(), tokens),
    (Gold(reward="logprob", baseline=-8.0, unroll=2), tokens),
    (ActorCritic(), tokens),
    (Bvmpo(), tokens),
    (Bvmpo(temperature=0.7, annealing="geometric"), tokens),
    (Preference(), pairs),
    (Preference(shape="hinge", nll_weight=50.0, nll_per="text"), pairs),
    (EvaluatorMargin(margin=8.0), choice_pairs),
    (Xent(), choices),
    (Xent(renormalised=False), choices),
    (LogConf(warmup_share=0.0), choices),
    (LogConf(ties="first"), choices),
    (Product(), choices),
]
EACH = pytest.mark.parametrize(
    ("loss", "made"), LOSSES, ids=[f"{place}-{loss.name}" for place, (loss, _) in enumerate(LOSSES)]
)


ROWS: list[tuple[Loss, Any]] = [
    (Bvmpo(), tokens),
    (Preference(nll_weight=1.0), pairs),
    (EvaluatorMargin(margin=1.0), choice_pairs),
    (LogConf(warmup_share=0.0), choices),
]
ONE_OF_EACH_ROW = pytest.mark.parametrize(("loss", "made"), ROWS, ids=[loss.name for loss, _ in ROWS])


@pytest.fixture
def model(start: Path) -> Any:
    return load_model(start, torch.float32)


@pytest.fixture
def read(tmp_path: Path, tokenizer: Tokenizer) -> Any:
    def read(rows: list[Row], loss: Loss) -> Rows:
        path = write_rows(tmp_path / "read.parquet", rows)
        return read_rows(path, loss.reads, tokenizer, Limits(vocabulary=259, length=256))

    return read


def computed(loss: Loss, model: Any, batch: Batch, step: int = 5, steps: int = 10) -> Computed:
    return objective_of(loss).numerator(loss, model, batch, Progress(step, steps))


def whole(rows: Rows) -> Batch:
    return rows.batch(np.arange(len(rows)))


@EACH
def test_micro_batches_make_the_step_of_the_whole_batch(
    start: Path, tmp_path: Path, loss: Loss, made: Any
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", made(12))
    found: list[tuple[Path, list[TrainingStep], Any]] = []
    for size in (0, 3):
        steps: list[TrainingStep] = []
        (epoch,) = train(
            start, rows, tmp_path / f"{size}", epochs=1, batch_rows=8, micro_batch_rows=size,
            loss=loss, held_out=rows, report=steps.append,
        )  # fmt: skip
        found.append((epoch.folder, steps, epoch))
    one, other = found
    assert [step.loss for step in one[1]] == pytest.approx(
        [step.loss for step in other[1]], rel=1e-5, abs=2e-6
    )
    assert one[2].measures == pytest.approx(other[2].measures, rel=1e-4, abs=1e-5)
    ours, theirs = (load_file(each[0] / "model.safetensors") for each in found)
    for name in ours:  # AdamW's first steps make much of a gradient of almost nothing: 3e-3 is a whole step
        torch.testing.assert_close(ours[name], theirs[name], rtol=1e-4, atol=2e-4)


@ONE_OF_EACH_ROW
def test_it_goes_on_after_a_break_to_the_same_bytes_and_numbers(
    start: Path, tmp_path: Path, loss: Loss, made: Any
) -> None:
    class Broken(Exception):
        pass

    def stop(step: TrainingStep) -> None:
        if step.step == 3:
            raise Broken

    rows = write_rows(tmp_path / "rows.parquet", made(12))
    unbroken = train(start, rows, tmp_path / "whole", loss=loss, held_out=rows)
    with pytest.raises(Broken):
        train(start, rows, tmp_path / "out", loss=loss, held_out=rows, save_seconds=0.0, report=stop)
    resumed = train(start, rows, tmp_path / "out", loss=loss, held_out=rows)
    assert [bytes_of(one.folder) for one in resumed] == [bytes_of(one.folder) for one in unbroken]
    for ours, theirs in zip(resumed, unbroken, strict=True):
        assert (ours.train_loss, ours.held_out_loss, ours.measures) == (
            theirs.train_loss,
            theirs.held_out_loss,
            theirs.measures,
        )


@pytest.mark.parametrize(
    ("loss", "made"),
    [(Preference(), pairs), (EvaluatorMargin(margin=1.0), choice_pairs), (Xent(), choices), (Gold(), tokens)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_loss_falls(start: Path, tmp_path: Path, loss: Loss, made: Any) -> None:
    rows = write_rows(tmp_path / "rows.parquet", made(12))
    trained = train(start, rows, tmp_path / "out", epochs=4, loss=loss, micro_batch_rows=0)
    assert trained[3].train_loss < trained[0].train_loss


@EACH
def test_padding_and_neighbours_change_nothing(model: Any, read: Any, loss: Loss, made: Any) -> None:
    if isinstance(loss, (Bvmpo, LogConf)):
        pytest.skip("a statistic of the batch is part of the loss")
    rows = read(made(6), loss)
    together = computed(loss, model, whole(rows)).numerator
    alone = [computed(loss, model, rows.batch(np.array([row]))).numerator for row in range(len(rows))]
    torch.testing.assert_close(together, torch.stack(alone).sum(), rtol=1e-5, atol=1e-4)


def test_a_sequence_s_log_probability_is_the_sum_over_its_learned_tokens(model: Any, read: Any) -> None:
    for rows in (read(pairs(5), Preference()), read(choice_pairs(5), EvaluatorMargin())):
        batch = whole(rows)
        with torch.no_grad():
            found = sequence_logprobs(model, batch).flatten()
            logprobs = model(input_ids=batch.ids).logits.log_softmax(-1)
        for place, value in enumerate(found):
            where = batch.learned[place].nonzero()[:, 0]
            own = logprobs[place, where - 1, batch.ids[place, where]]
            assert value.item() == pytest.approx(own.sum().item(), rel=1e-5)
            assert batch.token_counts[place] == len(where)


def test_a_pair_learns_both_ends_and_sampled_ids_as_they_are(read: Any, tokenizer: Tokenizer) -> None:
    given = [one | {"rejected_token_ids": [70, 71, EOS]} for one in pairs(2)]
    batch = whole(read(given, Preference()))
    learned = [ids[mask].tolist() for ids, mask in zip(batch.ids, batch.learned, strict=True)]
    assert [ids[-1] for ids in learned] == [EOS] * 4
    assert tokenizer.decode(learned[0]) == " 0."
    assert learned[1] == learned[3] == [70, 71, EOS]


def test_choices_follow_the_prompt_without_an_end(read: Any, tokenizer: Tokenizer) -> None:
    batch = whole(read(choices(1), Xent()))
    learned = [ids[mask].tolist() for ids, mask in zip(batch.ids, batch.learned, strict=True)]
    assert [tokenizer.decode(ids) for ids in learned] == [" yes", " no!"]
    assert EOS not in learned[0]
    asked = (Message("user", choices(1)[0]["prompt"][0]["content"]),)
    assert learned == tokenizer.continuations_ids([(asked, "yes"), (asked, "no!")])  # as an engine scores


def test_a_choice_pair_is_each_text_with_each_choice(read: Any, tokenizer: Tokenizer) -> None:
    (one,) = choice_pairs(1)
    batch = whole(read([one], EvaluatorMargin()))
    said = [tokenizer.decode(ids[mask].tolist()) for ids, mask in zip(batch.ids, batch.learned, strict=True)]
    assert said == [" right", " wrong"] * 2
    for place, text in ((0, "chosen"), (1, "chosen"), (2, "rejected"), (3, "rejected")):
        asked = tokenizer.prompt_ids((Message("user", one[text][0]["content"]),))
        assert batch.ids[place, : len(asked)].tolist() == asked
        assert not batch.learned[place, : len(asked)].any()


def test_plain_choice_pairs_are_put_without_template(read: Any, tokenizer: Tokenizer) -> None:
    one = {"prompt": "1 + 1", "chosen": " = 2", "rejected": " = 3", "choices": [" yes", " no"]}
    batch = whole(read([one], EvaluatorMargin()))
    asked = tokenizer.prompt_ids((Message("text", "1 + 1 = 3"),))
    assert batch.ids[2, : len(asked)].tolist() == asked


@pytest.mark.parametrize(
    ("loss", "rows", "change", "reason"),
    [
        (Preference(), pairs, {"rejected": [{"role": "assistant", "content": ""}]}, "its rejected is empty"),
        (Preference(), pairs, {"ref_chosen_logps": None}, "its ref_chosen_logps is None; expected finite"),
        (Preference(), pairs, {"ref_rejected_logps": math.nan}, "its ref_rejected_logps is nan"),
        (Xent(), choices, {"choices": ["yes"]}, r"its choices are \['yes'\]; expected 2 texts"),
        (Xent(), choices, {"choices": ["yes", ""]}, "expected 2 texts"),
        (Xent(), choices, {"probabilities": [0.5, 0.6]}, "its probabilities are .*; expected one a choice"),
        (Xent(), choices, {"probabilities": [1.5, -0.5]}, "expected one a choice, with sum 1"),
        (Xent(), choices, {"probabilities": [1.0]}, "expected finite numbers, 2 of them"),
        (
            EvaluatorMargin(),
            choice_pairs,
            {"chosen": []},
            r"its chosen is \[\]; expected one message",
        ),
        (ActorCritic(), tokens, {"advantages": [0.5]}, "expected 6 finite numbers, one a learned token"),
    ],
)
def test_a_row_that_cannot_be_learned_is_refused(
    read: Any, loss: Loss, rows: Any, change: Row, reason: str
) -> None:
    good = rows(2)
    with pytest.raises(DataError, match=r"row 1 of read\.parquet") as caught:
        read([good[0], good[1] | change], loss)
    assert caught.match(reason)


def test_logconf_refuses_three_choices(start: Path, tmp_path: Path) -> None:
    three = [one | {"choices": ["a", "b", "c"], "probabilities": [0.2, 0.3, 0.5]} for one in choices(4)]
    rows = write_rows(tmp_path / "rows.parquet", three)
    with pytest.raises(DataError, match="the rows have 3 choices; logconf is for 2"):
        train(start, rows, tmp_path / "1", epochs=1, loss=LogConf())
    train(start, rows, tmp_path / "2", epochs=1, loss=Product())


def test_pairs_too_long_for_the_model_need_no_reference(read: Any) -> None:
    long = pairs(1)[0] | {"rejected": [{"role": "assistant", "content": "7" * 300}], "ref_chosen_logps": None}
    rows = read([pairs(1)[0], long], Preference())
    assert (len(rows), rows.dropped) == (1, {"too long": 1})


def test_what_is_reported_of_pairs(start: Path, tmp_path: Path, model: Any, read: Any) -> None:
    given = pairs(6)
    batch = whole(read(given, Preference()))
    with torch.no_grad():
        logprobs = sequence_logprobs(model, batch)
    reference = torch.tensor([[one["ref_chosen_logps"], one["ref_rejected_logps"]] for one in given])
    rewards = 0.1 * (logprobs - reference)
    weights = batch.weights / batch.weights.sum()
    path = write_rows(tmp_path / "rows.parquet", given)
    (trained,) = train(start, path, tmp_path / "out", epochs=1, loss=Preference())  # one step: as they were
    expected = {
        "margin": rewards[:, 0] - rewards[:, 1],
        "accuracy": (rewards[:, 0] > rewards[:, 1]).float(),
        "chosen_reward": rewards[:, 0],
        "rejected_reward": rewards[:, 1],
        "chosen_logprob": logprobs[:, 0],
        "rejected_logprob": logprobs[:, 1],
    }
    assert trained.measures == pytest.approx(
        {name: float(values @ weights) for name, values in expected.items()}, rel=1e-4
    )


def test_a_reference_of_its_own_gives_ln_2_and_no_margin(model: Any, read: Any) -> None:
    rows = read(pairs(6), Preference())
    batch = whole(rows)
    with torch.no_grad():
        own = sequence_logprobs(model, batch)
    batch.numbers["ref_chosen_logps"].copy_(own[:, :1])  # type: ignore[attr-defined]
    batch.numbers["ref_rejected_logps"].copy_(own[:, 1:])  # type: ignore[attr-defined]
    loss = Preference(beta=5.0)
    found = computed(loss, model, batch)
    value = found.numerator / objective_of(loss).denominator(loss, batch)
    assert value.item() == pytest.approx(math.log(2), abs=1e-6)
    assert found.measures["accuracy"].sum() == 0  # strictly greater
    assert found.measures["margin"].abs().max() < 1e-5


def test_the_likelihood_term_is_beside_the_preference(model: Any, read: Any) -> None:
    batch = whole(read(pairs(6), Preference()))
    tokens_of = batch.token_counts.view(-1, 2)[:, 0]
    with torch.no_grad():
        costs = -sequence_logprobs(model, batch)[:, 0]
        alone = computed(Preference(), model, batch).numerator
        by_text = computed(Preference(nll_weight=2.0, nll_per="text"), model, batch).numerator
        by_token = computed(Preference(nll_weight=2.0), model, batch).numerator
    torch.testing.assert_close(by_text - alone, 2 * (costs * batch.weights).sum(), rtol=1e-4, atol=1e-3)
    expected = 2 * (costs / tokens_of * batch.weights).sum()
    torch.testing.assert_close(by_token - alone, expected, rtol=1e-4, atol=1e-3)


def test_behavioural_cloning_sums_over_tokens_and_averages_over_rows(model: Any, read: Any) -> None:
    batch = whole(read(tokens(5), BehaviouralCloning()))
    labels = torch.where(batch.learned, batch.ids, -100)[:, 1:]
    with torch.no_grad():
        logits = model(input_ids=batch.ids).logits[:, :-1].transpose(1, 2)
        found = [
            computed(BehaviouralCloning(kept_share=share), model, batch).numerator for share in (1.0, 0.25)
        ]
    costs = functional.cross_entropy(logits, labels, reduction="none").sum(dim=1)
    torch.testing.assert_close(found[0], (costs * batch.weights).sum())
    torch.testing.assert_close(found[1], 0.25 * found[0])


def test_v_mpo_is_likelihood_weighted_by_psi_and_near_the_behaviour(model: Any, read: Any) -> None:
    loss = Bvmpo(temperature=1.0)
    batch = whole(read(tokens(4), loss))
    gains, weights = batch.per_token["advantages"], batch.token_weights
    with torch.no_grad():
        logprobs = -functional.cross_entropy(
            model(input_ids=batch.ids).logits[:, :-1][batch.learned[:, 1:]], batch.targets, reduction="none"
        )
        for step, weight in ((0, 1.0), (5, 0.500005)):
            found = computed(loss, model, batch, step).numerator / weights.sum()
            middle = gains.sort(descending=True).values[math.ceil(len(gains) / 2) - 1]
            psi = torch.where(gains >= middle, gains.exp() * weights, 0.0)
            near = ((batch.per_token["ref_token_logps"] - logprobs) * weights).sum() / weights.sum()
            expected = -(psi / psi.sum() * logprobs).sum() + weight * near
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
