from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.records import Outcome
from docendo.verifiers.numeric import Numeric
from tests.verifiers.cases import HOSTILE, pair

answers = st.one_of(
    st.fractions(max_denominator=30).map(str),
    st.integers(-30, 30).map(str),
    st.sampled_from(
        [
            "50%",
            "0.5",
            ".50",
            "1/2",
            "50",
            "$50",
            "50 eggs",
            "fifty",
            "unknown",
            "Unknown.",
            "3 + 4",
            "",
            "5-6",
        ]
    ),
    st.text(max_size=6),
)
SETTINGS = [Numeric(percent=percent) for percent in ("ignored", "hundredths", "compared")]


@given(st.sampled_from(SETTINGS), answers, answers, answers)
def test_same_is_an_equivalence_relation_where_the_tolerance_is_zero(
    verifier: Numeric, one: str, two: str, three: str
) -> None:
    assert verifier.same(one, one)
    assert verifier.same(one, two) == verifier.same(two, one)
    if verifier.same(one, two) and verifier.same(two, three):
        assert verifier.same(one, three)


@given(answers, answers, st.sampled_from(["50", "1/2", "0.5", "unknown"]))
def test_same_answers_get_the_same_outcome(one: str, two: str, gold: str) -> None:
    if one.strip() and two.strip() and Numeric().same(one, two):
        first, second = Numeric().verdicts([pair(one, gold), pair(two, gold)])
        assert first.outcome is second.outcome


@given(answers, answers)
def test_the_verdict_is_correct_exactly_where_the_answers_are_the_same(answer: str, gold: str) -> None:
    if answer.strip():
        (verdict,) = Numeric().verdicts([pair(answer, gold)])
        assert (verdict.outcome is Outcome.CORRECT) == Numeric().same(answer, gold)


@given(st.fractions(), st.fractions(), st.sampled_from([0.0, 1e-6, 0.01, 0.5]))
def test_the_tolerance_is_the_decimal_that_it_is_written_as(
    left: Fraction, right: Fraction, tolerance: float
) -> None:
    verifier = Numeric(tolerance=tolerance)
    allowed = Fraction(str(tolerance))
    assert verifier.same(str(left), str(right)) == (abs(left - right) <= allowed)
    assert verifier.same(str(left), str(left + allowed))
    assert verifier.same(str(right), str(left)) == verifier.same(str(left), str(right))


def test_fine_tune_cot_accepts_a_difference_of_a_millionth() -> None:
    assert Numeric(tolerance=1e-6).same("5.666667", "5.6666666")
    assert not Numeric().same("5.666667", "5.6666666")


@pytest.mark.parametrize(
    ("answer", "gold", "outcome", "reason"),
    [
        ("18", "18", "correct", "same text"),
        ("18.0", "18", "correct", "same number"),
        ("$1,234.50", "1234.5", "correct", "same number"),
        ("18 eggs", "18", "correct", "same number"),
        ("5 km", "5 m", "correct", "same number"),  # units are ignored: the question has one
        ("0.33", "1/3", "incorrect", "another number"),
        ("0.333333", "1/3", "incorrect", "another number"),  # exact, unless a tolerance says otherwise
        ("300 cents", "3 dollars", "incorrect", "another number"),  # and never converted
        ("I am not sure", "18", "incorrect", "no number"),
        ("3 + 4", "7", "undecided", "not one number"),
        ("5 or 6", "5", "undecided", "not one number"),
        ("5", "x + 1", "undecided", "gold is not a number"),
        ("YES.", "yes", "correct", "same text"),
        ("9" * 20_000, "9", "undecided", "too long"),
    ],
)
def test_outcomes_and_reasons(answer: str, gold: str, outcome: str, reason: str) -> None:
    (verdict,) = Numeric().verdicts([pair(answer, gold)])
    assert (verdict.outcome.value, verdict.reason) == (outcome, reason)


def test_the_percent_policy_decides_what_a_percent_sign_is() -> None:
    cases = {
        ("50%", "50"): [True, False, False],
        ("50%", "1/2"): [False, True, False],
        ("50%", "50.0 %"): [True] * 3,
    }
    for (left, right), expected in cases.items():
        assert [verifier.same(left, right) for verifier in SETTINGS] == expected
    assert Numeric(percent="hundredths", tolerance=0.01).same("50%", "51%")
    assert not Numeric(percent="hundredths", tolerance=0.001).same("50%", "51%")


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_are_judged_at_once(name: str) -> None:
    start = time.perf_counter()
    (verdict,) = Numeric().verdicts([pair(HOSTILE[name], "42")])
    assert verdict.outcome is not Outcome.CORRECT
    assert time.perf_counter() - start < 1.0


def test_bad_settings_are_told_all_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        Numeric(tolerance=-1, percent="maybe")  # pyright: ignore[reportArgumentType]
    assert "tolerance is -1; expected 0 (exact) or a number above 0" in str(caught.value)
    assert "percent is 'maybe'" in str(caught.value)
    with pytest.raises(SettingError):
        Numeric(tolerance=float("nan"))
