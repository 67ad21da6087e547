"""Scores by exams: the specification's worked numbers, what is asked, and what must never be."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.records import Message, Model, Sample, Score, Source
from docendo.core.table import Rows, Table
from docendo.core.verbs import Scorer
from docendo.engines.scripted import Answer
from docendo.metrics.choosing import Pool, Rule
from docendo.metrics.exams import exam_facts
from docendo.runs.plan import Plan
from docendo.runs.run import Run
from docendo.scorers.exams import LexicallyNearest, SameGroup
from docendo.scorers.shuffled import Shuffled
from docendo.scorers.student_exam import StudentExam, marks_in
from docendo.selectors.choose import Choose
from tests.lessons import Classroom, LessonsTask

MAJORITY, MAX, SUM, AVG = Rule("majority"), Rule("best"), Rule("weighted"), Rule("weighted", mean=True)


def drawn(run: Run, n: int = 4, split: str = "test") -> Table[Sample]:
    return run.sample(run.base, run.problems(split), n, temperature=1.0)


def marks(score: Score) -> list[tuple[int, int]]:
    return [(mark.right, mark.asked) for mark in marks_in(score.reason)]


def scores(run: Run, samples: Table[Sample], scorer: Scorer) -> list[Score]:
    return [sample.scores[scorer.name] for sample in run.score(samples, scorer)]


def values(found: list[Score]) -> list[float | None]:
    return [score.value for score in found]


@pytest.fixture
def room(tmp_path: Path) -> Classroom:
    return Classroom(tmp_path)


# -- the worked numbers of the specification -----------------------------------------------------------------

LESSONS = ("A", "B", "A", "A", "C")
ANSWER = {"A": 1, "B": 2, "C": 3}
FIRST, SECOND = (6, 8, 6, 3, 1), (3, 2, 8, 1, 0)


def school(task: LessonsTask) -> Answer:
    """Five lessons on one problem; two students with so many of nine exams right after each."""
    gold = {problem.question: label.answer for problem, label in zip(
        task.problems("exams"), task.labels("exams").values(), strict=True
    )}  # fmt: skip
    lessons = iter(range(5))
    sat = Counter[tuple[str, int]]()

    def said(messages: tuple[Message, ...], seed: int) -> str:
        told = [message.content for message in messages if message.role == "assistant"][:-1]
        if not told:
            number = next(lessons)
            return f" Lesson {number}. The answer is {ANSWER[LESSONS[number]]}."
        number = int(re.findall(r"Lesson (\d)", told[-1])[0])
        student = messages[0].content if messages[0].role == "system" else ""
        sat[student, number] += 1
        is_right = sat[student, number] <= (SECOND if student else FIRST)[number]
        asked = next(message.content for message in reversed(messages) if message.role == "user")
        return f" So. The answer is {gold[asked] if is_right else 999}."

    return said


@pytest.fixture
def exam_matrix(tmp_path: Path) -> Callable[..., tuple[list[Score], dict[str, str]]]:
    def sit(*students: str) -> tuple[list[Score], dict[str, str]]:
        task = LessonsTask()
        room = Classroom(tmp_path, school(task), task)
        room.settings = replace(room.settings, test_problems=1)
        run = room.run()
        exam = StudentExam(
            students=tuple(run.base.using(system=name) for name in students), maker=SameGroup(), repeats=3
        )
        scored = run.score(drawn(run, 5), exam)
        rules = {"majority": ("majority", False), "max": ("best", False), "sum": ("weighted", False)}
        rules["avg"] = ("weighted", True)
        chosen: dict[str, str] = {}
        for name, (by, mean) in rules.items():
            score = "" if by == "majority" else "exam"
            (kept,) = run.select(scored, Choose(by, task.verifier, score=score, mean=mean))  # type: ignore
            chosen[name] = {str(value): letter for letter, value in ANSWER.items()}[kept.answer]
        return [sample.scores["exam"] for sample in scored], chosen

    return sit


def test_the_exam_matrix_of_one_student(exam_matrix: Any) -> None:
    found, chosen = exam_matrix("")
    assert values(found) == [right / 9 for right in FIRST]
    assert chosen == {"majority": "A", "max": "B", "sum": "A", "avg": "B"}
    sums = {letter: sum(FIRST[i] for i in range(5) if LESSONS[i] == letter) / 9 for letter in "ABC"}
    assert [round(sums[letter], 4) for letter in "ABC"] == [1.6667, 0.8889, 0.1111]
    assert [marks(score) for score in found] == [[(right, 9)] for right in FIRST]


def test_a_second_student_is_pooled_with_the_first_and_kept_apart(exam_matrix: Any) -> None:
    found, chosen = exam_matrix("", "second")
    assert [round(value or 0, 4) for value in values(found)] == [0.5, 0.5556, 0.7778, 0.2222, 0.0556]
    assert (chosen["max"], chosen["sum"]) == ("A", "A")
    assert sum(score.value for score, letter in zip(found, LESSONS, strict=True) if letter == "A") == 1.5
    assert [marks(score) for score in found] == [
        [(one, 9), (two, 9)] for one, two in zip(FIRST, SECOND, strict=True)
    ]


# -- invariants ----------------------------------------------------------------------------------------------

MATRICES = st.lists(
    st.tuples(st.sampled_from("ABC"), st.lists(st.booleans(), min_size=6, max_size=6)), min_size=1, max_size=8
)


def pool(rows: list[tuple[str, list[bool]]]) -> Pool:
    return Pool.of([answer for answer, _ in rows], [sum(marks) / len(marks) for _, marks in rows])


def totals(rows: list[tuple[str, list[bool]]]) -> dict[str, tuple[Fraction, Fraction]]:
    """Return MAX and SUM of each answer, exactly."""
    by_answer: dict[str, list[Fraction]] = {}
    for answer, marks in rows:
        by_answer.setdefault(answer, []).append(Fraction(sum(marks), len(marks)))
    return {answer: (max(own), sum(own, Fraction())) for answer, own in by_answer.items()}


@given(MATRICES, st.data())
def test_one_more_right_exam_never_lowers_its_answer(
    rows: list[tuple[str, list[bool]]], data: st.DataObject
) -> None:
    place, exam = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.integers(0, 5))
    answer, marks = rows[place]
    raised = [*rows]
    raised[place] = (answer, [mark or number == exam for number, mark in enumerate(marks)])
    assert all(
        after >= before for after, before in zip(totals(raised)[answer], totals(rows)[answer], strict=True)
    )
    for rule in (MAX, SUM):  # and an answer that won still wins
        if rows[rule.choose(pool(rows))][0] == answer:
            assert raised[rule.choose(pool(raised))][0] == answer


@given(MATRICES, st.integers(0, 7))
def test_max_does_not_heed_a_sample_that_comes_twice(rows: list[tuple[str, list[bool]]], place: int) -> None:
    twice = [*rows, rows[place % len(rows)]]
    before, after = totals(rows), totals(twice)
    assert {answer: own[0] for answer, own in before.items()} == {
        answer: own[0] for answer, own in after.items()
    }
    best = max(own[0] for own in before.values())
    if sum(own[0] == best for own in before.values()) == 1:
        assert twice[MAX.choose(pool(twice))][0] == rows[MAX.choose(pool(rows))][0]


def test_sum_heeds_a_sample_that_comes_twice() -> None:
    rows = [("A", [True] * 4 + [False] * 2), ("B", [True] * 5 + [False])]
    assert rows[SUM.choose(pool(rows))][0] == "B"
    assert [*rows, rows[0]][SUM.choose(pool([*rows, rows[0]]))][0] == "A"


@given(MATRICES, st.integers(1, 6))
def test_equal_positive_scores_give_the_vote(rows: list[tuple[str, list[bool]]], right: int) -> None:
    same = [(answer, [number < right for number in range(6)]) for answer, _ in rows]
    assert same[SUM.choose(pool(same))][0] == same[MAJORITY.choose(pool(same))][0]


def test_scores_do_not_depend_on_the_order_of_the_samples(room: Classroom) -> None:
    run = room.run()
    samples = list(drawn(run))
    exam = StudentExam(students=(run.base,), maker=SameGroup(), repeats=2)
    forwards = values(scores(run, Rows(samples), exam))
    backwards = values(scores(run, Rows(samples[::-1]), exam))
    assert forwards == backwards[::-1]
    assert set(forwards) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda model: StudentExam(students=(model,), maker=SameGroup(), repeats=0), "repeats is 0"),
        (lambda model: StudentExam(students=(model,), maker=SameGroup(count=0)), "0 exam problems"),
        (lambda model: StudentExam(students=(), maker=SameGroup()), "there is no student"),
        (lambda model: StudentExam(students=(model,), maker=SameGroup(), least_similarity=2), "is 2"),
    ],
)
def test_exams_that_cannot_be_are_refused(
    room: Classroom, make: Callable[[Model], StudentExam], message: str
) -> None:
    with pytest.raises(SettingError, match=message):
        make(room.model())


# -- what is asked -------------------------------------------------------------------------------------------


def test_the_lesson_is_the_last_worked_example_behind_shots_of_the_students_own(room: Classroom) -> None:
    from docendo.core.records import Shot

    run = room.run()
    samples = list(drawn(run, 2))
    student = run.base.using(shots=(Shot("What is 1 x 1?", "1 + 1 = 2.", "2"),))
    exam = StudentExam(students=(student,), maker=SameGroup(), temperature=0)
    (answers,) = exam.answers(Rows(samples), run)
    for answer in answers:
        (lesson,) = (one for one in samples if one.id == answer.parents[-1])
        contents = [message.content for message in answer.prompt.messages]
        assert contents[0] == "What is 1 x 1?"
        assert contents[2] == lesson.problem.question
        assert contents[3] == f"Let's think step by step.{lesson.text}"
        assert contents[4] == answer.problem.question
        assert answer.problem.group == lesson.problem.group
        assert answer.problem.split == "exams"


def test_equal_lessons_are_asked_once_and_greedy_students_answer_once(room: Classroom) -> None:
    run = room.run()
    samples = drawn(run, 6)  # two different texts at most
    distinct = len({(sample.problem.id, sample.text) for sample in samples})
    assert distinct < len(samples)
    before = len(room.engine.asked)
    greedy = StudentExam(students=(run.base,), maker=SameGroup(), repeats=3, temperature=0)
    found = scores(run, samples, greedy)
    assert len(room.engine.asked) - before == distinct * 3
    assert all(len(request.seeds) == 1 for request in room.engine.asked[before:])
    assert {len(own) for own in map(marks, found)} == {1}
    by_text: dict[tuple[str, str], set[float | None]] = {}
    for sample, score in zip(samples, found, strict=True):
        by_text.setdefault((sample.problem.id, sample.text), set()).add(score.value)
    assert all(len(own) == 1 for own in by_text.values())


def test_all_exams_of_a_student_are_one_stage(room: Classroom) -> None:
    run = room.run()
    students = (run.base, room.model("scripted/other"))
    run.score(drawn(run), StudentExam(students=students, maker=SameGroup(), repeats=2))
    asked = [record for record in run.records if record["kind"] == "sample"]
    assert [record["place"] for record in asked] == ["method/sample", "method/exam-base", "method/exam-other"]
    (scored,) = (record for record in run.records if record["kind"] == "score")
    assert {record["stage"] for record in asked} <= set(scored["inputs"])
    assert "gold" in scored["sources"]
    told = run.ledger.summary()["labels_read"]
    assert told == [{"split": "exams", "by": "verify", "problems": 18}]


def test_a_problem_without_a_similar_exam_has_no_score_and_falls_back_to_the_vote(room: Classroom) -> None:
    run = room.run()
    samples = drawn(run, 5)
    nearest = LexicallyNearest(split="exams", count=2)
    found = scores(run, samples, StudentExam(students=(run.base,), maker=nearest))
    assert all("similarity 0." in score.reason for score in found)
    strict = StudentExam(students=(run.base,), maker=nearest, least_similarity=1.0)
    scored = run.score(samples, strict)
    reasons = {sample.scores["exam"].reason for sample in scored}
    assert all(re.fullmatch(r"no exam is similar: 0\.\d\d is below 1", reason) for reason in reasons)
    by_score = run.select(scored, Choose("weighted", run.task.verifier, score="exam"))
    by_vote = run.select(samples, Choose("majority", run.task.verifier))
    assert [one.id for one in by_score] == [one.id for one in by_vote]


def test_a_text_without_an_answer_teaches_nothing(tmp_path: Path) -> None:
    room = Classroom(tmp_path, lambda messages, seed: " I cannot say.")
    run = room.run()
    exam = StudentExam(students=(run.base,), maker=SameGroup())
    assert {(score.value, score.reason) for score in scores(run, drawn(run), exam)} == {(None, "no answer")}
    assert len(room.engine.asked) == 6  # the lessons alone


def test_other_gold_answers_of_the_exams_are_another_stage_and_other_scores(room: Classroom) -> None:
    run = room.run()
    exam = StudentExam(students=(run.base,), maker=SameGroup())
    before = values(scores(run, drawn(run), exam))
    room.task = LessonsTask(permuted=("exams",))
    run = room.run("again")
    assert values(scores(run, drawn(run), exam)) != before


def test_a_split_without_variants_is_told_of(room: Classroom) -> None:
    run = room.run()
    exam = StudentExam(students=(run.base,), maker=SameGroup(split="train"))
    with pytest.raises(SettingError, match=r"none of 6 problems has an exam in split train \(6\)"):
        run.score(drawn(run), exam)


def test_a_plan_lists_every_students_exams_with_their_bound(room: Classroom) -> None:
    planned = Plan()
    run = room.run(plan=planned)
    students = (run.base, room.model("scripted/other"))
    run.score(drawn(run, 4), StudentExam(students=students, maker=SameGroup(), repeats=2))
    rows = {stage.label: stage.rows for stage in planned.stages if stage.kind in ("sample", "score")}
    assert rows == {
        "method/sample": 24,
        "method/exam-base": 24 * 3 * 2,
        "method/exam-other": 24 * 3 * 2,
        "method/exam": 24,
    }
    assert room.engine.asked == []


def test_shuffled_scores_are_the_same_scores_at_other_samples(room: Classroom) -> None:
    run = room.run()
    exam = StudentExam(students=(run.base,), maker=SameGroup())
    samples = drawn(run, 8)
    own, mixed = values(scores(run, samples, exam)), values(scores(run, samples, Shuffled(exam)))
    assert own != mixed
    for start in range(0, len(own), 8):
        assert sorted(own[start : start + 8]) == sorted(mixed[start : start + 8])  # type: ignore[type-var]
    assert Shuffled(exam).source is Source.GOLD
    over_all = values(scores(run, samples, Shuffled(exam, "run")))
    assert over_all not in (own, mixed)
    assert sorted(over_all) == sorted(own)  # type: ignore[type-var]


def test_facts_count_what_tells_nothing() -> None:
    told = exam_facts([[1.0, 0.0, None], [0.5, 0.5], [None]], [6, 3, 0], bound=12)
    assert told["exam answers asked"] == 9
    assert told["mean exam score"] == 0.5
    assert told["mean variance of a problem's scores"] == 0.125
    assert told["problems with constant scores"] == 1
    assert told["problems without a score"] == 1
    assert (told["generations a problem"], told["most generations of a problem"]) == (5, 9)
    assert exam_facts([], [], bound=1)["generations a problem"] == 0
