from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError, UnknownNameError
from docendo.core.records import Context
from docendo.lab import judgements, models
from docendo.lab.judgements import BLOCK, ORDERS, STEPWISE, JudgementTask, exchanged, proposals, slipped
from docendo.lab.problems import FAMILIES
from docendo.lab.problems.steps import Step, worked, written_steps
from docendo.tasks.conformance import check_task
from docendo.tasks.options import TaskOptions

Make = Callable[[TaskOptions], JudgementTask]
ALL: dict[str, Make] = {
    "stories": judgements.judged_stories,
    "chain": judgements.judged_chain,
    "addition": judgements.judged_addition,
    "letters": judgements.judged_letters,
    "dates": judgements.judged_dates,
    "verbs": judgements.judged_verbs,
}


def all_kinds() -> list[tuple[str, judgements.Proposal]]:
    return [
        (family, kind) for family in FAMILIES if family != "verb-book" for kind in judgements.kinds_of(family)
    ]


@pytest.mark.parametrize(("family", "kind"), all_kinds())
def test_judgements_pass_the_checks_of_tasks(family: str, kind: judgements.Proposal) -> None:
    options = TaskOptions(task_seed=3, proposals=kind)
    checks = check_task(ALL[family](options), ALL[family](options), limit=300)
    assert not [check for check in checks if not check.passed]


@pytest.mark.parametrize(("family", "kind"), all_kinds())
def test_who_sees_the_answer_alone_is_at_chance(family: str, kind: judgements.Proposal) -> None:
    for split, most in (("train", 3 * BLOCK), ("test", 2 * BLOCK + 40)):  # the last block is larger
        rows = list(proposals(family, split, 1, kind, most))
        seen = Counter((row.answer, row.is_right) for row in rows)
        # What is proposed rightly is proposed wrongly as often: no rule over it is right more than half.
        assert all(seen[answer, True] == seen[answer, False] for answer, _ in seen)
        if kind != "solution":
            texts = Counter((row.text, row.is_right) for row in rows)
            assert all(texts[text, True] == texts[text, False] for text, _ in texts)
        assert len(rows) > most * 0.9


@pytest.mark.parametrize(("family", "kind"), [one for one in all_kinds() if one[1] != "bound"])
def test_each_problem_is_there_once_rightly_and_once_wrongly(family: str, kind: judgements.Proposal) -> None:
    rows = list(islice(proposals(family, "train", 0, kind), 2 * BLOCK))
    for one, other in zip(rows[::2], rows[1::2], strict=True):
        assert one.problem == other.problem
        assert one.is_right is not other.is_right
        right, wrong = (one, other) if one.is_right else (other, one)
        assert right.answer == one.problem.answer != wrong.answer
        assert right.text != wrong.text
    assert {row.is_right for row in rows[::2]} == {True, False}  # in no fixed order


@pytest.mark.parametrize("family", [family for family, kind in all_kinds() if kind == "bound"])
def test_a_bound_is_right_just_where_the_answer_is_above_it(family: str) -> None:
    order = ORDERS.get(family, int)
    rows = list(proposals(family, "train", 0, "bound", 2 * BLOCK))
    for row in rows:
        assert row.is_right == (order(row.problem.answer) > order(row.answer))
        assert order(row.problem.answer) != order(row.answer)
    assert max(Counter(row.problem.index for row in rows).values()) == 2


@pytest.mark.parametrize("family", STEPWISE)
def test_a_wrong_solution_has_one_slip_that_leads_to_its_answer(family: str) -> None:
    for row in islice(proposals(family, "train", 0, "solution"), 2 * BLOCK):
        gold = written_steps(row.problem.rationales[0])
        found = written_steps(row.text)
        assert len(found) == len(gold)
        slips = [int(match[5]) != step.result for match, step in found]
        assert sum(slips) == (0 if row.is_right else 1)
        assert found[-1][0][5] == row.answer
        assert row.text.endswith(f" The answer is {row.answer}.")
        assert all(int(match[5]) >= 0 for match, _ in found)
        assert [match[2] for match, _ in found] == [match[2] for match, _ in gold]


@given(
    st.integers(5, 40),
    st.lists(st.tuples(st.sampled_from("+-"), st.integers(1, 5)), min_size=1, max_size=4),
    st.integers(0, 200),
    st.integers(0, 5),
)
def test_a_slip_reaches_any_wrong_answer(
    first: int, more: list[tuple[str, int]], wrong: int, seed: int
) -> None:
    steps: list[Step] = []
    for sign, right in more:
        steps.append(Step(steps[-1].result if steps else first, sign, right))
    if min(step.result for step in steps) < 0 or wrong == steps[-1].result:
        return
    for text in worked(steps):
        made = slipped(text, wrong, Random(seed))
        assert int(written_steps(made)[-1][0][5]) == wrong
        assert sum(int(match[5]) != step.result for match, step in written_steps(made)) == 1


@given(st.lists(st.integers(0, 20), min_size=2, max_size=140), st.integers(0, 10))
def test_exchanged_answers_are_the_same_ones_and_never_in_place(numbers: list[int], seed: int) -> None:
    answers = [str(number) for number in numbers]
    if 2 * max(Counter(answers).values()) > len(answers):
        with pytest.raises(ValueError, match="more than half of the places"):
            exchanged(answers, int, Random(seed))
        return
    found = exchanged(answers, int, Random(seed))
    assert sorted(found) == sorted(answers)
    assert all(one != other for one, other in zip(found, answers, strict=True))


def test_wrong_answers_are_near_on_both_sides() -> None:
    apart = [
        int(row.answer) - int(row.problem.answer)
        for row in islice(proposals("chain", "train"), 8 * BLOCK)
        if not row.is_right
    ]
    assert sum(abs(one) <= 10 for one in apart) > len(apart) / 2
    assert abs(sum(one > 0 for one in apart) / len(apart) - 0.5) < 0.1


def test_groups_are_problems_and_those_of_a_verb_stay_together() -> None:
    chain = list(ALL["chain"](TaskOptions()).problems("train", 40))
    assert len({problem.group for problem in chain}) == 20
    verbs = list(ALL["verbs"](TaskOptions()).problems("train", 64))
    assert len({problem.group for problem in verbs}) == 4
    assert all(problem.question.count("Proposed answer") == 1 for problem in verbs)


def test_kinds_of_proposals_are_told_apart() -> None:
    tasks = [ALL["chain"](TaskOptions(proposals=kind)) for kind in ("answer", "bound", "solution")]
    assert len({str(task.identity) for task in tasks}) == 3
    assert len({next(task.problems("train")).question for task in tasks}) == 3
    with pytest.raises(SettingError, match="is solution; expected answer or bound with task judged-dates"):
        ALL["dates"](TaskOptions(proposals="solution"))
    with pytest.raises(ValueError, match="family letters has no proposal bound; expected answer"):
        next(proposals("letters", "train", kind="bound"))
    with pytest.raises(UnknownNameError, match="unknown split 'pretrain'"):
        ALL["chain"](TaskOptions()).problems("pretrain")


@pytest.mark.parametrize(("family", "kind"), all_kinds())
def test_prompts_fit_into_the_built_in_models(family: str, kind: judgements.Proposal) -> None:
    from docendo.engines.tokenizer import Tokenizer

    tokenizer = Tokenizer.load(models.path("lab/student"))
    task = ALL[family](TaskOptions(proposals=kind))
    for problem in task.problems("test", 400):
        ids = tokenizer.prompt_ids(task.formats["default"].prompt(problem, Context()).messages)
        assert len(ids) < 230
