"""What a part must offer: tasks, formats, engines, trainers, verifiers, scorers, selectors.

Every part that takes part in a fingerprint (Format, Verifier, Scorer, Selector, Loss) is a frozen dataclass
with a class variable ``version``; its class, version and fields are what the fingerprint sees. A person
raises the version when the part's results change on purpose.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from docendo.core.errors import SettingError
from docendo.core.losses import Loss, Optimizer
from docendo.core.records import (
    Checkpoint,
    Completion,
    Context,
    Embedding,
    Label,
    Logprobs,
    Message,
    Problem,
    Prompt,
    Reading,
    Sample,
    Source,
    Verdict,
)


@runtime_checkable
class Format(Protocol):
    """How a Problem is put to a model, how an answer is read, what a training target looks like."""

    version: ClassVar[int]

    def prompt(self, problem: Problem, context: Context) -> Prompt:
        """Return what is sent for a problem. Sees no Label."""
        ...

    def read(self, text: str) -> Reading:
        """Read rationale and answer off the whole of a model's turn, prefilled part included."""
        ...

    def target(self, rationale: str, answer: str) -> str:
        """Return the text to be learned after this Format's prompt; ``read`` gives the answer back."""
        ...


@runtime_checkable
class Verifier(Protocol):
    """Decides whether a sample's answer is right."""

    version: ClassVar[int]

    @property
    def source(self) -> Source:
        """Where its information comes from."""
        ...

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        """Return one Verdict for each pair, in order, streaming.

        A Label is None where the problem has none or where ``source`` is not ``gold``.
        """
        ...

    def same(self, left: str, right: str) -> bool:
        """Whether two answers are the same answer: for voting and clustering, as for verdicts."""
        ...


class Task(Protocol):
    """Where problems come from."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def formats(self) -> Mapping[str, Format]:
        """By name; ``default`` is there."""
        ...

    @property
    def verifier(self) -> Verifier:
        """Decides whether an answer is right; its equivalence also serves voting and clustering."""
        ...

    @property
    def splits(self) -> tuple[str, ...]:
        """Of ``train``, ``validation``, ``test``; and further ones, such as ``exams``.

        Labels of a further split may be read like those of ``train``, and its problems may share a group with
        problems of any split: variants of a problem, which say something of it.
        """
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """What tells two tasks apart: family and seed, or the digests of the files. JSON values."""
        ...

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        """Return the problems of a split in their fixed order, the first ``limit`` of them."""
        ...

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        """Return the Labels of the same problems by problem id."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn."""

    temperature: float = 0.0
    """0: greedy. Otherwise logits are divided by it before anything else."""
    top_k: int = 0
    """Draw from the k most likely tokens; 0: from all."""
    top_p: float = 1.0
    """Draw from the smallest set of tokens with at least this probability. In ``(0, 1]``."""
    max_new_tokens: int = 128
    stop: tuple[str, ...] = ()
    """Texts that end a completion; they are cut off. The end token always ends it."""
    logprobs: bool = False
    """Give each generated token's log-probability (temperature 1, before top-k and top-p)."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not 0 <= self.temperature < 100:
            faults.append(f"temperature is {self.temperature}; expected 0 (greedy) or a number above 0")
        if self.top_k < 0:
            faults.append(f"top_k is {self.top_k}; expected 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            faults.append(f"top_p is {self.top_p}; expected above 0 and at most 1")
        if self.max_new_tokens < 1:
            faults.append(f"max_new_tokens is {self.max_new_tokens}; expected at least 1")
        if faults:
            raise SettingError.of_all(faults)


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt and the samples, or the continuations, that are asked for it."""

    position: int
    """Row of its first sample in the stage; its k-th sample is row ``position + k``."""
    messages: tuple[Message, ...]
    seeds: tuple[int, ...] = ()
    """One for each sample: the only source of randomness of that sample. 63-bit."""
    continuations: tuple[str, ...] | None = None
    """For `Engine.logprobs`: texts that go on after the prompt. None with a classification head."""
    continuation_ids: tuple[tuple[int, ...], ...] | None = None
    """Token ids instead of texts, where they are known."""
    first: int = 0
    """Number of its first sample, as in `Sample.number`."""
    problem: Problem | None = None
    """What the prompt is about; recorded completions are found by it."""

    @property
    def rows(self) -> int:
        """How many rows of the stage the request gives."""
        return max(1, len(self.seeds))


@dataclass(frozen=True, slots=True)
class Chunk:
    """The durable unit of work of an engine. Its results depend on its content and on nothing else."""

    id: str
    """``12``; the halves of a chunk that did not fit into memory are ``12.0`` and ``12.1``."""
    requests: tuple[Request, ...]

    @property
    def rows(self) -> int:
        """How many rows of the stage the chunk gives."""
        return sum(request.rows for request in self.requests)

    def halves(self) -> tuple[Chunk, Chunk]:
        """Return the chunk cut in two.

        Raises:
            ValueError: It has a single request.
        """
        middle = len(self.requests) // 2
        if middle == 0:
            raise ValueError(f"chunk {self.id} has one request and cannot be halved")
        return Chunk(f"{self.id}.0", self.requests[:middle]), Chunk(f"{self.id}.1", self.requests[middle:])


@dataclass(frozen=True, slots=True)
class Finished:
    """A chunk is done: one result for each of its rows, request by request."""

    chunk: Chunk
    results: Sequence[Any]
    """`Completion` for `sample`, `Logprobs` for `logprobs`, `Embedding` for `embed`."""


@dataclass(frozen=True, slots=True)
class Halved:
    """A chunk did not fit into memory; its halves follow, each with its own `Finished`."""

    chunk: Chunk
    halves: tuple[Chunk, Chunk]
    reason: str


class Engine(Protocol):
    """Answers prompts, gives log-probabilities of given texts, embeds.

    An engine may work on several chunks at once and report them in any order. A chunk's results depend on the
    chunk and the checkpoint alone, not on which others run, nor on how many workers there are.
    """

    @property
    def name(self) -> str:
        """As in `Checkpoint.engine`."""
        ...

    @property
    def can(self) -> frozenset[str]:
        """Of ``sample``, ``logprobs``, ``classes``, ``embed``."""
        ...

    @property
    def signature(self) -> Mapping[str, str]:
        """What its results depend on: family, precision, sampler. In fingerprints; no device, no count."""
        ...

    def chunks(
        self,
        checkpoint: Checkpoint,
        requests: Iterable[Request],
        sampling: Sampling | Literal["embed"] | None,
    ) -> Iterator[Chunk]:
        """Cut requests into chunks by a rule that sees the requests, the model's shape and settings.

        Args:
            checkpoint: Who will be asked.
            requests: For what.
            sampling: How samples will be drawn; None: for `logprobs`; embed: for `embed`.
        """
        ...

    def sample(
        self, checkpoint: Checkpoint, chunks: Iterable[Chunk], sampling: Sampling
    ) -> Iterator[Finished | Halved]:
        """Answer every chunk; results are `Completion` rows."""
        ...

    def logprobs(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Iterator[Finished | Halved]:
        """Give log-probabilities; results are `Logprobs`, one for each request."""
        ...

    def embed(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Iterator[Finished | Halved]:
        """Give vectors; results are `Embedding`, one for each request, of its messages' text."""
        ...

    def close(self) -> None:
        """Free workers and memory. May be called twice."""
        ...


@dataclass(frozen=True, slots=True)
class TrainingStep:
    """What a trainer reports while it works."""

    step: int
    steps: int
    loss: float
    tokens: int
    """Learned tokens so far."""


@dataclass(frozen=True, slots=True)
class TrainedEpoch:
    """What a trainer gives for each epoch."""

    epoch: int
    """From 1."""
    folder: Path
    """The checkpoint in Hugging Face format, written and synced."""
    steps: int
    """Optimizer steps of this epoch alone."""
    learned_tokens: int
    """Learned tokens of this epoch alone."""
    train_loss: float
    """Mean loss of the epoch, weighted by learned tokens."""
    held_out_loss: float | None = None
    rows: int = 0
    """Rows learned from."""
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    """Rows left out, by reason."""
    measures: Mapping[str, float] = field(default_factory=dict[str, float])
    """What the loss reports beside itself: means over the epoch's rows as they were when each was learned;
    those of the held-out rows after the epoch, as ``held_out_NAME``."""


class Trainer(Protocol):
    """Turns training rows into a checkpoint."""

    name: str
    signature: Mapping[str, str]

    def train(
        self,
        start: Path,
        rows: Path,
        loss: Loss,
        optimizer: Optimizer,
        *,
        epochs: int,
        seed: int,
        folder: Path,
        held_out: Path | None = None,
        report: Callable[[TrainingStep], None] = lambda step: None,
    ) -> Iterator[TrainedEpoch]:
        """Train from the checkpoint directory ``start`` on the Parquet file ``rows``.

        Writes ``folder/epoch-K`` for each epoch and keeps what exact resumption needs in ``folder/state``:
        called again with the same arguments it goes on where it was, and gives the same bytes as without a
        break. Epochs that are complete are yielded again at once.
        """
        ...


Columns = Mapping[str, Sequence[Any]]
"""Named columns of equal length. Names: see `docendo.core.table.column_of`."""


@runtime_checkable
class Selector(Protocol):
    """Says which rows are kept."""

    version: ClassVar[int]

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns it is given."""
        ...

    @property
    def per(self) -> Literal["problem", "all"]:
        """Whether it is called once for each problem, with that problem's rows, or once with all rows."""
        ...

    def reasons(self, columns: Columns, rng: random.Random) -> Sequence[str | None]:
        """Return for each row None (kept) or why it is dropped, as a short phrase that can be counted."""
        ...


class Watcher(Protocol):
    """Is told what a run does, for whoever looks on."""

    def stage_begins(self, label: str, *, rows: int, done: int, unit: str) -> None:
        """A stage starts to work. ``rows`` in all, ``done`` already there; ``unit``: rows, steps."""
        ...

    def stage_advances(self, *, rows: int, tokens: int = 0, note: str = "") -> None:
        """Some more rows are done, with so many generated or trained tokens."""
        ...

    def stage_ends(self, label: str, *, summary: str, reused: bool) -> None:
        """A stage is sealed, or was there already."""
        ...

    def says(self, text: str) -> None:
        """Something the user should read."""
        ...


@dataclass(slots=True)
class Silent:
    """A Watcher that shows nothing and remembers what was said."""

    said: list[str] = field(default_factory=list[str])

    def stage_begins(self, label: str, *, rows: int, done: int, unit: str) -> None:
        """Ignore it."""

    def stage_advances(self, *, rows: int, tokens: int = 0, note: str = "") -> None:
        """Ignore it."""

    def stage_ends(self, label: str, *, summary: str, reused: bool) -> None:
        """Ignore it."""

    def says(self, text: str) -> None:
        """Remember it."""
        self.said.append(text)


__all__ = [
    "Checkpoint",
    "Chunk",
    "Columns",
    "Completion",
    "Embedding",
    "Engine",
    "Finished",
    "Format",
    "Halved",
    "Logprobs",
    "Request",
    "Sampling",
    "Selector",
    "Silent",
    "Task",
    "TrainedEpoch",
    "Trainer",
    "TrainingStep",
    "Verifier",
    "Watcher",
]
