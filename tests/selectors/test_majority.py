"""The selector of majorities: the worked numbers of its paper's recipe, ties, equivalence, agreement."""

from __future__ import annotations

import random

from docendo.selectors.majority import InMajority
from docendo.verifiers.numeric import Numeric

ANSWERS = ["108", "96", "108", "108", "110", "96", "108", ""]


def reasons(answers: list[str], confidence: float = 0.0) -> list[str | None]:
    columns = {"answer": answers, "is_parsed": [bool(answer) for answer in answers]}
    return list(InMajority(Numeric(), confidence).reasons(columns, random.Random(0)))


def test_four_of_eight_agree_and_none_never_wins() -> None:
    minority = "minority"
    assert reasons(ANSWERS) == [None, minority, None, None, minority, minority, None, "no answer"]


def test_the_share_of_agreement_counts_samples_without_an_answer() -> None:
    assert reasons(ANSWERS, 0.5) == reasons(ANSWERS)
    assert set(reasons(ANSWERS, 0.51)) == {"too little agreement"}


def test_ties_go_to_the_first_and_equal_numbers_vote_together() -> None:
    assert reasons(["7", "8"]) == [None, "minority"]
    assert reasons(["8", "7.0", "7"]) == ["minority", None, None]
    assert reasons(["", ""]) == ["no answer", "no answer"]
