"""Gold answers and rationales are right: worked out again from the text, not by the generator's own code."""

from __future__ import annotations

import datetime
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.lab.problems import FAMILIES
from docendo.lab.problems.words import NAMES

places = st.tuples(
    st.sampled_from(["train", "validation", "test"]), st.integers(0, 400), st.integers(0, 2**40)
)

OPERATION = r"(?:\+|-|\*|/|plus|minus|times|divided by)"
STEP = re.compile(rf"(\d+(?: {OPERATION} \d+)+) (?:=|is|makes) (\d+)\.")
SIGNS = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
STORY_NUMBER = re.compile(r"\b\d+\b")


def evaluate(expression: str) -> float:
    for word, sign in SIGNS.items():
        expression = expression.replace(word, sign)
    assert re.fullmatch(r"[\d+*/ -]+", expression)
    return eval(expression)


def steps(rationale: str) -> list[tuple[str, int]]:
    found = [(left, int(right)) for left, right in STEP.findall(rationale)]
    assert found, rationale
    return found


@given(places)
@settings(max_examples=300)
def test_every_step_of_a_story_is_right_and_the_last_is_the_answer(place):
    problem = FAMILIES["stories"].problem(*place)
    for rationale in problem.rationales:
        found = steps(rationale)
        assert all(evaluate(left) == right for left, right in found)
        assert all(0 < right <= 100 for _, right in found)
        assert 2 <= len(found) <= 4
        assert str(found[-1][1]) == problem.answer
        assert len(re.findall(r"\.", rationale)) == len(found) + rationale.startswith("Start with")


@given(places)
@settings(max_examples=300)
def test_a_story_uses_each_of_its_numbers_once(place):
    """Every number that the rationale brings in stands in the question, in the order of the question."""
    problem = FAMILIES["stories"].problem(*place)
    found = steps(next(text for text in problem.rationales if "=" in text and "Start" not in text))
    results = [right for _, right in found]
    brought: list[int] = []
    known: list[int] = []
    for left, result in found:
        for number in map(int, re.findall(r"\d+", left)):
            if number in known:
                known.remove(number)
            else:
                brought.append(number)
        known.append(result)
    assert sorted(brought) == sorted(map(int, STORY_NUMBER.findall(problem.question))), (problem, results)


@given(places)
def test_chain_answer_is_the_value_of_the_sum(place):
    problem = FAMILIES["chain"].problem(*place)
    found = re.search(r"\d+(?: [-+*] \d+)+", problem.question)
    assert found
    assert evaluate(found[0]) == int(problem.answer)
    for rationale in problem.rationales:
        assert all(evaluate(left) == right for left, right in steps(rationale))
        assert str(steps(rationale)[-1][1]) == problem.answer


@given(places)
def test_addition_answer_is_the_sum_and_its_columns_spell_it(place):
    problem = FAMILIES["addition"].problem(*place)
    assert sum(map(int, re.findall(r"\d+", problem.question))) == int(problem.answer)
    for rationale in problem.rationales:
        columns = steps(rationale)
        assert all(evaluate(left) == right for left, right in columns)
        lowest, middle, highest = (right for _, right in columns)
        assert f"{highest}{middle % 10}{lowest % 10}" == problem.answer


@given(places)
def test_letters_answer_joins_the_last_letters(place):
    problem = FAMILIES["letters"].problem(*place)
    names = [word for word in re.findall(r"\w+", problem.question) if word in NAMES]
    assert "".join(name[-1] for name in names) == problem.answer
    for rationale in problem.rationales:
        sentences = rationale.removesuffix(".").split(". ")
        assert "".join(sentence[-1] for sentence in sentences) == problem.answer


@given(places)
def test_dates_answer_is_the_calendars(place):
    problem = FAMILIES["dates"].problem(*place)
    found = re.search(r"([A-Z][a-z]+ \d+)", re.sub(r"^(It|Today|On)\b", "", problem.question))
    days = re.search(r"(\d+) days", problem.question)
    assert found
    assert days
    date = datetime.datetime.strptime(f"{found[1]} 2023", "%B %d %Y")  # 2023: 365 days
    sign = 1 if problem.group.startswith("after") else -1
    target = date + datetime.timedelta(days=sign * int(days[1]))
    assert problem.answer == f"{target:%B} {target.day}"
    for rationale in problem.rationales:
        assert all(evaluate(left) == right for left, right in steps(rationale))
        assert str(steps(rationale)[-1][1]) == problem.answer.split()[1]


@given(places)
def test_verbs_mean_the_same_in_a_group_and_only_one_meaning_fits(place):
    split, index, seed = place
    family = FAMILIES["verbs"]
    group = [family.problem(split, index // 8 * 8 + number, seed) for number in range(8)]
    assert len({problem.group for problem in group}) == 1
    signs = set[str]()
    for problem in group:
        n, m = map(int, re.findall(r"\d+", problem.question))
        assert len({n + m, n - m, n * m}) == 3
        signs |= {sign for sign in "+-*" if evaluate(f"{n} {sign} {m}") == int(problem.answer)}
        assert f" {problem.group}s " in problem.question
        assert all(evaluate(left) == right for text in problem.rationales for left, right in steps(text))
    assert len(signs) == 1
