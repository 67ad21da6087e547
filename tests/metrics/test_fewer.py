"""Choosing among fewer samples: the specification's exam matrix by hand, means over all sets, costs."""

from __future__ import annotations

import random
from itertools import combinations
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.metrics.choosing import Pool, Rule
from docendo.metrics.fewer import MOST_SETS, completions_among, right_among, sets_of, sizes_up_to

RULES = {
    "vote": Rule("majority"),
    "max": Rule("best"),
    "sum": Rule("weighted"),
    "avg": Rule("weighted", mean=True),
}
ANSWERS = ["A", "B", "A", "A", "C"]
MATRIX = [6 / 9, 8 / 9, 6 / 9, 3 / 9, 1 / 9]
"""Exam shares of the pairs of methods/lbt.md, section 8."""


def rng() -> random.Random:
    return random.Random(0)


def among(n: int, right: str = "B", scores: list[float] = MATRIX) -> dict[str, float]:
    return right_among(ANSWERS, scores, [answer == right for answer in ANSWERS], RULES, n, rng=rng())


def test_the_exam_matrix_of_the_specification_with_all_pairs() -> None:
    # majority A, MAX B, SUM A (1.6667 against .8889), AVG B
    assert among(5, "B") == {"vote": 0, "max": 1, "sum": 0, "avg": 1}
    assert among(5, "A") == {"vote": 1, "max": 0, "sum": 1, "avg": 0}


def test_the_second_student_moves_max_to_a() -> None:
    pooled = [(one + two) / 18 for one, two in zip([6, 8, 6, 3, 1], [3, 2, 8, 1, 0], strict=True)]
    assert among(5, "A", pooled) == {"vote": 1, "max": 1, "sum": 1, "avg": 0}  # AVG: A .5, B .5556


def test_one_pair_is_no_choice_and_two_are_enumerated_by_hand() -> None:
    # r2 alone says B: 1 of 5, whatever the rule
    assert among(1) == pytest.approx(dict.fromkeys(RULES, 0.2))
    # r2 stands in 4 of 10 pairs and has the best score in each; in a vote of two the first wins, so B wins
    # against r3, r4 and r5, which come later, and loses to r1
    assert among(2) == pytest.approx({"vote": 0.3, "max": 0.4, "sum": 0.4, "avg": 0.4})


def test_three_pairs_by_hand() -> None:
    # r2 stands in 6 of 10 sets of three: {1,2,3} {1,2,4} {1,2,5} {2,3,4} {2,3,5} {2,4,5}.
    # MAX and AVG: all six; A's mean is at most 2/3.
    # SUM of A: {1,2,3} 4/3, {1,2,4} 1 and {2,3,4} 1 beat 8/9; {1,2,5} 2/3, {2,3,5} 2/3, {2,4,5} 1/3 do not.
    # vote: two of A win {1,2,3} {1,2,4} {2,3,4}; of three different ones the first: A in {1,2,5}, else B.
    assert among(3) == pytest.approx({"vote": 0.2, "max": 0.6, "sum": 0.3, "avg": 0.6})


def test_sizes_double_and_end_with_all() -> None:
    assert [sizes_up_to(n) for n in (1, 2, 3, 8, 24)] == [
        [1], [1, 2], [1, 2, 3], [1, 2, 4, 8], [1, 2, 4, 8, 16, 24],
    ]  # fmt: skip
    with pytest.raises(ValueError, match="n_samples 0"):
        sizes_up_to(0)


def test_few_sets_are_all_sets_and_many_are_drawn_in_order() -> None:
    assert sets_of(5, 2, rng()) == list(combinations(range(5), 2))
    drawn = sets_of(30, 12, rng())
    assert len(drawn) == MOST_SETS
    assert all(list(places) == sorted(set(places)) and len(places) == 12 for places in drawn)
    assert drawn == sets_of(30, 12, rng())
    assert {place for places in drawn for place in places} == set(range(30))


@pytest.mark.parametrize("n", [0, 4])
def test_sizes_out_of_range_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match=rf"n {n}, expected a count in \[1, 3\]"):
        sets_of(3, n, rng())
    with pytest.raises(ValueError, match=rf"n {n}, expected a count in \[1, 3\]"):
        completions_among([(), (), ()], n)


SAMPLES = st.lists(
    st.tuples(st.sampled_from(["A", "B", "C", None]), st.none() | st.integers(0, 3), st.booleans()),
    min_size=1,
    max_size=6,
)


@given(SAMPLES, st.data())
def test_it_is_the_mean_over_all_sets_of_what_the_rule_chooses(
    rows: list[tuple[str | None, int | None, bool]], data: st.DataObject
) -> None:
    n = data.draw(st.integers(1, len(rows)))
    answers, scores, right = ([row[place] for row in rows] for place in range(3))
    found = right_among(answers, scores, right, RULES, n, rng=rng())  # type: ignore[arg-type]
    for name, rule in RULES.items():
        each = []
        for places in combinations(range(len(rows)), n):
            pool = Pool.of([rows[i][0] for i in places], [rows[i][1] for i in places])
            each.append(rows[places[rule.choose(pool)]][2])
        assert found[name] == pytest.approx(fmean(each))


@given(SAMPLES)
def test_constant_scores_decide_nothing(rows: list[tuple[str | None, int | None, bool]]) -> None:
    answers, right = [row[0] for row in rows], [row[2] for row in rows]
    by_answer = {answer: right[answers.index(answer)] for answer in answers}
    alike = [by_answer[answer] for answer in answers]  # equal answers have equal verdicts
    for n in sizes_up_to(len(rows)):
        found = right_among(answers, [0.5] * len(rows), alike, RULES, n, rng=rng())
        assert found["max"] == found["sum"] == found["avg"] == found["vote"]


NEEDS = st.lists(st.sets(st.sampled_from("abcdef")), min_size=1, max_size=6)


@given(NEEDS, st.data())
def test_costs_are_the_mean_over_all_sets_and_never_fall(needs: list[set[str]], data: st.DataObject) -> None:
    n = data.draw(st.integers(1, len(needs)))
    sets = [n + len(set[str]().union(*chosen)) for chosen in combinations(needs, n)]
    assert completions_among(needs, n) == pytest.approx(fmean(sets))
    costs = [completions_among(needs, size) for size in range(1, len(needs) + 1)]
    assert costs == sorted(costs)
    assert costs[-1] == len(needs) + len(set[str]().union(*needs))


def test_identical_exams_are_counted_once() -> None:
    # Two lessons say the same and share three exam answers, the third has three of its own: 3 + 6 in all.
    needs = ["abc", "abc", "def"]
    assert [completions_among(needs, n) for n in (1, 2, 3)] == pytest.approx([4, 2 + (3 + 6 + 6) / 3, 9])
