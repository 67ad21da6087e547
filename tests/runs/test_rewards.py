"""A reward model learned from judged samples of the built-in model, by the public verbs alone."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from pathlib import Path
from typing import Any

import pytest

from docendo.core.losses import Optimizer, RewardPairs
from docendo.core.records import Model, Sample, Source
from docendo.core.table import Table
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from docendo.examples.pairs import pairs_of, preferred
from docendo.runs.models import open_model
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import Workspace
from docendo.scorers.reward_model import RewardModel, ordering_of
from docendo.selectors.distinct import distinct
from docendo.selectors.verdict import correct, incorrect
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task
from docendo.trainers.trainer import AccelerateTrainer

LEVEL = 0.001
"""How seldom a reward at chance may pass."""


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    engine: Any = TransformersEngine(TransformersOptions(device="cpu", workers=1))
    workspace = Workspace(tmp_path)
    (workspace.runs / "rewards").mkdir(parents=True)
    yield Run(
        name="rewards",
        workspace=workspace,
        task=open_task("story-problems", TaskOptions()),
        models={"base": open_model("lab/base")},
        engine=lambda name: engine,
        trainer=lambda: AccelerateTrainer(device="cpu", threads=1),
        settings=RunSettings(train_problems=250, validation_problems=250),
    )
    engine.close()


def least(n: int) -> int:
    """Return the fewest of n fair coins that come up heads with a chance below the level."""
    tail = 0
    for heads in range(n, -1, -1):
        tail += comb(n, heads)
        if tail >= LEVEL * 2**n:
            return heads + 1
    raise AssertionError(n)


def test_the_bound_is_that_of_the_binomial_distribution() -> None:
    assert least(10) == 10  # 1 in 1,024
    assert least(20) == 18  # P(>= 18) = 211 / 2^20 = 0.0002, P(>= 17) = 0.0013


def judged(run: Run, split: str) -> Table[Sample]:
    return run.verify(run.sample(run.base, run.problems(split), 4, temperature=0.8))


@pytest.mark.slow
@pytest.mark.timeout(900)  # half a minute of processor time, and machines are shared
def test_it_orders_samples_of_unseen_problems_far_better_than_chance(run: Run) -> None:
    tried = judged(run, "train")
    right = run.select(tried, correct, distinct, name="right")
    wrong = run.select(tried, incorrect, distinct, name="wrong")
    pairs = pairs_of(right, wrong, limit=4, seed=0)
    rows = pairs.map(preferred, key="preferred")
    how = Optimizer(learning_rate=2e-3)
    model = run.train(run.base, rows, RewardPairs(), optimizer=how, epochs=3, name="reward")
    assert Source.GOLD in model.sources
    first, *_, last = model.snapshots
    assert last.measures["accuracy"] > first.measures["accuracy"]

    unseen = judged(run, "validation")
    scored = run.score(unseen, RewardModel(model=model))
    assert Source.GOLD in scored.sources
    # One pair a problem, the first sample of each kind: such pairs are independent, and at chance fair coins.
    firsts: dict[str, dict[bool, float]] = {}
    for sample in scored:
        value = sample.scores["reward"].value
        assert value is not None
        firsts.setdefault(sample.problem.id, {}).setdefault(sample.is_correct, value)
    coins = [own[True] > own[False] for own in firsts.values() if len(own) == 2]
    assert len(coins) >= 60
    assert sum(coins) >= least(len(coins)), f"{sum(coins)} of {len(coins)} in the right order"
    every = ordering_of(scored)
    assert every.pairs >= len(coins)
    assert every.accuracy is not None
    assert every.accuracy > 0.6

    # what a user who names the checkpoint gets is the same
    named = Model(open_checkpoint(model.checkpoint.location))
    again = run.score(unseen, RewardModel(model=named, name="named"))
    for one, other in zip(scored, again, strict=True):
        assert one.scores["reward"].value == other.scores["named"].value
