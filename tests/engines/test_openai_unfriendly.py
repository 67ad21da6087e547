"""The promise: whatever a server does, every row ends as a sample or as failed with a reason, once."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from docendo.core.records import Completion
from tests.engines.asking import answers, asking, questions
from tests.engines.unfriendly import FAULTS, REPEATED, UnfriendlyServer

TEN_PERCENT_EACH = dict.fromkeys(FAULTS, 0.1)


def all_rows_ended(rows: dict[int, Completion], wanted: int, server: UnfriendlyServer) -> None:
    assert sorted(rows) == list(range(wanted))
    for row in rows.values():
        assert row.status == "ok" or row.reason
        assert (row.status == "failed") == (row.finish == "failed")
    texts = [row.text for row in rows.values() if row.text]
    assert len(texts) == len(set(texts)), "an answer stands in two rows"
    twice = [key for key, count in server.delivered.items() if count > 1]
    assert not twice, f"asked again for what had been answered: {twice[:3]}"


def seconds_without_a_processor() -> float:
    """Return how long this thread was ready to run and had no processor, because other processes had them."""
    try:
        waited = Path("/proc/thread-self/schedstat").read_text("ascii").split()[1]
    except OSError:
        return 0.0
    return int(waited) / 1e9


@pytest.mark.slow
def test_2000_requests_with_every_fault_at_ten_percent_end_in_time(tmp_path: Path) -> None:
    n, latency, capacity = 2000, 0.15, 16
    with UnfriendlyServer(TEN_PERCENT_EACH, latency_seconds=latency, capacity=capacity) as server:
        engine = asking(tmp_path, concurrency=64)
        began, waited = time.monotonic(), seconds_without_a_processor()
        rows = answers(engine, server.url, questions(n))
        seconds = time.monotonic() - began - (seconds_without_a_processor() - waited)
        all_rows_ended(rows, n, server)
        last = {call.key: call.fault for call in server.calls if call.fault not in REPEATED}
        attempts = len(server.calls)
        peak = server.peak
    reasons = Counter(row.reason.split(":")[0] for row in rows.values() if row.status == "failed")
    by_fault = Counter(last.values())
    assert reasons["content filter"] == by_fault["filter"]
    assert sum(count for reason, count in reasons.items() if "bytes" in reason) == by_fault["huge"]
    # What is left failed by chance: eight unusable answers in a row, each of a chance of 3 in 9.
    assert sum(reasons.values()) - by_fault["filter"] - by_fault["huge"] <= 5
    # The answers that were given, at the server's capacity, without a single fault between them.
    ideal = (
        sum(latency * (server.slow_factor if fault == "slow" else 1) for fault in last.values()) / capacity
    )
    assert seconds <= 1.5 * ideal, f"{seconds:.1f} s, ideal {ideal:.1f} s, {attempts} attempts"
    assert peak <= capacity + 3, "it went on pushing against a full server"


def test_every_fault_at_ten_percent_in_small(tmp_path: Path) -> None:
    with UnfriendlyServer(TEN_PERCENT_EACH, latency_seconds=0.01, capacity=8, seed=3) as server:
        rows = answers(asking(tmp_path), server.url, questions(150))
        all_rows_ended(rows, 150, server)


def test_every_fault_with_several_samples_a_request(tmp_path: Path) -> None:
    with UnfriendlyServer(TEN_PERCENT_EACH, latency_seconds=0.01, seed=5) as server:
        rows = answers(asking(tmp_path), server.url, questions(60, n=4))
        assert sorted(rows) == list(range(240))
        texts = [row.text for row in rows.values() if row.text]
        assert len(texts) == len(set(texts))


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault not in REPEATED])
def test_a_server_that_always_does_the_same_is_asked_once_each(tmp_path: Path, fault: str) -> None:
    with UnfriendlyServer({fault: 1.0}) as server:
        rows = answers(asking(tmp_path), server.url, questions(5))
        assert len(server.calls) == 5
    told = {(row.status, row.reason.split(" of more")[0]) for row in rows.values()}
    expected = {"filter": ("failed", "content filter"), "huge": ("failed", "an answer")}
    assert told == {expected.get(fault, ("ok", ""))}


@pytest.mark.parametrize(("fault", "told"), [("truncated", "the connection broke"), ("no json", "no JSON")])
def test_a_server_that_never_gives_a_usable_answer_fails_rows_and_is_left_alone(
    tmp_path: Path, fault: str, told: str
) -> None:
    with UnfriendlyServer({fault: 1.0}) as server:
        rows = answers(asking(tmp_path, max_attempts=3), server.url, questions(4))
        assert len(server.calls) == 12
    assert {row.status for row in rows.values()} == {"failed"}
    for row in rows.values():
        assert "3 attempts" in row.reason
        assert told in row.reason
