"""LbT M1: choose among a teacher's answers by how well students do after its lessons.

Ning, Wang, Li, Lin et al. (2024), "Can LLMs Learn by Teaching for Better Reasoning?", arXiv:2406.14629,
section 3.1 and algorithm A1, and the released code. No weights change; students learn in their context alone.

    T  draw n pairs (rationale, answer) of every problem from the teacher
    E  each student answers q exam problems, r times, with a pair as the last worked example before each
    S  score of a pair: share of its exams that came out right
    A  put equal answers together; return the one with the best pair (MAX) or the largest sum of scores (SUM),
       which is self-consistency with weighted votes

What it knows: the gold answers of the exam problems, which are variants or neighbours of the problem. Plain
self-consistency knows none, so two arms spend the same problems as worked examples instead.

Departures, each a setting or stated:
  - Ties: algorithm A1 takes the first, the released code the answer with more votes. Here: more votes, then
    the answer that came first.
  - One equivalence of answers groups and grades them; the released code groups by strings.
  - Several students: the exams of all count alike. The paper does not say; the released script reads one.
  - AVG, the mean score of an answer's pairs, is in the released code alone.
  - Problems without an exam that is similar enough fall back to self-consistency (``least_similarity``).
  - Code, where MAX goes by the exams' visible tests, needs the sandbox: such tasks cannot be opened yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Literal

from docendo.core.checks import Checks
from docendo.core.records import Model, Problem, Prompt, Sample
from docendo.core.table import Rows, Table
from docendo.examples.demonstrations import has_solution
from docendo.metrics.choosing import Rule
from docendo.metrics.exams import exam_facts
from docendo.runs.recipe import Arm, Choosing, Spec, recipe
from docendo.runs.run import Run
from docendo.scorers.exam_settings import ExamSettings
from docendo.scorers.exams import Exams, shown
from docendo.scorers.shuffled import Shuffled
from docendo.scorers.student_exam import StudentExam, marks_in
from docendo.selectors.choose import Choose

RuleName = Literal["sum", "max", "avg"]
RULES: Mapping[RuleName, Rule] = {
    "sum": Rule("weighted"),
    "max": Rule("best"),
    "avg": Rule("weighted", mean=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LbtM1Config:
    """Settings of LbT M1. Where the paper's value is another one than ours, it stands behind it."""

    samples_per_problem: int = 8
    """n, pairs of rationale and answer drawn of each problem. Paper: 256, 24 or 16; 8 for code."""
    temperature: float = 0.8
    """Temperature of the teacher. Paper: 0.7."""
    top_k: int = 0
    """The teacher draws from so many most likely tokens; 0: from all. Paper: 20."""
    rule: RuleName = "sum"
    """sum: the answer whose pairs have the largest sum of scores. max: with the best pair. avg: with the best
    mean. Of equal ones the answer with more votes, then the one that came first."""
    shots: int = 0
    """Worked training problems in front of every prompt, of teacher and students. Paper: 4."""
    exam: ExamSettings = field(default_factory=ExamSettings)

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(1, "samples_per_problem").at_least(0, "top_k", "shots")
        checks.above(0, "temperature").that(
            self.rule in RULES, f"rule is {self.rule!r}; expected {', '.join(RULES)}"
        ).done()


def _arms(config: LbtM1Config) -> Sequence[Arm]:
    others = [Arm(rule, _by(rule), is_rival=False) for rule in RULES if rule != config.rule]
    return [
        Arm("self-consistency", self_consistency),
        Arm("equal-generations", equal_generations),
        Arm("equal-tokens", equal_tokens),
        Arm("exam-answers", exam_answers),
        Arm("exam-solutions", exam_solutions, is_rival=False),  # gold rationales: more than exams know
        Arm("shuffled", shuffled, is_rival=False),
        Arm("shuffled-over-all", shuffled_over_all, is_rival=False),
        *others,
    ]


def _choosing(config: LbtM1Config) -> Choosing:
    return Choosing(
        scored=lambda run: run.score(_pairs(run, config), _exam(run, config)),
        score="exam",
        rules={**RULES, "self-consistency": Rule("majority")},
        own=config.rule,
        vote="self-consistency",
        further=lambda run: _further_pairs(run, config),
        needs=lambda run: _exam(run, config).needs(_pairs(run, config), run),
        judges=lambda score: {mark.student: mark.share for mark in marks_in(score.reason)},
    )


def _needs(config: LbtM1Config) -> Sequence[str]:
    return config.exam.roles


@recipe(
    Spec(
        task="verb-lessons",
        roles=("student", "embedder"),
        needs=_needs,
        arms=_arms,
        rivals=("base", "majority"),
        choosing=_choosing,
    )
)
def lbt_m1(run: Run, config: LbtM1Config) -> Table[Sample]:
    """Return for each test problem the answer whose lessons taught best."""
    exam = _exam(run, config)
    pairs = _pairs(run, config)  # T
    scored = run.score(pairs, exam)  # E, S
    _tell(run, config, scored, exam.answers(pairs, run))
    return run.select(scored, _chosen_by(run, config.rule))  # A


def _by(rule: RuleName) -> Callable[[Run, LbtM1Config], Table[Sample]]:
    def chosen(run: Run, config: LbtM1Config) -> Table[Sample]:
        scored = run.score(_pairs(run, config), _exam(run, config))
        return run.select(scored, _chosen_by(run, rule))

    return chosen


def shuffled(run: Run, config: LbtM1Config) -> Table[Sample]:
    """Choose as the method does, by scores that were exchanged among a problem's pairs."""
    return _by_shuffled(run, config, "problem")


def shuffled_over_all(run: Run, config: LbtM1Config) -> Table[Sample]:
    """Choose as the method does, by scores that were exchanged among the pairs of all problems."""
    return _by_shuffled(run, config, "run")


def _by_shuffled(run: Run, config: LbtM1Config, over: Literal["problem", "run"]) -> Table[Sample]:
    scored = run.score(_pairs(run, config), Shuffled(_exam(run, config), over))
    return run.select(scored, _chosen_by(run, config.rule))


def self_consistency(run: Run, config: LbtM1Config) -> Table[Sample]:
    """Vote among the very same pairs."""
    return run.select(_pairs(run, config), Choose("majority", run.task.verifier))


def equal_generations(run: Run, config: LbtM1Config) -> Table[Sample]:
    """Vote among n (1 + m q r) pairs: as many completions as the method may ask of teacher and students."""
    return run.select(_more_pairs(run, config), Choose("majority", run.task.verifier))


def equal_tokens(run: Run, config: LbtM1Config) -> Table[Sample]:
    """Vote among as many of those pairs as have the tokens that the method had written for the problem."""
    pairs, more = _pairs(run, config), _more_pairs(run, config)
    answers = _exam(run, config).answers(pairs, run)
    vote = Choose("majority", run.task.verifier)
    if not all(table.is_known for table in (more, *answers)):  # a plan
        return run.select(more, vote)
    budget = Counter[str]()
    for sample in pairs:
        budget[sample.problem.id] += sample.generated_tokens
    for problem_id, sample in _by_lesson(pairs, answers):
        budget[problem_id] += sample.generated_tokens

    def affordable(samples: list[Sample]) -> Iterator[Sample]:
        spent = accumulate(sample.generated_tokens for sample in samples)
        own = budget[samples[0].problem.id]
        return (sample for sample, tokens in zip(samples, spent, strict=True) if tokens <= own)

    return run.select(more.groups(affordable), vote)


def exam_answers(run: Run, config: LbtM1Config) -> Table[Sample]:
    """Spend the same gold answers otherwise: as worked examples without a rationale, answered greedily."""
    return _with_exams_prompted(run, config, with_solutions=False)


def exam_solutions(run: Run, config: LbtM1Config) -> Table[Sample]:
    """Show the gold rationales of the exam problems too, of which the method knows nothing."""
    return _with_exams_prompted(run, config, with_solutions=True)


def _with_exams_prompted(run: Run, config: LbtM1Config, *, with_solutions: bool) -> Table[Sample]:
    teacher, maker, taught = _prompted(run, config, run.base), _exam(run, config).maker, run.problems("test")
    rows = maker.exams(taught, run.problems(maker.split), run)
    exams = Rows(rows) if rows.is_known else rows  # found once
    used = [exam.problem for own in exams for exam in own] if exams.is_known else []
    shape, labels = run.format_of(teacher), {x.problem_id: x for x in run.labels(maker.split, of=used)}

    def prompt(problem: Problem, own: Exams) -> Prompt:
        shots = (shown(one.problem, labels[one.problem.id], with_solution=with_solutions) for one in own)
        return shape.prompt(problem, replace(teacher.context, shots=(*teacher.context.shots, *shots)))

    return run.sample(teacher, taught.zip(exams).map(prompt), name="with-exams-shown")


def _pairs(run: Run, config: LbtM1Config) -> Table[Sample]:
    return _drawn(run, config, config.samples_per_problem, 0, "pairs")


def _more_pairs(run: Run, config: LbtM1Config) -> Table[Sample]:
    return _pairs(run, config) + _further_pairs(run, config)


def _further_pairs(run: Run, config: LbtM1Config) -> Table[Sample]:
    n = config.samples_per_problem
    return _drawn(run, config, n * _exam(run, config).answers_each, n, "further-pairs")


def _drawn(run: Run, config: LbtM1Config, n: int, first: int, name: str) -> Table[Sample]:
    teacher, heat, top_k = _prompted(run, config, run.base), config.temperature, config.top_k
    return run.sample(teacher, run.problems("test"), n, first=first, temperature=heat, top_k=top_k, name=name)


def _exam(run: Run, config: LbtM1Config) -> StudentExam:
    """Return the exams; without other students the teacher is its own."""
    students = run.models_of("student") or (run.base,)
    prompted = [_prompted(run, config, student) for student in students]
    return config.exam.of(prompted, run.task, *map(run.model, config.exam.roles))


def _prompted(run: Run, config: LbtM1Config, model: Model) -> Model:
    """Return a Model with the first worked training problems in its prompt."""
    if not config.shots:
        return model
    solved = run.problems("train").join(run.labels("train").where(has_solution))
    shots = [shown(problem, label) for problem, label in solved]
    return model.using(shots=tuple(shots[: config.shots]))


def _by_lesson(pairs: Table[Sample], answers: Sequence[Table[Sample]]) -> Iterator[tuple[str, Sample]]:
    """Yield the students' answers, each with the id of the problem whose lesson stood before it."""
    found = pairs.columns(["id", "problem_id"])
    taught = dict(zip(found["id"], found["problem_id"], strict=True))
    return ((taught[sample.parents[-1]], sample) for table in answers for sample in table)


def _tell(run: Run, config: LbtM1Config, scored: Table[Sample], answers: Sequence[Table[Sample]]) -> None:
    """Put the scores' spread and the number of completions among the facts."""
    if not all(table.is_known for table in (scored, *answers)):
        return
    by_problem: dict[str, list[float | None]] = {}
    for sample in scored:
        by_problem.setdefault(sample.problem.id, []).append(sample.scores["exam"].value)
    asked = Counter(problem_id for problem_id, _ in _by_lesson(scored, answers))
    bound = config.samples_per_problem * (1 + _exam(run, config).answers_each)
    run.facts |= exam_facts(list(by_problem.values()), [asked[one] for one in by_problem], bound)


def _chosen_by(run: Run, rule: RuleName) -> Choose:
    found = RULES[rule]
    return Choose(found.by, run.task.verifier, score="exam", mean=found.mean)
