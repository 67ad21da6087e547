"""Tables against plain Python: every operation equals what lists, loops and dicts would give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import PlanEnds
from docendo.core.records import (
    Label,
    Message,
    Outcome,
    Problem,
    Prompt,
    Sample,
    Score,
    Source,
    Verdict,
)
from docendo.core.table import Chained, Rows, Table, Unknown, column_of, problem_id_of


@dataclass(frozen=True, slots=True)
class Note:
    """A row with as little as a row may have."""

    problem_id: str
    value: int


notes = st.builds(Note, st.sampled_from("abcd"), st.integers(-5, 5))
lists = st.lists(notes, max_size=12)


@st.composite
def tables(draw: st.DrawFn, depth: int = 2) -> tuple[Table[Note], list[Note]]:
    """Draw a table of notes made by some operations, and the list that it must equal."""
    rows = draw(lists)
    table: Table[Note] = Rows(rows)
    for _ in range(draw(st.integers(0, depth))):
        match draw(st.sampled_from(["map", "where", "each", "groups", "+"])):
            case "map":
                step = draw(st.integers(1, 3))
                table = table.map(lambda row, step=step: replace(row, value=row.value + step))
                rows = [replace(row, value=row.value + step) for row in rows]
            case "where":
                least = draw(st.integers(-3, 3))
                table = table.where(lambda row, least=least: row.value >= least)
                rows = [row for row in rows if row.value >= least]
            case "each":
                times = draw(st.integers(0, 2))
                table = table.each(lambda row, times=times: [row] * times)
                rows = [row for row in rows for _ in range(times)]
            case "groups":
                table = table.groups(lambda group: [group[-1], group[0]])
                order = list(dict.fromkeys(row.problem_id for row in rows))
                groups = [[row for row in rows if row.problem_id == key] for key in order]
                rows = [row for group in groups for row in (group[-1], group[0])]
            case _:
                more = draw(lists)
                table, rows = table + Rows(more), rows + more
    return table, rows


@given(tables(depth=4))
def test_operations_equal_their_plain_python_counterparts(drawn: tuple[Table[Note], list[Note]]) -> None:
    table, rows = drawn
    assert list(table) == rows


@given(tables(depth=3))
def test_a_table_can_be_iterated_any_number_of_times(drawn: tuple[Table[Note], list[Note]]) -> None:
    table, rows = drawn
    assert [list(table) for _ in range(3)] == [rows] * 3
    first, second = iter(table), iter(table)  # side by side too
    assert [pair for pair in zip(first, second, strict=True)] == [(row, row) for row in rows]


@given(tables(depth=4))
def test_length_equals_the_number_of_rows_and_stays_below_the_bound(
    drawn: tuple[Table[Note], list[Note]],
) -> None:
    table, rows = drawn
    assert len(table) == len(rows)
    assert table.bound is None or len(rows) <= table.bound


@given(tables(depth=3))
def test_columns_equal_the_attributes_of_the_rows(drawn: tuple[Table[Note], list[Note]]) -> None:
    table, rows = drawn
    assert table.columns(["value", "problem_id"]) == {
        "value": [row.value for row in rows],
        "problem_id": [row.problem_id for row in rows],
    }


@given(lists, lists)
def test_digests_are_equal_just_when_rows_are(left: list[Note], right: list[Note]) -> None:
    def same(row: Note) -> Note:
        return row

    for make in (Rows, lambda rows: Rows(rows).map(same), lambda rows: Rows(rows).each(lambda row: [row])):
        assert (make(left).digest == make(right).digest) == (left == right)


@given(lists, lists, lists, lists)
def test_digests_of_joined_ends_are_equal_just_when_their_parts_are(
    a: list[Note], b: list[Note], c: list[Note], d: list[Note]
) -> None:
    assert ((Rows(a) + Rows(b)).digest == (Rows(c) + Rows(d)).digest) == ((a, b) == (c, d))


@given(lists, lists, lists)
def test_adding_is_associative(a: list[Note], b: list[Note], c: list[Note]) -> None:
    left, right = (Rows(a) + Rows(b)) + Rows(c), Rows(a) + (Rows(b) + Rows(c))
    assert list(left) == list(right) == a + b + c
    assert left.digest == right.digest
    assert isinstance(left, Chained)


@given(lists, st.lists(notes, max_size=4, unique_by=lambda row: row.problem_id))
def test_join_pairs_each_row_with_the_one_of_its_problem(left: list[Note], right: list[Note]) -> None:
    partners = {row.problem_id: row for row in right}
    expected = [(row, partners[row.problem_id]) for row in left if row.problem_id in partners]
    joined = Rows(left).join(Rows(right))
    assert list(joined) == expected
    sums = joined.map(lambda row, partner: row.value + partner.value)  # pairs come as two arguments
    assert list(sums) == [row.value + partner.value for row, partner in expected]
    kept = joined.where(lambda row, partner: row.value < partner.value)
    assert list(kept) == [(row, partner) for row, partner in expected if row.value < partner.value]
    assert joined.columns(["problem_id"])["problem_id"] == [row.problem_id for row, _ in expected]


def test_join_refuses_two_rows_of_one_problem_on_the_right() -> None:
    with pytest.raises(ValueError, match="two rows of problem 'a'"):
        list(Rows([Note("a", 1)]).join(Rows([Note("a", 1), Note("a", 2)])))


@given(lists, lists)
def test_zip_pairs_rows_by_position_and_refuses_unequal_lengths(left: list[Note], right: list[Note]) -> None:
    zipped = Rows(left).zip(Rows(right))
    if len(left) != len(right):
        with pytest.raises(ValueError, match="zip"):
            list(zipped)
    else:
        assert list(zipped) == list(zip(left, right, strict=True))
        assert len(zipped) == len(left)


def test_sources_and_stages_of_all_inputs_are_carried_through_every_operation() -> None:
    left = Rows([Note("a", 1)], sources=[Source.SELF], stages=["sample-1"])
    right = Rows([Note("a", 2)], sources=[Source.GOLD], stages=["verify-2"])
    for table in (left.join(right), left.zip(right), left + right, (left + right).map(lambda row: row)):
        assert table.sources == {Source.SELF, Source.GOLD}
        assert table.stages == {"sample-1", "verify-2"}
    assert left.where(lambda row: False).sources == {Source.SELF}


def _sample() -> Sample:
    problem = Problem("p1", "What is 2 + 2?", "train", group="sums")
    return Sample(
        "s1",
        Prompt(problem, (Message("user", "What is 2 + 2?"),)),
        3,
        " 4",
        "stop",
        verdicts={"verdict": Verdict(Outcome.CORRECT), "vote": Verdict(Outcome.UNDECIDED)},
        scores={"grade": Score(0.5), "unread": Score(None)},
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("problem_id", "p1"),
        ("question", "What is 2 + 2?"),
        ("problem.group", "sums"),
        ("verdict", "correct"),
        ("verdict:vote", "undecided"),
        ("score:grade", 0.5),
        ("score:unread", None),
        ("number", 3),
    ],
)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda row: row,
        lambda row: (row, Label("p1", "4")),
        lambda row: ((row, Label("p1", "4")), Label("p1", "5")),
    ],
    ids=["row", "pair", "pair of a pair"],
)
def test_a_column_of_a_pair_is_that_of_its_first_part(
    name: str, value: Any, wrap: Callable[[Any], Any]
) -> None:
    assert column_of(name)(wrap(_sample())) == value


def test_every_kind_of_row_says_which_problem_it_is_about() -> None:
    problem = _sample().problem
    assert {
        problem_id_of(row)
        for row in (_sample(), problem, Prompt(problem, ()), Label("p1", "4"), (problem, Label("p1", "4")))
    } == {"p1"}


def test_an_unknown_table_gives_its_bound_and_ends_a_plan_when_looked_into() -> None:
    table = Unknown(7, asked="sample-1", sources=[Source.SELF], stages=["sample-1"])
    derived: list[Table[Any]] = [
        table,
        table.map(lambda row: row),
        table.where(bool),
        table + Rows([1]),
        Rows([Note("a", 1)]).join(table),
    ]
    assert [one.is_known for one in derived] == [False] * 5
    assert [one.bound for one in derived] == [7, 7, 7, 8, 1]
    assert (table + Rows([1])).plan_key == (table + Rows([1])).plan_key != table.plan_key
    for one in derived:
        assert one.plan_key
        for look in (list, len, lambda table: table.digest, lambda table: table.columns(["value"])):
            with pytest.raises(PlanEnds):
                look(one)
