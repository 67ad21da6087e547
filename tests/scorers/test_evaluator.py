"""The two-way evaluator and the likelihood: what they ask, what they learn from, what they score."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.losses import EvaluatorMargin, Optimizer, Xent
from docendo.core.parts import identity_of
from docendo.core.records import Message, Problem, Prompt, Sample, Source
from docendo.core.table import Rows
from docendo.core.verbs import Scorer
from docendo.engines.scripted import ScriptedEngine
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from docendo.runs.plan import Plan
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.scorers.evaluator import Evaluator, Question, two_way
from docendo.scorers.likelihood import Likelihood
from docendo.trainers.trainer import AccelerateTrainer
from tests.fakes import House
from tests.trainers.tiny import write_model

SMALL = RunSettings(train_problems=6, validation_problems=4, test_problems=4, max_new_tokens=12)
STILL = Optimizer(batch_rows=64, learning_rate=1e-12)
PLAIN = Question(turns=(Message("text", "Problem: {question}\nSolution: {solution}"),))
JUDGE = Question(
    turns=(Message("system", "You judge."), Message("user", "{question}\n{solution}")), stem=" It is"
)


def sample(question: str = "What is 3 + 4?", text: str = " 3 + 4 is 7.", prefix: str = "") -> Sample:
    about = Problem("p", question, "train")
    before = (Message("assistant", prefix),) if prefix else ()
    return Sample("s", Prompt(about, (Message("user", "Tell me"), *before)), 0, text, "stop")


# -- the score -----------------------------------------------------------------------------------------------


def test_the_worked_score() -> None:
    assert two_way(-1.2, -2.0) == pytest.approx(0.68997, abs=5e-6)
    assert math.log(two_way(-1.2, -2.0)) == pytest.approx(-0.37110, abs=5e-6)


@given(st.floats(-1e4, 0), st.floats(-1e4, 0))
def test_the_probabilities_of_both_words_are_one_and_never_leave_the_range(one: float, other: float) -> None:
    assert 0 <= two_way(one, other) <= 1
    assert two_way(one, other) + two_way(other, one) == pytest.approx(1)


# -- what is asked is what is learned ------------------------------------------------------------------------


@given(st.text(), st.text(min_size=1), st.sampled_from([Question(), PLAIN, JUDGE]))
def test_both_kinds_of_rows_hold_the_very_prompt_that_is_asked(
    asked: str, text: str, question: Question
) -> None:
    right, wrong = sample(asked, text), sample(asked, text + " No.")
    prompt = question.prompt(right)
    assert prompt.parents == ("s",)
    pair = question.pair(right, wrong)
    assert pair.chosen is not None
    last = pair.prompt[-1]
    assert (*pair.prompt[:-1], Message(last.role, last.content + pair.chosen)) == prompt.messages
    assert question.labelled(right, is_right=True).prompt == prompt.messages
    assert pair.choices == question.labelled(wrong, is_right=False).choices == question.choices
    assert prompt.messages[-1].content.endswith(question.stem)


def test_the_default_prompt_is_problem_solution_and_the_stem_of_the_paper() -> None:
    found = Question().prompt(sample(text=" so {question} is 7. ", prefix="Let me think,"))
    assert found.messages == (
        Message("user", "What is 3 + 4?"),
        Message("assistant", "Let me think, so {question} is 7.\nThe above candidate solution is"),
    )
    assert Question().choices == (" correct", " incorrect")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"words": ("right", "right")}, "words is right,right; expected two different words"),
        ({"words": ("right", " ")}, "expected two different words"),
        ({"turns": (Message("user", "{question}"),)}, "expected {solution} once, and in the last turn"),
        ({"turns": ()}, "expected {solution} once"),
        ({"turns": (Message("user", "{solution} {question}"),)}, "expected {question} somewhere before"),
        ({"turns": (Message("user", "{solution}"), Message("user", "{question}"))}, "in the last turn"),
    ],
)
def test_questions_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError) as caught:
        Question(**settings)
    assert message in caught.value.message


def test_every_part_of_the_question_counts_in_the_fingerprint(tmp_path: Path) -> None:
    base = House(tmp_path).base
    questions = [Question(), replace(Question(), stem=" It is"), Question(words=("a", "b")), PLAIN]
    found = [identity_of(Evaluator(model=base, question=question)) for question in questions]
    assert all(one not in found[:place] for place, one in enumerate(found))


# -- through a run -------------------------------------------------------------------------------------------


def scripted(tmp_path: Path) -> tuple[Run, ScriptedEngine]:
    engine = ScriptedEngine(
        lambda messages, seed: " It is 7. The answer is 7.",
        likelihood=lambda messages, text: -1.2 if text == " correct" else -2.0,
    )
    run = House(tmp_path, settings=SMALL).run()
    run._engine = lambda name: engine  # type: ignore[assignment, return-value]
    return run, engine


def test_an_evaluator_is_asked_once_a_sample_and_a_failed_sample_has_no_score(tmp_path: Path) -> None:
    run, engine = scripted(tmp_path)
    samples = list(run.sample(run.base, run.problems("train")))
    rows = Rows([*samples[:3], replace(samples[3], id="lost", status="failed", text="")])
    engine.asked.clear()
    evaluator = Evaluator(model=run.base)
    assert isinstance(evaluator, Scorer)
    scored = [one.scores["evaluator"] for one in run.score(rows, evaluator)]
    assert [one.value for one in scored[:3]] == [pytest.approx(0.68997, abs=5e-6)] * 3
    assert (scored[3].value, scored[3].reason) == (None, "the sample failed")
    assert {one.source for one in scored} == {Source.SELF}
    assert [request.continuations for request in engine.asked] == [(" correct", " incorrect")] * 4
    run.score(rows, evaluator)
    assert len(engine.asked) == 4


@pytest.mark.parametrize("kind", [Evaluator, Likelihood])
def test_a_plan_lists_the_stages_of_a_scorer(tmp_path: Path, kind: Any) -> None:
    run = House(tmp_path, settings=SMALL).run(plan=Plan())
    samples = run.sample(run.base, run.problems("train"))
    scorer = kind(model=run.base)
    assert not run.score(samples, scorer).is_known
    assert run.plan is not None
    assert [stage.kind for stage in run.plan.stages] == ["sample", "read", "logprobs", "score"]


@pytest.fixture(scope="module")
def engine() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(TransformersOptions(device="cpu", workers=1))
    yield engine
    engine.close()


@pytest.fixture
def real(tmp_path: Path, engine: TransformersEngine) -> House:
    write_model(tmp_path / "base")
    trainer: Any = AccelerateTrainer(threads=1, device="cpu")
    return House(tmp_path, settings=SMALL, engine=engine, trainer=trainer)  # type: ignore[arg-type]


@pytest.mark.parametrize("question", [Question(), PLAIN, JUDGE])
def test_what_is_trained_on_is_what_is_scored(real: House, question: Question) -> None:
    """A step that changes nothing measures the margins and losses that follow from the scores."""
    run = real.run()
    samples = list(run.sample(run.base, run.problems("train"), 2, temperature=1.0))
    scored = run.score(Rows(samples), Evaluator(model=run.base, question=question))
    values = [one.scores["evaluator"].value or 0.0 for one in scored]
    right, wrong = samples[::2], samples[1::2]
    pairs = Rows([question.pair(*both) for both in zip(right, wrong, strict=True)])
    leads = [math.log(one) - math.log(other) for one, other in zip(values[::2], values[1::2], strict=True)]

    def trained(rows: Any, loss: Any) -> Any:
        run.train(run.base, rows, loss, optimizer=STILL)
        last = max(
            (one for one in real.workspace.all_sealed() if one.kind == "train"),
            key=lambda one: one.record["first_made"]["at"],
        )
        return last.record["epochs"][0]

    margin = trained(pairs, EvaluatorMargin(margin=0.5))
    assert margin["measures"]["margin"] == pytest.approx(sum(leads) / len(leads), abs=1e-4)
    assert margin["train_loss"] == pytest.approx(
        sum(max(0.0, 0.5 - lead) for lead in leads) / len(leads), abs=1e-4
    )
    labelled = [question.labelled(one, is_right=place % 2 == 0) for place, one in enumerate(samples)]
    losses = [-math.log(v if place % 2 == 0 else 1 - v) for place, v in enumerate(values)]
    xent = trained(Rows(labelled), Xent())
    assert xent["train_loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-4)


def test_the_likelihood_is_that_of_the_sampled_tokens(real: House) -> None:
    run = real.run()
    drawn = run.sample(run.base, run.problems("train"), 2, temperature=1.0, logprobs=True)
    scorer = Likelihood(model=run.base.using(system="Whatever."))
    assert isinstance(scorer, Scorer)
    scored = list(run.score(drawn, scorer))
    assert len(scored) == 12
    for one in scored:
        assert one.token_logprobs is not None
        assert one.scores["likelihood"].value == pytest.approx(sum(one.token_logprobs), abs=1e-3)
    lost = Rows([replace(scored[0], id="lost", status="failed")])
    (found,) = run.score(lost, Likelihood(model=run.base, name="other"))
    assert found.scores["other"].value is None
