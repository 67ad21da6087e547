"""Against a real server of other people: ``transformers serve`` with a built-in model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from docendo.core.protocols import Request, Sampling
from docendo.core.records import Completion, Message
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.transformers import TransformersEngine
from docendo.lab import models
from tests.engines.asking import answers, asking
from tests.engines.serving import Serve

pytest.importorskip("uvicorn", reason="transformers serve needs transformers[serving]")
MODEL = str(models.path("lab/student"))
HOW = Sampling(max_new_tokens=48)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    server = Serve(tmp_path_factory.mktemp("serve"), MODEL)
    server.start()
    yield server
    server.kill()


def sums(count: int, n: int = 1) -> list[Request]:
    return [
        Request(
            place * n,
            (Message("user", f"What is {place} + 3?"),),
            tuple(1000 * place + number for number in range(n)),
        )
        for place in range(count)
    ]


@pytest.mark.slow
def test_greedy_answers_are_those_of_the_own_engine(serve: Serve, tmp_path: Path) -> None:
    rows = answers(asking(tmp_path, concurrency=4), serve.url, sums(12), HOW, model=f"openai:{MODEL}")
    checkpoint = open_checkpoint(MODEL)
    engine = TransformersEngine()
    own: dict[int, Completion] = {}
    for event in engine.sample(checkpoint, engine.chunks(checkpoint, sums(12), HOW), HOW):
        for request, result in zip(event.chunk.requests, getattr(event, "results", ()), strict=True):
            own[request.position] = result
    engine.close()
    assert [rows[place].text for place in range(12)] == [own[place].text for place in range(12)]
    assert [rows[place].finish for place in range(12)] == [own[place].finish for place in range(12)]
    # The server counts no end token and renders the same template, so its counts are ours.
    assert [rows[place].prompt_tokens for place in range(12)] == [
        own[place].prompt_tokens for place in range(12)
    ]


@pytest.mark.slow
def test_plain_text_and_stop_texts(serve: Serve, tmp_path: Path) -> None:
    text = Request(0, (Message("text", "Q: What is 2 + 3?\nA:"),), (1,))
    how = Sampling(max_new_tokens=48, stop=("step by",))
    rows = answers(asking(tmp_path), serve.url, [text], how, model=f"openai:{MODEL}")
    assert rows[0].text == " Let's think step "[: len(rows[0].text)]
    assert rows[0].finish == "stop"


@pytest.mark.slow
def test_it_ignores_n_and_is_asked_n_times(serve: Serve, tmp_path: Path) -> None:
    before = serve.answered()
    drawn = Sampling(temperature=0.9, max_new_tokens=16)
    rows = answers(asking(tmp_path), serve.url, sums(3, n=4), drawn, model=f"openai:{MODEL}")
    assert sorted(rows) == list(range(12))
    assert serve.answered() - before == 12
    answers(asking(tmp_path), serve.url, sums(3, n=4), drawn, model=f"openai:{MODEL}")
    assert serve.answered() - before == 12


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again_nothing_completed_is_repeated(tmp_path: Path) -> None:
    server = Serve(tmp_path, MODEL)
    server.start()
    found: dict[int, Completion] = {}

    def ask() -> None:
        engine = asking(tmp_path, concurrency=4, patience_seconds=120)
        found.update(answers(engine, server.url, sums(120), HOW, model=f"openai:{MODEL}"))

    client = threading.Thread(target=ask)
    client.start()
    try:
        deadline = time.monotonic() + 60
        while server.answered() < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        server.kill()
        assert client.is_alive(), "it was done before the server was killed"
        at_the_kill = server.answered()
        time.sleep(1)
        server.start()
        client.join(timeout=120)
    finally:
        server.kill()
    assert 20 <= at_the_kill < 120
    assert sorted(found) == list(range(120))
    assert {row.status for row in found.values()} == {"ok"}
    # An answer that the server had logged but not sent when it was killed would be the only one repeated.
    assert 120 <= server.answered() <= 121
