"""How a Problem is put to a model, how an answer is read, what a training target looks like.

=================  ==============================================================================
`StepByStep`       a conversation; the model's turn is begun with a trigger and ends with the answer sentence
`Direct`           a conversation; the answer sentence and nothing else
`HashAnswer`       a conversation; the answer stands behind ``####`` on the last line (GSM8K)
`Boxed`            a conversation; the answer stands in a box (MATH)
`PlainText`        plain text: ``Q: ...`` and ``A: ...``, no chat template
=================  ==============================================================================

What all of them do with a Context:

- The system text is a system message, or the first paragraph of a plain text; none where it is empty.
- Each shot is an earlier turn of the user, with the shot's question as it is, and one of the model, with
  exactly what `target` would teach: trigger, rationale, answer. A plain text writes the same down.
- A Problem's choices stand behind its question, as `question_with_choices` writes them. A shot has no
  choices; `worked_example` makes one whose question carries them.

A target begins with a space. It goes on where the prompt ends: behind the trigger, or behind what a chat
template or ``A:`` puts before an answer.

`read` gives back what `target` wrote, rationale and answer, except for answers that hold an answer statement
themselves, and in the answer sentence those that hold the end of a sentence: of ``St. Louis`` it reads
``St``. The checks of `docendo.tasks.conformance` find a task whose gold answers are such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from docendo.core.errors import SettingError, UnknownNameError
from docendo.core.protocols import Format
from docendo.core.records import Context, Label, Message, Problem, Prompt, Reading, Shot
from docendo.tasks.readers import FALLBACKS, READERS, latest

STEP_BY_STEP = "Let's think step by step."
"""Kojima et al. (2022), arXiv:2205.11916, table 4: the best of the phrases tried there."""
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What choices are called, in their order."""

Fallback = Literal["none", "number", "letter"]
"""What is read where no answer statement stands: nothing, or the last number or letter."""
AnswerKind = Literal["number", "text", "choice", "math"]
"""What answers of a task are. It decides the Verifier, the readers and the Formats."""


def question_with_choices(problem: Problem) -> str:
    """Return the question, and behind it the choices where there are any.

    Example:
        >>> question_with_choices(Problem("1", "What flies?", "test", ("a bird", "a fish")))
        'What flies? Answer choices: (A) a bird, (B) a fish.'
    """
    if not problem.choices:
        return problem.question
    named = ", ".join(
        f"({letter}) {choice}" for letter, choice in zip(LETTERS, problem.choices, strict=False)
    )
    return f"{problem.question} Answer choices: {named}."


def worked_example(problem: Problem, label: Label) -> Shot:
    """Return a Problem with its worked solution as a shot, its choices written into the question."""
    return Shot(question_with_choices(problem), label.solution, label.answer)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepByStep:
    """Ask for a rationale by beginning the model's turn with a trigger."""

    version: ClassVar[int] = 1

    trigger: str = STEP_BY_STEP
    """Begins the model's turn. Empty: the model begins by itself."""
    readers: tuple[str, ...] = ("sentence",)
    """Which answer statements are looked for; the last one in the text counts. Names of `READERS`."""
    fallback: Fallback = "none"
    """What is read where there is no statement: nothing, or the last number or letter."""

    def __post_init__(self) -> None:
        _check_readers(self.readers, self.fallback)

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Return system text, shots, question, and the begun turn of the model."""
        return _conversation(problem, context, begun=self.trigger, target=self.target)

    def read(self, text: str) -> Reading:
        """Read the last answer sentence; the rationale is what stands between the trigger and it."""
        return _reading(text, self.trigger, self.readers, self.fallback)

    def target(self, rationale: str, answer: str) -> str:
        """Return the rationale and the answer sentence, to be written behind the trigger."""
        return _joined(rationale, f"The answer is {answer}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Direct:
    """Ask for the answer alone."""

    version: ClassVar[int] = 1

    readers: tuple[str, ...] = ("sentence",)
    """Which answer statements are looked for; the last one in the text counts. Names of `READERS`."""
    fallback: Fallback = "none"
    """What is read where there is no statement: nothing, or the last number or letter."""

    def __post_init__(self) -> None:
        _check_readers(self.readers, self.fallback)

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Return system text, shots without their rationales, and the question."""
        return _conversation(problem, context, begun="", target=self.target)

    def read(self, text: str) -> Reading:
        """Read the last answer sentence."""
        return _reading(text, "", self.readers, self.fallback)

    def target(self, rationale: str, answer: str) -> str:
        """Return the answer sentence; the rationale is left out."""
        return f" The answer is {answer}."


@dataclass(frozen=True, slots=True, kw_only=True)
class HashAnswer:
    """Ask for a solution whose last line is ``####`` and the answer, as GSM8K's solutions end."""

    version: ClassVar[int] = 1

    instruction: str = "End with a line that holds #### and the answer, nothing else."
    """Stands behind every question, after an empty line. Empty for models that know the form."""
    readers: tuple[str, ...] = ("hash",)
    """Which answer statements are looked for; the last one in the text counts. Names of `READERS`."""
    fallback: Fallback = "none"
    """What is read where there is no statement: nothing, or the last number or letter."""

    def __post_init__(self) -> None:
        _check_readers(self.readers, self.fallback)

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Return system text, shots and question."""
        return _conversation(problem, context, begun="", target=self.target, instruction=self.instruction)

    def read(self, text: str) -> Reading:
        """Read the last line with ``####``; the rationale is what stands before it."""
        return _reading(text, "", self.readers, self.fallback)

    def target(self, rationale: str, answer: str) -> str:
        """Return the rationale and the last line."""
        return _joined(rationale, f"#### {answer}", "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Boxed:
    r"""Ask for a solution that puts its answer into ``\boxed{}``, as MATH's solutions do."""

    version: ClassVar[int] = 1

    instruction: str = r"Put the final answer into \boxed{}."
    """Stands behind every question, after an empty line. Empty for models that know the form."""
    readers: tuple[str, ...] = ("boxed",)
    """Which answer statements are looked for; the last one in the text counts. Names of `READERS`."""
    fallback: Fallback = "none"
    """What is read where there is no statement: nothing, or the last number or letter."""

    def __post_init__(self) -> None:
        _check_readers(self.readers, self.fallback)

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Return system text, shots and question."""
        return _conversation(problem, context, begun="", target=self.target, instruction=self.instruction)

    def read(self, text: str) -> Reading:
        """Read the last box; the rationale is what stands before the sentence that holds it."""
        return _reading(text, "", self.readers, self.fallback)

    def target(self, rationale: str, answer: str) -> str:
        """Return the rationale and a sentence with the boxed answer."""
        return _joined(rationale, f"The answer is $\\boxed{{{answer}}}$.", "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainText:
    """Put questions and answers as plain text, for models without a chat template: few-shot prompting."""

    version: ClassVar[int] = 1

    trigger: str = ""
    """Stands behind every ``A:``."""
    question_mark: str = "Q:"
    answer_mark: str = "A:"
    separator: str = "\n\n"
    """Between the system text, the shots and the question."""
    readers: tuple[str, ...] = ("sentence",)
    """Which answer statements are looked for; the last one in the text counts. Names of `READERS`."""
    fallback: Fallback = "none"
    """What is read where there is no statement: nothing, or the last number or letter."""

    def __post_init__(self) -> None:
        _check_readers(self.readers, self.fallback)
        for name in ("question_mark", "answer_mark", "separator"):
            if not getattr(self, name):
                raise SettingError(f"{name} is empty; expected a text that sets questions and answers apart")

    @property
    def stop(self) -> tuple[str, ...]:
        """Texts at which a completion is over: the next question. `read` cuts there by itself."""
        return (f"\n{self.question_mark}",)

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Return one text: the system text, the shots, the question and what opens the answer."""
        parts = [context.system] if context.system else []
        parts += [
            self._opened(shot.question) + self.target(shot.rationale, shot.answer) for shot in context.shots
        ]
        parts.append(self._opened(question_with_choices(problem)))
        return Prompt(problem, (Message("text", self.separator.join(parts)),), parents_of(context))

    def read(self, text: str) -> Reading:
        """Read the last answer sentence before the model goes on to ask a question of its own."""
        return _reading(text.partition(self.stop[0])[0], self.trigger, self.readers, self.fallback)

    def target(self, rationale: str, answer: str) -> str:
        """Return the rationale and the answer sentence, to be written behind ``A:``."""
        return _joined(rationale, f"The answer is {answer}.")

    def _opened(self, question: str) -> str:
        opened = f"{self.answer_mark} {self.trigger}".rstrip()
        return f"{self.question_mark} {question}\n{opened}"


def formats_for(kind: AnswerKind, *, strict: bool = False) -> dict[str, Format]:
    """Return the Formats of a task by name; ``default`` is the one that suits the kind of answers.

    ``default`` is ``boxed`` for mathematics, else ``step-by-step``.

    Args:
        kind: What the answers are.
        strict: Read nothing but the Format's own answer statement. Otherwise any statement that models are
            known to end with is read, and for numbers and choices, where there is none, the last number or
            letter.
    """
    own = "choice" if kind == "choice" else "sentence"
    readers = (own,) if strict or kind == "choice" else ("sentence", "hash", "boxed", "line")
    fallback: Fallback = "none"
    if not strict and kind in ("number", "choice"):
        fallback = "number" if kind == "number" else "letter"
    formats: dict[str, Format] = {
        "step-by-step": StepByStep(readers=readers, fallback=fallback),
        "direct": Direct(readers=readers, fallback=fallback),
        "few-shot": PlainText(readers=readers, fallback=fallback),
        "zero-shot-cot": PlainText(trigger=STEP_BY_STEP, readers=readers, fallback=fallback),
    }
    if kind != "choice":
        formats["hash"] = HashAnswer(readers=("hash",) if strict else readers, fallback=fallback)
        formats["boxed"] = Boxed(readers=("boxed",) if strict else readers, fallback=fallback)
    return {"default": formats["boxed" if kind == "math" else "step-by-step"], **formats}


def _conversation(
    problem: Problem,
    context: Context,
    *,
    begun: str,
    target: Callable[[str, str], str],
    instruction: str = "",
) -> Prompt:
    """Return system text, shots and question as turns; ``begun`` is the prefilled part of the last one."""

    def asked(question: str) -> Message:
        return Message("user", f"{question}\n\n{instruction}" if instruction else question)

    messages = [Message("system", context.system)] if context.system else []
    for shot in context.shots:
        messages.append(asked(shot.question))
        messages.append(Message("assistant", (begun + target(shot.rationale, shot.answer)).lstrip()))
    messages.append(asked(question_with_choices(problem)))
    if begun:
        messages.append(Message("assistant", begun))
    return Prompt(problem, tuple(messages), parents_of(context))


def _reading(text: str, trigger: str, readers: tuple[str, ...], fallback: str) -> Reading:
    """Read one turn of a model."""
    text = text.strip()
    if trigger:
        text = text.removeprefix(trigger)
    found = latest([READERS[name](text) for name in readers])
    if found is None and fallback != "none":
        found = FALLBACKS[fallback](text)
    if found is None:
        return Reading(text.strip(), "", False)
    return Reading(text[: found.start].strip(), found.answer, True)


def _joined(rationale: str, closing: str, gap: str = " ") -> str:
    """Return a target: a space, the rationale where there is one, and the closing statement."""
    return f" {rationale.strip()}{gap}{closing}" if rationale.strip() else f" {closing}"


def parents_of(context: Context) -> tuple[str, ...]:
    """Return the ids of the samples that stand in the shots, each once."""
    return tuple(dict.fromkeys(parent for shot in context.shots for parent in shot.parents))


def _check_readers(readers: tuple[str, ...], fallback: str) -> None:
    if not readers:
        raise SettingError("readers is empty; expected at least one", hint=f"one of {', '.join(READERS)}")
    for name in readers:
        if name not in READERS:
            raise UnknownNameError.of("reader", name, READERS)
    if fallback != "none" and fallback not in FALLBACKS:
        raise UnknownNameError.of("fallback", fallback, ["none", *FALLBACKS])
