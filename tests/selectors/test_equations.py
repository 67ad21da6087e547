"""Equations of a rationale: read, checked without evaluating code, and told apart."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.selectors.equations import DistinctEquations, TrueEquations, equations, holds

P1 = "One and two are <<1+2=3>>3. Then <<3+4=7>>7."
P2 = "Two and one are <<2+1=3>>3. Then <<3+4=7>>7."
P3 = "Well, 1 and 2, that is to say <<1 + 2 = 3>>3, and so in the end <<3 + 4 = 7>>7."
P4 = "<<1+2=4>>4, <<4+3=7>>7"


def reasons(selector: TrueEquations | DistinctEquations, texts: list[str]) -> list[str | None]:
    return list(selector.reasons({"text": texts}, random.Random(0)))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (P1, ["1+2=3", "3+4=7"]),
        (P3, ["1+2=3", "3+4=7"]),
        ("Start with 12. 12 + 5 = 17. 17 times 2 is 34.", ["12+5=17", "17*2=34"]),
        ("6 divided by 2 makes 3.", ["6/2=3"]),
        ("<<1,200*2=2,400>>", ["1200*2=2400"]),
        ("nothing to count", []),
    ],
)
def test_equations_are_read_from_marks_and_from_text(text: str, found: list[str]) -> None:
    assert equations(text) == found


@given(st.integers(0, 99), st.integers(0, 99), st.integers(1, 9))
def test_true_equations_hold_and_others_do_not(a: int, b: int, c: int) -> None:
    assert holds(f"({a}+{b})*{c}={(a + b) * c}")
    assert holds(f"{a}-{b}={a - b}")
    assert holds(f"{a}/{c}={a / c:.5f}")
    assert not holds(f"{a}+{b}={a + b + 1}")


@pytest.mark.parametrize(
    "text", ["1+1", "=", "1/0=0", "__import__('os')=1", "1+=2", "(1=1", "1)+1=2", "2**9=512", "(" * 9999]
)
def test_what_is_no_equation_does_not_hold(text: str) -> None:
    assert not holds(text)


def test_paths_with_a_false_equation_are_dropped() -> None:
    assert reasons(TrueEquations(), [P1, P2, P3, P4, "none"]) == [None, None, None, "false equation", None]


def test_one_path_a_list_of_equations_and_the_farther_one_of_equals() -> None:
    # p3 has p1's equations and is farther from p2: it takes its place
    assert reasons(DistinctEquations(), [P1, P2, P3]) == ["same equations", None, None]
    assert reasons(DistinctEquations(), [P3, P2, P1]) == [None, None, "same equations"]
    assert reasons(DistinctEquations(), ["no count", "none either"]) == [None, "same equations"]


@given(st.lists(st.sampled_from([P1, P2, P3, "x"]), max_size=8))
def test_every_list_of_equations_is_kept_once(texts: list[str]) -> None:
    kept = [
        text for text, reason in zip(texts, reasons(DistinctEquations(), texts), strict=True) if not reason
    ]
    keys = ["|".join(equations(text)) for text in kept]
    assert len(set(keys)) == len(keys)
    assert set(keys) == {"|".join(equations(text)) for text in texts}
