from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.records import Label, Outcome, Sample, Source
from docendo.verifiers.exact import Exact
from tests.verifiers.cases import pair

words = st.text(alphabet="aAbBéÉß\u017fİ \t\u00a0.,1", max_size=8)
SETTINGS = [Exact(fold_case=case, fold_spaces=spaces) for case in (True, False) for spaces in (True, False)]


@given(st.sampled_from(SETTINGS), words, words, words)
def test_same_is_an_equivalence_relation(verifier: Exact, one: str, two: str, three: str) -> None:
    assert verifier.same(one, one)
    assert verifier.same(one, two) == verifier.same(two, one)
    if verifier.same(one, two) and verifier.same(two, three):
        assert verifier.same(one, three)


@given(words, words)
def test_the_verdict_is_correct_exactly_where_the_answers_are_the_same(answer: str, gold: str) -> None:
    (verdict,) = Exact().verdicts([pair(answer, gold)])
    expected = Outcome.FAILED
    if answer.strip():
        expected = Outcome.CORRECT if Exact().same(answer, gold) else Outcome.INCORRECT
    assert verdict.outcome is expected


@given(st.text(max_size=20))
def test_both_unicode_spellings_of_a_text_are_one(text: str) -> None:
    for verifier in SETTINGS:
        assert verifier.same(unicodedata.normalize("NFC", text), unicodedata.normalize("NFD", text))


@pytest.mark.parametrize(
    ("verifier", "left", "right", "same"),
    [
        (Exact(), " Yes ", "yes", True),
        (Exact(), "New  York\n", "new york", True),
        (Exact(), "Straße", "STRASSE", True),
        (Exact(), "yes.", "yes", False),
        (Exact(fold_case=False), "Yes", "yes", False),
        (Exact(fold_case=False), " yes", "yes", True),
        (Exact(fold_spaces=False), "yes ", "yes", False),
    ],
)
def test_settings_say_what_is_folded(verifier: Exact, left: str, right: str, same: bool) -> None:
    assert verifier.same(left, right) is same


def test_what_cannot_be_judged_is_failed_or_undecided_with_a_reason() -> None:
    sample, label = pair("yes", "yes")
    cases = [
        (replace(sample, status="failed", reason="server said 500\nand more"), label),
        (replace(sample, status="failed"), label),
        (replace(sample, is_parsed=False), label),
        (replace(sample, answer=" \n"), label),
        (sample, None),
    ]
    found = [(verdict.outcome.value, verdict.reason) for verdict in Exact().verdicts(cases)]
    assert found == [
        ("failed", "sample failed: server said 500"),
        ("failed", "sample failed"),
        ("failed", "no answer could be read"),
        ("failed", "no answer could be read"),
        ("undecided", "no label"),
    ]


def test_verdicts_stream_and_name_their_source() -> None:
    def endless() -> Iterator[tuple[Sample, Label | None]]:
        while True:
            yield pair("yes", "yes")

    stream = Exact(source=Source.VOTE).verdicts(endless())
    assert next(stream).source is Source.VOTE


def test_lone_surrogates_and_nul_bytes_are_texts_too() -> None:
    assert Exact().same("\ud800\x00", "\ud800\x00")
    assert not Exact().same("\ud800", "\udc00")
