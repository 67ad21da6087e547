"""Questions for served models, as a stage would ask them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from docendo.core.protocols import Finished, Request, Sampling
from docendo.core.records import Completion, Message, Problem
from docendo.core.seeds import derived_seed
from docendo.engines.openai_protocol.engine import OpenAIEngine
from docendo.engines.openai_protocol.options import ServerOptions, served_checkpoint

HOW = Sampling(temperature=0.8, max_new_tokens=32)
GREEDY = Sampling(max_new_tokens=32)


def questions(count: int, n: int = 1, *, first: int = 0, seed: int = 0) -> list[Request]:
    """Return requests for samples ``first`` to ``first + n - 1`` of ``count`` questions."""
    return [
        Request(
            place * n,
            (Message("user", f"question {place}"),),
            tuple(derived_seed(seed, place, number) for number in range(first, first + n)),
            first=first,
            problem=Problem(f"p{place}", f"question {place}", "train"),
        )
        for place in range(count)
    ]


def asking(
    folder: Path, *, run: str = "run", says: Callable[[str], None] = lambda text: None, **options: Any
) -> OpenAIEngine:
    """Return an engine whose store lies in a folder."""
    return OpenAIEngine(ServerOptions(**options), workspace=folder, run=run, says=says)


def answers(
    engine: OpenAIEngine,
    url: str,
    requests: Iterable[Request],
    how: Sampling = HOW,
    *,
    model: str = "openai:m",
) -> dict[int, Completion]:
    """Ask everything; completions by their row."""
    checkpoint = served_checkpoint(model, url)
    rows: dict[int, Completion] = {}
    for event in engine.sample(checkpoint, engine.chunks(checkpoint, requests, how), how):
        assert isinstance(event, Finished)
        found = iter(event.results)
        for request in event.chunk.requests:
            for offset in range(request.rows):
                assert request.position + offset not in rows
                rows[request.position + offset] = next(found)
        assert next(found, None) is None
    return rows
