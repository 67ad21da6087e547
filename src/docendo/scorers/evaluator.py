"""The two-way evaluator: is the above solution correct or incorrect?

Liu et al. (2023), arXiv:2310.10047, section 3.2. The model reads a short statement of the problem, a
candidate solution, and the beginning of a sentence that one of two words completes. What it is asked and what
it learns are made by one `Question`, so they cannot differ.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.errors import SettingError
from docendo.core.parts import identity_of
from docendo.core.records import Example, Message, Model, Prompt, Sample, Score, Source
from docendo.core.table import Table
from docendo.core.verbs import Verbs

_SOLUTION = "{solution}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How a candidate solution is put before an evaluator, in prompts and in training rows."""

    version: ClassVar[int] = 1

    words: tuple[str, str] = ("correct", "incorrect")
    """What completes the stem: of a right solution, of a wrong one. Probabilities are summed over all tokens
    of a word, so take words that the model's tokenizer cuts into equally many (paper: these two)."""
    stem: str = "\nThe above candidate solution is"
    """The beginning of the sentence (paper), with what stands between it and the solution."""
    turns: tuple[Message, ...] = (Message("user", "{question}"), Message("assistant", "{solution}"))
    """The turns before the stem, which ends the last of them. ``{question}`` stands for the problem's
    question, ``{solution}``, once, in the last turn, for the whole of the sample's turn."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        if len(set(self.words)) != 2 or not all(word.strip() for word in self.words):
            faults.append(f"words is {','.join(self.words) or 'empty'}; expected two different words")
        told = [turn.content for turn in self.turns]
        if [text.count(_SOLUTION) for text in told] != [0] * (len(told) - 1) + [1]:
            faults.append("turns: expected {solution} once, and in the last turn")
        elif not any("{question}" in text for text in (*told[:-1], told[-1].partition(_SOLUTION)[0])):
            faults.append("turns: expected {question} somewhere before {solution}")
        if faults:
            raise SettingError.of_all(faults)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words as they follow the stem."""
        return tuple(f" {word}" for word in self.words)

    def prompt(self, sample: Sample) -> Prompt:
        """Return what the evaluator is asked about a sample."""
        before, text = self._parts(sample)
        last = before[-1]
        whole = (*before[:-1], Message(last.role, last.content + text))
        return Prompt(sample.problem, whole, (sample.id,))

    def labelled(self, sample: Sample, *, is_right: bool) -> Example:
        """Return the training row that says whether a sample is right."""
        return Example(
            self.prompt(sample).messages,
            choices=self.choices,
            probabilities=(1.0, 0.0) if is_right else (0.0, 1.0),
            problem_id=sample.problem.id,
            parents=(sample.id,),
        )

    def pair(self, right: Sample, wrong: Sample) -> Example:
        """Return the training row that prefers one sample of a problem to another."""
        (before, chosen), (_, rejected) = self._parts(right), self._parts(wrong)
        return Example(
            before,
            chosen=chosen,
            rejected=rejected,
            choices=self.choices,
            problem_id=right.problem.id,
            parents=(right.id, wrong.id),
        )

    def for_margin(self, pairs: Table[tuple[Sample, Sample]]) -> Table[Example]:
        """Return the rows that `EvaluatorMargin` learns from: one for each pair (right, wrong)."""
        return pairs.map(self.pair, key=["evaluator-pair", identity_of(self)])

    def for_xent(self, pairs: Table[tuple[Sample, Sample]]) -> Table[Example]:
        """Return the rows that `Xent` learns from: what is right of each pair, then what is wrong."""

        def chosen(right: Sample, wrong: Sample) -> Example:
            return self.labelled(right, is_right=True)

        def rejected(right: Sample, wrong: Sample) -> Example:
            return self.labelled(wrong, is_right=False)

        about = identity_of(self)
        return pairs.map(chosen, key=["evaluator-right", about]) + pairs.map(
            rejected, key=["evaluator-wrong", about]
        )

    def _parts(self, sample: Sample) -> tuple[tuple[Message, ...], str]:
        """Return the turns up to the solution, and what goes on from there."""
        # Not str.format: solutions and questions may have braces of their own.
        *turns, last = self.turns
        head, _, tail = last.content.partition(_SOLUTION)
        filled = [
            Message(turn.role, turn.content.replace("{question}", sample.problem.question))
            for turn in (*turns, Message(last.role, head))
        ]
        return tuple(filled), sample.full_text.strip() + tail + self.stem


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """Score a sample by the probability that it is called correct rather than incorrect.

    Range: ``[0, 1]``; greater is better. With l the log-probabilities of the two words after the stem::

        s = 1 / (1 + exp(l_incorrect - l_correct))

    Scores of one evaluator can be added up over samples, as the weighted vote does. A sample that failed, or
    does not fit into the evaluator's context, has no score.
    """

    version: ClassVar[int] = 1

    model: Model
    question: Question = Question()
    name: str = "evaluator"
    """Under which its scores stand on the samples."""
    source: Source = Source.SELF

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order."""
        asked = samples.map(self.question.prompt, key=["evaluator", identity_of(self.question)])
        found = run.logprobs(self.model, asked, self.question.choices, name=self.name)
        for sample, (_, logprobs) in zip(samples, found, strict=True):
            if sample.status == "failed":
                yield Score(None, "the sample failed", self.source)
            elif not logprobs.values:
                yield Score(None, "does not fit into the evaluator's context", self.source)
            else:
                yield Score(two_way(*logprobs.values), "", self.source)


def two_way(right: float, wrong: float) -> float:
    """Return the probability of the first of two words, of their log-probabilities.

    Example:
        >>> round(two_way(-1.2, -2.0), 5)
        0.68997
    """
    lead = right - wrong
    return 1 / (1 + math.exp(-lead)) if lead >= 0 else math.exp(lead) / (1 + math.exp(lead))
