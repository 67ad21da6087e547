from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.tasks.readers import (
    FALLBACKS,
    READERS,
    boxed,
    choice,
    hash_mark,
    last_letter,
    last_number,
    line,
    sentence,
    unboxed,
)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("2 * 6 = 12. The answer is 12.", "12"),
        ("The answer is 3.5.", "3.5"),
        ("The answer is 3.5", "3.5"),
        ("The answer is 5. Wait, no. The answer is 6.", "6"),  # the last one counts
        ("The answer is 6. I used 5 and 1.", "6"),  # and ends with its sentence
        ("the final answer is: **$1,200**.", "$1,200"),
        ("**The answer is 12.**", "12"),
        ("Therefore, the answer is\n\n1892", "1892"),
        ("So the answer is therefore 7.", "7"),
        ("My answer is January 5.", "January 5"),
        ("The answer is 12\nQ: What is 3 + 4?", "12"),
        ("The answer is x. The answer is", "x"),  # cut off: the last one that says something
        ("The answer is St. Louis.", "St"),  # a full stop ends the sentence; `formats` says so
        ('He said "the answer is 4."', "4"),
    ],
)
def test_sentence_reads_the_last_answer_sentence(text: str, answer: str) -> None:
    found = sentence(text)
    assert found is not None
    assert found.answer == answer


@pytest.mark.parametrize(
    "text", ["", "The answer is", "the answer was 4", "breathe answer is 4", "answer is 4"]
)
def test_sentence_finds_none(text: str) -> None:
    assert sentence(text) is None


def test_sentence_begins_at_its_connective() -> None:
    found = sentence("3 + 4 = 7. So, the answer is 7.")
    assert found is not None
    assert found.start == len("3 + 4 = 7. ")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("48 + 24 = 72\n#### 72", "72"),
        ("#### 1\n#### 2\nsome more", "2"),
        ("#### 5 ####", "5"),
        ("#### 5\n####", "5"),
        ("####5", "5"),
        ("#### C#", "C#"),
    ],
)
def test_hash_mark_reads_the_last_line_that_says_something(text: str, answer: str) -> None:
    found = hash_mark(text)
    assert found is not None
    assert found.answer == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so $\boxed{\frac{1}{2}}$ it is", r"\frac{1}{2}"),
        (r"\boxed{1} or \boxed{2}", "2"),
        (r"\boxed{\boxed{5}}", "5"),
        (r"\fbox{7}", "7"),
        (r"\boxed 7$", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),  # escaped braces need no partner
        (r"\boxed{\begin{pmatrix} 1 \\ 2 \end{pmatrix}}", r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"),
        (r"\boxed{3} and then \boxed{4", "3"),  # cut off
        (r"{ \boxed{3} } }", "3"),
    ],
)
def test_boxed_reads_the_last_box_that_closes(text: str, answer: str) -> None:
    found = boxed(text)
    assert found is not None
    assert found.answer == answer


@pytest.mark.parametrize("text", [r"\boxed{", r"\boxed{}", r"\boxedtext{4}", r"a \\boxed{5}", "boxed{5}"])
def test_boxed_finds_none(text: str) -> None:
    assert boxed(text) is None


def test_boxed_begins_at_the_sentence_that_holds_the_box() -> None:
    found = boxed("It is 3.\nThe answer is $\\boxed{3}$.")
    assert found is not None
    assert found.start == len("It is 3.\n")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("13 * 2 = 26\nA: 26", "26"),
        ("Answer: 5\nmore", "5"),
        ("**Final answer:** 5", "5"),
        ("answer : a house", "a house"),
        ("A: 1\nA: 2", "2"),
    ],
)
def test_line_reads_the_last_answer_line(text: str, answer: str) -> None:
    found = line(text)
    assert found is not None
    assert found.answer == answer


@pytest.mark.parametrize("text", ["a: 5", "Answer:", "the plan: A: 5", "Ana: 5"])
def test_line_finds_none(text: str) -> None:
    assert line(text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is B.", "B"),
        ("So the answer is (b).", "B"),
        ("The answer is (B) apples.", "B"),
        ("The answer is B) apples.", "B"),
        ("The answer is a dog.", "a dog"),  # an article is no letter
        ("The answer is I think B.", "I think B"),
        ("Answer: C", "C"),
    ],
)
def test_choice_reads_the_letter(text: str, answer: str) -> None:
    found = choice(text)
    assert found is not None
    assert found.answer == answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("10-5 = 5", "5"),
        ("10-5", "5"),  # the sign of a difference is none of the number's
        ("it fell to -5 degrees", "-5"),
        ("it fell to \u22125 degrees", "-5"),
        ("$1,234.50.", "1,234.50"),
        ("3,5", "5"),
        ("about .5", ".5"),
        ("3/4 of it", "3/4"),
        ("50% more", "50%"),
        ("18.", "18"),
        ("x2 and y3", "3"),
    ],
)
def test_last_number_reads_the_last_number(text: str, number: str) -> None:
    found = last_number(text)
    assert found is not None
    assert found.answer == number


@pytest.mark.parametrize(
    ("text", "letter"), [("(A) or (C), so (B)", "B"), ("b", "B"), (" C. ", "C"), ("A dog", None), ("", None)]
)
def test_last_letter_reads_a_marked_letter(text: str, letter: str | None) -> None:
    found = last_letter(text)
    assert (found.answer if found else None) == letter


@pytest.mark.parametrize(
    ("text", "without"),
    [
        (r"is $\boxed{2}$ here", "is $2$ here"),
        (r"\boxed{\frac{1}{2}} and {\boxed{\boxed{3}}}", r"\frac{1}{2} and {3}"),
        (r"\boxed 5", "5"),
        ("none {at} all", "none {at} all"),
    ],
)
def test_unboxed_takes_the_boxes_away(text: str, without: str) -> None:
    assert unboxed(text) == without


_PIECES = st.sampled_from(
    [
        *("the answer is ", "The answer is", " so ", "####", "\\boxed{", "\\boxed ", "{", "}", "\\", "A:"),
        *("(B)", "12", ",", ".", "-", "/", "\n", " ", "**", "Answer:", "\u00e9", "\u2212"),
    ]
)
_TEXTS = st.lists(_PIECES | st.text(max_size=5)).map("".join)


@pytest.mark.parametrize("name", [*READERS, *FALLBACKS])
@given(text=_TEXTS)
def test_readers_never_raise_and_point_into_the_text(name: str, text: str) -> None:
    found = (READERS | FALLBACKS)[name](text)  # type: ignore[operator]
    if found is not None:
        assert 0 <= found.start <= found.at <= len(text)
        assert found.answer.strip() == found.answer != ""


@given(_TEXTS)
def test_unboxed_never_raises_and_only_takes_away(text: str) -> None:
    assert len(unboxed(text)) <= len(text)


_HOSTILE = [
    *("the answer is ", "the answer is\n", "the answer is **\n", "so ", "the ", " ", "\n", "the final "),
    *("#", "####", "####\n", "\\boxed{", "\\boxed ", "\\boxed{}", "{", "}", "\\", "A:", "A", "Answer"),
    *("1", "1,111", "1,111,", ".1", "1.", "-", "(A", "(A)", "*", "**", ".", "$"),
]


@pytest.mark.parametrize("name", [*READERS, *FALLBACKS, "unboxed"])
@pytest.mark.parametrize("piece", _HOSTILE)
def test_readers_take_time_in_proportion_to_the_text(name: str, piece: str) -> None:
    text = piece * (200_000 // len(piece))
    read = unboxed if name == "unboxed" else {**READERS, **FALLBACKS}[name]
    begin = time.process_time()
    read(text)
    read(text + "}" * 10_000)
    # Quadratic behaviour would take minutes; this is some hundred times what it takes.
    assert time.process_time() - begin < 5
