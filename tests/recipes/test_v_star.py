"""V-STaR: restarts, what accumulates, the pairs, and no test gold."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from docendo.core.errors import NothingToLearn, SettingError
from docendo.core.losses import Preference, Supervised
from docendo.core.protocols import Request, Sampling
from docendo.core.records import Completion, Model, Sample
from docendo.core.table import Table
from docendo.evidence.experiment import experiment, plan
from docendo.recipes.v_star import VStarConfig, v_star
from docendo.runs.recipe import Recipe, spec_of
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from tests.fakes import GuessingEngine, House, SumsTask
from tests.runs.experiments import asked

SMALL = RunSettings(train_problems=12, validation_problems=6, test_problems=10, evaluation_samples=0)
CONFIG = VStarConfig(rounds=2, tries=2, samples_per_problem=6, pairs=3, curve=(2,), one_round=True)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path, settings=SMALL, skill=0.0)


def arm(name: str, config: VStarConfig = CONFIG) -> Recipe:
    return {one.name: one.recipe for one in spec_of(v_star).arms(config)}[name]


def learned(house: House) -> list[list[str]]:
    """Return the samples in the rows of each training; a worked solution is empty."""
    return [[" ".join(row["parents"]) for row in rows] for rows in house.trainer.rows]


def tried(house: House, config: VStarConfig = CONFIG) -> list[list[Sample]]:
    """Return the judged samples of each round."""
    run = house.run()
    v_star(run, config)
    problems = run.problems("train")
    return [
        list(run.verify(run.sample(model, problems, config.tries, temperature=0.8)))
        for model in rounds_of(run, config)
    ]


def rounds_of(run: Run, config: VStarConfig) -> list[Model]:
    """Return G_1 .. G_T: each the final generator of a run of so many rounds fewer."""
    first = arm("supervised", config)(run, config)
    later = [
        arm("star-dagger", config)(run, replace(config, rounds=count)) for count in range(1, config.rounds)
    ]
    models = [first, *later]
    assert all(isinstance(model, Model) for model in models)
    return models  # type: ignore[return-value]


def test_every_generator_starts_from_the_base_and_the_verifier_from_and_against_the_first(
    house: House,
) -> None:
    run = house.run()
    v_star(run, CONFIG)
    first = arm("supervised")(run, CONFIG)
    assert isinstance(first, Model)
    base = Path(run.base.checkpoint.location)
    assert house.trainer.started_from == [base, base, base, Path(first.checkpoint.location)]
    losses = [loss for loss, _, _ in house.trainer.asked]
    assert losses == [Supervised()] * 3 + [Preference(beta=0.1)]
    (reference,) = [one for one in run.records if one["place"] == "method/verifier-reference"]
    sealed = run.workspace.sealed(reference["stage"])
    assert sealed is not None
    assert sealed.record["checkpoint"] == first.checkpoint.digest


def test_right_samples_of_all_rounds_accumulate_behind_the_solutions(house: House) -> None:
    rounds = tried(house, replace(CONFIG, deduplicate=False))
    rows = learned(house)
    right = [[one.id for one in samples if one.is_correct] for samples in rounds]
    assert all(right)
    human = [""] * 12
    assert rows[:3] == [human, human + right[0], human + right[0] + right[1]]


def test_each_text_is_learned_once_a_problem_unless_all_are_wanted(house: House) -> None:
    v_star(house.run(), CONFIG)
    final = house.trainer.rows[2][12:]
    texts = [(row["problem_id"], row["completion"][0]["content"]) for row in final]
    assert len(set(texts)) == len(texts)


def test_pairs_are_right_and_wrong_of_one_problem_from_all_rounds_and_capped(house: House) -> None:
    rounds = tried(house)
    samples = {one.id: one for each in rounds for one in each}
    rows = house.trainer.rows[3]
    for row in rows:
        right, wrong = (samples[parent] for parent in row["parents"])
        assert (right.is_correct, wrong.is_correct) == (True, False)
        assert right.problem.id == wrong.problem.id == row["problem_id"]
        assert (row["chosen"][0]["content"], row["rejected"][0]["content"]) == (
            right.text.strip(),
            wrong.text.strip(),
        )
        assert row["chosen_token_ids"] == list(right.token_ids)
    of_problem = Counter(row["problem_id"] for row in rows)
    assert max(of_problem.values()) <= 3
    texts = {
        flag: {(one.problem.id, one.text) for one in samples.values() if one.is_correct is flag}
        for flag in (True, False)
    }
    for problem, count in of_problem.items():
        sides = [sum(key == problem for key, _ in texts[flag]) for flag in (True, False)]
        assert count == min(3, sides[0] * sides[1])


def test_solutions_stand_as_right_in_pairs_where_the_setting_says_so(house: House) -> None:
    file = Path(house.base.checkpoint.location) / "tokenizer_config.json"
    template = "{% for message in messages %}{{ message['content'] + eos_token }}{% endfor %}"
    file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), "chat_template": template}))
    v_star(house.run(), replace(CONFIG, solution_pairs=True, pairs=99))
    rows = house.trainer.rows[-1]
    solutions = [row for row in rows if len(row["parents"]) == 1]
    assert solutions
    assert {row["chosen_token_ids"] == [] for row in solutions} == {True}
    assert {row["rejected_token_ids"] == [] for row in solutions} == {False}


class WordyEngine(GuessingEngine):
    """Guesses sums, and sometimes has more to say."""

    def _completion(self, request: Request, seed: int, skill: float, sampling: Sampling) -> Completion:
        made = super()._completion(request, seed, skill, sampling)
        text = " Well," * (seed % 4) + made.text
        ids = tuple(ord(letter) for letter in text)
        return replace(made, text=text, token_ids=(*ids, 1), generated_tokens=len(ids) + 1)


def test_the_likeliest_sample_of_each_problem_is_the_answer(house: House) -> None:
    house.engine = WordyEngine()
    run = house.run()
    found = v_star(run, CONFIG)
    generator = arm("star-dagger")(run, CONFIG)
    assert isinstance(generator, Model)
    pools: dict[str, list[Sample]] = {}
    for sample in run.sample(generator, run.problems("test"), 6, temperature=0.8):
        pools.setdefault(sample.problem.id, []).append(sample)
    assert len(pools) == len(found) == 10
    for sample in found:  # the engine finds short texts likely
        assert len(sample.text) == min(len(one.text) for one in pools[sample.problem.id])
    assert run.facts["correlation of likelihood and length"] == pytest.approx(-1.0)
    for name, n in (("best of 2", 2), ("vote of 2", 2), ("vote", 6), ("untrained", 6)):
        chosen: Any = arm(name)(run, CONFIG)
        assert isinstance(chosen, Table)
        assert {one.problem.id for one in chosen} == set(pools)
        assert max(one.number for one in chosen) < n


def test_one_round_draws_the_same_number_of_samples_from_the_first_generator(house: House) -> None:
    run = house.run()
    v_star(run, CONFIG)
    arm("one round")(run, CONFIG)
    stages = {record["stage"]: record for record in run.records if record["kind"] == "sample"}
    sealed = [run.workspace.sealed(name) for name in stages]
    train = [
        one.record["asked"] for one in sealed if one is not None and one.record["asked"]["n"] == CONFIG.tries
    ]
    first = train[0]["checkpoint"]
    assert [(one["first"], one["checkpoint"] == first) for one in train] == [
        (0, True), (0, False), (CONFIG.tries, True)
    ]  # fmt: skip
    assert house.trainer.started_from[-1] == Path(run.base.checkpoint.location)


def test_no_pair_is_an_error_that_says_so(tmp_path: Path) -> None:
    house = House(tmp_path, settings=SMALL, skill=-3.0)
    with pytest.raises(NothingToLearn, match="no training problem has both a right and a wrong sample"):
        v_star(house.run(), replace(CONFIG, rounds=1))


def test_the_result_has_every_arm_and_its_verdict_rests_on_the_vote_and_star_dagger(house: House) -> None:
    result = experiment(asked(house, recipe=v_star, recipe_name="v-star", config=CONFIG, controls="basic"))
    final = {entry["arm"] for entry in result["evaluations"]}
    assert final == {
        "base", "majority", "unverified", "method", "vote", "star-dagger", "supervised", "untrained",
        "one round", "best of 2", "vote of 2",
    }  # fmt: skip
    rivals = {one["against"] for one in result["comparisons"] if one["is_rival"]}
    assert rivals == {"base", "majority", "unverified", "vote", "star-dagger"}
    assert {"right samples", "wrong samples", "pairs"} <= result["facts"]["method"].keys()


def test_a_plan_goes_to_the_end(house: House) -> None:
    planned = plan(asked(house, recipe=v_star, config=CONFIG))
    assert planned.is_complete
    assert not list(house.workspace.all_sealed())


def test_permuting_the_labels_of_the_test_split_changes_no_row_and_no_answer(tmp_path: Path) -> None:
    made: list[Any] = []
    for place, permuted in (("a", ()), ("b", ("test",))):
        house = House(tmp_path / place, settings=SMALL, task=SumsTask(permuted=permuted), skill=0.0)
        run = house.run()
        found = v_star(run, CONFIG)
        weights = [record["digest"] for record in run.records if record["kind"] == "train"]
        made.append((house.trainer.rows, weights, [sample.id for sample in found]))
        assert {one["split"] for one in run.ledger.summary()["labels_read"]} == {"train"}
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"rounds": 0}, "rounds is 0; expected at least 1"),
        ({"curve": (8,)}, "curve is 8; expected numbers from 1 to 7"),
        ({"beta": 0.0}, "beta is 0.0; expected a number above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        VStarConfig(**setting)
