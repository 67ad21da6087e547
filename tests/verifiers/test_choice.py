from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.records import Outcome
from docendo.verifiers.choice import Choice
from tests.verifiers.cases import pair

FRUIT = ("apples", "Red pears", "a kiwi")
answers = st.one_of(
    st.sampled_from(["A", "b", "(C)", "D", "B)", "A. apples", "apples", " RED  pears", "x", ""]),
    st.text(max_size=5),
)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("B", "correct"),
        ("b", "correct"),
        (" (b) ", "correct"),
        ("[B]", "correct"),
        ("B)", "correct"),
        ("B.", "correct"),
        ("B: red pears", "correct"),
        ("(B) anything", "correct"),
        ("Option B", "correct"),
        ("choice (b)", "correct"),
        ("red  PEARS", "correct"),
        ("A", "incorrect"),
        ("apples", "incorrect"),
        ("a kiwi", "incorrect"),  # the text of C, not the letter A
        ("D", "incorrect"),
        ("bananas", "incorrect"),
        ("both", "incorrect"),
        ("", "failed"),
    ],
)
def test_an_answer_names_an_option_by_letter_or_text(answer: str, outcome: str) -> None:
    for gold in ("B", "red pears"):
        (verdict,) = Choice().verdicts([pair(answer, gold, choices=FRUIT)])
        assert verdict.outcome.value == outcome, verdict


def test_reasons_can_be_counted() -> None:
    pairs = [pair(answer, "A", choices=FRUIT) for answer in ("a", "b", "none of them")]
    pairs += [pair("a", "plums", choices=FRUIT), pair("A", "B"), pair("a)", "A"), pair("A", None)]
    assert [(verdict.outcome.value, verdict.reason) for verdict in Choice().verdicts(pairs)] == [
        ("correct", "same option"),
        ("incorrect", "another option"),
        ("incorrect", "not an option"),
        ("undecided", "gold is not an option"),
        ("incorrect", "another option"),
        ("correct", "same option"),
        ("undecided", "no label"),
    ]


def test_options_that_are_letters_are_named_by_their_label() -> None:
    (verdict,) = Choice().verdicts([pair("A", "B", choices=("C", "A", "B"))])
    assert verdict.outcome is Outcome.INCORRECT
    (verdict,) = Choice().verdicts([pair("C", "B", choices=("C", "A"))])
    assert verdict.outcome is Outcome.INCORRECT  # there is no third option, so it is the text of the first


def test_two_options_with_one_text_are_one_option() -> None:
    choices = ("10", "12", " 12")
    found = [
        verdict.outcome
        for verdict in Choice().verdicts([pair("C", "B", choices=choices), pair("12", "C", choices=choices)])
    ]
    assert found == [Outcome.CORRECT, Outcome.CORRECT]


@given(answers, answers, answers)
def test_same_is_an_equivalence_relation(one: str, two: str, three: str) -> None:
    verifier = Choice()
    assert verifier.same(one, one)
    assert verifier.same(one, two) == verifier.same(two, one)
    if verifier.same(one, two) and verifier.same(two, three):
        assert verifier.same(one, three)


@given(answers, answers, st.sampled_from(["A", "B", "C"]), st.sampled_from([FRUIT, ()]))
def test_same_answers_get_the_same_verdict(one: str, two: str, gold: str, choices: tuple[str, ...]) -> None:
    if one.strip() and two.strip() and Choice().same(one, two):
        first, second = Choice().verdicts(
            [pair(one, gold, choices=choices), pair(two, gold, choices=choices)]
        )
        assert first == second


def test_initials_are_no_letter() -> None:
    assert not Choice().same("U.S.A.", "U")
    assert not Choice().same("a.m.", "A")
