"""Math fine-tuning: hand-over of weights, who is scored, what the rules choose, and no test gold."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import NothingToLearn, SettingError
from docendo.core.losses import EvaluatorMargin, Supervised, Xent
from docendo.core.protocols import Request
from docendo.core.records import Model, Sample
from docendo.core.table import Table
from docendo.evidence.experiment import experiment, plan
from docendo.metrics.choosing import Pool, Rule
from docendo.recipes.math_tuning import MathTuningConfig, math_tuning
from docendo.runs.recipe import Recipe, spec_of
from docendo.runs.settings import RunSettings
from tests.fakes import GuessingEngine, House, SumsTask
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=12, validation_problems=6, test_problems=10, evaluation_samples=0)
CONFIG = MathTuningConfig(
    candidates=6, samples_per_problem=8, rule="best", k=2, curve=(1, 99), pairs=3, top_n=1
)


class JudgingEngine(GuessingEngine):
    """Guesses sums, and knows for sure whether a sum before its two words is right."""

    def likelihood(self, request: Request, text: str) -> float:
        said = re.search(r"(\d+) \+ (\d+) is (\d+)", request.messages[-1].content)
        if said is None or text not in (" right", " wrong"):
            return super().likelihood(request, text)
        a, b, c = (int(number) for number in said.groups())
        return -0.1 if (text == " right") is (a + b == c) else -3.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL, engine=JudgingEngine(), skill=0.0)


def arm(name: str, config: MathTuningConfig = CONFIG) -> Recipe:
    return {one.name: one.recipe for one in spec_of(math_tuning).arms(config)}[name]


def answers(house: House, recipe: Recipe, config: MathTuningConfig = CONFIG) -> dict[str, str]:
    found = recipe(house.run(), config)
    assert not isinstance(found, Model)
    chosen = [(sample.problem.id, sample.answer) for sample in found]
    assert len(dict(chosen)) == len(chosen) == 10
    return dict(chosen)


def candidates(house: House) -> Table[Sample]:
    run = house.run()
    generator = arm("generator")(run, CONFIG)
    assert isinstance(generator, Model)
    return run.sample(generator, run.problems("test"), 8, temperature=CONFIG.temperature)


# -- stages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["margin", "xent"])
def test_every_stage_starts_from_the_weights_of_the_one_before(house: House, loss: Any) -> None:
    config = replace(CONFIG, loss=loss)
    run = house.run()
    third = arm("sequential")(run, config)
    longer = arm("longer")(run, config)
    generator = arm("generator")(run, config)
    assert isinstance(generator, Model)
    assert isinstance(third, Model)
    assert isinstance(longer, Model)
    base, first, second, control = house.trainer.started_from
    assert base == Path(run.base.checkpoint.location)
    assert first == control == Path(generator.checkpoint.location)
    assert second not in (base, first)
    losses = [loss for loss, _, _ in house.trainer.asked]
    assert losses[1] == (EvaluatorMargin(margin=0.5) if loss == "margin" else Xent())
    assert losses[0] == losses[2] == losses[3] == Supervised()
    # the control makes the very steps of the third stage
    assert house.trainer.rows[2] == house.trainer.rows[3] == house.trainer.rows[0]
    assert house.trainer.asked[2] == house.trainer.asked[3]
    assert house.trainer.asked[2][1].learning_rate == config.third_rate
    assert third.checkpoint.root == run.base.checkpoint.digest


def test_the_generator_learns_both_styles_and_of_the_author_what_is_right(house: House) -> None:
    run = house.run()
    for name in ("generator", "solutions: human", "solutions: author"):
        arm(name)(run, CONFIG)
    both, human, author = house.trainer.rows
    assert both == human + author
    labels = {label.problem_id: label for label in run.labels("train")}
    assert [row["problem_id"] for row in human] == list(labels)
    written = list(run.verify(run.sample(house.teacher, run.problems("train"))))
    assert [row["parents"] for row in author] == [[one.id] for one in written if one.is_correct]
    assert 0 < len(author) < 12
    for row in author:
        assert row["completion"][0]["content"].endswith(f" {labels[row['problem_id']].answer}.")


def test_the_evaluator_learns_pairs_of_one_problem_and_at_most_so_many(house: House) -> None:
    math_tuning(house.run(), replace(CONFIG, loss="margin"))
    rows = house.trainer.rows[1]
    assert max(Counter(row["problem_id"] for row in rows).values()) <= 3
    labels = {label.problem_id: label.answer for label in house.run().labels("train")}
    for row in rows:
        right, wrong = (row[name][0]["content"] for name in ("chosen", "rejected"))
        assert right.endswith(f"The answer is {labels[row['problem_id']]}. It is")
        assert wrong.endswith(" It is")
        assert f"The answer is {labels[row['problem_id']]}." not in wrong
        assert row["choices"] == [" right", " wrong"]
    pairs = [tuple(row["parents"]) for row in rows]
    assert len(set(pairs)) == len(pairs)
    # cross-entropy learns the same candidates, each with its word
    math_tuning(house.run(), replace(CONFIG, loss="xent"))
    labelled = house.trainer.rows[2]
    half = len(pairs)
    right, wrong = ([row["parents"][0] for row in rows] for rows in (labelled[:half], labelled[half:]))
    assert list(zip(right, wrong, strict=True)) == pairs
    assert [row["probabilities"] for row in labelled] == [[1.0, 0.0]] * half + [[0.0, 1.0]] * half


def test_held_out_problems_are_the_evaluators_alone(house: House) -> None:
    math_tuning(house.run(), replace(CONFIG, held_out=0.5))
    generator, evaluator = ({row["problem_id"] for row in rows} for rows in house.trainer.rows)
    assert generator == {f"train-{number}" for number in range(6)}
    assert evaluator
    assert not generator & evaluator


def test_candidates_of_one_kind_only_are_an_error_that_says_so(house: House) -> None:
    house.engine._completion = lambda request, *rest: GuessingEngine._completion(  # type: ignore[method-assign]
        house.engine, request, rest[0], 1.0, rest[2]
    )
    with pytest.raises(NothingToLearn, match="no pair to learn from"):
        math_tuning(house.run(), CONFIG)


# -- choosing ------------------------------------------------------------------------------------------------


def test_the_evaluator_is_asked_about_members_of_the_k_largest_clusters_alone(house: House) -> None:
    chosen = answers(house, math_tuning)
    asked_about = len(house.engine.scored)
    pools: dict[str, list[Sample]] = {}
    for sample in candidates(house):
        pools.setdefault(sample.problem.id, []).append(sample)
    members = 0
    for problem, samples in pools.items():
        pool = Pool.of([one.answer if one.is_parsed else None for one in samples])
        places = Rule("best", 2).scored(pool)
        members += len(places)
        assert chosen[problem] in {samples[place].answer for place in places}
    assert asked_about == members < 80
    run = house.run()
    math_tuning(run, CONFIG)
    assert run.facts["share of candidates scored"] == members / 80
    answers(house, arm("best"))
    assert len(house.engine.scored) == members + 80
    for name in ("weighted", "top-1", "majority-of-best-1", "vote"):  # they share the scores
        answers(house, arm(name))
    assert len(house.engine.scored) == members + 80


def test_the_identities_of_the_rules(house: House) -> None:
    whole = replace(CONFIG, top_n=8)
    found = {one.name: answers(house, one.recipe) for one in spec_of(math_tuning).arms(CONFIG)[:9]}
    found |= {"own": answers(house, math_tuning), "top-all": answers(house, arm("majority-of-best-8", whole))}
    assert set(found) == {
        "vote", "best", "weighted", "top-1", "weighted-top-1", "weighted-top-2", "top-99", "weighted-top-99",
        "majority-of-best-1", "own", "top-all",
    }  # fmt: skip
    assert found["top-1"] == found["weighted-top-1"] == found["vote"] == found["top-all"]
    assert found["top-99"] == found["best"] == found["majority-of-best-1"]
    assert found["weighted-top-99"] == found["weighted"]
    assert found["best"] != found["vote"]
    for k, name in ((2, "own"), (1, "vote")):
        assert answers(house, math_tuning, replace(CONFIG, k=k)) == found[name]
    assert answers(house, math_tuning, replace(CONFIG, k=0, rule="weighted")) == found["weighted"]


def test_a_perfect_evaluator_finds_whatever_is_there_and_every_arm_is_measured(house: House) -> None:
    result = experiment(
        asked(
            house,
            recipe=math_tuning,
            recipe_name="math-tuning",
            config=replace(CONFIG, k=0),
            models={"base": house.base, "author": house.teacher},
            controls="basic",
        )
    )
    final = {entry["arm"]: entry for entry in result["evaluations"]}
    assert {
        "base", "majority", "unverified", "method", "vote", "weighted", "top-1", "weighted-top-1",
        "generator", "solutions: human", "solutions: author", "sequential", "longer", "majority-of-best-1",
    } <= final.keys()  # fmt: skip
    run = house.run()
    labels = house.task.labels("test")
    solved = {one.problem.id for one in candidates(house) if one.answer == labels[one.problem.id].answer}
    assert final["method"]["correct"] == len(solved)
    assert final["vote"]["correct"] < len(solved)
    assert all(entry["n"] == 10 for entry in final.values())  # the unverified arm too: one of each problem
    rivals = {one["against"] for one in result["comparisons"] if one["is_rival"]}
    assert rivals == {"base", "majority", "unverified", "vote"}
    assert result["chosen"] == {"kind": "answers"}
    assert result["facts"]["method"]["pairs of the evaluator"] > 0
    assert run.task.name == result["task"]


def test_a_plan_names_each_stage_that_arms_share_once(house: House) -> None:
    models = {"base": house.base, "author": house.teacher}
    planned = plan(asked(house, recipe=math_tuning, config=CONFIG, models=models, controls="basic"))
    assert planned.is_complete
    assert not list(house.workspace.all_sealed())
    trained = [stage.label for stage in planned.stages if stage.kind == "train"]
    assert trained == [
        "method/generator", "method/evaluator", "unverified/generator", "unverified/evaluator",
        "solutions: human/generator", "solutions: author/generator", "sequential/third", "longer/third",
    ]  # fmt: skip


# -- information ---------------------------------------------------------------------------------------------


def test_permuting_the_labels_of_the_test_split_changes_no_row_and_no_answer(tmp_path: Path) -> None:
    made: list[Any] = []
    for place, permuted in (("a", ()), ("b", ("test",))):
        task = SumsTask(permuted=permuted)
        house = House(tmp_path / place, settings=SMALL, engine=JudgingEngine(), task=task, skill=0.0)
        run = house.run()
        found = math_tuning(run, CONFIG)
        made.append((house.trainer.rows, [sample.id for sample in found]))
        read = run.ledger.summary()["labels_read"]
        assert {one["split"] for one in read} == {"train"}
        assert {one["by"] for one in read} == {"labels", "verify"}
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"k": -1}, "k is -1; expected 0 or more"),
        ({"held_out": 1.0}, "held_out is 1.0; expected 0 to below 1"),
        ({"curve": (4, 0)}, "curve is 4,0; expected K from 1"),
        ({"words": ("right",)}, "words is right; expected two, as right,wrong"),
        ({"words": ("right", "right")}, "expected two different words"),
        ({"temperature": 0.0}, "temperature is 0.0; expected a number above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        MathTuningConfig(**setting)
