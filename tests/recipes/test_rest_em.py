"""ReST-EM as its paper tells it: a scripted two-round trace, each invariant, its lineage as a golden file."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.records import Model, Outcome, Source
from docendo.core.table import Table
from docendo.evidence.experiment import experiment
from docendo.recipes.rest_em import RestEmConfig, rest_em
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from tests.fakes import House
from tests.runs.experiments import asked

GOLDEN = Path(__file__).parent / "golden" / "rest_em.txt"
SMALL = RunSettings(train_problems=12, validation_problems=10, test_problems=6, evaluation_samples=2)
CONFIG = RestEmConfig(rounds=2, samples_per_problem=6, cap=3)


class Traced(Run):
    """A Run that remembers what its verbs were given and what they gave."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.sampled: list[tuple[int, Model, Table[Any]]] = []
        self.kept: list[Table[Any]] = []
        self.trainings: list[tuple[int, Model, list[Any], Model]] = []

    def sample(self, model: Model, what: Any, n: int = 1, **more: Any) -> Table[Any]:
        found = super().sample(model, what, n, **more)
        if n > 1 or more.get("temperature"):
            self.sampled.append((self.round, model, found))
        return found

    def select(self, table: Table[Any], *selectors: Any, name: str = "select") -> Any:
        found = super().select(table, *selectors, name=name)
        self.kept.append(found)
        return found

    def train(self, start: Model, rows: Table[Any], *args: Any, **more: Any) -> Model:
        made = super().train(start, rows, *args, **more)
        self.trainings.append((self.round, start, list(rows), made))
        return made


def traced(house: House, config: RestEmConfig = CONFIG) -> tuple[Traced, Model]:
    """Run the recipe and return its trace and the model."""
    run = house.run()
    recorder = run.arm_run("method", Traced)
    assert isinstance(recorder, Traced)
    return recorder, rest_em(recorder, config)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=replace(SMALL, evaluation_samples=0))


def test_every_m_step_starts_from_the_base_model(house: House) -> None:
    run, _ = traced(house)
    assert [(round_, start) for round_, start, _, _ in run.trainings] == [(1, run.base), (2, run.base)]
    assert house.trainer.started_from == [Path(run.base.checkpoint.location)] * 2


def test_every_e_step_samples_the_chosen_model_of_the_round_before(house: House) -> None:
    run, _ = traced(house)
    assert run.sampled[0][:2] == (1, run.base)
    chosen = run.best(run.trainings[0][3].snapshots)
    assert run.sampled[1][:2] == (2, chosen)
    assert len(run.sampled) == 2


def test_each_round_draws_n_sequences_of_every_problem(house: House) -> None:
    run, _ = traced(house)
    for _, _, samples in run.sampled:
        drawn = Counter(sample.problem.id for sample in samples)
        assert len(samples) == 6 * 12
        assert set(drawn.values()) == {6}


@settings(max_examples=12)
@given(
    n=st.integers(2, 8),
    cap=st.integers(1, 4),
    skill=st.sampled_from([0.05, 0.3, 0.7]),
    seed=st.integers(0, 5),
    deduplicate=st.booleans(),
)
def test_what_is_learned_is_right_capped_and_of_solved_problems_only(
    tmp_path_factory: pytest.TempPathFactory, n: int, cap: int, skill: float, seed: int, deduplicate: bool
) -> None:
    house = House(
        tmp_path_factory.mktemp("house"),
        skill=skill,
        settings=replace(SMALL, seed=seed, evaluation_samples=0),
    )
    config = RestEmConfig(
        rounds=1, samples_per_problem=n, cap=cap, deduplicate=deduplicate, choose_epoch=False, epochs=1
    )
    run, _ = traced(house, config)
    _, _, samples = run.sampled[0]
    right = Counter[str]()
    texts: dict[str, set[str]] = {}
    for sample in run.verify(samples):
        if sample.is_correct:
            right[sample.problem.id] += 1
            texts.setdefault(sample.problem.id, set()).add(sample.text)
    rows = [row for _, _, rows, _ in run.trainings for row in rows]
    kept = Counter(row.problem.id for row in rows)
    for problem in run.problems("train"):
        available = len(texts.get(problem.id, ())) if deduplicate else right[problem.id]
        assert kept[problem.id] == min(available, cap)
    assert {row.verdict.outcome for row in rows} <= {Outcome.CORRECT}
    for row, learned in zip(rows, (row for table in house.trainer.rows for row in table), strict=True):
        # What was sampled is what is learned: the same prompt, text and token ids, and where it came from.
        assert learned["prompt"] == [{"role": "user", "content": row.problem.question}]
        assert learned["completion"] == [{"role": "assistant", "content": row.text.lstrip()}]
        assert learned["token_ids"] == list(row.token_ids)
        assert (learned["problem_id"], learned["parents"]) == (row.problem.id, [row.id])


def test_the_same_seed_keeps_the_same_rows_and_another_seed_others(tmp_path: Path) -> None:
    kept: list[list[str]] = []
    for place, seed in (("a", 0), ("b", 0), ("c", 1)):
        house = House(tmp_path / place, settings=replace(SMALL, seed=seed, evaluation_samples=0), skill=0.9)
        run, _ = traced(house, replace(CONFIG, rounds=1, deduplicate=False))
        kept.append([row.id for row in run.kept[0]])
    assert kept[0] == kept[1]
    assert kept[0] != kept[2]


def test_without_restart_each_round_goes_on_from_the_one_before(house: House) -> None:
    run, _ = traced(house, replace(CONFIG, restart=False))
    chosen = run.best(run.trainings[0][3].snapshots)
    assert [start for _, start, _, _ in run.trainings] == [run.base, chosen]
    assert run.trainings[1][3].checkpoint.root == run.base.checkpoint.digest


def test_human_data_adds_the_worked_solutions_of_the_training_split(house: House) -> None:
    run, model = traced(house, replace(CONFIG, rounds=1, human_data=True))
    (learned,) = house.trainer.rows
    human = [row for row in learned if not row["parents"]]
    assert len(human) == 12
    assert human[0]["completion"][0]["content"] == "0 + 0 is 0. The answer is 0."
    assert {"split": "train", "by": "labels", "problems": 12} in run.ledger.summary()["labels_read"]
    assert Source.GOLD in model.sources


def test_duplicates_are_learned_only_when_asked_for(tmp_path: Path) -> None:
    sizes: list[int] = []
    for place, deduplicate in (("a", True), ("b", False)):
        house = House(tmp_path / place, settings=replace(SMALL, evaluation_samples=0), skill=0.9)
        config = replace(CONFIG, rounds=1, deduplicate=deduplicate, cap=6)
        run, _ = traced(house, config)
        texts = [(row.problem.id, row.text) for row in run.kept[0]]
        assert (len(set(texts)) == len(texts)) is deduplicate
        sizes.append(len(texts))
    assert sizes[0] < sizes[1]


def test_the_epoch_is_chosen_on_the_validation_split_and_the_earliest_of_equals_wins(house: House) -> None:
    run, _ = traced(house, replace(CONFIG, rounds=1, epochs=4))
    snapshots = run.trainings[0][3].snapshots
    assert len(snapshots) == 4
    correct = [run.evaluate(model, "validation").correct for model in snapshots]
    assert run.best(snapshots) is snapshots[correct.index(max(correct))]
    evaluated = [e for e in run.evaluations if e.split == "validation" and e.round == 1]
    assert {e.model for e in evaluated} == set(snapshots)


def test_without_choice_the_last_epoch_is_taken(house: House) -> None:
    run, _ = traced(house, replace(CONFIG, choose_epoch=False, epochs=3))
    assert run.sampled[1][1].checkpoint == run.trainings[0][3].snapshots[-1].checkpoint
    assert [e for e in run.evaluations if e.split == "validation" and e.round == 1] == []


def test_the_returned_model_is_the_best_of_base_and_all_rounds_on_validation(house: House) -> None:
    run, model = traced(house)
    correct = {
        e.model.checkpoint.digest: e.correct
        for e in run.evaluations
        if e.split == "validation" and e.round == 0 and e.model is not None
    }
    assert run.base.checkpoint.digest in correct
    assert correct[model.checkpoint.digest] == max(correct.values())


def test_every_round_is_evaluated_on_test_and_the_recipe_reads_no_number_of_it(house: House) -> None:
    run, _ = traced(house)
    assert [e.round for e in run.evaluations if e.split == "test"] == [1, 2]


def test_a_base_that_solves_nothing_ends_the_run_properly(tmp_path: Path) -> None:
    house = House(tmp_path, skill=-1.0, settings=SMALL)
    result = experiment(asked(house, config=CONFIG, controls="basic"))
    assert result["verdict"] == "no evidence"
    assert result["chosen"]["name"] == "base"
    assert result["notes"] == [
        "method/round-1/train: no row is left to learn from",
        "unverified/round-1/train: no row is left to learn from",
    ]
    assert house.trainer.rows == []
    final = [entry for entry in result["evaluations"] if entry["round"] == "final"]
    assert {entry["accuracy"] for entry in final} == {0.0}


def test_a_round_in_which_nothing_is_solved_keeps_the_rounds_before_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = house.run()
    plain = run.select

    def select(table: Table[Any], *selectors: Any, name: str = "select") -> Any:
        found = plain(table, *selectors, name=name)
        return found if run.round == 1 else found.where(lambda row: False)

    monkeypatch.setattr(run, "select", select)
    model = rest_em(run, replace(CONFIG, rounds=3))
    assert len(house.trainer.rows) == 1
    assert model.checkpoint.name.startswith("method/round-1/train")
    assert run.notes == ["method/round-2/train: no row is left to learn from"]
    assert run.round == 0


def test_all_faults_of_the_settings_are_told_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        RestEmConfig(rounds=0, samples_per_problem=0, cap=0, epochs=-1, temperature=-1, top_k=-1)
    assert caught.value.message.splitlines() == [
        "rounds is 0; expected at least 1",
        "samples_per_problem is 0; expected at least 1",
        "cap is 0; expected at least 1",
        "epochs is -1; expected at least 1",
        "temperature is -1; expected 0 or more",
        "top_k is -1; expected 0 or more",
    ]
    with pytest.raises(SettingError, match="equal draws teach nothing more"):
        RestEmConfig(temperature=0)
    assert RestEmConfig(temperature=0, samples_per_problem=1).temperature == 0


# -- the tabular case: what an exact M step on kept samples does ---------------------------------------------


@given(
    prior=st.lists(st.integers(1, 9), min_size=2, max_size=5),
    rewards=st.lists(st.integers(0, 1), min_size=5, max_size=5),
)
def test_supervised_learning_of_kept_samples_is_the_exact_m_step(
    prior: list[int], rewards: list[int]
) -> None:
    """argmin over p of -E[r log p] is p0 r / sum(p0 r): counts of kept samples, normalised; a fixed point.

    Counts of samples stand for p0. The weighted loss over all samples is that over the kept ones times their
    share, so both have the same minimum.
    """
    r = rewards[: len(prior)]
    kept = [count * reward for count, reward in zip(prior, r, strict=True)]
    if not sum(kept):
        return
    first = [count / sum(kept) for count in kept]
    # A second EM step with these counts as the sampler changes nothing: reward is 0 or 1.
    again = [share * reward for share, reward in zip(first, r, strict=True)]
    assert [value / sum(again) for value in again] == pytest.approx(first)
    # And the expected reward rises to 1.
    assert sum(share * reward for share, reward in zip(first, r, strict=True)) == pytest.approx(1)


def test_em_with_graded_rewards_has_its_worked_numbers() -> None:
    """Rewards 1, 2, 4 and p0 = .5, .3, .2: E[r] is 1.9, 2.57895, 3.20408, 3.59873, 3.80354."""
    p, rewards = [0.5, 0.3, 0.2], [1, 2, 4]
    means: list[float] = []
    for _ in range(5):
        mean = sum(share * reward for share, reward in zip(p, rewards, strict=True))
        means.append(round(mean, 5))
        p = [share * reward / mean for share, reward in zip(p, rewards, strict=True)]
    assert means == [1.9, 2.57895, 3.20408, 3.59873, 3.80354]


# -- lineage -------------------------------------------------------------------------------------------


def test_the_lineage_of_two_rounds_is_that_of_the_golden_file(house: House) -> None:
    """To write it anew after a change on purpose: DOCENDO_WRITE_GOLDEN=1."""
    run, _ = traced(house)
    places: dict[str, str] = {}
    lines: list[str] = []
    for record in run.records:
        is_new = record["stage"] not in places
        place = places.setdefault(record["stage"], record["place"])
        inputs = sorted({places[name] for name in record["inputs"]})
        sealed = run.workspace.sealed(record["stage"])
        assert sealed is not None
        by = f" by {sealed.record['model']}" if record["kind"] == "sample" else ""
        if record["kind"] == "train":
            is_base = sealed.record["asked"]["start"] == run.base.checkpoint.digest
            by = " from base" if is_base else " from another"
        lines.append(
            f"{record['place']} [{record['kind']}{by}] {record['rows']} rows"
            + ("" if is_new else f", as {place}")
            + f"; sources: {', '.join(record['sources'])}"
            + "".join(f"\n    from {one}" for one in inputs)
        )
    told = "\n".join(lines) + "\n"
    if os.environ.get("DOCENDO_WRITE_GOLDEN"):
        GOLDEN.write_text(told)
    assert told == GOLDEN.read_text()
