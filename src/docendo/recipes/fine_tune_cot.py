"""Fine-tune-CoT: a large teacher writes rationales, a small student learns those that end right.

Ho, Schmid and Yun (2022), arXiv:2212.10071, section 3 and the released code.

    T  draw D rationales of every problem from the teacher
    A  go on after each with the answer trigger, and read the answer                    (zero-shot-CoT only)
    F  keep the rationales whose answer is correct
    S  fine-tune the student on (question, rationale, gold answer), from its own base
    return the student, or its best epoch on the validation split

Departures, each a setting:
  - The released code scores every epoch on the test split and reports the best; here the epoch is chosen on
    the validation split. ``choose_epoch`` can be the last one, or, marked as such, the best on test.
  - No duplicates are removed in the released code; ``deduplicate`` does it.
  - The paper's D = 1 is one greedy rationale; D > 1 are drawn at 0.7, and D of them are always the first of
    more, as here.
  - A rationale that ran into the token limit is kept where its answer is right, as in the released code;
    ``keep_truncated=False`` drops it.
  - What is written behind the rationale is the gold answer, as published; the arms that keep wrong rationales
    write the teacher's own answer, so that they hold no gold.
  - Epochs, batch and learning rate of the paper's API models are not known; its open students had AdamW,
    3e-4, batch 8, 20 epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from docendo.core.checks import Checks
from docendo.core.losses import Optimizer
from docendo.core.protocols import Selector
from docendo.core.records import Example, Label, Model, Problem, Prompt, Sample, Shot
from docendo.core.table import Table
from docendo.metrics.lessons import lesson_facts
from docendo.runs.recipe import Arm, Spec, recipe
from docendo.runs.run import Run
from docendo.selectors.distinct import distinct
from docendo.selectors.learnable import Finished
from docendo.selectors.verdict import correct

TRIGGER = "Therefore, the answer is"
"""The second call's trigger, the same for every task (released code)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuneCotConfig:
    """Settings of Fine-tune-CoT. Where the paper's value is another one than ours, it stands behind it."""

    samples_per_problem: int = 2
    """D, rationales drawn of each problem ("diverse reasoning"). Paper: 1, 8 or 64."""
    temperature: float = 0.7
    """Temperature of the teacher. Paper: 0.7, and 0 where D is 1."""
    teacher_format: str = "default"
    """Format in which the teacher is asked: one of the task's."""
    teacher_tokens: int = 128
    """Longest rationale, and longest answer of the second call. Paper: 128; 512 in one study."""
    two_calls: bool = False
    """Ask for the answer in a second call (zero-shot-CoT, paper); otherwise read it off the first."""
    answer_format: str = "direct"
    """Format of answers without a rationale: of the answer-only arm, and of the untrained student's."""
    shots: int = 1
    """Worked training problems in the few-shot arm's prompt; 0: no such arm. Paper: 4 to 8."""
    deduplicate: bool = False
    """Keep each rationale of a problem once. Released code: no."""
    keep_truncated: bool = True
    """Keep rationales that ran into the token limit if the answer is right. Released code: yes."""
    degrees: tuple[int, ...] = ()
    """Also train on the first so many rationales of each problem, each an arm. Paper: 1, 2, 4, 8, ... 64."""
    epochs: int = 4
    """Passes over the kept rationales. Paper: 20 for the open students."""
    choose_epoch: Literal["validation", "last", "test"] = "validation"
    """The epoch with the most correct validation answers, or the last. Released code: the best on test, which
    flatters: the result says so, and its verdict is never ``improved``."""
    optimizer: Optimizer = field(default_factory=lambda: Optimizer(learning_rate=2e-3))

    def __post_init__(self) -> None:
        most = self.samples_per_problem
        checks = Checks(self).at_least(1, "samples_per_problem", "teacher_tokens", "epochs")
        checks.at_least(0, "shots", "temperature")
        checks.that(
            self.temperature > 0 or most <= 1,
            f"temperature is 0 and samples_per_problem is {most}; "
            "expected a temperature above 0, or 1 rationale",
        )
        checks.that(
            all(1 <= degree < most for degree in self.degrees),
            f"degrees is {','.join(map(str, self.degrees))}; expected numbers from 1 to {most - 1}, below "
            "samples_per_problem",
        ).done()


def _arms(config: FineTuneCotConfig) -> Sequence[Arm]:
    arms = [
        Arm("answer-only", answer_only),
        Arm("unfiltered", unfiltered, is_rival=False),
        Arm("zero-shot", zero_shot),
        Arm("teacher", teacher, is_rival=False),
    ]
    if config.shots:
        arms.append(Arm("few-shot", few_shot))
    return arms + [Arm(f"{degree} a problem", _degree(degree), is_rival=False) for degree in config.degrees]


@recipe(Spec(roles=("teacher",), arms=_arms, rivals=("base", "majority")))
def fine_tune_cot(run: Run, config: FineTuneCotConfig) -> Model:
    """Return the student that learned the teacher's right rationales."""
    lessons = _lessons(run, config)
    kept = run.select(lessons, *_filters(config))  # F
    if lessons.is_known and kept.is_known:  # not in a plan
        told, learned = lessons.columns(["status", "verdict"]), kept.columns(["problem_id", "text"])
        run.facts |= lesson_facts(*told.values(), *learned.values())
    return _student(run, config, _reformatted(run, kept))


def answer_only(run: Run, config: FineTuneCotConfig) -> Model:
    """Return the student that learned the gold answers alone: "vanilla fine-tuning"."""
    student = run.base.using(format=config.answer_format)
    shape = run.format_of(student)

    def direct(problem: Problem, label: Label) -> Example:
        prompt = shape.prompt(problem, student.context)
        return Example(prompt.messages, completion=shape.target("", label.answer), problem_id=problem.id)

    return _student(run, config, run.problems("train").join(run.labels("train")).map(direct), student)


def unfiltered(run: Run, config: FineTuneCotConfig) -> Model:
    """Return the student that learned all rationales with an answer, right or wrong."""
    return _student(run, config, _reformatted(run, _lessons(run, config)))


def zero_shot(run: Run, config: FineTuneCotConfig) -> Model:
    """Return the untrained student, asked for the answer alone."""
    return run.base.using(format=config.answer_format)


def few_shot(run: Run, config: FineTuneCotConfig) -> Model:
    """Return the untrained student with worked training problems in its prompt."""
    solved = run.problems("train").join(run.labels("train"))
    shots = [
        Shot(problem.question, label.solution, label.answer) for problem, label in solved if label.solution
    ][: config.shots]
    if len(shots) < config.shots:
        run.note(f"few-shot: {len(shots)} worked training problems for {config.shots} shots")
    return run.base.using(shots=tuple(shots))


def teacher(run: Run, config: FineTuneCotConfig) -> Model | Table[Sample]:
    """Return the teacher's own answers to the test problems."""
    asked = run.model("teacher").using(format=config.teacher_format)
    if not config.two_calls:
        return asked
    told = run.sample(
        asked, run.problems("test"), max_new_tokens=config.teacher_tokens, name="test-rationales"
    )
    return _answered(run, asked, told, config, "test-answers")


def _degree(degree: int) -> Callable[[Run, FineTuneCotConfig], Model]:
    def fewer(run: Run, config: FineTuneCotConfig) -> Model:
        def is_early(sample: Sample) -> bool:
            return sample.number < degree

        kept = run.select(_lessons(run, config).where(is_early), *_filters(config))
        return _student(run, config, _reformatted(run, kept))

    return fewer


def _lessons(run: Run, config: FineTuneCotConfig) -> Table[Sample]:
    """Return the teacher's samples of the training problems, judged, with their rationales (T, A)."""
    asked = run.model("teacher").using(format=config.teacher_format)
    told = run.sample(  # T
        asked,
        run.problems("train"),
        config.samples_per_problem,
        temperature=config.temperature,
        max_new_tokens=config.teacher_tokens,
        name="rationales",
    )
    if not config.two_calls:
        return run.verify(told)
    answered = run.verify(_answered(run, asked, told, config, "answers"))  # A
    return answered.zip(told).map(_as_one)


def _answered(
    run: Run, asked: Model, told: Table[Sample], config: FineTuneCotConfig, name: str
) -> Table[Sample]:
    prompts = told.map(_with_trigger)
    return run.sample(asked, prompts, max_new_tokens=config.teacher_tokens, name=name)


def _with_trigger(sample: Sample) -> Prompt:
    return sample.prompt.continued(sample, f"\n{TRIGGER}")


def _as_one(answered: Sample, told: Sample) -> Sample:
    """Return the rationale's sample with the answer and the verdict of the second call."""
    return replace(
        told,
        rationale=told.text.strip(),
        answer=answered.answer,
        is_parsed=answered.is_parsed,
        verdicts=answered.verdicts,
    )


def _filters(config: FineTuneCotConfig) -> tuple[Selector, ...]:
    whole = [] if config.keep_truncated else [Finished()]
    return (correct, *whole, *([distinct] if config.deduplicate else []))


def _reformatted(run: Run, kept: Table[Any]) -> Table[Example]:
    """Write each kept rationale in the student's Format, with the gold answer behind it."""
    shape, student = run.format_of(run.base), run.base

    def example(sample: Sample, label: Label) -> Example:
        prompt = shape.prompt(sample.problem, student.context)
        answer = label.answer if sample.is_correct else sample.answer
        return Example(
            prompt.messages,
            completion=shape.target(sample.rationale, answer),
            problem_id=sample.problem.id,
            parents=(sample.id,),
        )

    return kept.where(_has_answer).join(run.labels("train")).map(example)


def _has_answer(sample: Sample) -> bool:
    return sample.is_parsed


def _student(run: Run, config: FineTuneCotConfig, rows: Table[Any], start: Model | None = None) -> Model:
    """Fine-tune the student from its own base and choose the epoch (S)."""
    trained = run.train(start or run.base, rows, optimizer=config.optimizer, epochs=config.epochs)
    if config.choose_epoch == "last":
        return trained
    choose = run.best if config.choose_epoch == "validation" else run.best_on_test
    return choose(trained.snapshots)
