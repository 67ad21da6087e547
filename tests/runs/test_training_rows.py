"""Training on pairs, choices and per-token columns, through `Run.train`, with a real model and trainer."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest

from docendo.core.errors import DataError, NothingToLearn, SettingError
from docendo.core.losses import (
    ActorCritic,
    EvaluatorMargin,
    Gold,
    Loss,
    Optimizer,
    Preference,
    Xent,
    supervised,
)
from docendo.core.records import Example, Message, Model, Problem, Prompt, Sample
from docendo.core.table import Rows, Table
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.tokenizer import Tokenizer
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from docendo.runs.lineage import Lineage
from docendo.runs.plan import Plan
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.stored import column_values
from docendo.runs.training_rows import learned_ids
from docendo.runs.workspace import Sealed
from docendo.trainers.rows import Limits, read_rows
from docendo.trainers.trainer import AccelerateTrainer
from tests.fakes import House
from tests.trainers.tiny import write_model

SMALL = RunSettings(train_problems=6, validation_problems=4, test_problems=4, max_new_tokens=12)
STEP = Optimizer(batch_rows=64, learning_rate=1e-3)
USER = (Message("user", "What is 3 + 4?"),)
PREFILLED = Message("assistant", "I say")


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(TransformersOptions(device="cpu", workers=1))
    yield engine
    engine.close()


@pytest.fixture
def house(tmp_path: Path, engine: TransformersEngine) -> House:
    write_model(tmp_path / "base")
    write_model(tmp_path / "teacher", seed=1)
    trainer: Any = AccelerateTrainer(threads=1, device="cpu")
    return House(tmp_path, settings=SMALL, engine=engine, trainer=trainer)  # type: ignore[arg-type]


def spin_rows(run: Run, policy: Model) -> Table[Any]:
    """Return pairs: the label's answer, and what the policy said, by the ids that it drew."""
    samples = run.sample(policy, run.problems("train"), 2, temperature=1.0)

    def pair(sample: Sample, label: Any) -> Example:
        return Example(
            sample.prompt.messages,
            chosen=f"The answer is {label.answer}.",
            rejected=sample.text,
            rejected_token_ids=(*sample.token_ids, 1),  # most of what random weights say is cut off
            tokenizer=sample.tokenizer,
            problem_id=sample.problem.id,
            parents=(sample.id,),
        )

    return samples.join(run.labels("train")).map(pair)


def stages(house: House, kind: str) -> list[Sealed]:
    found = [one for one in house.workspace.all_sealed() if one.kind == kind]
    return sorted(found, key=lambda one: one.record["first_made"]["at"])


def rows_of(sealed: Sealed) -> list[dict[str, Any]]:
    return pq.read_table(sealed.rows_path).to_pylist()


def measures(sealed: Sealed, epoch: int = 0) -> dict[str, float]:
    return sealed.record["epochs"][epoch]["measures"]


@pytest.fixture
def spin(house: House) -> tuple[House, Model]:
    run = house.run()
    return house, run.train(run.base, spin_rows(run, run.base), Preference(), optimizer=STEP, epochs=2)


def test_the_first_step_of_spin_is_ln_2_and_the_margin_then_rises(spin: tuple[House, Model]) -> None:
    house, model = spin
    (stage,) = stages(house, "train")
    first, second = stage.record["epochs"]
    assert first["train_loss"] == pytest.approx(math.log(2), abs=1e-5)  # one step an epoch
    assert first["measures"]["margin"] == pytest.approx(0.0, abs=1e-4)
    assert second["train_loss"] < math.log(2) - 1e-3
    assert second["measures"]["margin"] > 0.01
    assert second["measures"]["accuracy"] > 0.9
    assert {"chosen_logprob", "rejected_logprob"} <= first["measures"].keys()
    assert second["measures"]["rejected_logprob"] < first["measures"]["rejected_logprob"]
    # the next iteration starts from the new model, which is its reference: no margin again
    run = house.run()
    run.train(model, spin_rows(run, model), Preference(), optimizer=STEP)
    again = stages(house, "train")[1].record["epochs"][0]
    assert again["train_loss"] == pytest.approx(math.log(2), abs=1e-5)
    assert again["measures"]["margin"] == pytest.approx(0.0, abs=1e-4)


def test_the_reference_is_a_stage_of_its_own_and_never_computed_again(spin: tuple[House, Model]) -> None:
    house, model = spin
    (scored,) = stages(house, "logprobs")
    (stage,) = stages(house, "train")
    assert scored.record["first_made"]["label"] == "method/train-reference"
    assert scored.record["checkpoint"] == house.base.checkpoint.digest
    assert scored.name in stage.record["inputs"]
    assert stage.record["asked"]["reference"] == scored.digest
    run = house.run()
    rows = spin_rows(run, run.base)
    run.train(run.base, rows, Preference(), optimizer=STEP, epochs=2)
    run.train(run.base, rows, Preference(beta=5.0), optimizer=STEP)
    assert len(stages(house, "logprobs")) == 1
    assert len(stages(house, "train")) == 2
    run.train(model, rows, Preference(), optimizer=STEP, reference=run.base)  # its values are the same
    assert len(stages(house, "logprobs")) == 1
    later = stages(house, "train")[2]
    assert abs(measures(later)["margin"]) > 0.01


def test_pairs_are_walked_back_to_the_samples_in_them(spin: tuple[House, Model]) -> None:
    house, model = spin
    (stage,) = stages(house, "train")
    parents = list(column_values(stage, "parents"))
    (samples,) = stages(house, "sample")
    assert [one for each in parents for one in each] == list(column_values(samples, "id"))
    lineage = Lineage.of(house.workspace)
    walk = lineage.backwards(*lineage.find(model.checkpoint.digest))
    assert walk.before[1].says.startswith(f"12 training rows: 12 from {samples.name}")
    forwards = lineage.forwards(*lineage.find(parents[0][0]))
    assert forwards.before[0].says == "training row 0"


def test_pairs_are_as_other_tools_read_them(spin: tuple[House, Model], tmp_path: Path) -> None:
    house, _ = spin
    (stage,) = stages(house, "train")
    rows = rows_of(stage)
    assert list(rows[0]) == [
        "prompt", "chosen", "rejected", "prefix", "weight", "chosen_token_ids", "rejected_token_ids",
        "ref_chosen_logps", "ref_rejected_logps", "problem_id", "parents",
    ]  # fmt: skip
    from datasets import load_dataset

    loaded: Any = load_dataset(
        "parquet", data_files=str(stage.rows_path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert isinstance(loaded[0]["prompt"], str | list)
    assert type(loaded[0]["chosen"]) is type(loaded[0]["prompt"]) is type(loaded[0]["rejected"])


def test_what_the_reference_is_asked_is_what_the_trainer_learns(house: House) -> None:
    tokenizer = Tokenizer.load(Path(house.base.checkpoint.location))
    prompts = [USER, (*USER, Message("assistant", "Let's see. ")), (Message("text", "3 + 4 ="),)]
    texts = ["7.", " 7.", "  7.", "\n7. ", "7</s>8"]
    for number, prompt in enumerate(prompts):
        run = house.run()
        examples = [
            Example(prompt, chosen=text, rejected="8", rejected_token_ids=(60, 61, 1), problem_id=str(place))
            for place, text in enumerate(texts)
        ]
        run.train(run.base, Rows(examples), Preference(), optimizer=STEP)
        stage = stages(house, "train")[number]
        read = read_rows(stage.rows_path, Preference.reads, tokenizer, Limits(259, 256))
        batch = read.batch(np.arange(len(texts)))
        learned = [tuple(ids[mask].tolist()) for ids, mask in zip(batch.ids, batch.learned, strict=True)]
        assert learned == [ids for one in examples for ids in learned_ids(one, tokenizer)]
        assert stage.record["epochs"][0]["train_loss"] == pytest.approx(math.log(2), abs=1e-5)


def test_pairs_without_an_end_or_a_text_are_dropped_and_evaluation_problems_found(house: House) -> None:
    run = house.run()
    test_question = next(iter(run.problems("test"))).question
    rows = [
        Example(USER, chosen="7", rejected="8"),
        Example(USER, chosen="7", rejected="8", is_ended=False),
        Example(USER, chosen="7", rejected=""),
        Example(USER, chosen="7", rejected=test_question),
        Example((Message("user", test_question),), chosen="7", rejected="8"),
    ]
    run.train(run.base, Rows(rows), Preference(), optimizer=STEP)
    assert run.contamination[0]["dropped"] == {"exact match in test": 2, "no end token": 1, "empty": 1}
    assert stages(house, "train")[0].rows == 1
    with pytest.raises(NothingToLearn):
        run.train(run.base, Rows(rows[1:]), Preference(), optimizer=STEP)


def test_soft_labels_and_their_log_probabilities(house: House) -> None:
    run = house.run()
    examples = Rows(
        [
            Example(USER, choices=("yes", "nope"), probabilities=(0.9, 0.1), problem_id="a"),
            Example(
                (*USER, Message("assistant", "I say")), choices=(" yes", " no"), probabilities=(0.2, 0.8)
            ),
        ]
    )
    scored = list(run.logprobs(run.base, examples))
    run.train(run.base, examples, Xent(), optimizer=STEP, held_out=examples)
    (stage,) = stages(house, "train")
    assert list(rows_of(stage)[0]) == [
        "prompt", "choices", "prefix", "weight", "probabilities", "problem_id", "parents"
    ]  # fmt: skip
    assert [row["prefix"] for row in rows_of(stage)] == ["", "I say"]
    expected = 0.0
    for example, found in scored:
        whole = math.log(sum(map(math.exp, found.values)))
        costs = zip(example.probabilities, found.values, strict=True)
        expected -= sum(share * (value - whole) for share, value in costs) / 2
    assert stage.record["epochs"][0]["train_loss"] == pytest.approx(expected, abs=1e-5)
    assert "held_out_accuracy" in measures(stage)


def test_an_evaluator_learns_from_pairs_whose_texts_end_the_question(house: House) -> None:
    run = house.run()
    ask = (Message("user", "3 + 4? Candidate: "),)
    rows = Rows([Example(ask, chosen="7.", rejected="8.", choices=("right", "wrong"), problem_id="a")])
    run.train(run.base, rows, EvaluatorMargin(margin=5.0), optimizer=STEP)
    (stage,) = stages(house, "train")
    (row,) = rows_of(stage)
    assert row["prompt"] == []
    assert row["chosen"] == [{"role": "user", "content": "3 + 4? Candidate: 7."}]
    # the loss is what an engine's scores of both prompts give
    asked = [
        Prompt(Problem("a", "", "train"), (Message("user", f"3 + 4? Candidate: {text}"),))
        for text in ("7.", "8.")
    ]
    scores = []
    for _, found in run.logprobs(run.base, Rows(asked), ["right", "wrong"]):
        right, wrong = found.values
        scores.append(-math.log1p(math.exp(wrong - right)))
    expected = max(0.0, scores[1] - scores[0] + 5.0)
    assert stage.record["epochs"][0]["train_loss"] == pytest.approx(expected, abs=1e-5)


def test_columns_of_tokens_go_with_the_sampled_ids(house: House) -> None:
    run = house.run()
    example = Example(
        USER, completion="ab", token_ids=(70, 71, 1), per_token={"advantages": (0.5, -0.25, 1.0)}
    )
    run.train(run.base, Rows([example]), ActorCritic(), optimizer=STEP)
    run.train(run.base, Rows([example]), Gold(), optimizer=STEP)
    actor, gold = stages(house, "train")
    assert rows_of(actor)[0]["advantages"] == [0.5, -0.25, 1.0]
    assert len(rows_of(gold)[0]["ref_token_logps"]) == 3
    (scored,) = stages(house, "logprobs")
    assert rows_of(scored)[0]["token_logprobs"] == [rows_of(gold)[0]["ref_token_logps"]]
    ((_, by_hand),) = run.logprobs(run.base, Rows([example]), by_token=True)
    advantages = example.per_token["advantages"]
    expected = -sum(a * b for a, b in zip(advantages, by_hand.by_token[0], strict=True)) / 3
    assert actor.record["epochs"][0]["train_loss"] == pytest.approx(expected, abs=1e-5)


PAIR = Example(USER, chosen="7", rejected="8", problem_id="a")


@pytest.mark.parametrize(
    ("row", "loss", "told"),
    [
        (Example(USER, completion="7", problem_id="a"), Preference(), "row of problem a has no chosen"),
        (PAIR, supervised(), "has no completion\nhint: loss supervised learns from Examples with completion"),
        (PAIR, Xent(), "has no choices"),
        (PAIR, EvaluatorMargin(), "has no choices\nhint: .* with chosen and rejected and choices"),
        (Example(USER, choices=("a", "b")), Xent(), "has no probabilities"),
        (Example(USER, completion="7", token_ids=(5, 1)), ActorCritic(), "has no advantages"),
    ],
)
def test_rows_that_lack_what_the_loss_reads_are_refused(
    house: House, row: Example, loss: Loss, told: str
) -> None:
    run = house.run()
    with pytest.raises(DataError, match=told):
        run.train(run.base, Rows([row]), loss)
    assert stages(house, "train") == stages(house, "logprobs") == []


def test_a_reference_that_is_of_no_use_is_refused(house: House) -> None:
    run = house.run()
    with pytest.raises(SettingError, match="loss supervised has no reference"):
        run.train(run.base, Rows([Example(USER, completion="7")]), reference=run.base)
    alien = Model(run.base.checkpoint.__class__("d", "another tokenizer", "d", name="alien"))
    with pytest.raises(SettingError, match="the reference alien has another tokenizer"):
        run.train(run.base, Rows([PAIR]), Preference(), reference=alien)


def test_ids_of_another_tokenizer_are_left_out(house: House) -> None:
    run = house.run()
    rows = [Example(USER, chosen="7", rejected="8", rejected_token_ids=(5, 1), tokenizer="another")]
    run.train(run.base, Rows(rows), Preference(), optimizer=STEP)
    assert rows_of(stages(house, "train")[0])[0]["rejected_token_ids"] == []


def test_a_plan_lists_the_reference_and_goes_on_behind_it(spin: tuple[House, Model]) -> None:
    house, _ = spin
    plan = Plan()
    run = house.run("planned", plan=plan)
    rows = spin_rows(run, run.base)
    run.train(run.base, rows, Preference(), optimizer=STEP, epochs=2)
    assert all(one.is_there for one in plan.stages)
    model = run.train(run.base, rows, Preference(), optimizer=STEP, reference=run.model("teacher"))
    assert [(one.kind, one.is_there) for one in plan.stages[-2:]] == [("logprobs", False), ("train", False)]
    run.train(model, spin_rows(run, model), Preference())
    assert [one.kind for one in plan.stages[-2:]] == ["logprobs", "train"]


def test_a_deleted_checkpoint_of_pairs_is_made_again(spin: tuple[House, Model]) -> None:
    house, _ = spin
    run = house.run()
    model = run.train(run.base, spin_rows(run, run.base), Preference(), optimizer=STEP, epochs=2)
    shutil.rmtree(Path(model.checkpoint.location))
    run.sample(model, run.problems("validation"))
    assert open_checkpoint(model.checkpoint.location).digest == model.checkpoint.digest
    assert orjson.loads((Path(model.checkpoint.location) / "train.json").read_bytes())["epochs"][0][
        "measures"
    ]
