from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from docendo.core.errors import DocendoError
from docendo.verifiers.math_pool import DEATHS, MathPool
from tests.verifiers.cases import HOSTILE

HANGING = HOSTILE["tower of powers"]


@pytest.fixture
def pool() -> Iterator[MathPool]:
    pool = MathPool(timeout_seconds=60.0, memory_bytes=2**31, workers=2)
    yield pool
    pool.close()


def result(answer: str | Future[str]) -> str:
    return answer if isinstance(answer, str) else answer.result(timeout=120)


def children(pid: int) -> list[int]:
    """Return the processes that a process has forked, on Linux."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


def zygote_of(pool: MathPool) -> int:
    process = pool.zygote._process  # pyright: ignore[reportPrivateUsage]
    assert process is not None
    return process.pid


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_findings_are_remembered_in_both_orders(pool: MathPool) -> None:
    assert result(pool.ask("x+1", "1+x")) == "same"
    assert pool.ask("x+1", "1+x") == "same"
    assert pool.ask("1+x", "x+1") == "same"


def test_no_worker_starts_before_there_is_work() -> None:
    threads = threading.active_count()
    pool = MathPool(timeout_seconds=1.0, memory_bytes=2**31, workers=2)
    assert threading.active_count() == threads
    pool.close()


def test_a_worker_killed_from_outside_loses_no_pair(pool: MathPool) -> None:
    assert result(pool.ask("x", "y")) == "different"
    answers = [pool.ask(f"x+{number}", f"{number}+x") for number in range(200)]
    for _ in range(DEATHS - 1):
        time.sleep(0.2)
        for child in children(zygote_of(pool)):
            os.kill(child, signal.SIGKILL)
    assert [result(answer) for answer in answers] == ["same"] * 200


def test_a_zygote_killed_from_outside_takes_its_workers_along_and_is_replaced(pool: MathPool) -> None:
    assert result(pool.ask("x", "y")) == "different"
    hanging = pool.ask(HANGING, "x+1")
    # Let a worker take it alone.
    time.sleep(0.3)
    answers = [pool.ask(f"x+{number}", f"{number}+x") for number in range(50)]
    zygote = zygote_of(pool)
    workers = children(zygote)
    os.kill(zygote, signal.SIGKILL)
    assert [result(answer) for answer in answers] == ["same"] * 50
    assert isinstance(hanging, Future)
    assert not hanging.done()
    assert zygote_of(pool) != zygote
    deadline = time.monotonic() + 10  # a busy machine takes its time to end them
    while any(map(is_alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_alive, workers))


def test_workers_have_a_limit_of_memory_and_a_lack_of_it_is_no_difference() -> None:
    with closing(MathPool(timeout_seconds=60.0, memory_bytes=10**9, workers=1)) as pool:
        assert result(pool.ask("x+1", "1+x")) == "same"
        (worker,) = children(zygote_of(pool))
        limits = Path(f"/proc/{worker}/limits").read_text()
        assert str(10**9) in next(
            line for line in limits.splitlines() if line.startswith("Max address space")
        )
    # Too little to begin with: what was found to be different may be so for lack of memory.
    with closing(MathPool(timeout_seconds=60.0, memory_bytes=2 * 10**7, workers=1)) as pool:
        assert result(pool.ask("x+1", "x+2")) in ("memory", "died")


def test_a_hanging_pair_is_killed_at_its_limit_and_its_worker_replaced() -> None:
    with closing(MathPool(timeout_seconds=1.0, memory_bytes=2**31, workers=1)) as pool:
        assert result(pool.ask("x+1", "1+x")) == "same"
        (worker,) = children(zygote_of(pool))
        start = time.monotonic()
        answers = [pool.ask(HANGING, "x+1"), pool.ask("x+2", "2+x")]
        assert [result(answer) for answer in answers] == ["timeout", "same"]
        assert 1.0 <= time.monotonic() - start < 10.0
        assert not is_alive(worker)
        assert len(children(zygote_of(pool))) == 1


def test_closing_ends_every_process_and_tells_who_waits(pool: MathPool) -> None:
    answers = [pool.ask(f"{number}+{HANGING}", "x+1") for number in range(8)]
    while len(children(zygote_of(pool)) if pool.zygote._process else []) < 2:  # pyright: ignore[reportPrivateUsage]
        time.sleep(0.01)
    zygote = zygote_of(pool)
    workers = children(zygote)
    pool.close()
    pool.close()
    assert [pid for pid in (zygote, *workers) if is_alive(pid)] == []
    for answer in answers:
        assert isinstance(answer, Future)
        with pytest.raises(DocendoError, match="closed"):
            answer.result(timeout=10)
    with pytest.raises(DocendoError, match="closed"):
        pool.ask("x", "y")


def test_a_cancelled_share_is_not_worked_on_and_leaves_others_alone() -> None:
    pool = MathPool(timeout_seconds=2.0, memory_bytes=2**31, workers=1)
    pool.ask(HANGING, "x+1")
    first, second = pool.ask("x+1", "1+x"), pool.ask("x+1", "1+x")
    dropped = pool.ask(HANGING, "y+1")
    assert isinstance(first, Future)
    assert isinstance(dropped, Future)
    first.cancel()
    dropped.cancel()
    assert result(second) == "same"
    start = time.monotonic()
    assert result(pool.ask("x+3", "3+x")) == "same"
    assert time.monotonic() - start < 2.0
    pool.close()


def test_a_missing_math_verify_is_told_to_everyone_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.executable", "/usr/bin/env")
    pool = MathPool(timeout_seconds=1.0, memory_bytes=2**31, workers=2)
    answers = [pool.ask("x", str(number)) for number in range(3)]
    for answer in answers:
        assert isinstance(answer, Future)
        with pytest.raises(DocendoError, match=r"math-verify could not be loaded"):
            answer.result(timeout=60)
    pool.close()


def test_a_forked_child_begins_with_a_pool_of_its_own() -> None:
    from docendo.verifiers.math import Math

    verifier = Math(timeout_seconds=60.0)
    assert verifier.same("x+1", "1+x")
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, b"yes" if verifier.same("x+2", "2+x") else b"no")
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        assert answer.read() == b"yes"
    os.waitpid(pid, 0)
    assert verifier.same("x+4", "4+x")
