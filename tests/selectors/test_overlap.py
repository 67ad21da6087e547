"""Contamination against a brute-force search, by hand-made cases, and on public data sets."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.parts import identity_of
from docendo.core.seeds import derived_rng
from docendo.selectors.overlap import GRAM, Overlap, words_of
from tests.selectors.partition import reasons_of

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"
SHORT = "How many apples are left?"


def found(asked: str, learned: str = "", *, against: dict[str, list[str]] | None = None) -> str | None:
    overlap = Overlap.of({"test": [SHORT, f"{THIRTEEN} fourteen"]} if against is None else against)
    return reasons_of(overlap, {"asked": [asked], "learned": [learned]})[0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SHORT, "exact match in test"),
        ("how MANY apples  are\tleft", "exact match in test"),
        ("¿How many apples are left?!", "exact match in test"),
        ("How many apples are left on the tree?", None),
        ("many apples are left?", None),
        (THIRTEEN, "13-gram in test"),
        (THIRTEEN.upper().replace(" ", ", "), "13-gram in test"),
        (f"zero {THIRTEEN} and so on", "13-gram in test"),
        (THIRTEEN.removesuffix(" thirteen"), None),
        (THIRTEEN.replace("seven", "sieben"), None),
        ("two three four five six seven eight nine ten eleven twelve thirteen fourteen", "13-gram in test"),
        (f"{THIRTEEN} fourteen", "exact match in test"),
        ("", None),
        ("?!", None),
        ("Some text.\n\nMore of it.\n---\n", None),
    ],
)
def test_cases_by_hand(text: str, reason: str | None) -> None:
    assert found(text) == reason
    assert found("something else", text) == reason


def test_a_question_that_is_a_line_of_a_longer_text_is_an_exact_match() -> None:
    assert found(f"Here is one.\n{SHORT}\nAnd its answer.") == "exact match in test"


def test_the_split_that_comes_first_is_named() -> None:
    against = {"validation": [SHORT], "test": [SHORT, THIRTEEN]}
    assert found(SHORT, against=against) == "exact match in validation"
    assert found(f"{THIRTEEN} x", against=against) == "13-gram in test"


@pytest.mark.parametrize("empty", ["", "?", "+ = ?", "\n"])
def test_a_question_without_a_word_matches_nothing(empty: str) -> None:
    for text in ("", "?", "a\n\nb", "---"):
        assert found(text, against={"test": [empty]}) is None


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("Wie groß ist Ännchens Straße?", "wie GROß ist ännchens straße"),
        ("Quel café préfère-t-elle ?", unicodedata.normalize("NFD", "quel café préfère t elle")),
        ("Сколько яблок осталось?", "СКОЛЬКО ЯБЛОК ОСТАЛОСЬ"),
        ("还剩几个苹果？", "还剩几个苹果"),
        ("How many are １２？", "how many are 12"),
    ],
)
def test_letters_of_any_script_and_form_are_compared(question: str, text: str) -> None:
    assert found(text, against={"test": [question]}) == "exact match in test"


def brute_force(asked: str, learned: str, questions: list[str], size: int) -> str | None:
    """Return what a search without any shortcut finds."""

    def plain(text: str) -> list[str]:
        return re.findall(r"[^\W_]+", text.lower())

    wanted = [plain(question) for question in questions if plain(question)]
    for text in (asked, learned):
        if any(plain(part) in wanted for part in (text, *text.split("\n"))):
            return "exact match in test"
        have = plain(text)
        runs = [have[start : start + size] for start in range(len(have) - size + 1)]
        grams = [q[start : start + size] for q in wanted for start in range(len(q) - size + 1)]
        if any(run in grams for run in runs):
            return f"{size}-gram in test"
    return None


texts = st.lists(st.sampled_from(["a", "B", "c", "_", "1", "\n", "?", "Q:"]), max_size=14).map(" ".join)


@given(texts, texts, st.lists(texts, max_size=4), st.integers(2, 5))
def test_overlap_finds_what_brute_force_finds(
    asked: str, learned: str, questions: list[str], size: int
) -> None:
    overlap = Overlap.of({"test": questions}, size=size)
    reasons = reasons_of(overlap, {"asked": [asked], "learned": [learned]})
    assert reasons == [brute_force(asked, learned, questions, size)]


@given(st.lists(st.tuples(texts, texts), max_size=6), st.lists(texts, max_size=4))
def test_each_row_is_judged_alone(rows: list[tuple[str, str]], questions: list[str]) -> None:
    overlap = Overlap.of({"test": questions}, size=3)
    together = reasons_of(
        overlap, {"asked": [asked for asked, _ in rows], "learned": [learned for _, learned in rows]}
    )
    alone = [reasons_of(overlap, {"asked": [a], "learned": [b]})[0] for a, b in rows]
    assert together == alone


def test_its_identity_is_the_questions_and_the_size() -> None:
    one = Overlap.of({"test": ["a", "b"]})
    assert identity_of(one) == identity_of(Overlap.of({"test": ["a", "b"]}))
    others = [
        Overlap.of({"test": ["a", "c"]}),
        Overlap.of({"validation": ["a", "b"]}),
        Overlap.of({"test": ["a", "b"]}, size=8),
        Overlap.of({"test": ["a"], "validation": ["b"]}),
    ]
    assert all(identity_of(other) != identity_of(one) for other in others)
    assert len(str(identity_of(Overlap.of({"test": [SHORT] * 1000})))) < 400  # questions count by digest


def test_words_are_letters_and_digits_in_lower_case() -> None:
    assert words_of("Ann's 3.5 x_y — ÉTÉ") == ["ann", "s", "3", "5", "x", "y", "été"]


Data = Callable[[str], Iterator[dict[str, Any]]]


def question_of(row: dict[str, Any]) -> str:
    """Return the question of a row, or the first turn of a conversation."""
    return row["question"] if "question" in row else row["turns"][0]


@pytest.mark.parametrize(
    ("against", "rows", "exact", "any_gram"),
    [
        ("gsm8k_test", "gsm8k_train", 0, 4),
        ("gsm8k_train", "gsm8k_test", 0, 3),
        ("gsm8k_train", "aqua_test", 0, 0),
        ("math500", "math_4500", 0, 40),
        ("math_4500", "math500", 0, 24),
        ("alpaca_eval", "vicuna_bench", 80, 57),
        ("self_instruct_user_oriented", "self_instruct_seed", 1, 0),
    ],
)
def test_counts_on_public_data(data_rows: Data, against: str, rows: str, exact: int, any_gram: int) -> None:
    """Counted beforehand by a program of its own: exact matches, and rows that share a run of 13 words."""
    overlap = Overlap.of({"test": [question_of(row) for row in data_rows(against)]})
    texts = [question_of(row) for row in data_rows(rows)]
    reasons = overlap.reasons({"asked": texts, "learned": [""] * len(texts)}, derived_rng(0))
    assert sum(reason == "exact match in test" for reason in reasons) == exact
    grams = [words_of(text) for text in texts]
    runs = sum(
        any(tuple(words[start : start + GRAM]) in overlap.runs for start in range(len(words) - GRAM + 1))
        for words in grams
    )
    assert runs == any_gram
    assert sum(reason is not None for reason in reasons) <= exact + any_gram
