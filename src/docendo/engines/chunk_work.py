"""What a chunk asks of a worker, and what the engine makes of the worker's answer."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from docendo.core.errors import ModelError, StageError
from docendo.core.protocols import Chunk, Request, Sampling
from docendo.core.records import Completion, Embedding, Logprobs
from docendo.engines.jobs import ClassesJob, Draw, Drawn, EmbedJob, Job, LogprobsJob, SampleJob
from docendo.engines.pooling import text_of
from docendo.engines.served import Served, ServedEmbedder
from docendo.engines.tokenizer import Tokenizer


@dataclass(slots=True)
class ChunkWork:
    """A chunk on its way, and how to make its results of what the worker gives."""

    chunk: Chunk
    job: Job
    results: Callable[[Any], Sequence[Any]]
    failed: Callable[[str], Sequence[Any]]
    attempts: int = 0


def sampling_work(served: Served, sampling: Sampling, chunk: Chunk) -> ChunkWork:
    """Draw the samples of a chunk; results are `Completion`."""
    prompts = served.tokenizer.prompts_ids([request.messages for request in chunk.requests])
    room = [served.context - len(ids) for ids in prompts]
    fits = [place for place, left in enumerate(room) if left > 0 and prompts[place]]

    def results(drawn: Drawn) -> list[Completion]:
        return _completions(served, sampling, chunk, prompts, room, drawn)

    def failed(reason: str) -> list[Completion]:
        return [
            _failed(reason, len(ids))
            for request, ids in zip(chunk.requests, prompts, strict=True)
            for _ in range(request.rows)
        ]

    draw = Draw(
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        logprobs=sampling.logprobs,
        end_ids=tuple(sorted(served.tokenizer.end_ids)),
        stops=sampling.stop,
    )
    job = SampleJob(
        weights=served.weights,
        prompts=[prompts[place] for place in fits],
        # Greedy requests may come without seeds; they are one row each all the same.
        seeds=[chunk.requests[place].seeds or (0,) for place in fits],
        limits=[min(sampling.max_new_tokens, room[place]) for place in fits],
        draw=draw,
    )
    return ChunkWork(chunk, job, results, failed)


def logprobs_work(served: Served, most_logits: int, chunk: Chunk) -> ChunkWork:
    """Give the log-probabilities of a chunk's continuations; results are `Logprobs`."""
    texts: list[list[int]] = []
    starts: list[int] = []
    places: list[list[int | None]] = []
    for request in chunk.requests:
        (prompt,) = served.tokenizer.prompts_ids([request.messages])
        own: list[int | None] = []
        for ids in _continuation_ids(served.tokenizer, request):
            if not prompt or len(prompt) + len(ids) > served.context:
                own.append(None)
            else:
                own.append(len(texts))
                texts.append([*prompt, *ids])
                starts.append(len(prompt))
        places.append(own)

    def results(found: list[list[float]]) -> list[Logprobs]:
        return [_logprobs(own, found) for own in places]

    def failed(reason: str) -> list[Logprobs]:
        raise StageError(f"log-probabilities of one request do not fit into memory: {reason}")

    return ChunkWork(chunk, LogprobsJob(served.weights, texts, starts, most_logits), results, failed)


def choosing_work(served: Served, sampling: Sampling, chunk: Chunk) -> ChunkWork:
    """Answer a chunk by a head with named classes; results are `Completion`."""
    asked = classes_work(served, chunk)
    lengths = [len(served.tokenizer.prompt_ids(request.messages)) for request in chunk.requests]

    def results(found: list[list[float]]) -> list[Completion]:
        return [
            _chosen(served.class_names, one.values, seed, sampling, length)
            if one.values
            else _failed(f"prompt of {length} tokens does not fit into the context", length)
            for request, one, length in zip(chunk.requests, asked.results(found), lengths, strict=True)
            for seed in request.seeds or (0,)
        ]

    return replace(asked, results=results)


def classes_work(served: Served, chunk: Chunk) -> ChunkWork:
    """Give what a head says of a chunk's texts; results are `Logprobs`."""
    texts = [_classified(served.tokenizer, request) for request in chunk.requests]
    fits = [place for place, ids in enumerate(texts) if len(ids) <= served.context]

    def results(found: list[list[float]]) -> list[Logprobs]:
        values = dict(zip(fits, found, strict=True))
        return [
            Logprobs(tuple(values.get(place, ())), (1,) * len(values.get(place, ())))
            for place in range(len(texts))
        ]

    def failed(reason: str) -> list[Logprobs]:
        raise StageError(f"the classes of one request do not fit into memory: {reason}")

    return ChunkWork(chunk, ClassesJob(served.weights, [texts[place] for place in fits]), results, failed)


def embedding_work(served: ServedEmbedder, chunk: Chunk) -> ChunkWork:
    """Give the vectors of a chunk's texts; results are `Embedding`."""
    texts = served.reader.ids([text_of(request) for request in chunk.requests])

    def results(found: list[list[float]]) -> list[Embedding]:
        return [Embedding(tuple(vector), len(ids)) for vector, ids in zip(found, texts, strict=True)]

    def failed(reason: str) -> list[Embedding]:
        return [Embedding((), len(ids), reason) for ids in texts]

    return ChunkWork(chunk, EmbedJob(served.weights, texts, served.reader.pooling), results, failed)


def _continuation_ids(tokenizer: Tokenizer, request: Request) -> Sequence[Sequence[int]]:
    if request.continuation_ids is not None:
        return request.continuation_ids
    if request.continuations is None:
        raise ModelError(
            "a request names no continuations, and the checkpoint has no classification head",
            hint="give the texts whose log-probabilities are wanted",
        )
    return tokenizer.continuations_ids([(request.messages, text) for text in request.continuations])


def _classified(tokenizer: Tokenizer, request: Request) -> list[int]:
    """Return the ids of a prompt as a classifier reads it, and of the finished turn where one is given."""
    prompt = tokenizer.prompt_ids(request.messages)
    if request.continuation_ids:
        return [*prompt, *request.continuation_ids[0]]
    if request.continuations:
        return prompt + tokenizer.completion_ids(request.messages, request.continuations[0])
    return prompt


def _chosen(
    names: Sequence[str], logprobs: Sequence[float], seed: int, sampling: Sampling, prompt_tokens: int
) -> Completion:
    """Return the completion that names the most probable class, or one drawn at the temperature."""
    place = max(range(len(names)), key=logprobs.__getitem__)
    if sampling.temperature > 0:
        top = logprobs[place]
        chances = [math.exp((value - top) / sampling.temperature) for value in logprobs]
        place = random.Random(seed).choices(range(len(names)), chances)[0]
    return Completion(
        f" {names[place]}",
        "stop",
        token_logprobs=(logprobs[place],) if sampling.logprobs else None,
        prompt_tokens=prompt_tokens,
        generated_tokens=1,
    )


def _completions(
    served: Served,
    sampling: Sampling,
    chunk: Chunk,
    prompts: list[list[int]],
    room: list[int],
    drawn: Drawn,
) -> list[Completion]:
    texts = iter(served.tokenizer.decode_many(drawn.token_ids))
    rows = iter(range(len(drawn.token_ids)))
    found: list[Completion] = []
    for request, prompt, left in zip(chunk.requests, prompts, room, strict=True):
        for _ in range(request.rows):
            if left <= 0 or not prompt:
                reason = (
                    f"prompt of {len(prompt)} tokens does not fit into the context of {served.context} "
                    "tokens with room for an answer"
                    if prompt
                    else "the prompt is empty, and the tokenizer puts nothing before it"
                )
                found.append(_failed(reason, len(prompt)))
                continue
            row = next(rows)
            ids = drawn.token_ids[row]
            found.append(
                Completion(
                    text=_cut_off(next(texts), sampling.stop),
                    finish="stop" if drawn.is_stopped[row] else "length",
                    token_ids=tuple(ids),
                    token_logprobs=None if drawn.token_logprobs is None else tuple(drawn.token_logprobs[row]),
                    prompt_tokens=len(prompt),
                    generated_tokens=len(ids),
                )
            )
    return found


def _cut_off(text: str, stops: tuple[str, ...]) -> str:
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def _failed(reason: str, prompt_tokens: int) -> Completion:
    return Completion("", "failed", prompt_tokens=prompt_tokens, status="failed", reason=reason)


def _logprobs(places: list[int | None], found: list[list[float]]) -> Logprobs:
    rows = [() if place is None else tuple(found[place]) for place in places]
    if any(place is None for place in places):
        return Logprobs((), ())
    return Logprobs(tuple(math.fsum(row) for row in rows), tuple(map(len, rows)), tuple(rows))
