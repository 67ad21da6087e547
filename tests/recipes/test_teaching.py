"""Fine-tune-CoT, STaR, RFT and LMSI: their invariants, on test doubles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import SettingError
from docendo.core.records import Model
from docendo.engines.scripted import ScriptedEngine
from docendo.evidence.experiment import experiment
from docendo.recipes.fine_tune_cot import FineTuneCotConfig, fine_tune_cot
from docendo.recipes.lmsi import LmsiConfig, lmsi
from docendo.recipes.rft import RftConfig, rft
from docendo.recipes.star import StarConfig, star
from docendo.runs.recipe import spec_of
from docendo.runs.settings import RunSettings
from tests.fakes import House, SumsTask, tree_digest
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=12, validation_problems=10, test_problems=6, evaluation_samples=0)
COT = FineTuneCotConfig(samples_per_problem=4, epochs=2, shots=0)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL)


def learned(house: House, recipe: Any, config: Any, arm: str = "method") -> list[dict[str, Any]]:
    """Run a recipe and return the rows of its last training."""
    recipe(house.run().arm_run(arm), config)
    return house.trainer.rows[-1]


def said(row: dict[str, Any]) -> str:
    completion = row["completion"]
    return completion if isinstance(completion, str) else completion[0]["content"].strip()


# -- Fine-tune-CoT -------------------------------------------------------------------------------------------


def test_the_student_learns_every_right_rationale_of_the_teacher_with_the_gold_answer(house: House) -> None:
    rows = learned(house, fine_tune_cot, COT)
    run = house.run()
    labels = {label.problem_id: label.answer for label in run.labels("train")}
    samples = run.verify(
        run.sample(house.teacher, run.problems("train"), 4, temperature=0.7, max_new_tokens=128)
    )
    right = [sample for sample in samples if sample.is_correct]
    assert 0 < len(right) < len(samples)
    assert [row["parents"] for row in rows] == [[sample.id] for sample in right]
    for row in rows:
        assert said(row).endswith(f"The answer is {labels[row['problem_id']]}.")
    assert house.trainer.started_from == [Path(house.base.checkpoint.location)]


def test_the_sets_of_fewer_rationales_are_nested(house: House) -> None:
    rows: dict[str, list[str]] = {}
    for arm in spec_of(fine_tune_cot).arms(replace(COT, degrees=(1, 2))):
        if arm.name.endswith("a problem"):
            found = learned(house, arm.recipe, COT, arm.name)
            rows[arm.name] = [row["parents"][0] for row in found]
    rows["4 a problem"] = [row["parents"][0] for row in learned(house, fine_tune_cot, COT)]
    assert set(rows["1 a problem"]) < set(rows["2 a problem"]) < set(rows["4 a problem"])


def test_unfiltered_rationales_hold_no_gold_where_they_are_wrong(house: House) -> None:
    (arm,) = (one for one in spec_of(fine_tune_cot).arms(COT) if one.name == "unfiltered")
    rows = learned(house, arm.recipe, COT, "unfiltered")
    assert len(rows) == 48
    labels = {label.problem_id: label.answer for label in house.run().labels("train")}
    wrong = [row for row in rows if not said(row).endswith(f"The answer is {labels[row['problem_id']]}.")]
    assert wrong
    for row in wrong:  # the answer is the one that its own rationale came to
        rationale, _, answer = said(row).rpartition(" The answer is ")
        assert rationale.endswith(f"is {answer}")


def test_answers_alone_are_learned_once_a_problem(house: House) -> None:
    (arm,) = (one for one in spec_of(fine_tune_cot).arms(COT) if one.name == "answer-only")
    rows = learned(house, arm.recipe, COT, "answer-only")
    assert len(rows) == 12
    assert all(said(row).startswith("The answer is ") for row in rows)


def test_the_result_has_the_recipes_arms_and_its_verdict_rests_on_its_rivals(house: House) -> None:
    result = experiment(
        asked(
            house,
            recipe=fine_tune_cot,
            recipe_name="fine-tune-cot",
            config=COT,
            models={"base": house.base, "teacher": house.teacher},
            controls="basic",
        )
    )
    arms = {entry["arm"] for entry in result["evaluations"]}
    assert {"answer-only", "unfiltered", "zero-shot", "teacher", "unverified", "method", "base"} <= arms
    rivals = {one["against"] for one in result["comparisons"] if one["is_rival"]}
    assert rivals == {"base", "majority", "answer-only", "zero-shot"}
    facts = result["facts"]["method"]
    assert facts["rationales of the teacher"] == 48
    assert facts["share of them that are learned"] == facts["share of them that end right"]


def test_choosing_by_test_is_marked_and_proves_nothing(house: House) -> None:
    more: dict[str, Any] = {
        "recipe": fine_tune_cot,
        "models": {"base": house.base, "teacher": house.teacher},
        "controls": "none",
    }
    honest = experiment(asked(house, config=COT, **more))
    flattered = experiment(asked(house, config=replace(COT, choose_epoch="test"), **more))
    assert (honest["chose_on_test"], flattered["chose_on_test"]) == (False, True)
    assert flattered["verdict"] == "no evidence"
    assert any("chosen on the test split" in note for note in flattered["notes"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": 0.0}, "temperature is 0 and samples_per_problem is 4"),
        ({"degrees": (4,)}, "degrees is 4; expected numbers from 1 to 3"),
        ({"epochs": 0}, "epochs is 0; expected at least 1"),
        ({"shots": -1}, "shots is -1; expected 0 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message.replace("(", r"\(")):
        FineTuneCotConfig(**{"samples_per_problem": 4, **setting})


# -- STaR ----------------------------------------------------------------------------------------------------


def test_star_learns_right_tries_and_hinted_ones_without_the_hint(house: House) -> None:
    sent: list[str] = []
    house.engine.before_chunk = lambda chunk: sent.extend(
        request.messages[-1].content for request in chunk.requests
    )
    rows = learned(house, star, StarConfig(rounds=1, choose_epoch=False))
    run = house.run()
    tried = run.verify(run.sample(run.base, run.problems("train")))
    wrong = [sample for sample in tried if not sample.is_correct]
    labels = {label.problem_id: label.answer for label in run.labels("train")}
    hinted = [text for text in sent if text.endswith(")")]
    assert sorted(hinted) == sorted(f"{one.problem.question} ({labels[one.problem.id]})" for one in wrong)
    assert not any("(" in message["content"] for row in rows for message in row["prompt"])
    plain = {sample.problem.id for sample in tried if sample.is_correct}
    assert plain <= {row["problem_id"] for row in rows}
    assert all(said(row).endswith(f"The answer is {labels[row['problem_id']]}.") for row in rows)


def test_the_worked_example_of_star(house: House) -> None:
    """Labels A, B, C, D are four sums; first tries are A, C, C, A; 2 and 4 with a hint B, C."""
    house.settings = replace(SMALL, train_problems=4)
    run = house.run()
    first, second, third, fourth = run.problems("train")
    labels = {label.problem_id: label.answer for label in run.labels("train")}
    a, b, c, d = (labels[problem.id] for problem in (first, second, third, fourth))
    answers = dict(zip([one.question for one in (first, second, third, fourth)], (a, c, c, a), strict=True))
    answers |= {f"{second.question} ({b})": b, f"{fourth.question} ({d})": c}
    engine = ScriptedEngine(
        lambda messages, seed: f" So be it. The answer is {answers.get(messages[-1].content, 0)}."
    )
    run._engine = lambda name: engine  # type: ignore[assignment, return-value]
    star(run, StarConfig(rounds=1, choose_epoch=False))
    rows = house.trainer.rows[-1]
    assert [row["problem_id"] for row in rows] == [first.id, third.id, second.id]
    assert [row["prompt"][-1]["content"] for row in rows] == [
        first.question,
        third.question,
        second.question,
    ]
    assert [row["completion"][0]["content"].split()[-1] for row in rows] == [f"{a}.", f"{c}.", f"{b}."]


def test_star_starts_every_round_from_the_original_model(house: House) -> None:
    star(house.run(), StarConfig(rounds=2, choose_epoch=False))
    assert house.trainer.started_from == [Path(house.base.checkpoint.location)] * 2


# -- RFT -----------------------------------------------------------------------------------------------------


def test_rft_learns_human_solutions_first_and_ends_from_the_pretrained_model(house: House) -> None:
    model = rft(house.run(), RftConfig(samples_per_problem=4))
    assert isinstance(model, Model)
    assert house.trainer.started_from == [Path(house.base.checkpoint.location)] * 2
    human, both = house.trainer.rows
    assert len(human) == 12
    assert both[:12] == human
    paths = both[12:]
    assert paths
    assert len({row["problem_id"] for row in paths}) == len(paths)  # a sum has one list of equations


# -- LMSI ----------------------------------------------------------------------------------------------------


def test_lmsi_learns_its_majority_in_every_format(house: House) -> None:
    rows = learned(house, lmsi, LmsiConfig(samples_per_problem=5))
    half = len(rows) // 2
    assert [row["parents"] for row in rows[:half]] == [row["parents"] for row in rows[half:]]
    assert all(" is " in said(row).partition("The answer")[0] for row in rows[:half])
    assert all(said(row).startswith("The answer is ") for row in rows[half:])


def test_the_worked_example_of_lmsi(house: House) -> None:
    """Eight answers, four of them 108: four paths are kept, and become 16 rows over four formats."""
    house.settings = replace(SMALL, train_problems=1)
    run = house.run()
    answers = iter(["108", "96", "108", "108", "110", "96", "108", ""])

    def said(messages: Any, seed: int) -> str:
        answer = next(answers)
        return f" It is {answer}. The answer is {answer}." if answer else " I cannot say"

    engine = ScriptedEngine(said)
    run._engine = lambda name: engine  # type: ignore[assignment, return-value]
    four = LmsiConfig(samples_per_problem=8, formats=("default", "direct", "default", "direct"))
    lmsi(run, four)
    rows = house.trainer.rows[-1]
    assert len(rows) == 16
    assert len({row["parents"][0] for row in rows}) == 4
    assert all(row["completion"][0]["content"].endswith("The answer is 108.") for row in rows)


@pytest.mark.parametrize("recipe", [lmsi])
def test_label_free_recipes_do_the_same_with_the_labels_of_every_split_permuted(
    tmp_path: Path, recipe: Any
) -> None:
    assert spec_of(recipe).is_label_free
    made: list[Any] = []
    for place, permuted in (("a", ()), ("b", ("train", "validation", "test"))):
        house = House(tmp_path / place, settings=SMALL, task=SumsTask(permuted=permuted))
        run = house.run()
        model = recipe(run, LmsiConfig(samples_per_problem=5))
        trained = tree_digest(house.path / "workspace" / "checkpoints")
        made.append((house.trainer.rows, model.checkpoint.digest, trained))
        assert run.ledger.summary()["labels_read"] == []
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("recipe", "config"),
    [
        (fine_tune_cot, COT),
        (star, StarConfig(rounds=2)),
        (rft, RftConfig(samples_per_problem=4)),
        (lmsi, LmsiConfig(samples_per_problem=5)),
    ],
)
def test_permuting_the_labels_of_the_test_split_changes_nothing_that_is_learned(
    tmp_path: Path, recipe: Any, config: Any
) -> None:
    made: list[Any] = []
    for place, permuted in (("a", ()), ("b", ("test",))):
        house = House(tmp_path / place, settings=SMALL, task=SumsTask(permuted=permuted))
        model = recipe(house.run(), config)
        made.append((house.trainer.rows, model.checkpoint.digest))
    assert made[0] == made[1]
