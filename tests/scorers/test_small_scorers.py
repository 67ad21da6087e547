"""Agreement, verdicts as scores, rescaling: on scripted samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from docendo.core.records import Message, Problem, Prompt, Sample, Score, Source
from docendo.core.table import Rows
from docendo.core.verbs import Scorer
from docendo.scorers.agreement import Agreement
from docendo.scorers.correctness import Correctness
from docendo.scorers.rescaled import Rescaled
from docendo.verifiers.numeric import Numeric
from tests.fakes import House


def said(place: int, problem: str, answer: str) -> Sample:
    prompt = Prompt(Problem(problem, "?", "train"), (Message("user", "?"),))
    return Sample(
        str(place),
        prompt,
        place,
        answer,
        "stop",
        answer=answer,
        is_parsed=bool(answer),
        scores={"reward": Score(None if not answer else float(len(answer)))},
    )


SAMPLES = Rows(
    said(place, problem, answer)
    for place, (problem, answer) in enumerate(
        [("a", "18"), ("b", "7"), ("a", "18.0"), ("a", ""), ("b", "8"), ("a", "24")]
    )
)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_agreement_is_the_share_of_the_problem_s_samples(house: House) -> None:
    scorer = Agreement(verifier=Numeric())
    assert isinstance(scorer, Scorer)
    found = list(scorer.scores(SAMPLES, house.run()))
    assert [score.value for score in found] == [0.5, 0.5, 0.5, 0.0, 0.5, 0.25]
    assert found[3].reason == "no answer"
    assert {score.source for score in found} == {Source.VOTE}


def test_a_verdict_is_1_or_0(house: House) -> None:
    run = house.run()
    samples = run.sample(run.base, run.problems("train"), 3, temperature=1.0)
    scorer = Correctness(verifier=run.task.verifier)
    assert isinstance(scorer, Scorer)
    assert scorer.source is Source.GOLD
    judged = [sample.is_correct for sample in run.verify(samples)]
    assert [score.value for score in scorer.scores(samples, run)] == [float(one) for one in judged]
    assert 0 < sum(judged) < len(judged)


def test_rescaling_is_over_the_whole_table(house: House) -> None:
    found = [score.value for score in Rescaled(source=Source.SELF).scores(SAMPLES, house.run())]
    assert found == pytest.approx([1 / 3, 0.0, 1.0, None, 0.0, 1 / 3])


def test_they_are_stages(house: House) -> None:
    run = house.run()
    samples = run.sample(run.base, run.problems("train"), 3, temperature=1.0)
    scored = run.score(samples, Correctness(verifier=run.task.verifier, name="reward"))
    both = run.score(scored, Rescaled(source=Source.GOLD))
    for sample, judged in zip(both, run.verify(samples), strict=True):
        assert sample.scores["reward"].value == sample.scores["rescaled"].value == float(judged.is_correct)
    assert Source.GOLD in both.sources
