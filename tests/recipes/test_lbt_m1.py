"""LbT M1: what it may know, what it asks, and its arms, in a classroom of scripted models."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import SettingError
from docendo.core.records import Sample
from docendo.evidence.experiment import experiment, plan
from docendo.recipes.lbt_m1 import LbtM1Config, equal_generations, equal_tokens, lbt_m1, shuffled
from docendo.runs.recipe import spec_of
from docendo.runs.run import Run
from docendo.scorers.exam_settings import ExamSettings
from docendo.scorers.student_exam import StudentExam
from tests.lessons import SIZE, Classroom, LessonsTask

N, Q, R = 4, 3, 2
CONFIG = LbtM1Config(
    samples_per_problem=N,
    temperature=0.7,
    exam=ExamSettings(exam_problems=Q, exam_repeats=R, student_temperature=0.7),
)
GREEDY = replace(CONFIG, exam=ExamSettings())


@pytest.fixture
def room(tmp_path: Path) -> Classroom:
    return Classroom(tmp_path)


def right(room: Classroom, answers: Any) -> int:
    gold = room.task.labels("test")
    return sum(sample.answer == gold[sample.problem.id].answer for sample in answers)


def test_it_returns_for_every_problem_an_answer_whose_lesson_taught(room: Classroom) -> None:
    run = room.run()
    chosen = list(lbt_m1(run, CONFIG))
    assert [sample.problem.id for sample in chosen] == [one.id for one in run.problems("test")]
    assert all(isinstance(sample, Sample) for sample in chosen)
    pairs: dict[str, list[Sample]] = {}
    for sample in run.sample(run.base, run.problems("test"), N, temperature=0.7):
        pairs.setdefault(sample.problem.id, []).append(sample)
    gold = room.task.labels("test")
    could = sum(any(one.answer == gold[key].answer for one in own) for key, own in pairs.items())
    assert right(room, chosen) == could > SIZE // 2  # whatever could be found was


@pytest.mark.parametrize("students", [(), ("scripted/weak",), ("scripted/base", "scripted/weak")])
def test_the_engine_sees_at_most_n_times_one_plus_mqr_generations_a_problem(
    room: Classroom, students: tuple[str, ...]
) -> None:
    run = room.run(students=students)
    lbt_m1(run, CONFIG)
    m = len(students) or 1
    asked = Counter[str]()
    for request in room.engine.asked:
        assert request.problem is not None
        asked[request.problem.group] += len(request.seeds)
    assert set(asked) == {problem.group for problem in run.problems("test")}
    assert max(asked.values()) <= N * (1 + m * Q * R)
    assert run.facts["bound of generations a problem, n (1 + m q r)"] == N * (1 + m * Q * R)
    assert run.facts["most generations of a problem"] == max(asked.values())
    assert run.facts["generations a problem"] == sum(asked.values()) / len(asked)


def test_test_gold_changes_nothing_and_the_gold_of_exams_does(tmp_path: Path) -> None:
    made: dict[tuple[str, ...], list[Sample]] = {}
    for permuted in ((), ("test",), ("exams",)):
        room = Classroom(tmp_path / "-".join(("room", *permuted)), task=LessonsTask(permuted=permuted))
        run = room.run()
        made[permuted] = list(lbt_m1(run, CONFIG))
        read = {(one["split"], one["by"]) for one in run.ledger.summary()["labels_read"]}
        assert read == {("exams", "verify")}
    assert made[()] == made[("test",)]
    assert made[()] != made[("exams",)]


def test_no_arm_reads_test_gold_or_shows_the_problem_itself(room: Classroom) -> None:
    for arm in spec_of(lbt_m1).arms(CONFIG):
        run = room.run(arm.name).arm_run(arm.name)
        assert len(arm.recipe(run, CONFIG)) == SIZE  # type: ignore[arg-type]
        assert "test" not in {one["split"] for one in run.ledger.summary()["labels_read"]}
    for request in room.engine.asked:
        *before, asked = [one.content for one in request.messages if one.role == "user"]
        assert asked not in before


def test_the_same_number_of_generations_begins_with_the_same_pairs(room: Classroom) -> None:
    run = room.run()
    pairs = {sample.id for sample in run.sample(run.base, run.problems("test"), N, temperature=0.7)}
    equal_generations(run, CONFIG)
    drawn = [record for record in run.records if record["kind"] == "sample"]
    assert [record["rows"] for record in drawn] == [SIZE * N, SIZE * N, SIZE * N * Q * R]
    everything = run.sample(run.base, run.problems("test"), N * (1 + Q * R), temperature=0.7)
    assert pairs == {sample.id for sample in everything if sample.number < N}


def test_the_vote_at_equal_tokens_spends_no_more_than_the_method(room: Classroom) -> None:
    run = room.run()
    lbt_m1(run, CONFIG)
    spent = Counter[str]()
    told = {request.problem.id: request.problem.group for request in room.engine.asked if request.problem}
    for stage in {record["stage"] for record in run.records if record["kind"] == "sample"}:
        for row in _rows(run, stage):
            spent[told[row["problem"]["id"]]] += row["generated_tokens"]
    voted = Counter[str]()
    voters = Counter[str]()
    kept = equal_tokens(run, CONFIG)
    for sample in kept.rows:  # type: ignore[attr-defined]
        voted[sample.problem.group] += sample.generated_tokens
        voters[sample.problem.group] += 1
    longest = max(sample.generated_tokens for sample in kept.rows)  # type: ignore[attr-defined]
    for group, tokens in voted.items():
        most = N * (1 + Q * R)
        assert tokens <= spent[group]
        assert voters[group] == most or tokens > spent[group] - longest


def _rows(run: Any, stage: str) -> Any:
    import pyarrow.parquet as pq

    return pq.read_table(run.workspace.sealed(stage).rows_path).to_pylist()


def test_the_result_has_all_arms_and_rests_on_those_of_equal_cost_and_knowledge(room: Classroom) -> None:
    result = experiment(room.experiment(lbt_m1, CONFIG))
    arms = {entry["arm"] for entry in result["evaluations"]}
    assert arms == {
        *("base", "method", "unverified", "majority", "self-consistency", "equal-generations"),
        *("equal-tokens", "exam-answers", "exam-solutions", "shuffled", "max", "avg"),
        "shuffled-over-all",
    }
    rivals = {one["against"] for one in result["comparisons"] if one["is_rival"]}
    assert rivals == {
        "base", "majority", "self-consistency", "equal-generations", "equal-tokens", "exam-answers",
    }  # fmt: skip
    assert result["information"]["method"]["labels_read"][0] == {
        "split": "exams", "by": "verify", "problems": SIZE * Q,
    }  # fmt: skip
    assert all(entry["n"] == SIZE for entry in result["evaluations"])
    exam_solutions = next(one for one in result["evaluations"] if one["arm"] == "exam-solutions")
    assert exam_solutions["correct"] == SIZE  # a worked variant tells everything here


def test_the_unverified_arm_draws_one_answer_of_each_problem(room: Classroom) -> None:
    result = experiment(room.experiment(lbt_m1, GREEDY))
    (entry,) = (one for one in result["evaluations"] if one["arm"] == "unverified")
    assert (entry["n"], entry["failed"]) == (SIZE, 0)


def test_shuffled_scores_are_given_by_the_same_exams(room: Classroom) -> None:
    run = room.run()
    lbt_m1(run, CONFIG)
    before = len(room.engine.asked)
    assert len(shuffled(run, CONFIG)) == SIZE  # type: ignore[arg-type]
    assert len(room.engine.asked) == before


def test_a_plan_goes_to_the_end_and_asks_nobody(room: Classroom) -> None:
    planned = plan(room.experiment(lbt_m1, CONFIG, students=("scripted/weak",)))
    assert planned.is_complete
    assert room.engine.asked == []
    bounds = {stage.label: stage.rows for stage in planned.stages if stage.kind == "sample"}
    assert bounds["method/exam-weak"] == SIZE * N * Q * R
    experiment(room.experiment(lbt_m1, CONFIG, students=("scripted/weak",)))
    again = plan(room.experiment(lbt_m1, CONFIG, students=("scripted/weak",)))
    assert all(stage.is_there for stage in again.stages)
    for sealed in room.workspace.all_sealed():
        if sealed.kind == "sample":
            assert sealed.rows <= max(rows or 0 for rows in bounds.values())


BY_EMBEDDING = replace(CONFIG, exam=ExamSettings(exam_choice="embedding", exam_problems=Q))


def test_exams_may_be_the_nearest_by_embedding(room: Classroom) -> None:
    run = room.run()
    chosen = lbt_m1(run, BY_EMBEDDING)
    assert len(chosen) == SIZE  # type: ignore[arg-type]
    students = [one for one in room.engine.asked if one.problem and one.problem.split == "exams"]
    asked = [one for one in students if one.seeds]
    assert {one.problem.group for one in asked if one.problem} == {  # the same verb points the same way
        problem.group for problem in run.problems("test")
    }
    embedded = [one for one in room.engine.asked if not one.seeds]
    assert len(embedded) == SIZE + len(list(run.problems("exams")))  # each question once, in two stages
    told = {sample.scores["exam"].reason for sample in run.score(_samples(run), _scorer(run))}
    # The taught number is 15 above that of the farthest exam: 35 against 20 at least, 40 against 25 at most.
    assert all(re.fullmatch(r"scripted/base \d/3, similarity 0\.99", reason) for reason in told)
    arm = next(one for one in spec_of(lbt_m1).arms(BY_EMBEDDING) if one.name == "exam-solutions")
    assert right(room, arm.recipe(room.run("shown"), BY_EMBEDDING)) == SIZE
    assert len([one for one in room.engine.asked if not one.seeds]) == len(embedded)  # found again


def test_a_gate_on_similarity_leaves_problems_without_near_exams_to_the_vote(room: Classroom) -> None:
    strict = replace(BY_EMBEDDING, exam=replace(BY_EMBEDDING.exam, exam_problems=1, least_similarity=0.9995))
    run = room.run()
    scored = run.score(_samples(run), _scorer(run, strict))
    assert {sample.scores["exam"].value for sample in scored} == {None}
    reasons = {sample.scores["exam"].reason for sample in scored}
    assert reasons == {"no exam is similar: 1.00 is below 0.9995"}
    vote = next(one for one in spec_of(lbt_m1).arms(strict) if one.name == "self-consistency")
    chosen, voted = lbt_m1(run, strict), vote.recipe(room.run("vote"), strict)
    assert [one.id for one in chosen] == [one.id for one in voted]  # type: ignore[union-attr]


def test_a_plan_with_an_embedder_goes_to_the_end_and_asks_nobody(room: Classroom) -> None:
    planned = plan(room.experiment(lbt_m1, BY_EMBEDDING))
    assert planned.is_complete
    assert room.engine.asked == []
    vectors = [(one.label, one.rows) for one in planned.stages if one.kind == "embed"]
    assert vectors == [
        ("method/embeddings-taught", SIZE * N),
        ("method/embeddings-exams", 54),
        ("exam-answers/embeddings-taught", SIZE),
    ]
    experiment(room.experiment(lbt_m1, BY_EMBEDDING))
    again = plan(room.experiment(lbt_m1, BY_EMBEDDING))
    assert all(stage.is_there for stage in again.stages)


def test_an_embedder_is_asked_for_only_where_exams_are_chosen_by_it(room: Classroom) -> None:
    spec = spec_of(lbt_m1)
    assert tuple(spec.needs(BY_EMBEDDING)) == ("embedder",)
    assert tuple(spec.needs(CONFIG)) == ()
    without = {role: model for role, model in room.run().models.items() if role != "embedder"}
    with pytest.raises(SettingError, match="the recipe needs an embedder model"):
        experiment(room.experiment(lbt_m1, BY_EMBEDDING, models=without))
    assert room.engine.asked == []


def _samples(run: Run) -> Any:
    return run.sample(run.base, run.problems("test"), N, temperature=0.7, name="pairs")


def _scorer(run: Run, config: LbtM1Config = BY_EMBEDDING) -> StudentExam:
    return config.exam.of([run.base], run.task, run.model("embedder"))


def test_worked_training_problems_stand_before_the_lesson_of_teacher_and_students(room: Classroom) -> None:
    run = room.run()
    lbt_m1(run, replace(CONFIG, shots=2))
    worked = [problem.question for problem in run.problems("train")][:2]
    shots = {len([one for one in request.messages if one.role == "user"]) for request in room.engine.asked}
    assert shots == {3, 4}
    assert all(request.messages[0].content == worked[0] for request in room.engine.asked)
    assert all(request.messages[2].content == worked[1] for request in room.engine.asked)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LbtM1Config(samples_per_problem=0), "samples_per_problem is 0"),
        (lambda: LbtM1Config(temperature=0.0), "temperature is 0.0"),
        (lambda: LbtM1Config(rule="most"), "rule is 'most'; expected sum, max, avg"),  # type: ignore[arg-type]
        (lambda: ExamSettings(exam_problems=0), "exam_problems is 0; expected at least 1"),
        (lambda: ExamSettings(exam_split="test"), "exam_split is test"),
        (lambda: ExamSettings(exam_repeats=3), "student_temperature is 0 and exam_repeats is 3"),
        (lambda: ExamSettings(exam_choice="list"), "a list needs ids"),
        (lambda: ExamSettings(least_similarity=1.5), "least_similarity is 1.5; expected 0 to 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(make: Any, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


def test_a_task_without_the_split_is_refused_before_anything_is_asked(room: Classroom) -> None:
    with pytest.raises(SettingError, match=r"exam_split is 'variants'; task lessons has .*exams"):
        lbt_m1(room.run(), replace(CONFIG, exam=ExamSettings(exam_split="variants")))
    assert room.engine.asked == []
