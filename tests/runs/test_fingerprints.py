"""Stages are found by what was asked: what counts, what does not, and what is shared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.losses import Optimizer
from docendo.core.records import Label, Message, Problem, Prompt, Reading
from docendo.evidence.experiment import experiment
from docendo.recipes.rest_em import RestEmConfig
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.selectors.cap import Cap
from docendo.selectors.verdict import correct
from tests.fakes import GuessingEngine, House, SumFormat, SumsTask
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=8, validation_problems=6, test_problems=6, evaluation_samples=2)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL)


def stages_of(house: House) -> set[str]:
    return {folder.name for folder in house.workspace.stages.iterdir()}


def kinds(names: set[str]) -> list[str]:
    return sorted(name.rpartition("-")[0] for name in names)


def test_the_same_request_is_no_work(house: House) -> None:
    for _ in range(2):
        run = house.run()
        samples = run.verify(run.sample(run.base, run.problems("train"), 4, temperature=1.0))
        run.train(run.base, run.select(samples, correct))
        run.evaluate(run.base, "validation")
    assert len(house.engine.asked) == 2 + 1  # 32 and 6 rows in chunks of 16, once
    assert len(house.trainer.rows) == 1


def one_round(
    run: Run,
    *,
    n: int = 4,
    temperature: float = 1.0,
    cap: int = 2,
    optimizer: Optimizer | None = None,
    epochs: int = 1,
    name: str = "sample",
    top_k: int = 0,
    max_new_tokens: int | None = None,
    first: int = 0,
) -> None:
    samples = run.sample(
        run.base,
        run.problems("train"),
        n,
        temperature=temperature,
        name=name,
        top_k=top_k,
        max_new_tokens=max_new_tokens,
        first=first,
    )
    kept = run.select(run.verify(samples), correct, Cap(cap), name=f"{name}-kept")
    run.train(run.base, kept, optimizer=optimizer or Optimizer(), epochs=epochs, name=f"{name}-train")


ALL = ["read", "sample", "select", "select", "train", "verify"]


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ({}, []),
        ({"name": "other"}, []),
        ({"n": 5}, ALL),
        ({"temperature": 0.9}, ALL),
        ({"top_k": 3}, ALL),
        ({"max_new_tokens": 64}, ALL),
        ({"first": 4}, ALL),
        ({"cap": 1}, ["select", "select", "train"]),
        ({"optimizer": Optimizer(learning_rate=1e-4)}, ["train"]),
        ({"epochs": 2}, ["train"]),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_changed_setting_makes_just_the_stages_that_depend_on_it(
    house: House, change: dict[str, Any], made: list[str]
) -> None:
    one_round(house.run())
    before = stages_of(house)
    one_round(house.run("another", arm="elsewhere"), **change)
    assert kinds(stages_of(house) - before) == made


@dataclass(frozen=True, slots=True)
class Politely(SumFormat):
    """Another prompt for the same question."""

    version: ClassVar[int] = 1

    def prompt(self, problem: Problem, context: Any) -> Prompt:
        return Prompt(problem, (Message("user", f"Please: {problem.question}"),))


@dataclass(frozen=True, slots=True)
class LooseReading(SumFormat):
    """The same prompts, read in another way."""

    version: ClassVar[int] = 2

    def read(self, text: str) -> Reading:
        return replace(SumFormat.read(self, text), rationale="")


class Relabelled(SumsTask):
    """One label of the train split is another one."""

    def labels(self, split: str, limit: int | None = None) -> dict[str, Label]:
        found = dict(super().labels(split, limit))
        if split == "train" and "train-3" in found:
            found["train-3"] = replace(found["train-3"], answer="no sum")
        return found


def test_another_prompt_makes_everything_anew_and_another_reading_costs_no_sampling(house: House) -> None:
    one_round(house.run())
    for shape, made in (
        (Politely(), ALL),
        (LooseReading(), ["read", "select", "select", "verify"]),  # then the same rows are learned
    ):
        before = stages_of(house)
        task = SumsTask()
        task.formats = {"default": shape}
        house.task = task
        one_round(house.run())
        assert kinds(stages_of(house) - before) == made
        house.task = SumsTask()


def test_a_changed_label_makes_new_verdicts_and_one_of_another_problem_changes_nothing(house: House) -> None:
    def verify(task: SumsTask, problems: int) -> None:
        house.task, house.settings = task, replace(SMALL, train_problems=problems)
        run = house.run()
        run.verify(run.sample(run.base, run.problems("train")))

    verify(SumsTask(), 8)
    before = stages_of(house)
    verify(Relabelled(), 8)
    assert kinds(stages_of(house) - before) == ["verify"]
    verify(SumsTask(), 3)
    before = stages_of(house)
    verify(Relabelled(), 3)  # it is the label of train-3 that differs, the fourth problem
    assert stages_of(house) == before


def test_place_round_arm_and_run_are_in_no_fingerprint(house: House) -> None:
    for name, arm, rounds in (("a", "method", 1), ("b", "control", 3)):
        run = house.run(name, arm=arm)
        for number in run.rounds(rounds):
            if number == rounds:
                one_round(run)
    labels = {
        (record["run"], record["label"])
        for sealed in house.workspace.all_sealed()
        for record in [sealed.record["first_made"]]
    }
    assert {run for run, _ in labels} == {"a"}
    assert len(house.trainer.rows) == 1


def test_two_runs_share_their_stages_and_a_finished_command_starts_nothing(house: House) -> None:
    experiment(asked(house, controls="full"))
    before = stages_of(house)
    chunks, trained = len(house.engine.asked), len(house.trainer.rows)
    experiment(asked(house, controls="full"))
    experiment(asked(house, controls="full", name="another"))
    assert stages_of(house) == before
    assert (len(house.engine.asked), len(house.trainer.rows)) == (chunks, trained)


def test_a_third_round_computes_the_third_round_alone(house: House) -> None:
    config = RestEmConfig(rounds=2, samples_per_problem=4)
    experiment(asked(house, config=config))
    before = stages_of(house)
    trained = len(house.trainer.rows)
    experiment(asked(house, config=replace(config, rounds=3)))
    made = [
        sealed.record["first_made"]["label"]
        for sealed in house.workspace.all_sealed()
        if sealed.name not in before
    ]
    assert len(house.trainer.rows) == trained + 1
    assert {label for label in made if "round-1" in label or "round-2" in label} == set()
    assert {label.split("/")[0] for label in made} == {"method"}


@settings(max_examples=10)
@given(n=st.integers(1, 6), more=st.integers(1, 6), seed=st.integers(0, 3))
def test_the_first_samples_are_the_same_whatever_n_is(
    tmp_path_factory: pytest.TempPathFactory, n: int, more: int, seed: int
) -> None:
    house = House(tmp_path_factory.mktemp("house"), settings=replace(SMALL, train_problems=3, seed=seed))
    run = house.run()
    few = list(run.sample(run.base, run.problems("train"), n, temperature=0.7))
    many = list(run.sample(run.base, run.problems("train"), n + more, temperature=0.7))
    later = list(run.sample(run.base, run.problems("train"), more, first=n, temperature=0.7))
    told = [[(one.id, one.number, one.text, one.problem.id) for one in table] for table in (few, many, later)]
    for problem in range(3):
        whole = told[1][problem * (n + more) : (problem + 1) * (n + more)]
        assert whole[:n] == told[0][problem * n : (problem + 1) * n]
        assert whole[n:] == told[2][problem * more : (problem + 1) * more]
        assert [number for _, number, _, _ in whole] == list(range(n + more))
    assert len({one.id for one in many}) == len(many)


def test_greedy_stages_are_shared_by_all_seeds_and_sampled_ones_are_not(house: House) -> None:
    found: list[list[list[str]]] = []
    for seed in (0, 1):
        house.settings = replace(SMALL, seed=seed)
        run = house.run()
        found.append(
            [
                [one.id for one in run.sample(run.base, run.problems("train"))],
                [one.id for one in run.sample(run.base, run.problems("train"), temperature=0.5)],
            ]
        )
    assert found[0][0] == found[1][0]
    assert not set(found[0][1]) & set(found[1][1])
    assert kinds(stages_of(house)).count("sample") == 3


def test_the_signature_of_engine_and_trainer_counts_and_their_sizes_do_not(house: House) -> None:
    one_round(house.run())
    before = stages_of(house)
    house.engine = GuessingEngine(rows_per_chunk=5)
    one_round(house.run())
    assert stages_of(house) == before
    house.engine.signature = {"engine": "guessing", "precision": "half"}
    one_round(house.run())
    assert kinds(stages_of(house) - before) == ["sample"]  # the same rows came out, so nothing below is new
    before = stages_of(house)
    house.trainer.signature = {"trainer": "other"}
    one_round(house.run())
    assert kinds(stages_of(house) - before) == ["train"]


def test_the_same_base_elsewhere_and_under_another_name_is_the_same(tmp_path: Path) -> None:
    made: list[set[str]] = []
    for place in ("here", "there"):
        house = House(tmp_path / place, settings=SMALL)
        experiment(asked(house, name=place))
        made.append(stages_of(house))
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("ask", "told"),
    [
        (lambda run: run.sample(run.base, run.problems("train"), 0), "cannot draw 0 samples"),
        (lambda run: run.sample(run.base, run.problems("train"), 2), "2 samples a problem at temperature 0"),
        (
            lambda run: run.sample(run.base, run.problems("train"), temperature=-1.0),
            "temperature is -1.0",
        ),
        (
            lambda run: run.sample(run.base, run.problems("train"), max_new_tokens=0),
            "max_new_tokens is 0; expected at least 1",
        ),
        (lambda run: run.sample(run.base.using(format="x"), run.problems("train")), "has no format 'x'"),
        (lambda run: run.train(run.base, run.problems("train"), epochs=0), "cannot train for 0 epochs"),
        (lambda run: run.model("judge"), "the recipe needs a judge model"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_starts(
    house: House, ask: Callable[[Run], Any], told: str
) -> None:
    with pytest.raises(Exception, match=told):
        ask(house.run())
    assert stages_of(house) == set()
