"""What goes to a worker process and what comes back. Imports nothing heavy: the driver uses it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from docendo.engines.pooling import Pooling


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a worker is started with."""

    device: str
    """``cpu``, or ``cuda:0`` and so on."""
    precision: str
    """``fp32`` or ``bf16``."""
    memory_mb: int
    """Most memory for its data, in MiB, kept by the operating system; 0: no limit."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Which model a job is for."""

    folder: str
    digest: str
    served_by: Literal["own", "transformers", "embedder"]
    """`docendo.engines.decode`, `docendo.engines.generic` or `docendo.engines.embedder`."""
    threads: int


@dataclass(frozen=True, slots=True)
class Draw:
    """How tokens are drawn, and where a completion ends."""

    temperature: float
    top_k: int
    top_p: float
    logprobs: bool
    end_ids: tuple[int, ...]
    stops: tuple[str, ...] = ()
    """Texts that end a completion."""


@dataclass(frozen=True, slots=True)
class SampleJob:
    """Draw samples for prompts. Gives `Drawn`."""

    weights: Weights
    prompts: Sequence[Sequence[int]]
    seeds: Sequence[Sequence[int]]
    limits: Sequence[int]
    """Most tokens to generate for each prompt, >= 1; with the prompt at most the model's context."""
    draw: Draw


@dataclass(frozen=True, slots=True)
class LogprobsJob:
    """Give the log-probabilities of texts from some place on. Gives a list of floats for each text."""

    weights: Weights
    texts: Sequence[Sequence[int]]
    starts: Sequence[int]
    most_logits: int
    """About how many logits may be held at once."""


@dataclass(frozen=True, slots=True)
class ClassesJob:
    """Give the log-softmax over a head's classes, or its scores. Gives a list of floats for each text."""

    weights: Weights
    texts: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class EmbedJob:
    """Give a vector for each text. Gives a list of floats for each."""

    weights: Weights
    texts: Sequence[Sequence[int]]
    pooling: Pooling


Job = SampleJob | LogprobsJob | ClassesJob | EmbedJob


@dataclass(slots=True)
class Drawn:
    """The samples of a job, row by row: prompt by prompt, seed by seed."""

    token_ids: list[list[int]]
    """With the end token, where one was drawn."""
    token_logprobs: list[list[float]] | None
    is_stopped: list[bool]
    """Ended by an end token or a stop text, not by the limit."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker is up."""


@dataclass(frozen=True, slots=True)
class Done:
    """A job is finished."""

    serial: int
    result: Drawn | list[list[float]]


@dataclass(frozen=True, slots=True)
class DidNotFit:
    """A job ran out of memory; the worker lives on."""

    serial: int
    reason: str


@dataclass(frozen=True, slots=True)
class Broke:
    """A job met a fault of the program or the checkpoint; asking again would not help."""

    serial: int
    message: str
    trace: str
    """Empty where the message alone tells the user what to mend."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A job was cancelled."""

    serial: int


Reply = Ready | Done | DidNotFit | Broke | Dropped
