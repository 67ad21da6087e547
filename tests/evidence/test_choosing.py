"""What could have been chosen: with all samples it is what the arms chose, and nothing is drawn for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from docendo.core.records import Message
from docendo.evidence.choosing import Chosen, choosing_entry
from docendo.evidence.experiment import experiment, plan
from docendo.recipes.lbt_m1 import LbtM1Config, lbt_m1
from docendo.runs.recipe import spec_of
from docendo.scorers.exam_settings import ExamSettings
from tests.lessons import SIZE, Classroom
from tests.report.test_result_schema import faults

N, Q, R = 4, 3, 2
CONFIG = LbtM1Config(
    samples_per_problem=N,
    temperature=0.7,
    exam=ExamSettings(exam_problems=Q, exam_repeats=R, student_temperature=0.7),
)


def ran(room: Classroom, config: LbtM1Config = CONFIG, **more: Any) -> dict[str, Any]:
    return experiment(room.experiment(lbt_m1, config, **more))


def points(result: Mapping[str, Any]) -> dict[tuple[str, int], Mapping[str, Any]]:
    return {(one["rule"], one["n"]): one for one in result["choosing"]["curve"]}


def accuracies(result: Mapping[str, Any]) -> dict[str, float]:
    ends = [one for one in result["evaluations"] if one["round"] == "final" and one["split"] == "test"]
    return {
        arm: sum(one["accuracy"] for one in ends if one["arm"] == arm) / len(result["seeds"])
        for arm in {one["arm"] for one in ends}
    }


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Classroom:
    return Classroom(tmp_path_factory.mktemp("choosing"))


@pytest.fixture(scope="module")
def result(room: Classroom) -> dict[str, Any]:
    return ran(room, students=("scripted/base", "scripted/weak"))


def test_with_all_samples_every_rule_has_the_accuracy_of_its_arm(result: dict[str, Any]) -> None:
    found, arms = points(result), accuracies(result)
    assert found["sum", N]["accuracy"] == arms["method"]
    for arm in ("max", "avg", "self-consistency"):
        assert found[arm, N]["accuracy"] == arms[arm]
    everything = N * (1 + 2 * Q * R)
    assert found["self-consistency", everything]["accuracy"] == pytest.approx(arms["equal-generations"])
    assert result["choosing"]["judges"][0]["accuracy"] == arms["method"]


def test_there_is_a_point_for_every_rule_at_1_2_4_and_for_the_vote_beyond(result: dict[str, Any]) -> None:
    assert {n for rule, n in points(result) if rule == "sum"} == {1, 2, 4}
    assert {n for rule, n in points(result) if rule == "self-consistency"} == {1, 2, 4, 8, 16, 32, 52}
    one = {points(result)[rule, 1]["accuracy"] for rule in ("sum", "max", "avg", "self-consistency")}
    assert len(one) == 1  # of one sample there is no choice
    for point in result["choosing"]["curve"]:
        assert point["interval"][0] <= point["accuracy"] <= point["interval"][1]


def test_costs_rise_and_end_with_what_was_asked(result: dict[str, Any]) -> None:
    found = points(result)
    by_sum = [found["sum", n]["completions"] for n in (1, 2, 4)]
    assert by_sum == sorted(by_sum)
    assert by_sum == [found["avg", n]["completions"] for n in (1, 2, 4)]
    assert by_sum[0] == 1 + 2 * Q * R  # one lesson: its own exams
    assert by_sum[-1] == pytest.approx(result["facts"]["method"]["generations a problem"])
    assert all(found["self-consistency", n]["completions"] == n for n in (1, 2, 4, 8, 52))


def test_nothing_is_drawn_and_test_gold_is_read_by_evaluate_alone(result: dict[str, Any]) -> None:
    own = [one for one in result["stages"] if one["arm"] == "candidates"]
    before = {one["stage"] for one in result["stages"] if one["arm"] != "candidates"}
    assert {one["kind"] for one in own if one["stage"] not in before} == {"evaluate"}
    read = result["information"]["candidates"]["labels_read"]
    assert {(one["split"], one["by"]) for one in read} == {("exams", "verify"), ("test", "evaluate")}
    assert result["cost"]["candidates"]["generated_tokens"] == 0


def test_every_problem_stands_in_one_band_of_variance(result: dict[str, Any]) -> None:
    bands = result["choosing"]["variances"]
    assert sum(one["problems"] for one in bands) == SIZE
    constant = [one for one in bands if one["variance"] == [0, 0]]
    told = result["facts"]["method"]["problems with constant scores"]
    assert sum(one["problems"] for one in constant) == told
    for name, arm in (("accuracy", "method"), ("accuracy_of_vote", "self-consistency")):
        right = sum(one[name] * one["problems"] for one in bands)
        assert right == pytest.approx(SIZE * accuracies(result)[arm])


def by_hand(own: list[float], vote: list[float]) -> Chosen:
    """Return four problems of one seed: two with constant scores, one where they differ, one without any."""
    choosing = spec_of(lbt_m1).choosing(CONFIG)
    assert choosing is not None
    right = {("sum", 1): [0.5] * 4, ("self-consistency", 1): [0.5] * 4}
    right |= {("sum", 2): own, ("self-consistency", 2): vote}
    cost = {(rule, n): [float(n)] * 4 for rule, n in right}
    return Chosen(choosing, right, cost, [0.0, 0.0, 0.25, None], {("a", "b"): own, ("a",): vote})


def test_numbers_over_two_seeds_by_hand() -> None:
    entry = choosing_entry([by_hand([1, 0, 1, 0], [1, 0, 0, 0]), by_hand([1, 1, 1, 0], [1, 1, 0, 1])])
    curve = {(one["rule"], one["n"]): one["accuracy"] for one in entry["curve"]}
    assert curve == {
        ("sum", 1): 0.5, ("self-consistency", 1): 0.5, ("sum", 2): 5 / 8, ("self-consistency", 2): 4 / 8,
    }  # fmt: skip
    shares = [
        (one["variance"], one["problems"], one["accuracy"], one["accuracy_of_vote"])
        for one in entry["variances"]
    ]
    assert shares == [([0, 0], 4, 0.75, 0.75), ([0.2, 0.25], 2, 1.0, 0.0), (None, 2, 0.0, 0.5)]
    differing = entry["variances"][1]
    # One problem, though two seeds have it: 1 of 1 right leaves all above .025, 0 of 1 all below .975.
    assert differing["interval"] == pytest.approx([0.025, 1])
    assert differing["interval_of_vote"] == pytest.approx([0, 0.975])
    together, alone = entry["judges"]
    assert (together["judges"], together["accuracy"], together["difference"]) == (["a", "b"], 5 / 8, 1 / 8)
    assert (alone["judges"], alone["accuracy"], alone["difference"]) == (["a"], 0.5, 0.0)


def test_each_student_alone_chooses_as_in_a_run_of_its_own(room: Classroom, result: dict[str, Any]) -> None:
    together, *alone = result["choosing"]["judges"]
    assert together["judges"] == ["scripted/base", "scripted/weak"]
    assert [one["judges"] for one in alone] == [["scripted/base"], ["scripted/weak"]]
    single = ran(room, students=("scripted/weak",), name="single", controls="none")
    (own,) = single["choosing"]["judges"]
    assert own == alone[1]
    assert own["accuracy"] == accuracies(single)["method"]


def test_the_fields_are_as_documented(result: dict[str, Any]) -> None:
    assert list(faults(result["choosing"], "choosing", "choosing")) == []


def test_over_seeds_points_are_means_and_problems_are_sums(room: Classroom) -> None:
    whole = ran(room, name="seeds", seeds=(0, 1))
    each = [ran(room, name=f"seeds-seed{seed}", seeds=(seed,)) for seed in (0, 1)]
    for key, point in points(whole).items():
        own = [points(one)[key] for one in each]
        for name in ("accuracy", "completions"):
            assert point[name] == pytest.approx(sum(one[name] for one in own) / 2)
    assert sum(one["problems"] for one in whole["choosing"]["variances"]) == 2 * SIZE
    assert list(faults(whole["choosing"], "choosing", "choosing")) == []


def test_without_controls_there_is_no_vote_among_more(tmp_path: Path) -> None:
    room = Classroom(tmp_path)
    result = ran(room, controls="none")
    assert max(n for _, n in points(result)) == N
    assert sum(len(request.seeds) for request in room.engine.asked) < SIZE * (1 + N * (1 + Q * R)) + 1


def test_the_plan_has_the_verdicts_and_goes_to_the_end(tmp_path: Path) -> None:
    room = Classroom(tmp_path)
    planned = plan(room.experiment(lbt_m1, CONFIG))
    assert planned.is_complete
    labels = [(one.label, one.rows) for one in planned.stages if one.label.startswith("candidates/")]
    assert labels == [
        ("candidates/evaluate-test-verdict", SIZE * N),
        ("candidates/evaluate-test-verdict", SIZE * N * Q * R),
    ]
    ran(room)
    assert all(one.is_there for one in plan(room.experiment(lbt_m1, CONFIG)).stages)


def test_without_any_score_the_vote_decides_and_nobody_judges(tmp_path: Path) -> None:
    def silent(messages: tuple[Message, ...], seed: int) -> str:
        return "I would rather not say."

    result = ran(Classroom(tmp_path, answer=silent))
    found = points(result)
    assert {one["accuracy"] for one in found.values()} == {0}
    assert [found["sum", n]["completions"] for n in (1, 2, 4)] == [1, 2, 4]
    (band,) = result["choosing"]["variances"]
    assert (band["variance"], band["problems"]) == (None, SIZE)
    assert [one["judges"] for one in result["choosing"]["judges"]] == [[]]


def test_another_rule_of_the_method_is_its_own(tmp_path: Path) -> None:
    result = ran(Classroom(tmp_path), LbtM1Config(samples_per_problem=2, rule="max"))
    assert result["choosing"]["rule"] == "max"
    assert points(result)["max", 2]["accuracy"] == accuracies(result)["method"]
