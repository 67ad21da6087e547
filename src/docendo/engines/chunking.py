"""The rule by which the built-in engine cuts requests into chunks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from docendo.core.protocols import Chunk, Request, Sampling
from docendo.engines.pooling import TextReader, text_of
from docendo.engines.served import Served

LOGIT_BYTES = 24
"""Memory for each entry of a row of logits: itself, probabilities, running sums, and what is in between."""
_WINDOW = 8192
"""Requests that are sorted together. More would only cost memory; chunks are far smaller."""
_FEWEST_ROWS = 64
"""Chunks of fewer rows are not worth being told apart, even to keep more workers busy."""
_CHUNKS_WANTED = 4

Cut = Iterator[list[Request]]


def chunked(requests: Iterable[Request], cut: Callable[[list[Request]], Cut]) -> Iterator[Chunk]:
    """Return numbered chunks of requests, each run of 8,192 of them cut by itself."""
    stream = iter(requests)
    number = 0
    while window := list(islice(stream, _WINDOW)):
        for own in cut(window):
            yield Chunk(str(number), tuple(own))
            number += 1


def cut_for_answers(
    served: Served, window: list[Request], sampling: Sampling | None, *, most_rows: int, most_bytes: int
) -> Cut:
    """Cut requests that are to be answered; without ``sampling``, whose log-probabilities are wanted."""
    requests = [part for request in window for part in _parts(request, most_rows)]
    prompts = served.tokenizer.prompts_ids([request.messages for request in requests])
    if sampling is None:
        sizes = [
            len(ids) + _longest_continuation(request) for ids, request in zip(prompts, requests, strict=True)
        ]
    else:
        sizes = [len(ids) for ids in prompts]
    rows = [_rows_of(request, sampling) for request in requests]

    def fits(longest: int, prompts: int, rows: int) -> bool:
        return _bytes(served, longest, prompts, rows, sampling) <= most_bytes

    return _by_length(requests, sizes, rows, most_rows, fits)


def cut_for_embeddings(reader: TextReader, window: list[Request], *, most_rows: int) -> Cut:
    """Cut requests whose texts are to be embedded. Texts are read in pieces, so memory sets no bound."""
    sizes = [len(ids) for ids in reader.ids([text_of(request) for request in window])]
    return _by_length(window, sizes, [1] * len(window), most_rows, lambda longest, prompts, rows: True)


def _by_length(
    requests: Sequence[Request],
    sizes: Sequence[int],
    rows: Sequence[int],
    most_rows: int,
    fits: Callable[[int, int, int], bool],
) -> Cut:
    """Cut requests of like length, the longest first.

    Args:
        requests: In any order.
        sizes: Tokens of each.
        rows: Rows of each.
        most_rows: Of a chunk; fewer where a quarter of all are fewer.
        fits: Whether a chunk may be so: (tokens of the longest, requests, rows).
    """
    order = sorted(range(len(requests)), key=lambda place: (-sizes[place], requests[place].position))
    most_rows = min(most_rows, max(_FEWEST_ROWS, math.ceil(sum(rows) / _CHUNKS_WANTED)))
    cut: list[Request] = []
    cut_rows, longest = 0, 0
    for place in order:
        if cut:
            size, count = max(longest, sizes[place]), cut_rows + rows[place]
            if count > most_rows or not fits(size, len(cut) + 1, count):
                yield cut
                cut, cut_rows, longest = [], 0, 0
        cut.append(requests[place])
        cut_rows += rows[place]
        longest = max(longest, sizes[place])
    if cut:
        yield cut


def _bytes(served: Served, prompt_tokens: int, prompts: int, rows: int, sampling: Sampling | None) -> int:
    """Return what a chunk needs at its worst: caches at full length, and logits."""
    per_token = served.cache_bytes_per_token
    if sampling is None:
        # Texts are read in pieces, so only the lists of numbers grow with the chunk.
        return rows * prompt_tokens * 64
    own = min(sampling.max_new_tokens, max(0, served.context - prompt_tokens))
    # Twice: forming groups anew copies both caches.
    return 2 * per_token * (prompts * prompt_tokens + rows * own) + rows * served.vocabulary * LOGIT_BYTES


def _parts(request: Request, most_rows: int) -> Iterator[Request]:
    """Cut the samples of a request into requests of at most so many rows."""
    if len(request.seeds) <= most_rows:
        yield request
        return
    for first in range(0, len(request.seeds), most_rows):
        seeds = request.seeds[first : first + most_rows]
        yield Request(
            request.position + first,
            request.messages,
            seeds,
            request.continuations,
            request.continuation_ids,
        )


def _rows_of(request: Request, sampling: Sampling | None) -> int:
    if sampling is None:
        return max(1, len(request.continuation_ids or request.continuations or ()))
    return request.rows


def _longest_continuation(request: Request) -> int:
    if request.continuation_ids is not None:
        return max(map(len, request.continuation_ids), default=0)
    # A rough count will do: it decides which requests share a chunk, nothing more.
    return max((len(text) for text in request.continuations or ()), default=0) // 3
