"""What a sample, logprobs or embed stage asks an engine, and how its results become rows."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np

from docendo.core.parts import identity_of
from docendo.core.protocols import Chunk, Engine, Format, Request, Sampling
from docendo.core.records import (
    Checkpoint,
    Completion,
    Context,
    Embedding,
    Example,
    Logprobs,
    Message,
    Problem,
    Prompt,
    Sample,
)
from docendo.core.seeds import derived_seed, digest_of
from docendo.core.table import Table
from docendo.engines.tokenizer import Tokenizer
from docendo.runs.stages import EngineWork
from docendo.runs.stored import row_ids
from docendo.runs.training_rows import learned_ids
from docendo.runs.workspace import StageKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who is asked: a checkpoint, the engine that serves it, and how to make sure that it is there."""

    checkpoint: Checkpoint
    engine: Engine
    be_there: Callable[[Checkpoint], None]
    failure_budget: float

    def plan(self, requests: Iterable[Request], how: Sampling | Literal["embed"] | None) -> Iterator[Chunk]:
        """Cut requests into chunks; engines look into the checkpoint for that, so it must be there."""
        self.be_there(self.checkpoint)
        return self.engine.chunks(self.checkpoint, requests, how)


def sampling(
    asked: Asked, prompts: Table[Prompt], *, n: int, first: int, how: Sampling, run_seed: int
) -> tuple[StageKey, EngineWork]:
    """Return the sample stage: ``n`` draws for each prompt, numbered from ``first``.

    A draw's seed comes from the run's seed, the checkpoint, the problem, the messages and its number, and
    from nothing that belongs to the stage. Greedy stages have no seed, so all runs share them.
    """
    checkpoint = asked.checkpoint
    seed = run_seed if how.temperature > 0 else 0
    settings = identity_of(how)
    key = StageKey(
        "sample",
        {
            "version": 1,
            "checkpoint": checkpoint.digest,
            "engine": dict(asked.engine.signature),
            "sampling": settings,
            "prompts": prompts.digest,
            "n": n,
            "first": first,
            "seed": seed,
        },
    )
    numbers = range(first, first + n)

    def requests() -> Iterator[Request]:
        for place, prompt in enumerate(prompts):
            about = [seed, checkpoint.digest, prompt.problem.id, prompt.messages]
            yield Request(
                place * n,
                prompt.messages,
                tuple(derived_seed(*about, number) for number in numbers),
                first=first,
                problem=prompt.problem,
            )

    def rows(journaled: Iterable[Any]) -> Iterator[Sequence[Any]]:
        results = iter(journaled)
        for prompt in prompts:
            sent = _sent(prompt)
            about = digest_of([seed, checkpoint.digest, settings, prompt.problem.id, prompt.messages])
            for number, result in zip(numbers, islice(results, n), strict=True):
                status, reason, text, finish, ids, token_logprobs, prompted, generated, usd = result
                came = (status, reason, text, finish, ids, token_logprobs, prompted, generated)
                yield (digest_of([about, number])[:20], *sent, number, *came, checkpoint.tokenizer, usd)

    def answer(chunks: Iterable[Any]) -> Iterator[Any]:
        asked.be_there(checkpoint)
        return asked.engine.sample(checkpoint, chunks, how)

    return key, EngineWork(
        requests=requests,
        plan=lambda all_requests: asked.plan(all_requests, how),
        answer=answer,
        journaled=_journaled_completion,
        rows=rows,
        tokens=lambda values: (values[6], values[7], values[8] or 0.0),
        has_failed=lambda values: values[0] == "failed",
        total=len(prompts) * n,
        # What a file of completions lacks it will always lack: the engine tells it, no try can mend it.
        failure_budget=1.0 if checkpoint.engine == "recorded" else asked.failure_budget,
        facts={"model": checkpoint.name, "checkpoint": checkpoint.digest},
    )


def _sent(prompt: Prompt) -> tuple[Any, ...]:
    about = prompt.problem
    problem = {
        "id": about.id,
        "question": about.question,
        "split": about.split,
        "choices": about.choices,
        "group": about.group,
        "parents": about.parents,
    }
    messages = [{"role": message.role, "content": message.content} for message in prompt.messages]
    return problem, messages, prompt.parents, prompt.turn


def _journaled_completion(completion: Completion) -> Sequence[Any]:
    return [
        completion.status,
        completion.reason,
        completion.text,
        completion.finish,
        completion.token_ids,
        completion.token_logprobs,
        completion.prompt_tokens,
        completion.generated_tokens,
        completion.cost_usd,
    ]


def scoring(
    asked: Asked,
    what: Table[Any],
    *,
    shape: Format,
    context: Context,
    continuations: Sequence[str] | None,
    by_token: bool,
) -> tuple[StageKey, EngineWork]:
    """Return the logprobs stage: of given continuations, of Samples' own texts, or of what Examples teach."""
    checkpoint = asked.checkpoint
    key = StageKey(
        "logprobs",
        {
            "version": 1,
            "checkpoint": checkpoint.digest,
            "engine": dict(asked.engine.signature),
            "rows": what.digest,
            "context": identity_of(context),
            "format": identity_of(shape),
            "continuations": continuations,
            "by_token": by_token,
        },
    )

    def messages_of(row: Any) -> tuple[Message, ...]:
        if isinstance(row, Problem):
            return shape.prompt(row, context).messages
        if isinstance(row, Example):
            return row.prompt
        return row.prompt.messages if isinstance(row, Sample) else row.messages

    def requests() -> Iterator[Request]:
        tokenizer: Tokenizer | None = None
        for place, row in enumerate(what):
            texts = None if continuations is None else tuple(continuations)
            ids = None
            if texts is None and isinstance(row, Sample):
                texts = (row.text,)
                if row.tokenizer == checkpoint.tokenizer and row.token_ids:
                    ids = (row.token_ids,)
            if texts is None and isinstance(row, Example):
                if tokenizer is None:
                    asked.be_there(checkpoint)
                    tokenizer = Tokenizer.load(Path(checkpoint.location))
                texts, ids = row.texts, learned_ids(row, tokenizer)
            yield Request(place, messages_of(row), (), texts, ids)

    def journaled(found: Logprobs) -> Sequence[Any]:
        return [found.values, found.tokens, found.by_token if by_token else None]

    def rows(values: Iterable[Any]) -> Iterator[Sequence[Any]]:
        for row_id, own in zip(row_ids(what)(), values, strict=True):
            yield (row_id, *own)

    def answer(chunks: Iterable[Any]) -> Iterator[Any]:
        asked.be_there(checkpoint)
        return asked.engine.logprobs(checkpoint, chunks)

    return key, EngineWork(
        requests=requests,
        plan=lambda all_requests: asked.plan(all_requests, None),
        answer=answer,
        journaled=journaled,
        rows=rows,
        tokens=lambda values: (sum(values[1]), 0, 0.0),
        total=len(what),
        failure_budget=asked.failure_budget,
        facts={"model": checkpoint.name, "checkpoint": checkpoint.digest},
    )


def embedding(asked: Asked, problems: Table[Problem], *, before: str) -> tuple[StageKey, EngineWork]:
    """Return the embed stage: a vector for each question, with ``before`` put before it."""
    checkpoint = asked.checkpoint
    key = StageKey(
        "embed",
        {
            "version": 1,
            "checkpoint": checkpoint.digest,
            "engine": dict(asked.engine.signature),
            "rows": problems.digest,
            "before": before,
        },
    )

    def requests() -> Iterator[Request]:
        for place, problem in enumerate(problems):
            yield Request(place, (Message("text", before + problem.question),), problem=problem)

    def journaled(found: Embedding) -> Sequence[Any]:
        numbers = np.asarray(found.vector, dtype="<f4").tobytes()
        return [base64.b64encode(numbers).decode("ascii"), found.reason, found.tokens, found.cost_usd]

    def rows(values: Iterable[Any]) -> Iterator[Sequence[Any]]:
        for row_id, (numbers, reason, tokens, _) in zip(row_ids(problems)(), values, strict=True):
            yield row_id, np.frombuffer(base64.b64decode(numbers), dtype="<f4").tolist(), tokens, reason

    def answer(chunks: Iterable[Any]) -> Iterator[Any]:
        asked.be_there(checkpoint)
        return asked.engine.embed(checkpoint, chunks)

    return key, EngineWork(
        requests=requests,
        plan=lambda all_requests: asked.plan(all_requests, "embed"),
        answer=answer,
        journaled=journaled,
        rows=rows,
        tokens=lambda values: (values[2], 0, values[3] or 0.0),
        has_failed=lambda values: bool(values[1]),
        total=len(problems),
        failure_budget=asked.failure_budget,
        facts={"model": checkpoint.name, "checkpoint": checkpoint.digest},
    )
