"""Scores by exams: a lesson is as good as its students' answers to other problems.

Ning et al. (2024), arXiv:2406.14629, section 3.1, steps 2 and 3 of algorithm A1. With the sample's question,
rationale and answer as the last worked example before it, each student answers q exam problems, r times each:

    score(sample) = right answers / answers        pooled over students, exam problems and repeats

How several students are pooled is not stated in the paper; the released script reads one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from docendo.core.checks import Checks
from docendo.core.errors import SettingError
from docendo.core.parts import identity_of
from docendo.core.protocols import Format
from docendo.core.records import (
    Message,
    Model,
    Outcome,
    Problem,
    Prompt,
    Sample,
    Score,
    Shot,
    Source,
)
from docendo.core.seeds import digest_of
from docendo.core.table import Rows, Table, Unknown
from docendo.core.verbs import Verbs
from docendo.scorers.exams import Exam, ExamMaker, Exams
from docendo.tasks.formats import question_with_choices

Sheet = tuple[str, tuple[Message, ...]]
"""What one exam is known by: the exam problem and what is sent. Equal ones are asked once."""
ByProblem = Mapping[str, Exams]
"""The exams of each problem, by its id."""
Marks = tuple[int, int]
"""Right answers, answers."""
_MARKS = re.compile(r"([^,\s][^,]*?) (\d+)/(\d+)(?:,|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentExam:
    """Score a sample by how its students do in exams. Range [0, 1]; greater is better.

    A sample without a readable answer teaches nothing and has no score; neither has one whose problem has no
    exam, or none that is similar enough. So where scores decide, such a problem falls back to the vote.
    Answers that failed to come count neither way.

    Of a sample's score the reason tells each student's marks, ``lab/base 3/3, lab/student 1/3``, and the
    least similarity of its exams where it was measured; `marks_in` reads them.
    """

    version: ClassVar[int] = 1

    students: tuple[Model, ...]
    """S_1 to S_m, each in its own Context: shots of its own stand before the lesson."""
    maker: ExamMaker
    repeats: int = 3
    """r, answers of each student to each exam problem; a greedy student answers once. Count, >= 1."""
    temperature: float = 0.7
    """Of the students; 0: greedy."""
    top_k: int = 20
    """The students draw from so many most likely tokens; 0: from all."""
    least_similarity: float = 0.0
    """Exam problems below it are left out. In [0, 1]."""
    name: str = "exam"
    source: Source = Source.GOLD

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(1, "repeats").at_least(0, "temperature", "top_k")
        checks.share("least_similarity")
        checks.that(bool(self.students), "there is no student; expected at least one").done()

    @property
    def draws(self) -> int:
        """How often a student is asked the same: r, or once where it is greedy."""
        return self.repeats if self.temperature > 0 else 1

    @property
    def answers_each(self) -> int:
        """At most so many answers for one sample: m q r."""
        return len(self.students) * self.maker.count * self.draws

    def answers(self, samples: Table[Sample], run: Verbs) -> tuple[Table[Sample], ...]:
        """Return the verified answers of each student: one stage each, for all samples of all problems."""
        exams = self._exams(samples, run)
        return tuple(self._sat(seat, samples, exams, run) for seat in self._seats(run))

    def needs(self, samples: Table[Sample], run: Verbs) -> Mapping[str, tuple[str, ...]]:
        """Return for each sample's id the ids of the students' answers that its score rests on.

        Samples that say the same share them, for each exam is asked once.
        """
        seats, exams = self._seats(run), self._exams(samples, run)
        given = [_given(self._sat(seat, samples, exams, run)) for seat in seats]  # a plan ends here
        return {
            sample.id: tuple(
                answer
                for seat, known in zip(seats, given, strict=True)
                for exam in self._taken(sample, (exams or {})[sample.problem.id])
                for answer in known.get(_sheet(seat.prompt(sample, exam)), ())
            )
            for sample in samples
        }

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order.

        Raises:
            SettingError: No problem has an exam.
        """
        seats, exams = self._seats(run), self._exams(samples, run)
        answers = [self._sat(seat, samples, exams, run) for seat in seats]
        marks = [_marks(table) for table in answers]  # a plan ends here
        for sample in samples:
            own = (exams or {})[sample.problem.id]
            taken = self._taken(sample, own)
            if not taken:
                yield Score(None, self._why_none(sample, own), self.source)
                continue
            by_student = [
                _sum(known.get(_sheet(seat.prompt(sample, exam)), (0, 0)) for exam in taken)
                for seat, known in zip(seats, marks, strict=True)
            ]
            yield self._score(by_student, min(exam.similarity for exam in taken))

    def _seats(self, run: Verbs) -> list[_Seat]:
        return [_Seat(student, run.format_of(student)) for student in self.students]

    def _sat(self, seat: _Seat, samples: Table[Sample], exams: ByProblem | None, run: Verbs) -> Table[Sample]:
        unknown = exams is None
        prompts = self._unknown(seat, samples) if unknown else self._prompts(seat, samples, exams)
        name = f"{self.name}-{seat.name}"
        answered = run.sample(
            seat.student, prompts, self.draws, temperature=self.temperature, top_k=self.top_k, name=name
        )
        return run.verify(answered, name=f"{name}-verdict")

    def _prompts(self, seat: _Seat, samples: Table[Sample], exams: ByProblem) -> Table[Prompt]:
        """Return what a student is sent: each exam once, also where several samples say the same."""
        found: dict[Sheet, Prompt] = {}
        for sample in samples:
            for exam in self._taken(sample, exams[sample.problem.id]):
                prompt = seat.prompt(sample, exam)
                found.setdefault(_sheet(prompt), prompt)
        return Rows(found.values(), sources=samples.sources, stages=samples.stages)

    def _unknown(self, seat: _Seat, samples: Table[Sample]) -> Table[Prompt]:
        """Return what stands in a plan for the exams of samples that are not there yet."""
        bound = None if samples.bound is None else samples.bound * self.maker.count
        asked = digest_of(["exams", samples.plan_key, identity_of(self), identity_of(seat.student)])
        return Unknown(bound, asked=asked, sources=samples.sources, stages=samples.stages)

    def _exams(self, samples: Table[Sample], run: Verbs) -> ByProblem | None:
        """Return the exams of each problem of the samples, by its id; None where a plan cannot know them."""
        taught: Table[Problem] = samples.map(_problem, key="problem")
        if samples.is_known:
            distinct = {problem.id: problem for problem in taught}
            taught = Rows(distinct.values(), sources=samples.sources, stages=samples.stages)
        pool = run.problems(self.maker.split)
        rows = self.maker.exams(taught, pool, run)
        if not rows.is_known:
            return None
        found = {problem.id: exams for problem, exams in zip(taught, rows, strict=True)}
        if found and not any(found.values()):
            raise SettingError(
                f"none of {len(found):,} problems has an exam in split {self.maker.split} ({len(pool):,})",
                hint="by group, variants must have the group of their problem; or choose exams by nearness",
            )
        return found

    def _taken(self, sample: Sample, exams: Sequence[Exam]) -> list[Exam]:
        """Return the exams that a sample's students sit."""
        return [exam for exam in exams if sample.is_parsed and exam.similarity >= self.least_similarity]

    def _why_none(self, sample: Sample, exams: Sequence[Exam]) -> str:
        if not sample.is_parsed:
            return "no answer"
        if not exams:
            return "no exam"
        return f"no exam is similar: {exams[0].similarity:.2f} is below {self.least_similarity:g}"

    def _score(self, by_student: Sequence[Marks], similarity: float) -> Score:
        right, asked = _sum(by_student)
        if not asked:
            return Score(None, "no answer of a student came", self.source)
        names = [_name(student) for student in self.students]
        told = ", ".join(f"{name} {own[0]}/{own[1]}" for name, own in zip(names, by_student, strict=True))
        return Score(
            right / asked, told if similarity == 1 else f"{told}, similarity {similarity:.2f}", self.source
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """What one student made of the exams after one lesson."""

    student: str
    right: int
    asked: int

    @property
    def share(self) -> float | None:
        """What the score would be with this student alone; None where no answer of it came."""
        return self.right / self.asked if self.asked else None


def marks_in(reason: str) -> tuple[Mark, ...]:
    """Read the marks off a score's reason, in the students' order; empty without a score.

    Example:
        >>> marks_in("lab/base 3/3, lab/student 1/3, similarity 0.81")
        (Mark(student='lab/base', right=3, asked=3), Mark(student='lab/student', right=1, asked=3))
    """
    return tuple(Mark(name, int(right), int(asked)) for name, right, asked in _MARKS.findall(reason))


@dataclass(frozen=True, slots=True)
class _Seat:
    """A student and its Format."""

    student: Model
    shape: Format

    @property
    def name(self) -> str:
        return _name(self.student).split("/")[-1]

    def prompt(self, sample: Sample, exam: Exam) -> Prompt:
        """Return an exam problem after the sample as the last worked example; the sample is its parent."""
        lesson = Shot(
            question_with_choices(sample.problem), sample.rationale, sample.answer, parents=(sample.id,)
        )
        context = self.student.context
        return self.shape.prompt(exam.problem, replace(context, shots=(*context.shots, lesson)))


def _problem(sample: Sample) -> Problem:
    return sample.problem


def _name(student: Model) -> str:
    return student.checkpoint.name or student.checkpoint.digest[:8]


def _sheet(prompt: Prompt) -> Sheet:
    return prompt.problem.id, prompt.messages


def _given(answers: Table[Sample]) -> Mapping[Sheet, list[str]]:
    """Return the ids of the answers to each exam, those that failed to come too."""
    found: dict[Sheet, list[str]] = {}
    for sample in answers:
        found.setdefault(_sheet(sample.prompt), []).append(sample.id)
    return found


def _marks(answers: Table[Sample]) -> Mapping[Sheet, Marks]:
    """Count the right answers to each exam, and those that came."""
    found: dict[Sheet, Marks] = {}
    for sample in answers:
        if sample.status == "ok":
            (verdict,) = sample.verdicts.values()
            own = (int(verdict.outcome is Outcome.CORRECT), 1)
            sheet = _sheet(sample.prompt)
            found[sheet] = _sum((found.get(sheet, (0, 0)), own))
    return found


def _sum(marks: Iterable[Marks]) -> Marks:
    right = asked = 0
    for one in marks:
        right, asked = right + one[0], asked + one[1]
    return right, asked
