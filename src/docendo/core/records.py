"""The records of Docendo: what flows between tasks, engines, verifiers, selectors and trainers.

All are frozen. A record that is written to a stage holds no clock, no path and no float that depends on a
machine's load. The glossary in ``docs/architecture.md`` section 2 defines each word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from docendo.core.parts import IGNORED


class Source(StrEnum):
    """Where a judgement's information came from."""

    GOLD = "gold"
    TESTS = "tests"
    EXECUTOR = "executor"
    OTHER_MODEL = "other-model"
    VOTE = "vote"
    SELF = "self"
    NONE = "none"


class Outcome(StrEnum):
    """What a Verifier found. Only `CORRECT` counts as correct in any accuracy."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    UNDECIDED = "undecided"
    """The verifier could not tell: a time limit, or two forms that it cannot compare."""
    FAILED = "failed"
    """There was nothing to judge: the sample failed, or no answer could be read."""


Status = Literal["ok", "failed"]
Finish = Literal["stop", "length", "failed"]
"""Why a completion ended: an end token or stop text, the token limit, or a failure."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation.

    Role ``text`` is plain text: a prompt whose messages all have it is sent as their concatenation, without
    a chat template. A last message of role ``assistant`` is a prefilled turn that the model goes on with.
    """

    role: Literal["system", "user", "assistant", "text"]
    content: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A question without its answer."""

    id: str
    question: str
    split: str
    choices: tuple[str, ...] = ()
    group: str = ""
    """What belongs together (a template, a passage); no group is torn apart where splits are made."""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """The gold answer of a Problem, kept apart from it."""

    problem_id: str
    answer: str
    solution: str = ""
    """The data set's own worked solution, without the final answer sentence; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One worked example in a prompt."""

    question: str
    rationale: str
    answer: str
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What stands around a Problem when a Model is asked: system text, shots, and the name of a Format."""

    system: str = ""
    shots: tuple[Shot, ...] = ()
    format: str = "default"


@dataclass(frozen=True, slots=True)
class Prompt:
    """Exactly what is sent: messages, the Problem they are about, and the samples in them."""

    problem: Problem
    messages: tuple[Message, ...]
    parents: tuple[str, ...] = ()
    """Ids of the samples whose text stands in the messages."""
    turn: int = 0

    def then(self, sample: Sample, user: str) -> Prompt:
        """Return the prompt for a new turn: this prompt, what the model said, then ``user``."""
        return Prompt(
            self.problem,
            (*_answered(self.messages, sample.text), Message("user", user)),
            (*self.parents, sample.id),
            self.turn + 1,
        )

    def continued(self, sample: Sample, text: str) -> Prompt:
        """Return the prompt that lets the model go on in the same turn after its own text and ``text``."""
        return Prompt(
            self.problem,
            _answered(self.messages, sample.text + text),
            (*self.parents, sample.id),
            self.turn,
        )

    @property
    def prefix(self) -> str:
        """The prefilled part of the model's turn; empty where there is none."""
        return self.messages[-1].content if self.messages[-1].role == "assistant" else ""


def _answered(messages: tuple[Message, ...], text: str) -> tuple[Message, ...]:
    last = messages[-1]
    if last.role in ("assistant", "text"):
        return (*messages[:-1], Message(last.role, last.content + text))
    return (*messages, Message("assistant", text.lstrip()))


@dataclass(frozen=True, slots=True)
class Completion:
    """What an Engine gives back for one sample of one Request."""

    text: str
    """Decoded text without the end token."""
    finish: Finish
    token_ids: tuple[int, ...] = ()
    """The generated ids, with the end token where one was generated; empty where the engine has none."""
    token_logprobs: tuple[float, ...] | None = None
    """Natural log-probability of each generated token at temperature 1, where asked for."""
    prompt_tokens: int = 0
    generated_tokens: int = 0
    status: Status = "ok"
    reason: str = ""
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What a Format read off a text."""

    rationale: str
    answer: str
    is_parsed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """A Verifier's finding on one sample."""

    outcome: Outcome
    reason: str = ""
    source: Source = Source.NONE


@dataclass(frozen=True, slots=True)
class Score:
    """A Scorer's number for one sample; None where it could not be read."""

    value: float | None
    reason: str = ""
    source: Source = Source.NONE


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Log-probabilities of given continuations of one prompt, in the order they were given.

    Sums over the tokens of each continuation, natural logarithm, temperature 1. For a checkpoint with a
    classification head: the log-softmax over its classes, and ``tokens`` is all ones. For one with a head of
    a single label, as reward models have, and for a head of regression: the raw scores, which are no
    log-probabilities, have any real value, and are greater for what was preferred in its training.
    """

    values: tuple[float, ...]
    tokens: tuple[int, ...]
    by_token: tuple[tuple[float, ...], ...] | None = None
    """[continuation][token], where asked for."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text as a vector; what is near in meaning points the same way."""

    vector: tuple[float, ...]
    """Single precision, as wide as the model makes it; empty where it failed to come."""
    tokens: int = 0
    """Tokens of the text as they were read."""
    reason: str = ""
    """Why there is no vector."""
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One completion by one Model for one Prompt, with all that later stages put beside it."""

    id: str
    prompt: Prompt
    number: int
    """Which draw for this prompt, from 0."""
    text: str
    finish: Finish
    status: Status = "ok"
    reason: str = ""
    token_ids: tuple[int, ...] = ()
    token_logprobs: tuple[float, ...] | None = None
    prompt_tokens: int = 0
    generated_tokens: int = 0
    tokenizer: str = ""
    """Digest of the tokenizer that ``token_ids`` belong to."""
    cost_usd: float | None = None
    rationale: str = ""
    answer: str = ""
    is_parsed: bool = False
    verdicts: Mapping[str, Verdict] = field(default_factory=dict[str, Verdict])
    scores: Mapping[str, Score] = field(default_factory=dict[str, Score])
    logprobs: Mapping[str, Logprobs] = field(default_factory=dict[str, Logprobs])

    @property
    def problem(self) -> Problem:
        """The Problem that the prompt is about."""
        return self.prompt.problem

    @property
    def verdict(self) -> Verdict:
        """The verdict of the task's own verifier.

        Raises:
            KeyError: The sample has not been verified.
        """
        return self.verdicts["verdict"]

    @property
    def is_correct(self) -> bool:
        """Whether the task's own verifier called it correct."""
        return self.verdict.outcome is Outcome.CORRECT

    @property
    def parents(self) -> tuple[str, ...]:
        """Ids of the samples that its prompt contains."""
        return self.prompt.parents

    @property
    def full_text(self) -> str:
        """The whole of the model's turn: the prefilled part and what the model added."""
        return self.prompt.prefix + self.text


@dataclass(frozen=True, slots=True)
class Example:
    """One training row: what stands before, and what is to be learned.

    One of four: a ``completion``; a pair, ``chosen`` and ``rejected``; ``choices`` with their
    ``probabilities``; or a pair with ``choices``. Texts are the continuation of the prompt, after its
    prefilled part. In a pair with choices they end the prompt's last message, whatever its role is, and the
    choices follow.
    """

    prompt: tuple[Message, ...]
    completion: str | None = None
    chosen: str | None = None
    rejected: str | None = None
    choices: tuple[str, ...] = ()
    """Short texts, equally many in all rows; in a pair the first is what ``chosen`` is to be called."""
    probabilities: tuple[float, ...] = ()
    """One for each choice; their sum is 1."""
    weight: float = 1.0
    """Multiplies the row's loss; finite and >= 0."""
    token_ids: tuple[int, ...] = ()
    """The completion's ids as sampled, with the end token; empty: tokenise the text and add the end token."""
    chosen_token_ids: tuple[int, ...] = ()
    rejected_token_ids: tuple[int, ...] = ()
    tokenizer: str = ""
    """Digest of the tokenizer that the ids belong to. Learners with another one use the texts."""
    problem_id: str = ""
    parents: tuple[str, ...] = ()
    """Ids of the samples that the row was made of."""
    is_ended: bool = True
    """False for a text that was cut off: it has no end to learn, and the row is dropped before training."""
    per_token: Mapping[str, tuple[float, ...]] = field(default_factory=dict[str, tuple[float, ...]])
    """By column, a number for each id of ``token_ids``: advantages."""

    @property
    def asked(self) -> str:
        """What the prompt asks, as one text: its user and plain-text messages, a line feed between them."""
        return "\n".join(message.content for message in self.prompt if message.role in ("user", "text"))

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that the row teaches about, each for itself."""
        said = (self.completion, self.chosen, self.rejected)
        return (*(text for text in said if text is not None), *self.choices)

    @property
    def learned(self) -> str:
        """The texts that the row teaches about, as one; empty where one of them is."""
        return "\n".join(self.texts) if all(self.texts) else ""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Weights, known by their digest."""

    digest: str
    """Over the weights, configuration and tokenizer files; for a served model over its name."""
    tokenizer: str
    """Digest of the tokenizer alone: equal digests, equal token ids."""
    root: str
    """Digest of the base checkpoint that it descends from; its own where it is a base."""
    engine: str = "transformers"
    """The engine that serves it."""
    name: str = field(default="", compare=False, metadata=IGNORED)
    """For people: ``lab/base``, ``round-2/train``."""
    location: str = field(default="", compare=False, metadata=IGNORED)
    """Directory, file, or ``ADDRESS#NAME`` of a served model. Not part of any fingerprint."""

    @property
    def is_known(self) -> bool:
        """False in a plan, for what a train stage will make: its digest begins with ``?``."""
        return not self.digest.startswith("?")


@dataclass(frozen=True, slots=True)
class Model:
    """A Checkpoint plus its Context. Some recipes improve the Context alone."""

    checkpoint: Checkpoint
    context: Context = Context()
    snapshots: tuple[Model, ...] = ()
    """One for each trained epoch, the earliest first; the last stands for the whole."""
    sources: frozenset[Source] = frozenset()
    """Where the information in it came from, through its training."""
    measures: Mapping[str, float] = field(
        default_factory=dict[str, float], compare=False, repr=False, metadata=IGNORED
    )
    """What its loss reported of the epoch that made it (`docs/training.md`); empty for other models."""

    def using(
        self,
        *,
        system: str | None = None,
        shots: tuple[Shot, ...] | None = None,
        format: str | None = None,
    ) -> Model:
        """Return the same weights in another Context."""
        context = Context(
            self.context.system if system is None else system,
            self.context.shots if shots is None else shots,
            self.context.format if format is None else format,
        )
        return replace(
            self,
            context=context,
            snapshots=tuple(replace(snapshot, context=context) for snapshot in self.snapshots),
        )
