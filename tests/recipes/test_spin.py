"""SPIN: its invariants on test doubles, and what its first step costs on a real model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import SettingError
from docendo.core.losses import Loss, Optimizer, Preference
from docendo.core.protocols import TrainedEpoch, TrainingStep
from docendo.evidence.experiment import experiment, plan
from docendo.metrics.displacement import Standing, displaced
from docendo.recipes.spin import SpinConfig, spin
from docendo.runs.plan import Plan
from docendo.runs.settings import RunSettings
from tests.fakes import GuessingEngine, House, SumsTask
from tests.recipes.traces import Traced, traced
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=12, validation_problems=10, test_problems=6, evaluation_samples=0)
CONFIG = SpinConfig(rounds=3, supervised_epochs=1, epochs=1)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL, skill=0.2)


def iterations(run: Traced) -> list[tuple[Any, Any, dict[str, Any], Any]]:
    """Return start, rows, arguments and result of each iteration's training."""
    return [rest for label, *rest in run.trainings if "/round-" in label]  # pyright: ignore


def test_each_iteration_starts_at_the_last_one_samples_it_and_has_it_as_reference(house: House) -> None:
    run = traced(house)
    spin(run, CONFIG)
    (_, base, _, _, theta_0), *_ = run.trainings
    assert base == run.base
    starts = [model.checkpoint for model in (theta_0, *(made for *_, made in iterations(run)))][:-1]
    assert [start.checkpoint for start, *_ in iterations(run)] == starts
    assert [more["reference"].checkpoint for _, _, more, _ in iterations(run)] == starts
    assert len({start.digest for start in starts}) == 3
    own = [(model.checkpoint, len(table)) for label, model, table in run.sampled if label.endswith("/own")]
    assert own == [(start, 12) for start in starts]
    # The log-probabilities of the reference were asked of that very checkpoint.
    asked_of = [
        sealed.record["checkpoint"]
        for record in run.records
        if record["place"].endswith("train-reference")
        and (sealed := run.workspace.sealed(record["stage"])) is not None
    ]
    assert asked_of == [start.digest for start in starts]


def test_the_supervised_start_learns_the_demonstrations(house: House) -> None:
    spin(traced(house), CONFIG)
    rows = house.trainer.rows[0]
    assert len(rows) == 12
    assert rows[1]["completion"][0]["content"] == "1 + 1 is 2. The answer is 2."
    assert house.trainer.asked[0][1].learning_rate == CONFIG.supervised_rate


def test_pairs_are_demonstrations_against_own_texts_and_copies_are_dropped(house: House) -> None:
    run = traced(house)
    spin(run, replace(CONFIG, rounds=1))
    (label, _, own), *_ = [one for one in run.sampled if one[0].endswith("/own")]
    assert label == "method/round-1/own"
    said = {sample.problem.id: sample for sample in own}
    pairs = house.trainer.rows[1]
    copies = [
        sample
        for sample in own
        if sample.text.strip() == f"{sample.rationale} The answer is {sample.answer}." and _is_right(sample)
    ]
    assert 0 < len(copies) < 12
    assert len(pairs) == 12 - len(copies)
    for row in pairs:
        sample = said[row["problem_id"]]
        assert row["prompt"] == [{"role": "user", "content": sample.problem.question}]
        assert row["rejected"] == [{"role": "assistant", "content": sample.text.strip()}]
        assert row["rejected_token_ids"] == list(sample.token_ids)
        assert row["chosen"] != row["rejected"]
        assert row["parents"] == [sample.id]
    assert dict(run.kept[0].reasons()) == {"exact copy": len(copies)}
    assert run.facts["iteration 1: exact copies"] == len(copies)


def _is_right(sample: Any) -> bool:
    a, b = (int(part.strip("?")) for part in sample.problem.question.removeprefix("What is ").split(" + "))
    return sample.answer == str(a + b)


@pytest.mark.parametrize(("window", "rounds_in"), [(1, [{1}, {2}, {3}]), (2, [{1}, {1, 2}, {2, 3}])])
def test_the_window_holds_the_pairs_of_one_or_two_iterations(
    house: House, window: int, rounds_in: list[set[int]]
) -> None:
    house.skill = -20.0  # nothing is right, so no pair is a copy
    run = traced(house)
    spin(run, replace(CONFIG, window=window, supervised_epochs=0, most_fall=0.0))
    origin = {
        sample.id: int(label.split("/")[1].removeprefix("round-"))
        for label, _, table in run.sampled
        if label.endswith("/own")
        for sample in table
    }
    found = [{origin[parent] for row in rows for parent in row["parents"]} for rows in house.trainer.rows]
    assert found == rounds_in
    assert [len(rows) for rows in house.trainer.rows] == [12 * len(rounds) for rounds in rounds_in]


def test_lambda_and_learning_rate_follow_their_schedules(house: House) -> None:
    config = replace(CONFIG, supervised_epochs=0, lambdas=(0.1, 5.0), rate_factors=(1.0, 1.0, 0.2))
    spin(traced(house), config)
    losses = [loss for loss, _, _ in house.trainer.asked]
    assert losses == [Preference(beta=beta) for beta in (0.1, 5.0, 5.0)]
    rates = [optimizer.learning_rate for _, optimizer, _ in house.trainer.asked]
    assert rates == pytest.approx([2e-5, 2e-5, 4e-6])


def test_the_returned_model_is_the_best_on_validation_or_the_last(house: House) -> None:
    run = traced(house)
    chosen = spin(run, CONFIG)
    candidates = [run.trainings[0][4], *(made for *_, made in iterations(run))]
    correct = [run.evaluate(model, "validation").correct for model in candidates]
    assert chosen.checkpoint == candidates[correct.index(max(correct))].checkpoint
    last = spin(house.run("last"), replace(CONFIG, choose="last"))
    assert last.checkpoint == candidates[-1].checkpoint


def test_the_monitors_of_each_iteration_are_in_the_facts(house: House) -> None:
    run = traced(house)
    spin(run, CONFIG)
    for t in (1, 2, 3):
        for name in (
            "tokens of an own completion", "pairs", "margin", "accuracy",
            "nats per token of validation demonstrations", "validation accuracy",
        ):  # fmt: skip
            assert f"iteration {t}: {name}" in run.facts
    assert run.facts["iteration 1: margin"] == 0.5
    assert run.facts["iteration 1: nats per token of validation demonstrations"] == pytest.approx(-1.0)


def test_the_guard_ends_the_recipe_where_demonstrations_sink(tmp_path: Path) -> None:
    # The better the model, the less likely every text: margins grow while likelihoods fall.
    engine = GuessingEngine(nats=lambda skill: 1 + skill)
    house = House(tmp_path, settings=SMALL, skill=0.2, engine=engine)
    run = traced(house)
    chosen = spin(run, replace(CONFIG, supervised_epochs=0))
    assert len(iterations(run)) == 1
    assert chosen == run.base
    (note,) = run.notes
    assert note.startswith("method/round-1/guard: demonstrations lost 0.400 nats per token; this iteration")
    assert run.round == 0
    free = traced(House(tmp_path / "free", settings=SMALL, skill=0.2, engine=engine))
    spin(free, replace(CONFIG, supervised_epochs=0, most_fall=0.0))
    assert len(iterations(free)) == 3


def test_displacement_is_a_fall_of_likelihood_or_a_significant_one_of_accuracy() -> None:
    first = Standing(-0.5, [True] * 20)
    assert displaced(first, Standing(-0.59, [True] * 20), most_fall=0.1) == ""
    assert "lost 0.110 nats" in displaced(first, Standing(-0.61, [True] * 20), most_fall=0.1)
    five, six = ([False] * count + [True] * (20 - count) for count in (5, 6))
    assert displaced(first, Standing(-0.5, five), most_fall=0.1) == ""  # p = 0.0625
    assert (
        displaced(first, Standing(-0.5, six), most_fall=0.1)
        == "accuracy fell from 100.0 to 70.0 % (p = 0.031)"
    )
    assert displaced(Standing(-0.5, six), first, most_fall=0.1) == ""  # a rise
    assert displaced(None, first, most_fall=0.1) == ""


def test_where_every_own_text_is_a_copy_the_recipe_ends(tmp_path: Path) -> None:
    house = House(tmp_path, settings=SMALL, skill=2.0)
    run = traced(house)
    assert spin(run, replace(CONFIG, supervised_epochs=0)) == run.base
    assert run.notes == ["method/round-1/train: no row is left to learn from"]


def test_the_control_has_as_many_further_supervised_epochs(house: House) -> None:
    result = experiment(asked(house, recipe=spin, config=CONFIG, controls="basic"))
    arms = {one["against"]: one["is_rival"] for one in result["comparisons"] if one["arm"] == "method"}
    assert arms == {"base": True, "majority": True, "more supervised": True, "theta_0": True}
    supervised = [
        (len(rows), epochs)
        for rows, (loss, _, epochs) in zip(house.trainer.rows, house.trainer.asked, strict=True)
        if loss.name == "supervised"
    ]
    assert supervised == [(12, 1), (12, 3)]
    starts = house.trainer.started_from
    assert starts[-1] == starts[1]  # theta_0, where the first iteration started too


def test_a_plan_goes_to_the_end_and_a_second_run_is_no_work(house: House) -> None:
    planned = plan(asked(house, recipe=spin, config=CONFIG, controls="basic"))
    assert isinstance(planned, Plan)
    assert planned.is_complete
    assert not any(stage.is_there for stage in planned.stages)
    assert sum(stage.kind == "train" for stage in planned.stages) == 5
    experiment(asked(house, recipe=spin, config=CONFIG, controls="basic"))
    trained = len(house.trainer.rows)
    again = plan(asked(house, recipe=spin, config=CONFIG, controls="basic"))
    assert all(stage.is_there for stage in again.stages)
    experiment(asked(house, name="again", recipe=spin, config=CONFIG, controls="basic"))
    assert len(house.trainer.rows) == trained


def test_gold_is_read_of_train_and_validation_alone(house: House) -> None:
    run = traced(house)
    chosen = spin(run, replace(CONFIG, choose="last"))
    read = run.ledger.summary()["labels_read"]
    assert {one["split"] for one in read if one["by"] != "evaluate"} == {"train", "validation"}
    assert "gold" in {source.value for source in chosen.sources}


def test_bad_settings_are_told_at_once(house: House) -> None:
    with pytest.raises(SettingError) as caught:
        SpinConfig(rounds=0, window=3, lambdas=(), rate_factors=(1.0, -1.0), most_fall=-1)
    assert caught.value.message.splitlines() == [
        "rounds is 0; expected at least 1",
        "most_fall is -1; expected 0 or more",
        "window is 3; expected 1 or 2",
        "lambdas is empty; expected numbers above 0, at least one",
        "rate_factors is 1.0,-1.0; expected numbers above 0, at least one",
    ]
    house.task = SumsTask(with_solutions=False)
    with pytest.raises(SettingError, match="no training problem has a worked solution"):
        spin(house.run("without"), CONFIG)


# -- a real model ------------------------------------------------------------------------------------------


class FirstSteps:
    """A real trainer; remembers the loss of the first step of each training."""

    def __init__(self) -> None:
        from docendo.trainers.trainer import AccelerateTrainer

        self.real = AccelerateTrainer(threads=1, device="cpu")
        self.name, self.signature = self.real.name, self.real.signature
        self.first: list[float] = []

    def train(
        self,
        start: Path,
        rows: Path,
        loss: Loss,
        optimizer: Optimizer,
        *,
        report: Callable[[TrainingStep], None] = lambda step: None,
        **more: Any,
    ) -> Iterator[TrainedEpoch]:
        def told(step: TrainingStep) -> None:
            if step.step == 1:
                self.first.append(step.loss)
            report(step)

        return self.real.train(start, rows, loss, optimizer, report=told, **more)


def test_the_first_step_of_every_iteration_costs_ln_2_on_a_real_model(tmp_path: Path) -> None:
    from docendo.engines.transformers import TransformersEngine, TransformersOptions
    from docendo.runs.models import open_model
    from docendo.runs.run import Run
    from docendo.runs.workspace import Workspace
    from docendo.tasks.options import TaskOptions
    from docendo.tasks.registry import open_task

    engine: Any = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    trainer = FirstSteps()
    workspace = Workspace(tmp_path)
    (workspace.runs / "real").mkdir(parents=True)
    run = Run(
        name="real",
        workspace=workspace,
        task=open_task("story-problems", TaskOptions()),
        models={"base": open_model("lab/student")},
        engine=lambda name: engine,
        trainer=lambda: trainer,
        settings=RunSettings(
            train_problems=8, validation_problems=2, test_problems=2, evaluation_samples=0, max_new_tokens=96
        ),
    )
    config = SpinConfig(
        rounds=2, supervised_epochs=0, epochs=3, most_fall=0.0, choose="last", window=1,
        optimizer=Optimizer(learning_rate=5e-4, batch_rows=8, warmup_share=0.0),
    )  # fmt: skip
    try:
        spin(run, config)
    finally:
        engine.close()
    assert trainer.first == pytest.approx([math.log(2)] * 2, abs=1e-4)
    for t in (1, 2):  # measured in the last epoch: the margin has risen within the iteration
        assert run.facts[f"iteration {t}: margin"] > 0.02
        assert run.facts[f"iteration {t}: accuracy"] > 0.5
