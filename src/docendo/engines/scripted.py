"""An engine that answers from a function: for tests, and for showing how a recipe goes without a model."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import ClassVar, Literal

from docendo.core.errors import ModelError
from docendo.core.protocols import Chunk, Finished, Halved, Request, Sampling
from docendo.core.records import Checkpoint, Completion, Embedding, Logprobs, Message
from docendo.core.seeds import digest_of

Answer = Callable[[tuple[Message, ...], int], str | Completion]
"""(messages, seed) -> what the model says. A text is a completion that stopped by itself."""
Likelihood = Callable[[tuple[Message, ...], str], float]
"""(messages, continuation) -> log-probability of the continuation."""
Vector = Callable[[str], Sequence[float]]
"""text -> its embedding."""


@dataclass(slots=True)
class ScriptedEngine:
    """Answers each sample of each request by calling a function, in this process, in order.

    A text becomes a completion with one token for each word. Instances with different scripts want different
    names: the name is all that a fingerprint sees of them.

    Example:
        >>> engine = ScriptedEngine(lambda messages, seed: f"You said {messages[-1].content}.")
        >>> request = Request(0, (Message("user", "hello"),), seeds=(1,))
        >>> chunk = next(engine.chunks(engine.checkpoint(), [request], Sampling()))
        >>> next(engine.sample(engine.checkpoint(), [chunk], Sampling())).results[0].text
        'You said hello.'
    """

    answer: Answer
    likelihood: Likelihood | None = None
    vector: Vector | None = None
    script: str = "scripted"
    """Name of the script; part of the signature."""
    requests_per_chunk: int = 8
    asked: list[Request] = field(default_factory=list[Request])
    """What was asked so far, in order."""
    name: ClassVar[str] = "scripted"

    @property
    def can(self) -> frozenset[str]:
        """What it has a function for."""
        further = {"logprobs": self.likelihood, "embed": self.vector}
        return frozenset({"sample", *(name for name, function in further.items() if function)})

    @property
    def signature(self) -> Mapping[str, str]:
        """The script's name."""
        return {"engine": self.name, "script": self.script}

    def checkpoint(self, name: str = "scripted/base") -> Checkpoint:
        """Return the record of a checkpoint that this engine serves; equal names, equal digests."""
        digest = digest_of(["scripted", name])
        return Checkpoint(digest, tokenizer="words", root=digest, engine=self.name, name=name)

    def chunks(
        self,
        checkpoint: Checkpoint,
        requests: Iterable[Request],
        sampling: Sampling | Literal["embed"] | None,
    ) -> Iterator[Chunk]:
        """Cut requests into chunks of ``requests_per_chunk``, in their order."""
        stream = iter(requests)
        number = 0
        while cut := tuple(islice(stream, self.requests_per_chunk)):
            yield Chunk(str(number), cut)
            number += 1

    def sample(
        self, checkpoint: Checkpoint, chunks: Iterable[Chunk], sampling: Sampling
    ) -> Generator[Finished | Halved]:
        """Answer chunk by chunk."""
        for chunk in chunks:
            results: list[Completion] = []
            for request in chunk.requests:
                self.asked.append(request)
                results += [self._completion(request.messages, seed) for seed in request.seeds or (0,)]
            yield Finished(chunk, results)

    def logprobs(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Generator[Finished | Halved]:
        """Ask the likelihood function for each continuation; continuations must be texts.

        Raises:
            ModelError: The engine was made without a likelihood function.
        """
        if self.likelihood is None:
            raise ModelError("this scripted engine gives no log-probabilities", hint="pass likelihood=")
        for chunk in chunks:
            results: list[Logprobs] = []
            for request in chunk.requests:
                self.asked.append(request)
                texts = request.continuations or ()
                values = tuple(self.likelihood(request.messages, text) for text in texts)
                results.append(Logprobs(values, tuple(len(text.split()) for text in texts)))
            yield Finished(chunk, results)

    def embed(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Generator[Finished | Halved]:
        """Ask the function of vectors for each text.

        Raises:
            ModelError: The engine was made without one.
        """
        if self.vector is None:
            raise ModelError("this scripted engine gives no embeddings", hint="pass vector=")
        for chunk in chunks:
            results: list[Embedding] = []
            for request in chunk.requests:
                self.asked.append(request)
                text = "".join(message.content for message in request.messages)
                results.append(Embedding(tuple(self.vector(text)), len(text.split())))
            yield Finished(chunk, results)

    def close(self) -> None:
        """Do nothing: there is nothing to free."""

    def _completion(self, messages: tuple[Message, ...], seed: int) -> Completion:
        said = self.answer(messages, seed)
        if isinstance(said, Completion):
            return said
        prompt_tokens = sum(len(message.content.split()) for message in messages)
        return Completion(said, "stop", prompt_tokens=prompt_tokens, generated_tokens=len(said.split()) + 1)
