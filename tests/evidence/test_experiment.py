"""From a recipe to a result: arms of equal size, comparisons over seeds, words that nobody overrides."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from docendo.core.errors import SettingError
from docendo.evidence.experiment import experiment
from docendo.metrics.paired import compare
from docendo.recipes.rest_em import RestEmConfig
from docendo.runs.settings import RunSettings
from docendo.runs.stored import column_values
from tests.fakes import House, SumsTask
from tests.runs.experiments import asked, without_seconds

SMALL = RunSettings(train_problems=20, validation_problems=10, test_problems=20, evaluation_samples=2)
CONFIG = RestEmConfig(rounds=2, samples_per_problem=4)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[House, dict[str, Any]]:
    """A full experiment with two seeds, done once."""
    house = House(tmp_path_factory.mktemp("house"), settings=SMALL)
    return house, experiment(asked(house, config=CONFIG, controls="full", seeds=(0, 1)))


def of_seed(house: House, seed: int) -> dict[str, Any]:
    return orjson.loads((house.workspace.runs / f"trial-seed{seed}" / "result.json").read_bytes())


@pytest.mark.parametrize(
    ("controls", "arms", "against"),
    [
        ("none", {"base", "method"}, [("method", "base")]),
        (
            "basic",
            {"base", "method", "unverified", "majority"},
            [
                ("method", "base"),
                ("method", "majority"),
                ("method", "unverified"),
                ("unverified", "base"),
                ("unverified", "majority"),
            ],
        ),
    ],
)
def test_controls_say_which_arms_there_are(
    tmp_path: Path, controls: str, arms: set[str], against: list[tuple[str, str]]
) -> None:
    house = House(tmp_path, settings=replace(SMALL, test_problems=6, evaluation_samples=0))
    result = experiment(asked(house, config=replace(CONFIG, rounds=1), controls=controls))
    assert {entry["arm"] for entry in result["evaluations"]} == arms
    assert [(one["arm"], one["against"]) for one in result["comparisons"]] == against


def test_full_controls_add_an_arm_of_gold_solutions(whole: tuple[House, dict[str, Any]]) -> None:
    _, result = whole
    assert {entry["arm"] for entry in result["evaluations"]} == {
        "base",
        "majority",
        "method",
        "unverified",
        "gold",
    }
    compared = {(one["arm"], one["against"]): one["is_rival"] for one in result["comparisons"]}
    assert compared == {
        ("method", "base"): True,
        ("method", "majority"): True,
        ("method", "unverified"): True,
        ("method", "gold"): False,
        ("unverified", "base"): False,
        ("unverified", "majority"): False,
        ("gold", "base"): False,
        ("gold", "majority"): False,
    }


def test_a_task_without_worked_solutions_has_no_gold_arm_and_says_so(tmp_path: Path) -> None:
    house = House(tmp_path, settings=SMALL, task=SumsTask(with_solutions=False))
    result = experiment(asked(house, config=replace(CONFIG, rounds=1), controls="full"))
    assert "gold" not in {entry["arm"] for entry in result["evaluations"]}
    assert result["notes"] == ["no gold arm: the task has no worked solutions"]


def test_unknown_controls_and_no_seeds_are_refused(tmp_path: Path) -> None:
    house = House(tmp_path)
    with pytest.raises(SettingError, match="controls is 'many'; expected one of none, basic, full"):
        asked(house, controls="many")
    with pytest.raises(SettingError, match="there is no seed"):
        asked(house, seeds=())


def test_the_unverified_arm_learns_as_many_rows_as_the_method_from_the_same_samples(
    whole: tuple[House, dict[str, Any]],
) -> None:
    house, _ = whole
    stages = {
        (record["arm"], record["round"], record["kind"], record["place"].rpartition("/")[2]): record
        for record in of_seed(house, 0)["stages"]
    }

    def learned(arm: str, number: int) -> tuple[int, set[str]]:
        record = stages[arm, number, "train", "train"]
        sealed = house.workspace.sealed(record["stage"])
        assert sealed is not None
        return sealed.rows, {parent for parents in column_values(sealed, "parents") for parent in parents}

    for number in (1, 2):
        assert learned("unverified", number)[0] == learned("method", number)[0] > 0
        assert learned("unverified", number)[1] != learned("method", number)[1]
    # Both draw from the base in the first round: it is the same stage.
    assert (
        stages["unverified", 1, "sample", "sample"]["stage"]
        == stages["method", 1, "sample", "sample"]["stage"]
    )
    assert (
        stages["unverified", 2, "sample", "sample"]["stage"]
        != stages["method", 2, "sample", "sample"]["stage"]
    )


def test_the_majority_arm_votes_over_as_many_samples_as_the_method_draws(
    whole: tuple[House, dict[str, Any]],
) -> None:
    house, _ = whole
    result = of_seed(house, 0)
    (vote,) = [entry for entry in result["evaluations"] if entry["arm"] == "majority"]
    assert vote["model"] == "base, majority of 4"
    (base,) = [entry for entry in result["evaluations"] if entry["arm"] == "base"]
    assert base["samples"] == 4
    assert vote["accuracy"] == base["majority_at_k"]["4"]
    assert (vote["n"], vote["round"]) == (20, 0)


def test_the_gold_arm_learns_the_worked_solutions_of_the_training_split(
    whole: tuple[House, dict[str, Any]],
) -> None:
    house, _ = whole
    (record,) = [one for one in of_seed(house, 0)["stages"] if one["place"] == "gold/train"]
    sealed = house.workspace.sealed(record["stage"])
    assert sealed is not None
    assert sealed.rows == 20
    assert [text[0]["content"] for text in column_values(sealed, "completion")][:2] == [
        "0 + 0 is 0. The answer is 0.",
        "1 + 1 is 2. The answer is 2.",
    ]
    assert record["sources"] == ["gold"]


def test_several_seeds_are_runs_of_their_own_and_one_result_over_them(
    whole: tuple[House, dict[str, Any]],
) -> None:
    house, result = whole
    assert result["runs"] == ["trial-seed0", "trial-seed1"]
    assert sorted(folder.name for folder in house.workspace.runs.iterdir()) == [
        "trial",
        "trial-seed0",
        "trial-seed1",
    ]
    singles = [of_seed(house, seed) for seed in (0, 1)]
    assert [single["seeds"] for single in singles] == [[0], [1]]
    assert result["seeds"] == [0, 1]
    for place, one in enumerate(result["comparisons"]):
        each = [single["comparisons"][place] for single in singles]
        assert one["seeds"] == 2
        assert one["accuracy"] == pytest.approx(sum(single["accuracy"] for single in each) / 2)
        assert one["difference"] == pytest.approx(sum(single["difference"] for single in each) / 2)
        assert one["p_value"] is None
        assert one["p_value_of_seed"] == [single["p_value"] for single in each]
    assert Counter(entry["seed"] for entry in result["evaluations"])[0] == len(singles[0]["evaluations"])
    assert result["evaluations"] == singles[0]["evaluations"] + singles[1]["evaluations"]


def test_comparisons_are_those_of_the_verdicts_on_disk(whole: tuple[House, dict[str, Any]]) -> None:
    """Every number can be walked back: accuracies and intervals from the verdicts in the evaluate stages."""
    house, _ = whole
    result = of_seed(house, 0)

    def verdicts(arm: str) -> dict[str, bool]:
        (entry,) = [e for e in result["evaluations"] if e["arm"] == arm and e["round"] == "final"]
        (name,) = [stage for stage in entry["stages"]["greedy"] if stage.startswith("evaluate-")]
        sealed = house.workspace.sealed(name)
        assert sealed is not None
        rows = zip(column_values(sealed, "problem_id"), column_values(sealed, "verdict"), strict=True)
        return {problem: outcome == "correct" for problem, outcome in rows}

    method, base = verdicts("method"), verdicts("base")
    ids = sorted(base)
    found = compare([[method[one] for one in ids]], [[base[one] for one in ids]])
    (told,) = [c for c in result["comparisons"] if (c["arm"], c["against"]) == ("method", "base")]
    assert told["difference"] == found.difference
    assert told["interval"] == [found.interval.low, found.interval.high]
    assert told["p_value"] == found.mcnemar_p_S[0]
    (moves,) = [one for one in result["transitions"] if one["to"] == "method"]
    assert moves["wrong_right"] == sum(method[one] and not base[one] for one in ids)
    assert moves["right_wrong"] == sum(base[one] and not method[one] for one in ids)


def test_the_result_is_the_same_bytes_apart_from_seconds(tmp_path: Path) -> None:
    told: list[bytes] = []
    for place in ("a", "b"):
        house = House(tmp_path / place, settings=SMALL)
        experiment(asked(house, config=CONFIG, controls="full"))
        content = (house.workspace.runs / "trial" / "result.json").read_bytes()
        told.append(orjson.dumps(without_seconds(orjson.loads(content))))
        again = experiment(asked(house, config=CONFIG, controls="full"))
        assert orjson.loads(content) == orjson.loads(orjson.dumps(again))  # seconds of the first time, too
        assert (house.workspace.runs / "trial" / "result.json").read_bytes() == content
    assert told[0] == told[1]


def test_each_model_stands_once_a_split_in_the_round_that_made_it(
    whole: tuple[House, dict[str, Any]],
) -> None:
    house, _ = whole
    keys = [
        (entry["arm"], entry["split"], entry["model"], entry["round"] == "final")
        for entry in of_seed(house, 0)["evaluations"]
    ]
    assert len(set(keys)) == len(keys)


def test_what_was_asked_is_written_down(whole: tuple[House, dict[str, Any]]) -> None:
    house, _ = whole
    described = yaml.safe_load((house.workspace.runs / "trial" / "run.yaml").read_text())
    assert described["recipe"] == "rest-em"
    assert described["command"] == "docendo run rest-em"
    assert described["seeds"] == [0, 1]
    assert described["config"]["samples_per_problem"] == 4
    assert described["config"]["optimizer"]["learning_rate"] == 2e-3
    assert described["settings"]["test_problems"] == 20


def test_costs_count_each_stage_once(whole: tuple[House, dict[str, Any]]) -> None:
    house, _ = whole
    result = of_seed(house, 0)
    names = {record["stage"] for record in result["stages"]}
    tokens = 0
    for name in names:
        sealed = house.workspace.sealed(name)
        assert sealed is not None
        tokens += sealed.record["cost"]["generated_tokens"]
    assert sum(cost["generated_tokens"] for cost in result["cost"].values()) == tokens


def test_training_without_verdicts_is_not_called_an_improvement(tmp_path: Path) -> None:
    """On a trainer that learns just what its rows show, random rows teach nothing; over six seeds."""
    house = House(tmp_path, settings=SMALL, skill=0.4)
    words: Counter[str] = Counter()
    for seed in range(6):
        house.settings = replace(SMALL, seed=seed)
        result = experiment(
            asked(house, name=f"s{seed}", seeds=(seed,), config=replace(CONFIG, rounds=1), controls="basic")
        )
        for one in result["comparisons"]:
            if one["arm"] == "unverified":
                words[one["verdict"]] += 1
    assert words["improved"] <= 1  # 12 comparisons at 95 %: more would be news
