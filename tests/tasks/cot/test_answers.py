from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.records import Label, Outcome, Problem, Prompt, Sample
from docendo.tasks.cot.answers import CANDIDATES, PublishedEquality, read_published
from docendo.tasks.cot.catalogue import TASKS, Equality
from docendo.tasks.cot.formats import published_formats


def read(task: str, template: str, text: str) -> str | None:
    reading = published_formats(TASKS[task], "Q: a\nA: b")[template].read(text)
    return reading.answer if reading.is_parsed else None


@pytest.mark.parametrize(
    ("task", "template", "text", "prediction"),
    [
        # The prefix stands in the text: the first candidate behind it.
        ("multiarith", "ft_cot_token", " 32 + 42 = 74. 74 - 35 = 39. --> 39", "39"),
        ("multiarith", "ft_cot_token_api", " 74 - 35 = 39.\n\n-->\n\n39 END", "39"),
        ("last-letter", "ft_cot_token", " ... are y, a, j, o. --> yajo", "yajo"),
        ("aqua", "fs_cot", " A train is faster. The answer is C.\nQ: Another", "C"),
        ("svamp", "fs_cot", " 5 - 3 is 2. The answer is 2. The answer is 7.", "2"),
        ("coin-flip", "ft_cot_token", " Yes or no? --> No", "no"),
        # It should and does not: the last candidate of the whole text.
        ("multiarith", "ft_cot_token", " so 74 - 35 = 39 pieces", "39"),
        ("last-letter", "ft_cot_token", " thus yajo", "thusyajo"),
        ("multiarith", "ft_cot_natural", "Therefore the answer is 39. I used 74 and 35", "35"),
        ("multiarith", "ft_cot_natural", "Therefore, the answer is 39. I used 74 and 35", "39"),
        ("date-understanding", "fs_cot", " (A) or (F)", "F"),
        # There is none: the first candidate of the whole text.
        ("multiarith", "zs_cot", " 39.0", "39.0"),
        ("gsm8k", "zs_cot", " $1,200.", "1200"),
        ("multiarith", "zs", "10-5 = 5", "10"),
        ("svamp", "zs_cot", " 51", "51"),
        ("commonsense-qa", "zs_cot", " Blotter (E)", "B"),
        ("commonsense-qa", "zs_cot", " the answer is (e)", None),
        ("tracking-shuffled-objects", "zs_cot", " Claire has A", "C"),
        ("coin-flip", "zs_cot", " Yes, it is.", "yes"),
        ("coin-flip", "zs_cot", " yes!", None),
        ("strategy-qa", "zs", ' "No": it sank', "no"),
        ("strategy-qa", "zs", " not known", None),
        ("last-letter", "zs_cot", ' "f n e l".\n', "fnel"),
        ("last-letter", "zs_cot", " \n", None),
    ],
)
def test_worked_cases(task: str, template: str, text: str, prediction: str | None) -> None:
    assert read(task, template, text) == prediction


@pytest.mark.parametrize(
    ("task", "answer", "gold", "is_correct"),
    [
        ("multiarith", "39.0", "39", False),
        ("gsm8k", "1200", "1,200", True),
        ("gsm8k", "39.00", "39", False),
        ("svamp", "51", "51.0", True),
        ("addsub", "0.6666667", "0.6666666666666666", True),
        ("addsub", "0.66666", "0.6666666666666666", False),
        ("single-eq", "1,000", "1000", True),
        ("last-letter", "Yajo", "yajo", False),
        ("commonsense-qa", "B", "E", False),
        ("addsub", "two", "2", False),
    ],
)
def test_published_equality(task: str, answer: str, gold: str, is_correct: bool) -> None:
    verifier = PublishedEquality(equality=TASKS[task].equality)
    problem = Problem("p", "?", "test")
    sample = Sample("s", Prompt(problem, ()), 0, answer, "stop", answer=answer, is_parsed=True)
    (verdict,) = verifier.verdicts([(sample, Label("p", gold))])
    assert verdict.outcome is (Outcome.CORRECT if is_correct else Outcome.INCORRECT)
    assert verifier.same(answer, gold) is verifier.same(gold, answer) is is_correct


def test_nothing_to_judge_is_no_wrong_answer() -> None:
    sample = Sample("s", Prompt(Problem("p", "?", "test"), ()), 0, "", "stop")
    verifier = PublishedEquality(equality="text")
    outcomes = [one.outcome for one in verifier.verdicts([(sample, Label("p", "yes"))])]
    assert outcomes == [Outcome.FAILED]


def test_all_candidates_are_told() -> None:
    assert read_published("number", "", "10-5 = 5").candidates == ("10", "-5", "5")
    assert CANDIDATES["A-F"]("(F) or (G)") == ["F"]


@given(st.text(), st.sampled_from(["number", "A-C", "A-E", "A-F", "yes-no", "letters"]), st.booleans())
def test_an_answer_is_one_of_the_candidates_whatever_the_text(text: str, rule: str, has_prefix: bool) -> None:
    prefix = "-->" if has_prefix else ""
    found = read_published(rule, prefix, text)  # pyright: ignore[reportArgumentType]
    assert (found.answer is None) is (not found.candidates)
    assert found.answer is None or found.answer in (found.candidates[0], found.candidates[-1])
    assert (found.prefix_at >= 0) is (has_prefix and "-->" in text)


@given(st.text(alphabet="0123456789-., aA\n", max_size=30))
def test_numbers_are_those_of_the_published_expression(text: str) -> None:
    assert CANDIDATES["number"](text) == re.findall(r"-?\d+(?:\.\d+)?", text.replace(",", ""))


@given(st.sampled_from(["text", "digits", "number"]), st.text(max_size=8), st.text(max_size=8))
def test_equality_is_reflexive_and_symmetric(equality: Equality, left: str, right: str) -> None:
    verifier = PublishedEquality(equality=equality)
    assert verifier.same(left, left)
    assert verifier.same(left, right) is verifier.same(right, left)
