"""Embeddings of servers: what is asked, what is made of the answers, paid once."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import BudgetReached
from docendo.core.protocols import Finished, Request
from docendo.core.records import Embedding, Message
from docendo.engines.openai_protocol.engine import OpenAIEngine
from docendo.engines.openai_protocol.options import served_checkpoint
from tests.engines.asking import asking
from tests.engines.unfriendly import Call, UnfriendlyServer

TEXTS = ["one two three", "a bb", "seventeen"]


def embedded(engine: OpenAIEngine, url: str, texts: list[str] = TEXTS) -> list[Embedding]:
    checkpoint = served_checkpoint("openai:m", url)
    requests = [Request(place, (Message("text", text),)) for place, text in enumerate(texts)]
    rows: dict[int, Embedding] = {}
    for event in engine.embed(checkpoint, list(engine.chunks(checkpoint, requests, "embed"))):
        assert isinstance(event, Finished)
        (rows[event.chunk.requests[0].position],) = event.results
    return [rows[place] for place in range(len(texts))]


def saying(embedding: Any, **more: Any) -> Any:
    return lambda call, times: (200, {}, json.dumps({"data": [{"embedding": embedding}], **more}).encode())


def test_each_text_is_one_request_and_comes_as_a_vector(tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        found = embedded(asking(tmp_path), server.url)
        assert [own.vector for own in found] == [(3, 3, 5), (1, 2), (9,)]
        assert [own.tokens for own in found] == [3, 2, 1]
        bodies = sorted((call.body for call in server.calls), key=lambda body: body["input"])
        assert bodies == [{"model": "m", "input": text, "encoding_format": "float"} for text in sorted(TEXTS)]


def test_what_was_paid_is_not_asked_again_nor_asked_twice(tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        embedded(asking(tmp_path), server.url)
        again = embedded(asking(tmp_path), server.url, [*TEXTS, "a bb", "new"])
        assert len(server.calls) == 4
        assert again[1] == again[3]
    with UnfriendlyServer() as server:  # another address of the same name
        assert embedded(asking(tmp_path), server.url) == again[:3]
        assert server.calls == []


def test_a_vector_may_come_in_base64(tmp_path: Path) -> None:
    numbers = base64.b64encode(struct.pack("<2f", 0.5, -2)).decode()
    with UnfriendlyServer(answers=saying(numbers)) as server:
        (found,) = embedded(asking(tmp_path), server.url, ["x"])
    assert found == Embedding((0.5, -2.0), 0)  # tokens were not counted


@pytest.mark.parametrize("vector", [[], None, "no base64!", [1, None], [[1], [2]], [1e60], {"a": 1}])
def test_what_is_no_vector_is_asked_again_and_then_failed(tmp_path: Path, vector: Any) -> None:
    with UnfriendlyServer(answers=saying(vector)) as server:
        (found,) = embedded(asking(tmp_path, max_attempts=2), server.url, ["x"])
        assert len(server.calls) == 2
    assert found.vector == ()
    assert "no usable answer in 2 attempts, the last: an embedding" in found.reason


def test_a_text_that_the_server_turns_down_fails_alone(tmp_path: Path) -> None:
    def too_long(call: Call, times: int) -> Any:
        return (400, {}, b'{"error": {"message": "too long"}}') if call.key == "a bb" else None

    with UnfriendlyServer(answers=too_long) as server:
        found = embedded(asking(tmp_path), server.url)
    assert [own.reason for own in found] == ["", "HTTP 400: too long", ""]
    assert found[1].vector == ()


def test_trouble_on_the_way_changes_no_vector(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(40)]
    faults = {"429": 0.2, "truncated": 0.1, "no json": 0.1, "hang up": 0.1}
    with UnfriendlyServer(faults=faults, seed=1) as server:
        found = embedded(asking(tmp_path), server.url, texts)
    assert [own.vector for own in found] == [(4, float(len(str(number)))) for number in range(40)]


def test_money_is_counted_and_capped(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("m: {input: 500000, output: 0}\n", "utf-8")
    with UnfriendlyServer() as server:
        found = embedded(asking(tmp_path, prices=prices), server.url)
        assert [own.cost_usd for own in found] == [1.5, 1, 0.5]
        with pytest.raises(BudgetReached, match="max_cost is"):
            embedded(asking(tmp_path, prices=prices, max_cost=4.0), server.url, ["something else"])
