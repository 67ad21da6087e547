from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from docendo.core.halves import halves
from docendo.core.records import Problem

rows_with_groups = st.lists(st.tuples(st.integers(0, 12), st.booleans()), max_size=60).map(
    lambda rows: [
        (Problem(str(place), f"{place}?", "train", group=f"g{group}" if group else ""), is_right)
        for place, (group, is_right) in enumerate(rows)
    ]
)
Rows = list[tuple[Problem, bool]]


def cut(rows: Rows, seed: int = 0) -> tuple[Rows, Rows]:
    return halves(rows, seed, problem=lambda row: row[0], label=lambda row: row[1])


@given(rows_with_groups, st.integers(0, 5))
def test_halves_are_disjoint_and_whole_and_tear_no_group(rows: Rows, seed: int) -> None:
    one, other = cut(rows, seed)
    assert sorted([*one, *other], key=rows.index) == rows
    assert one == sorted(one, key=rows.index)
    groups = [{row[0].group for row in half if row[0].group} for half in (one, other)]
    assert not groups[0] & groups[1]
    sizes = [sum(row[0].group == name for row in rows) for name in groups[0] | groups[1]]
    assert abs(len(one) - len(other)) <= max([*sizes, 1]) * 2


@given(rows_with_groups, st.integers(0, 5))
def test_halves_do_not_depend_on_the_order(rows: Rows, seed: int) -> None:
    mixed = random.Random(seed).sample(rows, len(rows))
    assert [set(half) for half in cut(rows, seed)] == [set(half) for half in cut(mixed, seed)]


@given(st.integers(0, 40), st.integers(0, 5))
def test_groups_with_one_row_of_each_class_give_balanced_halves(n: int, seed: int) -> None:
    rows = [
        (Problem(f"{k}-{is_right}", "?", "train", group=str(k)), is_right)
        for k in range(n)
        for is_right in (True, False)
    ]
    one, other = cut(rows, seed)
    assert abs(len(one) - len(other)) <= 2
    assert sum(is_right for _, is_right in one) * 2 == len(one)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 3))
def test_classes_of_single_rows_are_balanced(n_right: int, n_wrong: int, seed: int) -> None:
    rows = [(Problem(str(k), "?", "train"), k < n_right) for k in range(n_right + n_wrong)]
    one, other = cut(rows, seed)
    for label in (True, False):
        counts = [sum(row[1] is label for row in half) for half in (one, other)]
        assert abs(counts[0] - counts[1]) <= 1
    assert abs(len(one) - len(other)) <= 2


def test_seeds_give_other_halves() -> None:
    rows = [(Problem(str(k), "?", "train"), k % 2 == 0) for k in range(40)]
    assert {row[0].id for row in cut(rows, 0)[0]} != {row[0].id for row in cut(rows, 1)[0]}
    assert cut(rows, 0) == cut(rows, 0)


def test_a_group_and_a_lone_problem_of_that_name_are_two_things() -> None:
    rows = [Problem("a", "?", "train"), Problem("b", "?", "train", group="a")]
    assert [len(half) for half in halves(rows, 0, problem=lambda row: row)] == [1, 1]
