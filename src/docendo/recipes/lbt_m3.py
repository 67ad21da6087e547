"""LbT-M3: a set of exemplars, made better by what several students get wrong after learning from it.

Ning, Wang, Li, Lin et al. (2024), arXiv:2406.14629, section 5, algorithm A2 and the released patch.

    I  the teacher writes sets of K exemplars, or they are drawn from the training problems
    for each round
        E  every student answers a fresh draw of exam problems with each kept set; failures are pooled
        R  for each kept set: the teacher says why its exemplars misled the students
        W  ... and writes a better set for each reflection
        S  the teacher answers a fixed scoring set with each kept and each new set
        B  the best sets, equal ones once, go on
    return the teacher with that set of all rounds' best which does best on the validation split

Departures, each a setting or said here:
  - The released code draws the scoring problems anew each time (``fixed_scoring=False``); then the best score
    may fall from round to round. Its candidates are the new sets and the old ones, as here.
  - The paper takes the set with the best training score and looks at test data every round; here validation
    decides, and test is seen once.
  - A model that cannot write exemplars on demand can revise by example (``writing=solved``): exemplars are
    replaced by the worked solutions of failed exam problems. No words of reflection then.
  - Score: accuracy, as in the released code; the paper says F1 (``score=f1``, with ``positive`` of the run).
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from docendo.core.checks import Checks
from docendo.core.errors import SettingError
from docendo.core.records import Label, Model, Problem, Prompt, Sample
from docendo.core.seeds import derived_rng
from docendo.core.table import Rows, Table
from docendo.examples.exemplar_sets import (
    SHORTEST_REFLECTION,
    Exemplars,
    Failure,
    asking_for_better,
    asking_for_exemplars,
    asking_why,
    of_solved,
    read_exemplars,
    with_failures,
)
from docendo.metrics.f1 import f1_of
from docendo.runs.recipe import Arm, Spec, recipe
from docendo.runs.run import Run

Solved = tuple[Problem, Label]


@dataclass(frozen=True, slots=True, kw_only=True)
class LbtM3Config:
    """Settings of LbT-M3."""

    rounds: int = 3
    """Paper: 5."""
    exemplars: int = 3
    """K, worked examples in a set. Paper: 8."""
    beam: int = 4
    """Sets that go on. Paper: 4."""
    children: int = 4
    """New sets of each kept one. Paper: 8; released code: 4."""
    exams: int = 48
    """Exam problems of a round, drawn from the training problems. Released code: 64."""
    failures: int = 2
    """Failed exam problems that are shown to the writer. Released code: 4."""
    scoring_problems: int = 200
    """Training problems on which the teacher scores the sets. Released code: up to 2,048 over all sets."""
    fixed_scoring: bool = True
    """The same scoring problems in every round; otherwise drawn anew, as in the released code."""
    writing: Literal["prompted", "solved"] = "solved"
    """prompted: the teacher writes and reflects in words (paper). solved: exemplars are solved training
    problems, and failed exam problems take their places; what a model can do that follows no instructions."""
    start: Literal["written", "drawn"] = "drawn"
    """First sets: written by the teacher (paper), or drawn from the training problems, as many of each answer
    as can be (released option)."""
    about: str = "Answer the question."
    """What the task is, in words, for the writer."""
    temperature: float = 0.7
    """Temperature of the writer. Students and teacher answer greedily."""
    score: Literal["accuracy", "f1"] = "accuracy"
    """What a set is scored by: accuracy, or F1 of the run's positive class."""

    def __post_init__(self) -> None:
        names = ("rounds", "exemplars", "beam", "children", "exams", "failures", "scoring_problems")
        checks = Checks(self).at_least(1, *names).at_least(0, "temperature")
        checks.that(
            self.writing == "prompted" or self.start == "drawn",
            "start is written and writing is solved; expected start drawn, for nobody writes",
        ).done()

    def request_bound(self, run: Run) -> int:
        """Return the most requests that a run sends; what it sends depends on what students get wrong."""
        several = len(_students(run))
        test = run.settings.test_problems or len(run.problems("test"))
        alone = self._bound_with(1, run, test) if several > 1 else 0  # the arm of the first student
        return self._bound_with(several, run, test) + alone + test  # and the first set's answers

    def _bound_with(self, students: int, run: Run, test: int) -> int:
        sets = self.beam * (1 + self.children)
        written = self.beam + 2 * self.rounds * self.beam * self.children
        each_round = self.beam * self.exams * students + sets * self.scoring_problems + test
        validation = run.settings.validation_problems or len(run.problems("validation"))
        first = self.beam * self.scoring_problems
        return written + first + self.rounds * each_round + (self.rounds + 1) * validation


def _initial(run: Run, config: LbtM3Config) -> Model:
    """Return the teacher with the best of the first sets."""
    found = _scored(run, config, _first_sets(run, config), 0)
    return run.base.using(shots=found[0][1])


def _one_student(run: Run, config: LbtM3Config) -> Model:
    """Return what comes out with the first student alone."""
    return _refined(run, config, _students(run)[:1])


def _arms(config: LbtM3Config) -> Sequence[Arm]:
    return [Arm("initial set", _initial), Arm("one student", _one_student, is_rival=False)]


@recipe(
    Spec(task="verb-book", roles=("student",), arms=_arms, rivals=("base", "majority"), has_unverified=False)
)
def lbt_m3(run: Run, config: LbtM3Config) -> Model:
    """Return the teacher with the exemplar set that its students' failures made best."""
    return _refined(run, config, _students(run))


def _refined(run: Run, config: LbtM3Config, students: Sequence[Model]) -> Model:
    if config.score == "f1" and not run.settings.positive:
        raise SettingError(
            "score is f1, but no answer is named as the positive class", hint="name it with --positive"
        )
    beam = _scored(run, config, _first_sets(run, config), 0)[: config.beam]  # I
    finalists = [beam[0][1]]
    _tell(run, beam)
    for round in run.rounds(config.rounds):
        kept = [exemplars for _, exemplars in beam]
        failed = _failures(run, config, students, kept)  # E
        new = _rewritten(run, config, kept, failed)  # R, W
        beam = _scored(run, config, _once([*kept, *new]), round)[: config.beam]  # S, B
        finalists.append(beam[0][1])
        _tell(run, beam)
        run.evaluate(run.base.using(shots=beam[0][1]))
    return run.best([run.base.using(shots=exemplars) for exemplars in _once(finalists)])


def _tell(run: Run, beam: Sequence[tuple[float, Exemplars]]) -> None:
    """Put the scores of the kept sets into the result."""
    run.facts[f"scores of the sets kept after round {run.round}"] = " / ".join(
        f"{score:.3f}" for score, _ in beam
    )


def _students(run: Run) -> list[Model]:
    """Return the models in the role of students; the teacher itself where there are none."""
    return list(run.models_of("student")) or [run.base]


def _solved(run: Run) -> list[Solved]:
    return list(run.problems("train").join(run.labels("train")))


def _scoring(run: Run, config: LbtM3Config, round: int) -> list[Solved]:
    """Return the problems on which sets are scored."""
    rng = derived_rng("lbt-m3 scoring", run.seed, 0 if config.fixed_scoring else round)
    solved = _solved(run)
    return rng.sample(solved, min(config.scoring_problems, len(solved)))


def _first_sets(run: Run, config: LbtM3Config) -> list[Exemplars]:
    if config.start == "written":
        asked = Rows([asking_for_exemplars(config.about, config.exemplars)])
        texts = run.sample(run.base, asked, config.beam, temperature=config.temperature, name="exemplars")
        return _once(_read(run, config, texts))
    banned = {problem.id for problem, _ in _scoring(run, config, 0)}
    pool = [row for row in _solved(run) if row[0].id not in banned]
    return _once(
        of_solved(pool, config.exemplars, derived_rng("lbt-m3 set", run.seed, place))
        for place in range(config.beam)
    )


def _failures(
    run: Run, config: LbtM3Config, students: Sequence[Model], kept: Sequence[Exemplars]
) -> list[list[Failure]]:
    """Return for each set what any student got wrong after learning from it."""
    banned = {problem.id for problem, _ in _scoring(run, config, run.round)}
    pool = [row for row in _solved(run) if row[0].id not in banned]
    rng = derived_rng("lbt-m3 exams", run.seed, run.round)
    exams = dict.fromkeys(rng.sample(pool, min(config.exams, len(pool))))
    labels = {problem.id: label for problem, label in exams}
    failed: list[list[Failure]] = [[] for _ in kept]
    for place, student in enumerate(students):
        answers = _asked(run, student, kept, [problem for problem, _ in exams], f"exams-{place + 1}")
        for number, sample in enumerate(answers):
            if not sample.is_correct:
                about = sample.problem
                failed[number // len(exams)].append(Failure(about, sample, labels[about.id]))
    return failed


def _rewritten(
    run: Run, config: LbtM3Config, kept: Sequence[Exemplars], failed: Sequence[Sequence[Failure]]
) -> list[Exemplars]:
    """Return the new sets of a round; a set without failures has none."""
    shown: list[tuple[Exemplars, list[Failure], random.Random]] = []
    for place, (exemplars, failures) in enumerate(zip(kept, failed, strict=True)):
        for child in range(config.children if failures else 0):
            rng = derived_rng("lbt-m3 child", run.seed, run.round, place, child)
            shown.append((exemplars, rng.sample(failures, min(config.failures, len(failures))), rng))
    if config.writing == "solved":
        return [with_failures(exemplars, failures, rng) for exemplars, failures, rng in shown]
    if not shown:
        return []
    asked = Rows([asking_why(exemplars, failures) for exemplars, failures, _ in shown])
    reasons = list(run.sample(run.base, asked, temperature=config.temperature, name="reflections"))
    better = Rows(
        [
            asking_for_better(exemplars, failures, reason, config.exemplars)
            for (exemplars, failures, _), reason in zip(shown, reasons, strict=True)
            if len(reason.text.split()) >= SHORTEST_REFLECTION
        ]
    )
    return _read(run, config, run.sample(run.base, better, temperature=config.temperature, name="better"))


def _read(run: Run, config: LbtM3Config, texts: Table[Sample]) -> list[Exemplars]:
    """Read sets off what was written; one with fewer exemplars than asked for is left out, and counted."""
    found = [read_exemplars(sample.text, config.exemplars, (sample.id,)) for sample in texts]
    unread = sum(one is None for one in found)
    run.facts["sets that could not be read"] = run.facts.get("sets that could not be read", 0) + unread
    if unread == len(found):
        raise SettingError(
            f"{run.base.checkpoint.name} wrote no set of {config.exemplars} exemplars that can be read",
            hint="a model that follows no instructions revises with --writing solved --start drawn",
        )
    return [one for one in found if one is not None]


def _scored(
    run: Run, config: LbtM3Config, sets: Sequence[Exemplars], round: int
) -> list[tuple[float, Exemplars]]:
    """Return the sets with the teacher's score, the best first; of equals the earlier."""
    problems = _scoring(run, config, round)
    labels = {problem.id: label for problem, label in problems}
    answers = list(_asked(run, run.base, sets, [problem for problem, _ in problems], "scoring"))
    size = len(problems)
    found = [
        (_score(run, config, answers[place * size : (place + 1) * size], labels), exemplars)
        for place, exemplars in enumerate(sets)
    ]
    return sorted(found, key=lambda one: -one[0])


def _asked(
    run: Run, model: Model, sets: Sequence[Exemplars], problems: Sequence[Problem], name: str
) -> Table[Sample]:
    """Put every problem to a model with every set before it, set by set, and judge the answers."""
    shape = run.format_of(model)
    prompts: list[Prompt] = []
    for exemplars in sets:
        context = model.using(shots=exemplars).context
        prompts += [shape.prompt(problem, context) for problem in problems]
    return run.verify(run.sample(model, Rows(prompts), name=name))


def _score(run: Run, config: LbtM3Config, answers: Sequence[Sample], labels: Mapping[str, Label]) -> float:
    if config.score == "accuracy":
        return sum(sample.is_correct for sample in answers) / max(1, len(answers))
    positive, same = run.settings.positive, run.task.verifier.same
    return f1_of(
        [sample.is_parsed and same(sample.answer, positive) for sample in answers],
        [same(labels[sample.problem.id].answer, positive) for sample in answers],
    )


def _once(sets: Iterable[Exemplars]) -> list[Exemplars]:
    """Return the sets without repeats; equal texts are equal sets, whoever wrote them."""
    found: dict[tuple[tuple[str, str, str], ...], Exemplars] = {}
    for exemplars in sets:
        found.setdefault(tuple((shot.question, shot.rationale, shot.answer) for shot in exemplars), exemplars)
    return list(found.values())
