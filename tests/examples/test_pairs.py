"""Pairs of right and wrong samples of one problem."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import NothingToLearn
from docendo.core.records import Example, Message, Problem, Prompt, Sample
from docendo.core.table import Rows
from docendo.examples.pairs import must_be_there, pairs_of, preferred


def samples(problem: str, texts: str) -> list[Sample]:
    about = Problem(problem, f"What is {problem}?", "train")
    prompt = Prompt(about, (Message("user", about.question),))
    return [
        Sample(f"{problem}-{text}", prompt, place, text, "stop", token_ids=(ord(text), 1), tokenizer="t")
        for place, text in enumerate(texts)
    ]


def drawn(right: dict[str, str], wrong: dict[str, str], limit: int = 100, seed: int = 0) -> list[str]:
    tables = [
        Rows([sample for problem, texts in side.items() for sample in samples(problem, texts)])
        for side in (right, wrong)
    ]
    return [one.id + other.text for one, other in pairs_of(*tables, limit=limit, seed=seed)]


def test_three_right_and_two_wrong_are_six_pairs_and_five_right_are_none() -> None:
    assert drawn({"p": "abc", "q": "abcde"}, {"p": "xy", "r": "z"}) == [
        "p-ax", "p-ay", "p-bx", "p-by", "p-cx", "p-cy"
    ]  # fmt: skip


def test_of_ten_right_and_six_wrong_eight_different_pairs_of_sixty_are_drawn() -> None:
    right, wrong = {"p": "abcdefghij"}, {"p": "uvwxyz"}
    every = drawn(right, wrong)
    assert len(every) == 60
    some = drawn(right, wrong, limit=8)
    assert len(set(some)) == 8
    assert [pair for pair in every if pair in some] == some
    assert some == drawn(right, wrong, limit=8)
    assert some != drawn(right, wrong, limit=8, seed=1)


@given(
    st.dictionaries(st.sampled_from("pqr"), st.sampled_from(["a", "ab", "abcd"])),
    st.dictionaries(st.sampled_from("pqr"), st.sampled_from(["x", "xyz"])),
    st.integers(1, 5),
)
def test_what_is_drawn_of_a_problem_does_not_depend_on_the_others(
    right: dict[str, str], wrong: dict[str, str], limit: int
) -> None:
    found = drawn(right, wrong, limit)
    for problem in "pqr":
        own = [pair for pair in found if pair.startswith(problem)]
        assert len(own) == min(limit, len(right.get(problem, "")) * len(wrong.get(problem, "")))
        alone = ({key: text for key, text in side.items() if key == problem} for side in (right, wrong))
        assert own == drawn(*alone, limit=limit)


def test_a_pair_is_learned_as_both_were_sampled() -> None:
    right, wrong = samples("p", "ab")
    assert preferred(right, wrong) == Example(
        right.prompt.messages,
        chosen="a",
        rejected="b",
        chosen_token_ids=(97, 1),
        rejected_token_ids=(98, 1),
        tokenizer="t",
        problem_id="p",
        parents=("p-a", "p-b"),
    )
    other = preferred(replace(right, tokenizer="u"), wrong)
    assert (other.chosen_token_ids, other.rejected_token_ids, other.tokenizer) == ((), (98, 1), "t")
    assert not preferred(right, replace(wrong, finish="length")).is_ended
    solution = Example(right.prompt.messages, completion="c", problem_id="p")
    assert preferred(solution, wrong).chosen == "c"
    assert preferred(solution, wrong).parents == ("p-b",)


def test_no_pair_at_all_is_said_clearly() -> None:
    right, wrong = (Rows(samples(problem, "ab")) for problem in "pq")
    must_be_there(pairs_of(right, right, limit=1, seed=0))
    with pytest.raises(NothingToLearn, match=r"both a right and a wrong sample.*\nhint: draw more"):
        must_be_there(pairs_of(right, wrong, limit=1, seed=0))
