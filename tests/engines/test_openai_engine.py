"""What the engine asks a server, what it makes of the answers, and when it stops."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import BudgetReached, DataError, ModelError, SettingError, StageError
from docendo.core.protocols import Request, Sampling
from docendo.core.records import Message
from docendo.engines.openai_protocol.options import ServerOptions, served_checkpoint
from tests.engines.asking import GREEDY, HOW, answers, asking, questions
from tests.engines.unfriendly import Call, UnfriendlyServer

OK = {"choices": [{"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"}]}


def saying(status: int, body: Any, headers: dict[str, str] | None = None) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda call, times: (status, headers or {}, content)


def test_what_is_sent(tmp_path: Path) -> None:
    how = Sampling(temperature=0.5, top_p=0.9, top_k=3, max_new_tokens=7, stop=("\n",))
    chat = Request(0, (Message("system", "be brief"), Message("user", "hi")), (1, 2))
    with UnfriendlyServer() as server:
        answers(asking(tmp_path), server.url, [chat], how)
        assert server.calls[0].body == {
            "model": "m",
            "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
            "temperature": 0.5,
            "max_tokens": 7,
            "top_p": 0.9,
            "top_k": 3,
            "stop": ["\n"],
            "n": 2,
        }


def test_plain_text_is_sent_as_one_prompt_without_a_chat(tmp_path: Path) -> None:
    text = Request(0, (Message("text", "Q: 1 + 1\n"), Message("text", "A:")), (1,))
    with UnfriendlyServer() as server:
        rows = answers(asking(tmp_path), server.url, [text], GREEDY)
        assert server.calls[0].body == {
            "model": "m",
            "prompt": "Q: 1 + 1\nA:",
            "temperature": 0.0,
            "max_tokens": 32,
        }
    assert rows[0].text == "Answer 1 to Q: 1 + 1\nA:"
    mixed = Request(0, (Message("text", "a"), Message("user", "b")), (1,))
    with pytest.raises(DataError, match="mixes role 'text' with user"), UnfriendlyServer() as server:
        answers(asking(tmp_path), server.url, [mixed], GREEDY)


def test_a_begun_answer_is_sent_as_the_settings_say(tmp_path: Path) -> None:
    begun = Request(0, (Message("user", "hi"), Message("assistant", "Well,")), (1,))
    with UnfriendlyServer() as server:
        answers(asking(tmp_path), server.url, [begun], GREEDY)
        answers(asking(tmp_path, prefilled="continue"), server.url, [begun], GREEDY)
        turn, going_on = (call.body for call in server.calls)  # two requests: each is kept by itself
    assert turn["messages"][-1] == {"role": "assistant", "content": "Well,"}
    assert "continue_final_message" not in turn
    assert (going_on["continue_final_message"], going_on["add_generation_prompt"]) == (True, False)


def test_the_key_comes_from_the_environment_and_is_in_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret-1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with UnfriendlyServer() as server:
        answers(asking(tmp_path, api_key_env="MY_KEY"), server.url, questions(1))
        answers(asking(tmp_path), server.url, questions(2))
        assert server.calls[0].headers["authorization"] == "Bearer sk-secret-1"
        assert "authorization" not in server.calls[1].headers
    echo = {"error": {"message": "no model for key sk-secret-1"}}
    with UnfriendlyServer(answers=saying(400, echo)) as server:
        rows = answers(asking(tmp_path, api_key_env="MY_KEY"), server.url, questions(5))
        assert rows[4].reason == "HTTP 400: no model for key ***"
    assert all(b"sk-secret" not in path.read_bytes() for path in tmp_path.iterdir())
    with (
        UnfriendlyServer(answers=saying(401, echo)) as server,
        pytest.raises(ModelError, match=r"refuses access.*\*\*\*") as told,
    ):
        answers(asking(tmp_path, api_key_env="MY_KEY"), server.url, questions(9))
    assert "MY_KEY is set, but not accepted" in str(told.value)


def test_what_a_server_asks_to_wait_is_honoured(tmp_path: Path) -> None:
    def first_no(call: Call, times: int) -> Any:
        return (429, {"retry-after": "1"}, b"{}") if times == 0 else None

    with UnfriendlyServer(answers=first_no) as server:
        rows = answers(asking(tmp_path), server.url, questions(2))
        for key in ("question 0", "question 1"):
            first, second = (call.at for call in server.calls if call.key == key)
            assert second - first >= 1
    assert {row.status for row in rows.values()} == {"ok"}


def test_who_is_told_to_wait_beyond_all_patience_fails_alone(tmp_path: Path) -> None:
    def not_this_one(call: Call, times: int) -> Any:
        wait = {"retry-after": "Fri, 01 Jan 2100 00:00:00 GMT"}
        return (429, wait, b"") if call.key == "question 3" else None

    with UnfriendlyServer(answers=not_this_one) as server:
        rows = answers(asking(tmp_path, concurrency=1), server.url, questions(3))
        assert {row.status for row in rows.values()} == {"ok"}
        with pytest.raises(StageError, match=r"answers nobody.*HTTP 429, and asks to wait [\d,]{9,} s"):
            answers(asking(tmp_path), server.url, questions(4))


def test_server_errors_are_tried_again_and_then_told(tmp_path: Path) -> None:
    with UnfriendlyServer(answers=saying(500, {"error": "boom"})) as server:
        rows = answers(asking(tmp_path, max_attempts=2), server.url, questions(2))
        assert len(server.calls) == 4
    assert rows[0].reason == "no usable answer in 2 attempts, the last: HTTP 500: boom"


def test_a_slow_answer_is_given_up_after_its_time(tmp_path: Path) -> None:
    with UnfriendlyServer(latency_seconds=5) as server:
        began = time.monotonic()
        rows = answers(
            asking(tmp_path, request_timeout_seconds=0.2, max_attempts=2), server.url, questions(2)
        )
        assert time.monotonic() - began < 4
    assert rows[1].reason == "no usable answer in 2 attempts, the last: no answer in 0.2 s"


def test_a_rejected_request_is_asked_once_and_keeps_its_reason(tmp_path: Path) -> None:
    told = {"error": {"message": "context length exceeded"}}
    with UnfriendlyServer(answers=saying(400, told)) as server:
        rows = answers(asking(tmp_path), server.url, questions(3))
        assert len(server.calls) == 3
    assert {row.reason for row in rows.values()} == {"HTTP 400: context length exceeded"}


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        (401, {"error": {"message": "who?"}}, ModelError, "OPENAI_API_KEY is not set"),
        (404, {"detail": "no model m"}, ModelError, "no model m"),
        (307, b"", ModelError, "HTTP 307"),
        (402, {"error": "pay"}, StageError, "no credit left"),
        (429, {"error": {"code": "insufficient_quota", "message": "broke"}}, StageError, "no credit left"),
    ],
)
def test_what_no_request_can_get_past_ends_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int, body: Any, error: type[Exception], told: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with UnfriendlyServer(answers=saying(status, body)) as server:
        with pytest.raises(error) as raised:
            answers(asking(tmp_path, concurrency=4), server.url, questions(100))
        assert len(server.calls) < 20
    assert told in str(raised.value)


def test_no_server_is_told_soon(tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        url = server.url
    with pytest.raises(StageError, match=r"answers nobody, tried for \d s: not reached"):
        answers(asking(tmp_path, patience_seconds=1), url, questions(3))


def test_samples_are_asked_together_where_the_server_can(tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        rows = answers(asking(tmp_path), server.url, questions(3, n=10))
        assert sorted(call.body.get("n", 1) for call in server.calls) == [2, 2, 2, 8, 8, 8]
    assert len({row.text for row in rows.values()}) == 30
    assert {row.generated_tokens for row in rows.values()} == {7}


def test_a_server_that_ignores_n_is_asked_n_times(tmp_path: Path) -> None:
    with UnfriendlyServer(takes_n=False) as server:
        rows = answers(asking(tmp_path, concurrency=1), server.url, questions(3, n=4))
        assert len(server.calls) == 12
        assert [call.body.get("n", 1) for call in server.calls].count(1) >= 11, "it is asked so only once"
    assert len({row.text for row in rows.values()}) == 12


def test_a_server_that_refuses_n_is_asked_n_times(tmp_path: Path) -> None:
    def no_n(call: Call, times: int) -> Any:
        return (422, {}, b'{"detail": "unexpected field n"}') if "n" in call.body else None

    with UnfriendlyServer(answers=no_n) as server:
        rows = answers(asking(tmp_path, concurrency=1), server.url, questions(20, n=4))
        assert len([call for call in server.calls if "n" in call.body]) <= 8, "it has to learn"
    assert len({row.text for row in rows.values()}) == 80


def test_the_newer_name_of_the_length_is_learned(tmp_path: Path) -> None:
    told = b'{"error": {"message": "use max_completion_tokens instead of max_tokens"}}'

    def newer(call: Call, times: int) -> Any:
        return (400, {}, told) if "max_tokens" in call.body else None

    with UnfriendlyServer(answers=newer) as server:
        rows = answers(asking(tmp_path, concurrency=2), server.url, questions(20))
        assert len([call for call in server.calls if "max_tokens" in call.body]) <= 2
    assert {row.status for row in rows.values()} == {"ok"}


def test_log_probabilities_are_refused_before_anything_is_asked(tmp_path: Path) -> None:
    engine = asking(tmp_path)
    checkpoint = served_checkpoint("openai:m", "http://127.0.0.1:1/v1")
    assert engine.can == {"sample", "embed"}
    for how in (None, Sampling(logprobs=True)):
        with pytest.raises(ModelError, match="openai:m is a served model and gives no log-probabilities"):
            list(engine.chunks(checkpoint, questions(1), how))
    with pytest.raises(ModelError, match="no log-probabilities"):
        engine.logprobs(checkpoint, [])


def test_tokens_and_money_are_counted(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("m: {input: 1, output: 2}\n", "utf-8")
    said: list[str] = []
    with UnfriendlyServer() as server:
        rows = answers(asking(tmp_path, prices=prices, says=said.append), server.url, questions(2, n=2))
    # A request of two samples: 10 tokens in at $1 and 14 out at $2 a million, shared by the two.
    assert {row.cost_usd for row in rows.values()} == {(10 * 1 + 14 * 2) / 1e6 / 2}
    assert {(row.prompt_tokens, row.generated_tokens) for row in rows.values()} == {(10, 7)}
    assert said == [
        "m costs $1 in and $2 out per million tokens (by --prices)",
        "m: 4 samples in 2 requests; $0.0001 by this run so far",
    ]


def test_an_unknown_price_and_uncounted_tokens_are_said(tmp_path: Path) -> None:
    said: list[str] = []
    with UnfriendlyServer(counts_tokens=False) as server:
        rows = answers(asking(tmp_path, says=said.append), server.url, questions(1))
    assert rows[0].cost_usd is None
    assert said[0] == "the price of m is not known: tokens are counted, money is not (--prices FILE)"
    assert said[1] == "m: the server does not count tokens; they stand as 0"


def test_a_cap_on_requests_is_kept_exactly_and_a_higher_one_goes_on(tmp_path: Path) -> None:
    with UnfriendlyServer({"429": 0.2, "no json": 0.2}, latency_seconds=0.01) as server:
        with pytest.raises(BudgetReached, match="20 requests were sent, and max_requests is 20") as told:
            answers(asking(tmp_path, max_requests=20), server.url, questions(40))
        assert "raise the cap and run the same command" in str(told.value)
        assert len(server.calls) == 20
        with pytest.raises(BudgetReached):  # the same cap: the run has had its 20
            answers(asking(tmp_path, max_requests=20), server.url, questions(40))
        assert len(server.calls) == 20
        rows = answers(asking(tmp_path, max_requests=500), server.url, questions(40))
        assert {row.status for row in rows.values()} == {"ok"}
        assert max(server.delivered.values()) == 1, "what was paid under the first cap was asked again"


def test_what_is_in_flight_when_the_cap_is_reached_is_kept(tmp_path: Path) -> None:
    with UnfriendlyServer(latency_seconds=0.3) as server:
        with pytest.raises(BudgetReached):
            answers(asking(tmp_path, max_requests=4), server.url, questions(8))
        assert sum(server.delivered.values()) == 4
        answers(asking(tmp_path), server.url, questions(8))
        assert len(server.calls) == 8


def test_a_cap_on_money_is_never_exceeded(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("m: {input: 100, output: 1000}\n", "utf-8")
    each = (10 * 100 + 7 * 1000) / 1e6  # $0.008; at most $0.0346, by the prompt's bytes and 32 tokens
    with UnfriendlyServer(latency_seconds=0.01) as server:
        with pytest.raises(BudgetReached, match="max_cost is") as told:
            answers(asking(tmp_path, prices=prices, max_cost=0.1), server.url, questions(100))
        paid = sum(server.delivered.values()) * each
        assert 0.1 - 0.0346 < paid <= 0.1
        assert f"${paid:.4f} was spent" in str(told.value)


def test_broken_answers_count_with_all_they_may_cost(tmp_path: Path) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("m: {input: 0, output: 1000}\n", "utf-8")
    at_most = 32 * 1000 / 1e6
    with UnfriendlyServer({"no json": 1.0}) as server:
        with pytest.raises(BudgetReached, match="perhaps"):
            answers(asking(tmp_path, prices=prices, max_cost=4.5 * at_most), server.url, questions(100))
        assert len(server.calls) == 4


def test_a_cap_on_money_needs_a_price(tmp_path: Path) -> None:
    engine = asking(tmp_path, max_cost=1.0)
    checkpoint = served_checkpoint("openai:m", "http://127.0.0.1:1/v1")
    with pytest.raises(SettingError, match=r"price of 'm' at http://127.0.0.1:1/v1 is not known"):
        list(engine.chunks(checkpoint, [], HOW))


def test_closing_the_generator_lets_go_at_once(tmp_path: Path) -> None:
    with UnfriendlyServer(latency_seconds=0.05) as server:
        engine = asking(tmp_path, concurrency=2)
        checkpoint = served_checkpoint("openai:m", server.url)
        stream = engine.sample(checkpoint, engine.chunks(checkpoint, questions(500), HOW), HOW)
        next(stream)
        began = time.monotonic()
        stream.close()
        assert time.monotonic() - began < 2
        asked = len(server.calls)
        time.sleep(0.3)
        assert len(server.calls) == asked < 500


def test_a_served_model_is_its_name_whatever_its_address() -> None:
    here, there = (served_checkpoint("openai:m", f"http://{host}/v1") for host in ("a", "b"))
    assert here.digest == there.digest == here.root
    assert (here.tokenizer, here.engine, here.location) == ("", "openai", "http://a/v1#m")
    assert served_checkpoint("openai:other", "http://a/v1").digest != here.digest


def test_addresses_and_names_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("localhost:8000", "ftp://a/v1", "http://", "http://a:x/v1", "http://a/#b"):
        with pytest.raises(SettingError, match="expected an address such as"):
            served_checkpoint("openai:m", url)
    with pytest.raises(ModelError, match="has no name"):
        served_checkpoint("openai:", "http://a/v1")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://elsewhere/v1/")
    assert served_checkpoint("openai:m").location == "http://elsewhere/v1#m"
    monkeypatch.delenv("OPENAI_BASE_URL")
    assert served_checkpoint("openai:m").location == "https://api.openai.com/v1#m"


def test_settings_are_checked_all_at_once() -> None:
    with pytest.raises(SettingError) as told:
        ServerOptions(concurrency=0, max_cost=-1, max_requests=0, request_timeout_seconds=float("inf"))
    for text in ("concurrency is 0", "max_cost is -1", "max_requests is 0", "request_timeout_seconds is inf"):
        assert text in str(told.value)
