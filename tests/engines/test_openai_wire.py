"""Reading answers: whatever comes, it is completions or `Unusable`, never another error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import DataError
from docendo.core.protocols import Sampling
from docendo.core.records import Message
from docendo.engines.openai_protocol.client import wait_asked_for
from docendo.engines.openai_protocol.prices import Price, price_of, read_prices
from docendo.engines.openai_protocol.wire import Call, Unusable, completions_in, shown, told_by

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "message": st.fixed_dictionaries({}, optional={"content": JSON, "refusal": JSON}) | JSON,
        "text": JSON,
        "finish_reason": st.sampled_from(["stop", "length", "content_filter", "tool_calls", None, 3, "odd"]),
    },
)
ANSWER = st.fixed_dictionaries(
    {"choices": st.lists(CHOICE | JSON, max_size=4) | JSON},
    optional={"usage": st.dictionaries(st.sampled_from(["prompt_tokens", "completion_tokens"]), JSON) | JSON},
)


def choices(*texts: str | None, ended: Any = "stop", **more: Any) -> bytes:
    return json.dumps(
        {
            "choices": [
                {"index": index, "message": {"content": text}, "finish_reason": ended}
                for index, text in enumerate(texts)
            ],
            **more,
        }
    ).encode()


def read(content: bytes, n: int = 1, *stops: str, price: Price | None = None) -> Any:
    return completions_in(content, n, stops=stops, price=price)


@given(ANSWER | JSON, st.integers(1, 4))
def test_any_json_is_completions_or_unusable(answer: Any, n: int) -> None:
    content = json.dumps(answer, allow_nan=False, default=str).encode() if _is_plain(answer) else b"NaN"
    try:
        found = completions_in(content, n, stops=["."], price=Price(1, 1))
    except Unusable as error:
        assert str(error)
        return
    assert 1 <= len(found) <= n
    for one in found:
        one.text.encode()
        assert (one.status == "failed") == bool(one.reason) == (one.finish == "failed")
        assert one.prompt_tokens >= 0
        assert one.generated_tokens >= 0


def _is_plain(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


@given(st.binary(max_size=200))
def test_any_bytes_are_completions_or_unusable(content: bytes) -> None:
    with pytest.raises(Unusable):
        read(content)
    assert told_by(content).isprintable()


def test_what_ends_a_completion() -> None:
    assert [read(choices("a", ended=said))[0].finish for said in ("stop", "length", None, "eos")] == [
        "stop",
        "length",
        "stop",
        "stop",
    ]
    odd = read(choices("a", ended="abort"))[0]
    assert (odd.status, odd.reason, odd.text) == ("failed", "ended for an unknown reason: abort", "")


def test_empty_is_a_sample_and_nothing_at_all_is_unusable() -> None:
    assert (read(choices(""))[0].status, read(choices("", ended="length"))[0].finish) == ("ok", "length")
    with pytest.raises(Unusable, match="no text"):
        read(choices(None))
    with pytest.raises(Unusable, match="no choices"):
        read(b'{"choices": []}')
    with pytest.raises(Unusable, match="overloaded"):
        read(b'{"error": {"message": "overloaded"}}')


def test_filters_refusals_and_tool_calls_are_answers_that_failed() -> None:
    def only(**choice: Any) -> Any:
        return read(json.dumps({"choices": [choice]}).encode())[0]

    assert only(message={"content": "half"}, finish_reason="content_filter").reason == "content filter"
    refused = only(message={"content": None, "refusal": "I will\nnot"}, finish_reason="stop")
    assert refused.reason == "refusal: I will not"
    tool = only(message={"content": None, "tool_calls": []}, finish_reason="tool_calls")
    assert tool.reason == "the model called a tool instead of answering"


def test_stop_texts_are_cut_off_where_the_server_left_them() -> None:
    found = read(choices("one. two! three"), 1, "!", ".")[0]
    assert (found.text, found.finish) == ("one", "stop")
    assert read(choices("one. two", ended="length"), 1, ".")[0].finish == "stop"


def test_repeated_choices_count_once_and_surplus_ones_not_at_all() -> None:
    twice = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
    other = {"index": 1, "message": {"content": "a"}, "finish_reason": "stop"}
    content = json.dumps({"choices": [twice, other, twice]}).encode()
    assert len(read(content, 3)) == 2
    assert len(read(content, 1)) == 1


def test_tokens_and_money_are_shared_out_and_add_up() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 11}
    found = read(choices("a", "b", "c", usage=usage), 3, price=Price(1, 2))
    assert [one.generated_tokens for one in found] == [4, 4, 3]
    assert [one.prompt_tokens for one in found] == [5, 5, 5]
    assert sum(one.cost_usd for one in found) == pytest.approx((5 + 22) / 1e6)
    for broken in ({"prompt_tokens": 5}, {"prompt_tokens": "5", "completion_tokens": 1}, None, [], 3):
        one = read(choices("a", usage=broken), price=Price(1, 2))[0]
        assert (one.prompt_tokens, one.generated_tokens, one.cost_usd) == (0, 0, None)


def test_content_may_come_in_parts() -> None:
    content = json.dumps(
        {
            "choices": [
                {"message": {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}}
            ]
        }
    ).encode()
    assert read(content)[0].text == "ab"


def test_what_is_shown_is_one_printable_line() -> None:
    assert shown(b"a\n\x1b[31mb\tc\xff") == "a [31mb c\N{REPLACEMENT CHARACTER}"
    assert len(shown(b"x" * 5000)) < 210


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "inf"}, 0),
        ({}, 0),
    ],
)
def test_retry_after_is_read_in_all_its_forms(headers: dict[str, str], seconds: float) -> None:
    assert wait_asked_for(headers) == seconds


def test_what_a_sample_is_kept_under() -> None:
    call = Call("m", (Message("user", "hi"),), Sampling(temperature=0.5), "turn")
    keys = {
        call.key(1),
        call.key(2),
        Call("m2", call.messages, call.sampling, "turn").key(1),
        Call("m", (Message("user", "ho"),), call.sampling, "turn").key(1),
        Call("m", call.messages, Sampling(temperature=0.6), "turn").key(1),
        Call("m", call.messages, Sampling(temperature=0.5, stop=(".",)), "turn").key(1),
        Call("m", call.messages, call.sampling, "continue").key(1),
    }
    assert len(keys) == 7
    greedy = Call("m", call.messages, Sampling(), "turn")
    assert greedy.key(1) == greedy.key(2), "a greedy answer has no draw"


def test_prices() -> None:
    own = {"m": Price(3, 4)}
    official, elsewhere = "https://api.openai.com/v1", "http://127.0.0.1:8000/v1"
    assert price_of("m", elsewhere, own) == Price(3, 4)
    assert price_of("gpt-4.1-mini-2025-04-14", official, {}) == Price(0.4, 1.6)
    assert price_of("gpt-4.1-mini", elsewhere, {}) is None, "the same name elsewhere is another product"
    assert price_of("gpt-4.1-mini", official, {"gpt-4.1-mini": Price(9, 9)}) == Price(9, 9)
    assert price_of("unheard-of", official, {}) is None
    assert Price(2, 8).of(1_000_000, 500_000) == 6


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("- 1", "holds no prices"),
        ("m: 3", "prices.yaml', m: found 3; expected"),
        ("m: {input: 1}", "expected"),
        ("m: {input: 1, output: -2}", "expected"),
        ("m: {input: 1, output: yes}", "expected"),
        ("m: [", "no YAML"),
    ],
)
def test_price_files_are_checked(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError) as raised:
        read_prices(path)
    assert told in str(raised.value)
    with pytest.raises(DataError, match="cannot be read"):
        read_prices(tmp_path / "none.yaml")
