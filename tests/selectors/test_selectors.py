"""Cap, RandomSubset, Distinct, HasVerdict, Ended: properties, and the numbers of the ReST-EM paper's cap."""

from __future__ import annotations

from collections import Counter
from math import comb
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.parts import identity_of
from docendo.core.protocols import Selector
from docendo.core.records import Message, Outcome, Problem, Prompt, Sample, Verdict
from docendo.core.seeds import derived_rng
from docendo.core.table import Rows
from docendo.runs.selecting import selection_reasons
from docendo.selectors.cap import Cap, RandomSubset
from docendo.selectors.distinct import Distinct, distinct
from docendo.selectors.learnable import Finished, Learnable
from docendo.selectors.verdict import HasVerdict, correct
from tests.selectors.partition import reasons_of

outcomes = st.sampled_from(list(Outcome))


@given(st.integers(0, 12), st.integers(1, 12), st.integers(0, 5))
def test_cap_keeps_the_smaller_of_limit_and_count(count: int, limit: int, seed: int) -> None:
    reasons = reasons_of(Cap(limit), {"problem_id": ["p"] * count}, seed)
    assert reasons.count(None) == min(limit, count)
    assert set(reasons) <= {None, "over the cap"}


@pytest.mark.parametrize("limit", [0, -3])
def test_a_cap_below_one_is_refused(limit: int) -> None:
    with pytest.raises(SettingError, match=f"cap is {limit} rows a problem; expected at least 1"):
        Cap(limit)


def test_a_cap_draws_each_row_equally_often() -> None:
    drawn = Counter[int]()
    for seed in range(3000):
        reasons = Cap(2).reasons({"problem_id": ["p"] * 5}, derived_rng(seed))
        drawn.update(place for place, reason in enumerate(reasons) if reason is None)
    expected, deviation = 3000 * 2 / 5, (3000 * 0.4 * 0.6) ** 0.5
    assert all(abs(drawn[place] - expected) < 4 * deviation for place in range(5))


def _sample(number: int, problem: str, text: str, outcome: Outcome) -> Sample:
    about = Problem(problem, "?", "train")
    return Sample(
        f"s{number}",
        Prompt(about, (Message("user", "?"),)),
        number,
        text,
        "stop",
        verdicts={"verdict": Verdict(outcome)},
    )


def _solved(counts: list[int]) -> Rows[Sample]:
    return Rows(
        _sample(
            number, f"p{place}", f"text {number}", Outcome.CORRECT if number < count else Outcome.INCORRECT
        )
        for place, count in enumerate(counts)
        for number in range(32)
    )


@pytest.mark.parametrize(
    ("selectors", "weights"),
    [
        ([correct], [0.64, 0.32, 0.04, 0.0]),
        ([correct, Cap(10)], [0.4545, 0.4545, 0.0909, 0.0]),
    ],
    ids=["without cap", "cap 10"],
)
def test_a_cap_evens_out_the_weight_of_easy_problems(selectors: list[Selector], weights: list[float]) -> None:
    """32, 16, 2 and 0 of 32 samples are correct: 32/50, 16/50, 2/50; with a cap of 10: 10/22, 10/22, 2/22."""
    samples = _solved([32, 16, 2, 0])
    reasons = selection_reasons(samples, selectors, 0)
    kept = Counter(row.problem.id for row, reason in zip(samples, reasons, strict=True) if reason is None)
    share = [kept[f"p{place}"] / kept.total() for place in range(4)]
    assert [round(value, 4) for value in share] == weights


@pytest.mark.parametrize(
    ("chance", "expected"), [(0.01, 0.32), (0.05, 1.6000), (0.25, 7.7036), (0.5, 9.9851), (0.9, 10.0)]
)
def test_expected_kept_rows_under_the_cap_equal_the_binomial_sum(chance: float, expected: float) -> None:
    """E[min(Bin(32, p), 10)], each count put to the selector itself."""
    kept = [reasons_of(Cap(10), {"problem_id": ["p"] * count}).count(None) for count in range(33)]
    mean = sum(
        comb(32, count) * chance**count * (1 - chance) ** (32 - count) * kept[count] for count in range(33)
    )
    assert round(mean, 4) == expected


@given(st.integers(0, 20), st.integers(0, 25), st.integers(0, 3))
def test_a_random_subset_has_its_size_or_all_there_is(count: int, size: int, seed: int) -> None:
    reasons = reasons_of(RandomSubset(size), {"problem_id": [str(place) for place in range(count)]}, seed)
    assert reasons.count(None) == min(size, count)
    assert set(reasons) <= {None, "not drawn"}


@given(st.lists(st.text(alphabet="ab \n\t", max_size=5), max_size=12))
def test_distinct_keeps_the_first_of_texts_that_are_equal_but_for_white_space(texts: list[str]) -> None:
    reasons = reasons_of(distinct, {"text": texts})
    for place, (text, reason) in enumerate(zip(texts, reasons, strict=True)):
        is_repeated = any(text.split() == earlier.split() for earlier in texts[:place])
        assert reason == ("duplicate" if is_repeated else None)


@given(st.lists(outcomes, max_size=12), st.sets(outcomes, min_size=1))
def test_has_verdict_keeps_the_wanted_and_gives_the_others_their_own_outcome(
    found: list[Outcome], wanted: set[Outcome]
) -> None:
    selector = HasVerdict(tuple(sorted(wanted)), name="vote")
    reasons = reasons_of(selector, {"verdict:vote": [outcome.value for outcome in found]})
    assert reasons == [None if outcome in wanted else outcome.value for outcome in found]


def test_correct_keeps_nothing_undecided_or_failed() -> None:
    columns = {"verdict:verdict": [outcome.value for outcome in Outcome]}
    assert reasons_of(correct, columns) == [None, "incorrect", "undecided", "failed"]


@given(st.lists(st.sampled_from([(True, "12."), (True, ""), (False, "1"), (False, "")]), max_size=8))
def test_what_is_cut_off_or_empty_cannot_be_learned(rows: list[tuple[bool, str]]) -> None:
    faults = ["no end token" if not ended else None if text else "empty" for ended, text in rows]
    texts = [text for _, text in rows]
    examples = {"is_ended": [ended for ended, _ in rows], "learned": texts}
    assert reasons_of(Learnable(), examples) == faults
    samples = {"finish": ["stop" if ended else "length" for ended, _ in rows], "text": texts}
    assert reasons_of(Finished(), samples) == faults


SELECTORS: list[Selector] = [
    correct,
    distinct,
    Cap(1),
    Cap(3),
    RandomSubset(4),
    HasVerdict((Outcome.FAILED,)),
]


@st.composite
def problems_of_samples(draw: st.DrawFn) -> dict[str, list[tuple[str, Outcome]]]:
    """Draw some problems, each with its samples' texts and outcomes."""
    names = draw(st.lists(st.sampled_from("abcde"), unique=True, max_size=4))
    return {
        name: draw(st.lists(st.tuples(st.sampled_from(["x", "y", "x ", "z"]), outcomes), max_size=5))
        for name in names
    }


def _table(problems: dict[str, list[tuple[str, Outcome]]], order: list[str]) -> Rows[Sample]:
    return Rows(
        _sample(number, name, text, outcome)
        for name in order
        for number, (text, outcome) in enumerate(problems[name])
    )


@given(problems_of_samples(), st.lists(st.sampled_from(SELECTORS), max_size=4), st.integers(0, 2))
def test_kept_and_dropped_rows_are_all_rows_each_with_one_reason(
    problems: dict[str, list[tuple[str, Outcome]]], selectors: list[Selector], seed: int
) -> None:
    table = _table(problems, list(problems))
    reasons = selection_reasons(table, selectors, seed)
    assert len(reasons) == len(table)
    whole = Counter(row.problem.id + row.id for row in table)
    kept = Counter(
        row.problem.id + row.id for row, reason in zip(table, reasons, strict=True) if reason is None
    )
    dropped = Counter(
        row.problem.id + row.id for row, reason in zip(table, reasons, strict=True) if reason is not None
    )
    assert kept + dropped == whole


@given(problems_of_samples(), st.lists(st.sampled_from(SELECTORS), max_size=3))
def test_each_selector_sees_what_those_before_it_left(
    problems: dict[str, list[tuple[str, Outcome]]], selectors: list[Selector]
) -> None:
    table = _table(problems, list(problems))
    before: list[str | None] = [None] * len(table)
    for count in range(1, len(selectors) + 1):
        after = selection_reasons(table, selectors[:count], 0)
        assert all(old is None or new == old for old, new in zip(before, after, strict=True))
        before = after


@given(
    problems_of_samples(),
    st.lists(st.sampled_from([correct, distinct, Cap(1), Cap(2)]), min_size=1, max_size=3),
    st.randoms(use_true_random=False),
    st.integers(0, 2),
)
def test_what_is_kept_of_a_problem_does_not_depend_on_the_others(
    problems: dict[str, list[tuple[str, Outcome]]], selectors: list[Selector], shuffled: Any, seed: int
) -> None:
    order = list(problems)
    shuffled.shuffle(order)
    told: list[dict[str, str | None]] = []
    for names in (list(problems), order, order[: len(order) // 2]):
        table = _table(problems, names)
        reasons = selection_reasons(table, selectors, seed)
        told.append({row.problem.id + row.id: reason for row, reason in zip(table, reasons, strict=True)})
    assert told[1] == told[0]
    assert told[2].items() <= told[0].items()


def test_another_seed_draws_other_rows() -> None:
    table = _solved([32, 32])
    drawn = {tuple(selection_reasons(table, [Cap(4)], seed)) for seed in range(20)}
    assert len(drawn) == 20
    assert fmean(reasons.count(None) for reasons in drawn) == 8


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (Cap(3), Cap(4)),
        (RandomSubset(3), RandomSubset(4)),
        (HasVerdict(), HasVerdict(name="vote")),
        (HasVerdict(), HasVerdict((Outcome.INCORRECT,))),
        (Distinct(), Learnable()),
    ],
)
def test_selectors_that_differ_have_different_identities(left: Selector, right: Selector) -> None:
    assert identity_of(left) != identity_of(right)
    assert identity_of(left) == identity_of(left)
