"""The selector of Answers: one sample of every problem, by votes and scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.parts import identity_of
from docendo.core.protocols import Selector
from docendo.core.records import Message, Problem, Prompt, Sample, Score, Source
from docendo.core.table import Rows, Table
from docendo.core.verbs import Verbs
from docendo.runs.evaluation import greedy_of
from docendo.runs.selecting import selection_reasons
from docendo.selectors.choose import Choose
from docendo.verifiers.math import Math
from docendo.verifiers.numeric import Numeric
from tests.fakes import House
from tests.selectors.partition import reasons_of

RULES = [
    Choose("majority", Numeric()),
    Choose("best", Numeric(), score="evaluator"),
    Choose("best", Numeric(), score="evaluator", k=2),
    Choose("weighted", Numeric(), score="evaluator"),
    Choose("weighted", Numeric(), score="evaluator", k=8, mean=True),
    Choose("majority-of-best", Numeric(), score="evaluator", top_n=3),
]

rows = st.lists(
    st.tuples(st.sampled_from(["7", "7.0", "8", "9", ""]), st.none() | st.floats(0, 1)),
    min_size=1,
    max_size=8,
)


def columns(given_rows: list[tuple[str, float | None]]) -> dict[str, list[Any]]:
    return {
        "answer": [answer for answer, _ in given_rows],
        "is_parsed": [bool(answer) for answer, _ in given_rows],
        "score:evaluator": [score for _, score in given_rows],
    }


@given(rows, st.sampled_from(RULES))
def test_exactly_one_sample_of_a_problem_is_kept(
    given_rows: list[tuple[str, float | None]], rule: Choose
) -> None:
    reasons = reasons_of(rule, columns(given_rows))
    assert reasons.count(None) == 1
    chosen = reasons.index(None)
    if any(answer for answer, _ in given_rows):
        assert given_rows[chosen][0]
    else:
        assert chosen == 0
    assert {r for r, (a, _) in zip(reasons, given_rows, strict=True) if r and not a} <= {"no answer"}
    assert {r for r, (a, _) in zip(reasons, given_rows, strict=True) if r and a} <= {"not chosen"}


def test_a_table_of_scored_samples_becomes_answers() -> None:
    def sample(number: int, problem: str, answer: str, score: float | None) -> Sample:
        prompt = Prompt(Problem(problem, "?", "test"), (Message("user", "?"),))
        return Sample(
            f"s{number}",
            prompt,
            number,
            answer,
            "stop",
            answer=answer,
            is_parsed=bool(answer),
            scores={"evaluator": Score(score)},
        )

    given_rows = [("p", "7", 0.2), ("p", "7.0", 0.3), ("p", "8", 0.4), ("q", "", 0.9), ("q", "", None)]
    table = Rows(sample(number, *row) for number, row in enumerate(given_rows))

    def kept(rule: Selector) -> list[str]:
        reasons = selection_reasons(table, [rule], 0)
        return [row.id for row, reason in zip(table, reasons, strict=True) if reason is None]

    assert kept(Choose("majority", Numeric())) == ["s0", "s3"]
    assert kept(Choose("best", Numeric(), score="evaluator")) == ["s2", "s3"]
    assert kept(Choose("weighted", Numeric(), score="evaluator")) == ["s1", "s3"]


def test_equivalent_answers_vote_together_as_the_verifier_says() -> None:
    given_columns = {"answer": ["3", "1/2", "0.5", r"\frac{1}{2}"], "is_parsed": [True] * 4}
    assert reasons_of(Choose("majority", Math()), given_columns)[1] is None
    percents = {"answer": ["3", "50%", "1/2"], "is_parsed": [True] * 3}
    assert reasons_of(Choose("majority", Numeric()), percents)[0] is None
    assert reasons_of(Choose("majority", Numeric(percent="hundredths")), percents)[1] is None


def test_every_field_is_in_the_fingerprint() -> None:
    rule = Choose("weighted", Numeric(), score="evaluator", k=8)
    others = [
        replace(rule, by="best"),
        replace(rule, verifier=Numeric(tolerance=0.1)),
        replace(rule, score="other"),
        replace(rule, k=4),
        replace(rule, mean=True),
        Choose("majority-of-best", Numeric(), score="evaluator", top_n=8),
    ]
    identities = [identity_of(one) for one in (rule, *others)]
    assert all(identities.count(one) == 1 for one in identities)
    assert identities[0]["version"] == 1


def test_a_rule_and_its_score_must_fit() -> None:
    with pytest.raises(SettingError, match="rule best was given no score"):
        Choose("best", Numeric())
    with pytest.raises(SettingError, match="score is 'evaluator'; rule majority has no use for it"):
        Choose("majority", Numeric(), score="evaluator")
    with pytest.raises(SettingError, match="k is 0 clusters"):
        Choose("weighted", Numeric(), score="evaluator", k=0)


@dataclass(frozen=True, slots=True)
class Digits:
    """A scorer that likes large answers and cannot read every third sample."""

    version: ClassVar[int] = 1
    name: str = "evaluator"
    source: Source = Source.NONE

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        for place, sample in enumerate(samples):
            yield Score(
                float(sample.answer) if sample.answer.isdigit() and place % 3 else None, "", self.source
            )


def test_answers_chosen_in_a_run_are_complete_and_can_be_evaluated(tmp_path: Path) -> None:
    run = House(tmp_path).run()
    problems = run.problems("test")
    scored = run.score(run.sample(run.base, problems, 5, temperature=1.0), Digits())
    samples = {row.id: row for row in scored}
    for rule in (
        Choose("majority", run.task.verifier),
        Choose("best", run.task.verifier, score="evaluator", k=2),
        Choose("weighted", run.task.verifier, score="evaluator"),
    ):
        answers = run.select(scored, rule)
        assert [row.problem.id for row in answers] == [problem.id for problem in problems]
        judged = greedy_of(run.evaluate(answers))
        assert len(judged) == len(problems)
    best = run.select(scored, Choose("best", run.task.verifier, score="evaluator"))
    for row in best:
        known = [
            value
            for other in samples.values()
            if other.problem.id == row.problem.id and (value := other.scores["evaluator"].value) is not None
        ]
        assert row.scores["evaluator"].value == max(known, default=None)
