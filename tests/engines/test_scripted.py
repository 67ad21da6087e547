from __future__ import annotations

import pytest

from docendo.core.errors import ModelError
from docendo.core.protocols import Finished, Request, Sampling
from docendo.core.records import Completion, Message
from docendo.engines.scripted import ScriptedEngine

ASKED = [Request(place * 2, (Message("user", f"q{place}"),), (place, place + 10)) for place in range(5)]


def test_each_sample_is_answered_by_the_function() -> None:
    engine = ScriptedEngine(lambda messages, seed: f"{messages[-1].content} {seed}", requests_per_chunk=2)
    base = engine.checkpoint()
    events = list(engine.sample(base, engine.chunks(base, ASKED, Sampling()), Sampling()))
    assert [len(event.chunk.requests) for event in events] == [2, 2, 1]
    texts = [result.text for event in events if isinstance(event, Finished) for result in event.results]
    assert texts == [f"q{place} {seed}" for place in range(5) for seed in (place, place + 10)]
    assert engine.asked == ASKED


def test_a_completion_is_passed_on_as_it_is() -> None:
    failed = Completion("", "failed", status="failed", reason="no")
    engine = ScriptedEngine(lambda messages, seed: failed)
    (event,) = engine.sample(
        engine.checkpoint(), engine.chunks(engine.checkpoint(), ASKED[:1], None), Sampling()
    )
    assert isinstance(event, Finished)
    assert event.results == [failed, failed]


def test_log_probabilities_come_from_the_likelihood_function() -> None:
    engine = ScriptedEngine(lambda messages, seed: "", likelihood=lambda messages, text: -float(len(text)))
    base = engine.checkpoint()
    asked = [Request(0, ASKED[0].messages, continuations=("a", "b c d"))]
    (event,) = engine.logprobs(base, engine.chunks(base, asked, None))
    assert isinstance(event, Finished)
    assert event.results[0].values == (-1.0, -5.0)
    assert event.results[0].tokens == (1, 3)


def test_without_a_likelihood_function_there_are_none() -> None:
    engine = ScriptedEngine(lambda messages, seed: "")
    assert engine.can == {"sample"}
    with pytest.raises(ModelError, match="no log-probabilities"):
        next(engine.logprobs(engine.checkpoint(), engine.chunks(engine.checkpoint(), ASKED, None)))


def test_the_script_is_known_by_its_name() -> None:
    first = ScriptedEngine(lambda messages, seed: "", script="one")
    second = ScriptedEngine(lambda messages, seed: "", script="two")
    assert first.signature != second.signature
    assert first.checkpoint("a") == second.checkpoint("a") != first.checkpoint("b")
