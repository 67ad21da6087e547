from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import ModelError, SettingError
from docendo.core.parts import identity_of
from docendo.core.protocols import Chunk, Finished, Halved, Request, Sampling
from docendo.core.records import Checkpoint, Message, Model, Problem, Prompt, Sample, Score, Source
from docendo.core.verbs import Scorer
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from docendo.runs.plan import Plan
from docendo.scorers.reward_model import RewardModel, rescaled
from tests.engines.tiny import write_model
from tests.fakes import GuessingEngine, House


class WithRewards(GuessingEngine):
    """Guesses sums, and asks real reward models."""

    def __init__(self) -> None:
        super().__init__()
        self.real = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
        self.read: list[Request] = []

    def logprobs(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Iterator[Finished | Halved]:
        chunks = list(chunks)
        self.read += [request for chunk in chunks for request in chunk.requests]
        return self.real.logprobs(checkpoint, chunks)

    def chunks(
        self, checkpoint: Checkpoint, requests: Iterable[Request], sampling: Sampling | None
    ) -> Iterator[Chunk]:
        if sampling is None:
            return self.real.chunks(checkpoint, requests, None)
        return super().chunks(checkpoint, requests, sampling)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    engine = WithRewards()
    yield House(tmp_path, engine=engine)
    engine.real.close()


def reward_model(tmp_path: Path, **settings: int | str) -> Model:
    folder = write_model(tmp_path / "rm", **{"head": "classes", "num_labels": 1, **settings})
    return Model(open_checkpoint(folder, name="rm"))


def test_a_reward_model_scores_prompt_and_finished_turn(house: House, tmp_path: Path) -> None:
    run = house.run()
    samples = run.sample(run.base, run.problems("train"), 2, temperature=1.0)
    model = reward_model(tmp_path)
    scorer = RewardModel(model=model.using(system="You judge."))
    assert isinstance(scorer, Scorer)
    scored = list(run.score(samples, scorer))
    assert len(scored) == 80
    values = [sample.scores["reward"].value for sample in scored]
    assert all(isinstance(value, float) for value in values)
    assert {sample.scores["reward"].source for sample in scored} == {Source.OTHER_MODEL}
    by_text: dict[str, set[float | None]] = {}
    for sample, value in zip(scored, values, strict=True):
        by_text.setdefault(sample.prompt.messages[-1].content + sample.text, set()).add(
            None if value is None else round(value, 4)
        )
    assert all(len(own) == 1 for own in by_text.values())  # equal turns, equal scores
    assert len(set(values)) > 40  # and others, others
    # What was read: the sample's own prompt, without the reward model's Context, and its text.
    engine = house.engine
    assert isinstance(engine, WithRewards)
    assert {len(request.messages) for request in engine.read} == {1}
    assert {request.continuations for request in engine.read} == {(sample.text,) for sample in scored}


def test_its_questions_are_a_stage_and_asked_once(house: House, tmp_path: Path) -> None:
    engine = house.engine
    assert isinstance(engine, WithRewards)
    scorer = RewardModel(model=reward_model(tmp_path))
    for name in ("one", "two"):
        run = house.run(name)
        run.score(run.sample(run.base, run.problems("train")), scorer)
        assert len(engine.read) == 40
    kinds = [record["kind"] for record in run.records]
    assert kinds.count("score") == 1
    assert "logprobs" in [sealed.kind for sealed in house.workspace.all_sealed()]


def test_a_plan_lists_what_a_scorer_would_ask(house: House, tmp_path: Path) -> None:
    scorer = RewardModel(model=reward_model(tmp_path))
    plan = Plan()
    run = house.run("planned", plan=plan)
    run.score(run.sample(run.base, run.problems("train")), scorer)
    assert [stage.kind for stage in plan.stages] == ["sample", "read", "logprobs", "score"]
    run = house.run("real")
    run.sample(run.base, run.problems("train"))
    plan = Plan()
    run = house.run("planned-again", plan=plan)
    run.score(run.sample(run.base, run.problems("train")), scorer)
    assert [(stage.kind, stage.is_there) for stage in plan.stages] == [
        ("sample", True),
        ("read", True),
        ("logprobs", False),
        ("score", False),
    ]


@pytest.mark.parametrize(
    ("settings", "what"), [({"head": "causal"}, "has no head"), ({"num_labels": 2}, "has 2 labels")]
)
def test_what_is_no_reward_model_is_refused(
    house: House, tmp_path: Path, settings: dict[str, int | str], what: str
) -> None:
    run = house.run()
    samples = run.sample(run.base, run.problems("train"))
    with pytest.raises(ModelError, match=f"reward model rm {what}; expected a head of one label"):
        run.score(samples, RewardModel(model=reward_model(tmp_path, **settings)))


def test_where_it_lies_and_what_it_is_called_is_no_part_of_its_identity(tmp_path: Path) -> None:
    model = reward_model(tmp_path)
    checkpoint = replace(model.checkpoint, name="other", location="/elsewhere")
    one, other = RewardModel(model=model), RewardModel(model=Model(checkpoint))
    assert identity_of(one) == identity_of(other)
    changed = RewardModel(model=Model(replace(checkpoint, digest="0" * 32)))
    assert identity_of(changed) != identity_of(one)
    assert identity_of(RewardModel(model=model.using(system="x"))) != identity_of(one)


# ---- rescaling


def scored(values: list[float | None]) -> list[Sample]:
    prompt = Prompt(Problem("p", "?", "train"), (Message("user", "?"),))
    return [
        Sample(str(place), prompt, 0, "", "stop", scores={"reward": Score(value)})
        for place, value in enumerate(values)
    ]


def test_rescaling_takes_the_least_to_0_and_the_greatest_to_1() -> None:
    assert rescaled(scored([-2.0, None, 0.0, 2.0])) == {"0": 0.0, "2": 0.5, "3": 1.0}
    assert rescaled(scored([-2.0, 0.0, 5.0]), low=-1, high=1) == {"0": 0.0, "1": 0.5, "2": 1.0}
    assert rescaled(scored([3.0, 3.0])) == {"0": 0.0, "1": 0.0}
    assert rescaled(scored([None])) == {}
    with pytest.raises(SettingError, match="low is 1 and high is 1"):
        rescaled(scored([0.0]), low=1, high=1)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30))
def test_rescaling_keeps_the_order(values: list[float]) -> None:
    found = rescaled(scored(list(values)))
    assert all(0 <= value <= 1 for value in found.values())
    for one, left in enumerate(values):
        for other, right in enumerate(values):
            if left < right:
                assert found[str(one)] <= found[str(other)]
