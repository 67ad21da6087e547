"""Settings of exams: what recipes that score lessons by exams have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from docendo.core.checks import Checks
from docendo.core.errors import SettingError
from docendo.core.protocols import Task
from docendo.core.records import Model
from docendo.scorers.exams import (
    ExamMaker,
    FixedList,
    LexicallyNearest,
    NearestByEmbedding,
    SameGroup,
)
from docendo.scorers.student_exam import StudentExam


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamSettings:
    """How exams are chosen and sat. Where the paper's value is another one than ours, it stands behind it."""

    exam_choice: Literal["group", "embedding", "words", "list"] = "group"
    """Which problems are exams. group: of the same group, as given variants are. embedding: the nearest by
    the embeddings of their questions (paper); needs an embedder. words: with the most similar words. list:
    those of exam_ids."""
    exam_split: str = "exams"
    """Split of the exam problems; any but test."""
    exam_problems: int = 3
    """q, exam problems for each problem. Paper: 3 variants, or 2 neighbours. Not of a list."""
    exam_ids: tuple[str, ...] = ()
    """The exam problems of exam_choice list."""
    exam_repeats: int = 1
    """r, answers of each student to each exam problem. Paper: 3. More than 1 needs a student_temperature."""
    student_temperature: float = 0.0
    """Temperature of the students; 0: greedy. Paper: 0.7, and 0 for code."""
    student_top_k: int = 0
    """The students draw from so many most likely tokens; 0: from all. Paper: 20."""
    least_similarity: float = 0.0
    """Exam problems less similar than this are left out; a problem without any falls back to the vote. In
    [0, 1]: cosine of embeddings, or share of like words."""

    def __post_init__(self) -> None:
        checks = Checks(self).at_least(1, "exam_problems", "exam_repeats")
        checks.at_least(0, "student_temperature", "student_top_k").share("least_similarity")
        checks.that(
            self.exam_split != "test",
            "exam_split is test, whose gold answers nobody may read; name another split",
        )
        checks.that(
            (self.exam_choice == "list") == bool(self.exam_ids),
            f"exam_choice is {self.exam_choice} and exam_ids has {len(self.exam_ids)} ids; a list needs ids, "
            "and nothing else does",
        )
        checks.that(
            self.student_temperature > 0 or self.exam_repeats == 1,
            f"student_temperature is 0 and exam_repeats is {self.exam_repeats}; a greedy student answers "
            "once: set a temperature, or 1 repeat",
        ).done()

    @property
    def roles(self) -> tuple[str, ...]:
        """Roles that the choice of exams cannot do without."""
        return ("embedder",) if self.exam_choice == "embedding" else ()

    def of(self, students: Sequence[Model], task: Task, embedder: Model | None = None) -> StudentExam:
        """Return the Scorer with these students.

        Args:
            students: Who sits the exams.
            task: Where the exam problems come from.
            embedder: Whose embeddings tell what is near; needed where `roles` names it.

        Raises:
            SettingError: The task has no such split.
        """
        if self.exam_split not in task.splits:
            raise SettingError(
                f"exam_split is {self.exam_split!r}; task {task.name} has {', '.join(task.splits)}",
                hint="variants of its problems are what exams are best of; without any: --exam-split train "
                "--exam-choice words, or embedding with an --embedder",
            )
        return StudentExam(
            students=tuple(students),
            maker=self._maker(embedder),
            repeats=self.exam_repeats,
            temperature=self.student_temperature,
            top_k=self.student_top_k,
            least_similarity=self.least_similarity,
        )

    def _maker(self, embedder: Model | None) -> ExamMaker:
        split, count = self.exam_split, self.exam_problems
        match self.exam_choice:
            case "group":
                return SameGroup(split=split, count=count)
            case "embedding":
                if embedder is None:
                    raise SettingError(
                        "exam_choice is embedding, and there is no embedder", hint="name one with --embedder"
                    )
                return NearestByEmbedding(embedder=embedder, split=split, count=count)
            case "words":
                return LexicallyNearest(split=split, count=count)
            case "list":
                return FixedList(split=split, ids=self.exam_ids)
