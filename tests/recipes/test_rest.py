"""ReST: its invariants on test doubles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import NothingToLearn, SettingError
from docendo.core.losses import ActorCritic, BehaviouralCloning, Bvmpo, Gold, Optimizer, RewardPairs
from docendo.core.records import Model, Source
from docendo.engines.checkpoints import open_checkpoint
from docendo.evidence.experiment import experiment, plan
from docendo.recipes.rest import RestConfig, longer, rest
from docendo.runs.recipe import spec_of
from docendo.runs.rewards import RewardSettings
from docendo.runs.settings import RunSettings
from tests.engines.tiny import write_model
from tests.fakes import House, is_right_sum
from tests.recipes.traces import Traced, traced
from tests.runs.experiments import asked
from tests.scorers.test_reward_model import WithRewards

SMALL = RunSettings(train_problems=12, validation_problems=10, test_problems=6, evaluation_samples=0)
CONFIG = RestConfig(
    grows=2,
    thresholds=(0.3, 0.6, 0.8),
    reward=RewardSettings(reward_by="agreement"),
    samples_per_problem=4,
    validation_samples=2,
    supervised_epochs=0,
    epochs=1,
    stop_early=False,
    best_of=3,
)
BY_VERIFIER, BY_MODEL = RewardSettings(reward_by="verifier"), RewardSettings(reward_by="model")
TRAINED = RewardSettings(
    reward_by="trained", reward_share=0.5, reward_pairs=3, reward_epochs=2, reward_rate=3e-4
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL, skill=0.5)


def grown(run: Traced) -> list[Any]:
    return [(model, table) for label, model, table in run.sampled if label.endswith("/grow")]


def test_one_grow_draws_n_of_each_problem_whatever_the_number_of_improve_steps(house: House) -> None:
    run = traced(house)
    rest(run, CONFIG)
    assert len(run.trainings) >= 4
    assert [len(table) for _, table in grown(run)] == [4 * 12] * 2
    for _, table in grown(run):
        assert set(Counter(sample.problem.id for sample in table).values()) == {4}


def test_each_improve_step_starts_at_the_one_before_and_each_grow_samples_the_last(house: House) -> None:
    run = traced(house)
    model = rest(run, CONFIG)
    made = [run.base.checkpoint, *(after.checkpoint for *_, after in run.trainings)]
    assert [start.checkpoint for _, start, *_ in run.trainings] == made[:-1]
    assert model.checkpoint == made[-1]
    assert len({one.digest for one in made}) == len(made)
    rounds = [int(label.split("/")[1].removeprefix("round-")) for label, *_ in run.trainings]
    first_of_two = next(place for place, round_ in enumerate(rounds) if round_ > 3)
    assert [one.checkpoint for one, _ in grown(run)] == [made[0], made[first_of_two]]


def test_the_learning_rate_falls_within_a_grow_and_begins_anew(house: House) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, rate_decay=0.25))
    rates: dict[int, list[float]] = {}
    for label, _, _, more, _ in run.trainings:
        step = int(label.split("/")[1].removeprefix("round-")) - 1
        rates.setdefault(step // 3, []).append(more["optimizer"].learning_rate)
    for own in rates.values():
        assert own == pytest.approx([2e-3 * 0.25**place for place in range(len(own))])
    assert len(rates) == 2


def test_human_solutions_are_in_the_data_and_under_the_same_filter(house: House) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, grows=1))
    kept = run.kept[0]
    human = [sample for sample in kept if sample.id.startswith("demonstration:")]
    dropped = [sample for sample in kept.dropped if sample.id.startswith("demonstration:")]
    assert len(dropped) > 0
    assert len({sample.id for sample in [*human, *dropped]}) == 12
    tau = run.facts["grow 1, improve 1: threshold"]
    for sample in human:
        assert sample.scores["rescaled"].value > tau
        assert sample.is_parsed
    assert run.facts["grow 1, improve 1: human solutions kept"] == len(human)
    without = traced(House(house.path / "without", settings=SMALL, skill=0.5))
    rest(without, replace(CONFIG, grows=1, human_data=False))
    assert not [s for s in [*without.kept[0], *without.kept[0].dropped] if s.id.startswith("demonstration:")]
    assert Source.GOLD not in without.trainings[-1][4].sources


def test_subsets_shrink_as_thresholds_rise_and_what_is_kept_is_above(house: House) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, deduplicate=False))
    by_grow: dict[int, list[Any]] = {}
    for kept, (label, *_) in zip(run.kept, run.trainings, strict=True):
        by_grow.setdefault((int(label.split("/")[1].removeprefix("round-")) - 1) // 3, []).append(kept)
    for own in by_grow.values():
        ids = [{sample.id for sample in kept} for kept in own]
        assert all(later <= earlier for earlier, later in pairwise(ids))
        means = [sum(s.scores["rescaled"].value for s in kept) / len(kept) for kept in own]
        assert means == sorted(means)


def test_thresholds_up_to_the_mean_are_raised_to_it(house: House) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, grows=1, thresholds=(0.0, 0.01, 0.9)))
    mean = run.facts["grow 1, improve 1: mean reward of D_g"]
    assert run.facts["grow 1, improve 1: threshold"] == pytest.approx(mean)
    assert run.facts["grow 1, improve 2: threshold"] == 0.9
    assert "grow 1, improve 3: threshold" not in run.facts
    assert (
        f"method/round-1/grow: thresholds up to the mean reward, {mean:.3f}, were raised to it" in run.notes
    )


def test_binary_rewards_make_further_improve_steps_keep_the_same(house: House) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, grows=1, reward=BY_VERIFIER, thresholds=(0.7, 0.8, 0.9)))
    assert len({tuple(sample.id for sample in kept) for kept in run.kept}) == 1
    assert [len(rows) for rows in house.trainer.rows] == [len(run.kept[0])] * 3
    assert run.notes[0].startswith("rewards are 0 or 1: every threshold below 1 keeps the same samples")
    assert {sample.scores["reward"].value for sample in run.kept[0]} == {1.0}
    assert all(sample.is_correct for sample in run.verify(run.kept[0]))


def test_an_empty_subset_ends_the_grow_with_a_note_and_keeps_the_policy(tmp_path: Path) -> None:
    house = House(tmp_path, settings=SMALL, skill=20.0)  # every sample is right: all rewards are equal
    run = traced(house)
    model = rest(run, replace(CONFIG, reward=BY_VERIFIER))
    assert model == run.base
    assert house.trainer.rows == []
    assert [note for note in run.notes if "no row is left to learn from: too few rewards" in note]


def test_a_step_that_does_not_raise_the_validation_reward_is_dropped(house: House) -> None:
    house.trainer.drift = -0.5  # every training makes it worse
    run = traced(house)
    model = rest(run, replace(CONFIG, stop_early=True))
    assert model == run.base
    assert [label for label, *_ in run.trainings] == ["method/round-1/train", "method/round-4/train"]
    assert [note.split(",")[0] for note in run.notes if "dropped" in note] == [
        "method/round-1/train: dropped", "method/round-4/train: dropped",
    ]  # fmt: skip


def test_reward_and_accuracy_stand_side_by_side_for_each_step(house: House) -> None:
    run = traced(house)
    rest(run, CONFIG)
    steps = [
        name.removesuffix(": validation reward") for name in run.facts if name.endswith(": validation reward")
    ]
    assert steps[:2] == ["start", "grow 1, improve 1"]
    assert len(steps) == 1 + len(run.trainings)
    for step in steps:
        assert 0 <= run.facts[f"{step}: validation reward"] <= 1
        assert 0 <= run.facts[f"{step}: validation accuracy"] <= 1


def test_each_rule_and_loss_is_what_trains(house: House) -> None:
    for config, loss in (
        (replace(CONFIG, threshold_rule="percentile"), BehaviouralCloning()),
        (replace(CONFIG, threshold_rule="interpolation"), BehaviouralCloning()),
        (replace(CONFIG, loss="gold"), Gold()),
        (replace(CONFIG, loss="oac", human_data=False), ActorCritic()),
        (replace(CONFIG, loss="bvmpo", human_data=False), Bvmpo()),
    ):
        house.trainer.asked.clear()
        rest(house.run(), replace(config, grows=1, thresholds=(0.5,)))
        assert [asked_of for asked_of, *_ in house.trainer.asked] == [loss]


def test_the_mean_over_all_rows_is_that_over_the_kept_ones_times_their_share(house: House) -> None:
    """Section 4.1's worked numbers of the loss itself are in the trainers' tests."""
    run = traced(house)
    rest(run, replace(CONFIG, grows=1, mean_over="all"))
    for kept, (_, _, _, more, _) in zip(run.kept, run.trainings, strict=True):
        assert more["loss"] == BehaviouralCloning(kept_share=len(kept) / (48 + 12))


def test_advantages_are_rewards_less_the_mean_of_their_problem(house: House) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, grows=1, thresholds=(0.5,), loss="oac", human_data=False))
    (kept,) = run.kept
    rewards: dict[str, list[float]] = {}
    for sample in [*kept, *kept.dropped]:
        rewards.setdefault(sample.problem.id, []).append(sample.scores["rescaled"].value or 0.0)
    samples = {sample.id: sample for sample in kept}
    (rows,) = house.trainer.rows
    for row in rows:
        sample = samples[row["parents"][0]]
        own = rewards[sample.problem.id]
        advantage = sample.scores["rescaled"].value - sum(own) / len(own)
        assert row["advantages"] == pytest.approx([advantage] * len(sample.token_ids))


def test_the_arms_and_the_reward_s_needs() -> None:
    spec = spec_of(rest)
    names = [arm.name for arm in spec.arms(replace(CONFIG, supervised_epochs=1))]
    assert names == ["supervised", "longer", "unfiltered", "supervised, best of 3", "best of 3"]
    assert [arm.name for arm in spec.arms(replace(CONFIG, reward=BY_VERIFIER))] == ["unfiltered"]
    assert spec.needs(replace(CONFIG, reward=BY_MODEL)) == ["reward"]
    assert spec.needs(CONFIG) == []


def test_the_longer_arm_learns_the_same_solutions_for_more_epochs(house: House) -> None:
    run = traced(house)
    longer(run, replace(CONFIG, supervised_epochs=2, longer_epochs=5))
    first, further = house.trainer.rows
    assert first == further
    assert [epochs for *_, epochs in house.trainer.asked] == [2, 5]
    assert {(one["split"], one["by"]) for one in run.ledger.summary()["labels_read"]} == {
        ("train", "labels"),
        ("validation", "evaluate"),
    }


def test_an_experiment_with_all_arms(house: House) -> None:
    config = replace(CONFIG, supervised_epochs=1)
    planned = plan(asked(house, recipe=rest, config=config, controls="basic"))
    assert planned.is_complete
    result = experiment(asked(house, recipe=rest, config=config, controls="basic"))
    finals = [one["arm"] for one in result["evaluations"] if one["round"] == "final"]
    assert {"method", "supervised", "longer", "unfiltered", "best of 3", "unverified"} <= set(finals)
    assert len(result["notes"]) == len(set(result["notes"]))
    again = plan(asked(house, recipe=rest, config=config, controls="basic"))
    assert all(stage.is_there for stage in again.stages)


def test_without_human_data_and_supervision_agreement_reads_gold_of_validation_accuracy_alone(
    house: House,
) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, human_data=False))
    read = run.ledger.summary()["labels_read"]
    assert {(one["split"], one["by"]) for one in read} == {("validation", "evaluate"), ("test", "evaluate")}


# -- a reward model ------------------------------------------------------------------------------------------


@pytest.fixture
def with_rewards(tmp_path: Path) -> Iterator[House]:
    engine = WithRewards()
    folder = write_model(tmp_path / "rm", head="classes", num_labels=1)
    models = {"reward": Model(open_checkpoint(folder, name="rm"))}
    yield House(tmp_path, settings=SMALL, skill=0.5, engine=engine, models=models)
    engine.real.close()


def test_a_reward_model_reads_each_text_once_for_each_problem(with_rewards: House) -> None:
    engine = with_rewards.engine
    assert isinstance(engine, WithRewards)
    run = traced(with_rewards)
    config = replace(CONFIG, reward=BY_MODEL, grows=1, thresholds=(0.5, 0.9))
    rest(run, config)
    ((_, table),) = grown(run)
    texts = {(sample.problem.id, sample.text) for sample in table}
    texts |= {(f"train-{a}", f" {a} + {a % 7} is {a + a % 7}. The answer is {a + a % 7}.") for a in range(12)}
    read = [
        (request.problem, request.messages, request.continuations)
        for request in engine.read
        if request.messages[-1].content in {problem.question for problem in run.problems("train")}
    ]
    assert len(read) == len(texts) < 48 + 12
    scored = [*run.kept[0], *run.kept[0].dropped]
    assert len(scored) == 60
    values = [sample.scores["rescaled"].value for sample in scored]
    assert min(values) == 0.0
    assert max(values) == 1.0
    by_text: dict[tuple[str, str], set[float]] = {}
    for sample in scored:
        by_text.setdefault((sample.problem.id, sample.text), set()).add(sample.scores["reward"].value)
    assert all(len(own) == 1 for own in by_text.values())


def test_a_missing_reward_model_is_told_before_work_starts(house: House) -> None:
    with pytest.raises(SettingError, match="the recipe needs a reward model"):
        experiment(asked(house, recipe=rest, config=replace(CONFIG, reward=BY_MODEL)))
    assert house.engine.asked == []


# -- a reward model that the run trains ----------------------------------------------------------------------


def test_a_trained_reward_learns_pairs_of_problems_that_no_grow_draws(house: House) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, reward=TRAINED, supervised_epochs=1))
    (_, first, *_, supervised), (label, start, rows, more, trained), *later = run.trainings
    assert first == run.base
    assert label == "method/reward"
    assert start == supervised
    assert (more["loss"], more["epochs"]) == (RewardPairs(), 2)
    assert more["optimizer"] == replace(CONFIG.optimizer, learning_rate=3e-4)
    taught, drawn = ({f"train-{a}" for a in numbers} for numbers in (range(6, 12), range(6)))
    assert len(rows) > 0
    assert {row.problem_id for row in rows} <= taught
    assert max(Counter(row.problem_id for row in rows).values()) <= 3
    for row in rows:
        asked = row.prompt[-1].content
        assert is_right_sum(asked, row.chosen)
        assert not is_right_sum(asked, row.rejected)
    ((judge, judged),) = [(model, table) for label, model, table in run.sampled if label.endswith("/judged")]
    assert judge == supervised
    assert {sample.problem.id for sample in judged} == taught
    for _, table in grown(run):
        assert {sample.problem.id for sample in table} == drawn
    kept = [sample for table in run.kept[2:] for sample in [*table, *table.dropped]]
    assert {sample.problem.id for sample in kept} == drawn  # human solutions, too
    assert {sample.scores["reward"].source for sample in kept} == {Source.SELF}
    assert run.facts["reward: pairs"] == len(rows)
    # the reward is asked, and never learned from nor on
    assert len(later) > 0
    assert trained.checkpoint not in {start.checkpoint for _, start, *_ in later}
    learned = house.trainer.rows[0]
    assert {row["problem_id"] for row in learned} == taught | drawn


def test_how_well_a_trained_reward_orders_unseen_problems_stands_in_the_facts(house: House) -> None:
    run = traced(house)
    rest(run, replace(CONFIG, reward=TRAINED, grows=1, thresholds=(0.5,)))
    watched = [table for label, _, table in run.sampled if label.endswith("/validation")]
    assert len(watched) == 2
    for name, table in zip(("start", "grow 1, improve 1"), watched, strict=True):
        judged = list(run.verify(table))
        scored = {one.id: house.engine.score(one.prompt.messages, one.text) for one in judged}
        found = [
            scored[right.id] > scored[wrong.id]
            for right in judged
            for wrong in judged
            if right.problem == wrong.problem and right.is_correct and not wrong.is_correct
        ]
        assert run.facts[f"{name}: validation pairs"] == len(found) > 2
        assert run.facts[f"{name}: ordering accuracy"] == pytest.approx(sum(found) / len(found))
        mean = sum(scored.values()) / len(scored)
        assert run.facts[f"{name}: validation reward"] == pytest.approx(mean)


def test_the_ledger_shows_whose_gold_taught_the_reward(house: House) -> None:
    run = traced(house)
    model = rest(run, replace(CONFIG, reward=TRAINED, human_data=False))
    read = {(one["split"], one["by"]): one["problems"] for one in run.ledger.summary()["labels_read"]}
    assert read == {
        ("train", "verify"): 6,
        ("validation", "verify"): 10,
        ("validation", "evaluate"): 10,
        ("test", "evaluate"): 6,
    }
    assert run.ledger.labels["train", "verify"] == {f"train-{a}" for a in range(6, 12)}
    assert len(run.trainings) > 1
    assert Source.GOLD in model.sources  # through the rewards: no row that it learned was verified


def test_a_trained_reward_may_start_from_another_model(house: House) -> None:
    house.models["reward"] = house.teacher
    run = traced(house)
    rest(run, replace(CONFIG, reward=TRAINED))
    label, start, rows, *_ = run.trainings[0]
    assert (label, start) == ("method/reward", house.teacher)
    ((judge, _),) = [(model, table) for label, model, table in run.sampled if label.endswith("/judged")]
    assert judge == run.base
    assert len(rows) > 0
    assert {sample.scores["reward"].source for sample in run.kept[2]} == {Source.OTHER_MODEL}


def test_a_reward_that_nothing_can_teach_is_told(tmp_path: Path) -> None:
    house = House(tmp_path, settings=SMALL, skill=20.0)  # every sample is right
    with pytest.raises(NothingToLearn, match="no training problem has both a right and a wrong sample"):
        rest(house.run(), replace(CONFIG, reward=TRAINED))


def test_an_experiment_with_a_trained_reward_is_planned_and_resumed(house: House) -> None:
    config = replace(CONFIG, reward=TRAINED, supervised_epochs=1)
    planned = plan(asked(house, recipe=rest, config=config, controls="basic"))
    assert planned.is_complete
    assert "method/reward" in {stage.label for stage in planned.stages}
    result = experiment(asked(house, recipe=rest, config=config, controls="basic"))
    finals = {one["arm"] for one in result["evaluations"] if one["round"] == "final"}
    assert {
        "method",
        "supervised",
        "unfiltered",
        "best of 3",
        "supervised, best of 3",
        "unverified",
    } <= finals
    again = plan(asked(house, recipe=rest, config=config, controls="basic"))
    assert all(stage.is_there for stage in again.stages)
    rewards = [loss for loss, *_ in house.trainer.asked if isinstance(loss, RewardPairs)]
    assert len(rewards) == 2  # the method's, which its arms share, and the unverified control's


def test_bad_settings_are_told_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        RewardSettings(reward_by="trained", reward_share=1.0, reward_pairs=0, reward_epochs=0, reward_rate=0)
    assert caught.value.message.splitlines() == [
        "reward_pairs is 0; expected at least 1",
        "reward_epochs is 0; expected at least 1",
        "reward_rate is 0; expected a number above 0",
        "reward_share is 1.0; expected above 0 and below 1",
    ]
    with pytest.raises(SettingError, match="reward_by is trained and lora_rank is 4; expected lora_rank 0"):
        RestConfig(reward=TRAINED, optimizer=Optimizer(lora_rank=4))
    with pytest.raises(SettingError) as caught:
        RestConfig(grows=0, thresholds=(0.9, 0.7, 1.2), temperature=0, rate_decay=1, loss="oac")
    assert caught.value.message.splitlines() == [
        "grows is 0; expected at least 1",
        "temperature is 0; expected a number above 0",
        "thresholds is 0.9,0.7,1.2; expected rising numbers, at least one",
        "thresholds is 0.9,0.7,1.2; expected numbers from 0 to below 1, where rewards lie",
        "rate_decay is 1; expected above 0 and below 1",
        "loss is oac and human_data is on; expected human_data off: human solutions have no sampled tokens "
        "for advantages to stand on",
    ]
