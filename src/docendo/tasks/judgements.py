"""Judgements: questions that one of two words answers, with as many of the one as of the other.

What weak-to-strong generalization is measured on (Burns et al. 2023, arXiv:2312.09390, appendix A: every data
set is made binary and balanced). The Problem's ``choices`` are the two words, class 0 first; the gold answer
is one of them. The default Format ends in a slot in which the word stands, so the same prompt serves a
classification head, which reads its classes off the slot, and a language model, which writes the word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from docendo.core.errors import SettingError
from docendo.core.protocols import Format
from docendo.core.records import Context, Message, Problem, Prompt, Reading
from docendo.core.seeds import derived_seed
from docendo.tasks.formats import formats_for, parents_of
from docendo.tasks.gold import GoldRow
from docendo.tasks.options import TaskOptions
from docendo.tasks.rows import RowsTask, normalised_question
from docendo.verifiers.choice import Choice

RIGHT_OR_WRONG = ("no", "yes")
"""Class 0: what is proposed is wrong. Class 1: it is right."""
JUDGEMENT_OPTIONS = ("data_dir", "validation_size", "test_size", "task_seed")
"""Options that tasks of judgements heed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """Ask for one word: the model's turn is begun up to the place where the word stands.

    With plain text the turn is begun in the same words behind ``A:``, for models without a chat template.
    A Problem's choices are the words themselves and are not listed.
    """

    version: ClassVar[int] = 1

    words: tuple[str, ...]
    """Each answers; a text that begins with none of them cannot be read."""
    begun: str = "The answer is"
    """Begins the model's turn; the word stands behind it."""
    is_plain: bool = False
    """Put everything as one plain text."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        if len(set(self.words)) < 2 or any(not word or word != word.strip() for word in self.words):
            faults.append(
                f"words are {self.words}; expected two different ones or more, without spaces around"
            )
        if not self.begun.strip():
            faults.append("begun is empty; expected the words that the model's turn begins with")
        if faults:
            raise SettingError.of_all(faults)

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Return system text, shots and question, and the begun turn of the model."""
        turns = [(context.system, "")] if context.system else []
        turns += [(shot.question, f"{self.begun}{self.target('', shot.answer)}") for shot in context.shots]
        turns.append((problem.question, self.begun))
        return Prompt(problem, self._messages(turns, bool(context.system)), parents_of(context))

    def _messages(self, turns: Sequence[tuple[str, str]], has_system: bool) -> tuple[Message, ...]:
        if self.is_plain:
            texts = [f"Q: {asked}\nA: {said}" for asked, said in turns[has_system:]]
            return (Message("text", "\n\n".join([asked for asked, _ in turns[:has_system]] + texts)),)
        messages = [Message("system", asked) for asked, _ in turns[:has_system]]
        for asked, said in turns[has_system:]:
            messages += [Message("user", asked), Message("assistant", said)]
        return tuple(messages)

    def read(self, text: str) -> Reading:
        """Read the word that the slot was filled with; case does not count."""
        said = text.strip().removeprefix(self.begun).lstrip().casefold()
        for word in sorted(self.words, key=len, reverse=True):
            rest = said.removeprefix(word.casefold())
            if rest != said and not rest[:1].isalnum():
                return Reading("", word, True)
        return Reading("", "", False)

    def target(self, rationale: str, answer: str) -> str:
        """Return the word, to be written behind the begun turn; the rationale is left out."""
        return f" {answer}"


def judgement_formats(words: tuple[str, ...]) -> dict[str, Format]:
    """Return the Formats of a task of judgements: two with a slot, and those of all tasks with texts."""
    slot = Slot(words=words)
    return {
        **formats_for("text"),
        "default": slot,
        "slot": slot,
        "plain-slot": Slot(words=words, is_plain=True),
    }


def judgement_task(
    name: str,
    rows: Callable[[], Iterable[GoldRow]],
    options: TaskOptions,
    words: tuple[str, str],
) -> RowsTask:
    """Return a task of rows whose answers are one of two words, balanced in every split.

    A question or group of the test split is left out of validation and train, one of validation out of
    train. Splits that are missing are cut off train, as `docendo.tasks.rows` does. Then rows of the more
    frequent word are dropped from each split, chosen by a hash, until both are equally frequent.

    Args:
        name: What people call it.
        rows: Reads the rows; answers are words, groups what must stay together.
        options: Settings of the task.
        words: The two words, class 0 first.

    What reads rows raises `DataError`, and `SettingError` where a split cannot have its size.
    """
    return RowsTask(
        name,
        lambda: (replace(row, choices=words) for row in _apart(rows())),
        replace(options, answer_kind="text"),
        formats=judgement_formats(words),
        verifier=Choice(),
        kept=lambda split: _balanced(split, words, options.task_seed),
    )


def _apart(rows: Iterable[GoldRow]) -> list[GoldRow]:
    """Leave out of each split what a later one holds, too, by question or group."""
    rows = list(rows)
    seen: dict[str, set[str]] = {"test": set(), "validation": set(), "train": set(), "": set()}
    for row in rows:
        seen[row.split].update(_keys(row))
    later: Mapping[str, set[str]] = {
        "test": set(),
        "validation": seen["test"],
        "train": seen["test"] | seen["validation"],
        "": set(),
    }
    return [row for row in rows if later[row.split].isdisjoint(_keys(row))]


def _keys(row: GoldRow) -> list[str]:
    return [f"question {normalised_question(row.question)}", *([f"group {row.group}"] if row.group else [])]


def _balanced(rows: Sequence[GoldRow], words: Sequence[str], seed: int) -> list[GoldRow]:
    """Drop rows of the more frequent word, split by split."""
    dropped: set[int] = set()
    for split in {row.split for row in rows}:
        places = [
            [place for place, row in enumerate(rows) if row.split == split and row.answer == word]
            for word in words
        ]
        fewest = min(map(len, places))
        for own in places:
            own.sort(key=lambda place: derived_seed("balance", seed, rows[place].question, rows[place].id))
            dropped.update(own[fewest:])
    return [row for place, row in enumerate(rows) if place not in dropped]
