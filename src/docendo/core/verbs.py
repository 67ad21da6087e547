"""What a Scorer is, and the verbs that one which asks a model is handed: its questions are stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from docendo.core.protocols import Format, Verifier
from docendo.core.records import Embedding, Model, Problem, Prompt, Sample, Score, Source
from docendo.core.table import Table


class Verbs(Protocol):
    """What a Run offers to whoever asks a model; `docendo.runs.run.Run` says what each verb does."""

    seed: int

    def problems(self, split: str) -> Table[Problem]:
        """Return the problems of a split, as many as the run's settings say."""
        ...

    def format_of(self, model: Model) -> Format:
        """Return the Format that a Model's Context names."""
        ...

    def sample(
        self,
        model: Model,
        what: Table[Problem] | Table[Prompt],
        n: int = 1,
        *,
        first: int = 0,
        temperature: float = 0.0,
        top_k: int = 0,
        top_p: float = 1.0,
        max_new_tokens: int | None = None,
        logprobs: bool = False,
        read: Format | None = None,
        name: str = "sample",
    ) -> Table[Sample]:
        """Draw ``n`` completions for each row, and read an answer off each."""
        ...

    def logprobs(
        self,
        model: Model,
        what: Table[Any],
        continuations: Sequence[str] | None = None,
        *,
        by_token: bool = False,
        name: str = "logprobs",
    ) -> Table[Any]:
        """Give the log-probability of texts after each row's prompt, or what a head says."""
        ...

    def embed(
        self, model: Model, problems: Table[Problem], *, name: str = "embeddings"
    ) -> Table[tuple[Problem, Embedding]]:
        """Give a vector for each problem's question."""
        ...

    def verify(
        self, samples: Table[Sample], verifier: Verifier | None = None, *, name: str = "verdict"
    ) -> Table[Sample]:
        """Put a Verdict beside each sample, under ``name``; samples of the test split are refused."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """Gives each row of a table a number; says in its docstring the range, and what a greater one means."""

    version: ClassVar[int]

    @property
    def name(self) -> str:
        """Under which its scores stand on the samples."""
        ...

    @property
    def source(self) -> Source:
        """Where its information comes from."""
        ...

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterable[Score]:
        """Return one Score a row, in order.

        Whatever it asks of ``run`` it asks before its first Score: what came back is part of the fingerprint,
        and in a plan these are the stages that are listed.
        """
        ...
