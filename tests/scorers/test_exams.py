"""Which problems are exams: never the problem itself, never of test, the nearest first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.records import Label, Problem
from docendo.scorers.exams import FixedList, LexicallyNearest, SameGroup, shown

TAUGHT = Problem("t", "What is 3 + 4?", "test", group="sums")
POOL = [
    Problem("copy", "what is  3 + 4?", "exams", group="sums"),
    Problem("a", "What is 5 + 6?", "exams", group="sums"),
    Problem("b", "Who wrote Faust?", "exams", group="books"),
    Problem("c", "What is 7 + 8 + 9?", "exams", group="sums"),
    Problem("d", "3 + 4? what Is", "exams"),
]


def ids(maker: Any, taught: Problem = TAUGHT) -> list[str]:
    (exams,) = maker.exams([taught], POOL)
    return [exam.problem.id for exam in exams]


def test_variants_are_of_the_same_group_and_never_the_problem_itself() -> None:
    assert ids(SameGroup()) == ["a", "c"]
    assert ids(SameGroup(count=1)) == ["a"]
    assert ids(SameGroup(), Problem("t", "What?", "test")) == []  # without a group it has none
    assert ids(SameGroup(), POOL[1]) == ["copy", "c"]


def test_some_variants_are_drawn_by_seed() -> None:
    drawn = {tuple(ids(SameGroup(count=1, shuffle_seed=seed))) for seed in range(20)}
    assert drawn == {("a",), ("c",)}
    assert ids(SameGroup(shuffle_seed=3)) == ids(SameGroup(shuffle_seed=3))


def test_the_nearest_by_words_stand_first_with_their_similarity() -> None:
    maker = LexicallyNearest(split="exams", count=3)
    (exams,) = maker.exams([TAUGHT], POOL)
    assert [exam.problem.id for exam in exams] == ["d", "a", "c"]
    found = [exam.similarity for exam in exams]
    assert found == sorted(found, reverse=True)
    assert found[0] == 1  # the same words
    assert 0 < found[2] < found[1] < 1


@given(st.lists(st.text("ab ", min_size=1, max_size=6), min_size=1, max_size=12), st.integers(1, 4))
def test_no_maker_gives_a_problem_its_own_question_or_more_than_asked(questions: list[str], q: int) -> None:
    pool = [Problem(str(place), text, "train", group=text[0]) for place, text in enumerate(questions)]
    makers = [
        SameGroup(split="train", count=q),
        LexicallyNearest(count=q),
        FixedList(ids=tuple(one.id for one in pool)[:q]),
    ]
    for maker in makers:
        for taught, exams in zip(pool, maker.exams(pool, pool), strict=True):
            assert len(exams) <= maker.count
            assert all(exam.problem.id != taught.id for exam in exams)
            asked = {" ".join(exam.problem.question.split()) for exam in exams}
            assert " ".join(taught.question.split()) not in asked


def test_a_list_is_the_same_for_all() -> None:
    assert ids(FixedList(ids=("b", "copy", "a"))) == ["b", "a"]
    with pytest.raises(SettingError, match="exam problem 'z' is none of the 5 problems of split train"):
        ids(FixedList(ids=("z",)))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SameGroup(split="test"), "the exams' split is test"),
        (lambda: LexicallyNearest(split="test"), "the exams' split is test"),
        (lambda: SameGroup(count=0), "0 exam problems; expected at least 1"),
        (lambda: FixedList(ids=()), "0 exam problems; expected at least 1"),
    ],
)
def test_no_exams_and_exams_of_test_are_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make()


def test_an_exam_is_shown_with_its_rationale_or_its_answer_alone() -> None:
    label = Label("t", "7", "3 + 4 = 7.")
    assert (shown(TAUGHT, label).rationale, shown(TAUGHT, label).answer) == ("3 + 4 = 7.", "7")
    alone = shown(TAUGHT, label, with_solution=False)
    assert (alone.question, alone.rationale, alone.answer) == (TAUGHT.question, "", "7")
