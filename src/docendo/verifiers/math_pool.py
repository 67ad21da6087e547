"""Worker processes that ask math-verify, each killed when a pair takes too long.

One thread for each worker hands it batches and reads one answer for each pair, so the clock of a pair starts
when the pair before it was answered. A worker that does not answer in time is killed and replaced; the rest
of its batch goes to the new one. Nothing depends on signals, so a pool serves callers in any thread.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import socket
import struct
import subprocess
import sys
import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from docendo.core.errors import DocendoError

BATCH = 32
"""Pairs handed over at a time. Count. Ours: past it the rate does not rise."""
MAX_WORKERS = 8
"""Workers of the shared pool; fewer where there are fewer processors for us. Count."""
CACHED_PAIRS = 100_000
"""Findings that are remembered; the oldest is forgotten first. Count."""
DEATHS = 3
"""Workers that may die at a pair before it is given up. Count."""
START_SECONDS = 120
"""How long loading math-verify may take before we give up."""


@dataclass(slots=True)
class _Job:
    left: str
    right: str
    shares: list[Future[str]]
    deaths: int = 0


class MathPool:
    """A number of killable workers that tell whether two texts are the same mathematics.

    Args:
        timeout_seconds: Wall clock for one pair.
        memory_bytes: Address space of a worker.
        workers: Processes at most; each is started when there is work for it.
    """

    def __init__(self, *, timeout_seconds: float, memory_bytes: int, workers: int) -> None:
        self.timeout_seconds = timeout_seconds
        self.workers = workers
        self.zygote = _Zygote(memory_bytes)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._found: dict[tuple[str, str], str] = {}
        self._asked: dict[tuple[str, str], _Job] = {}
        self._lock = threading.RLock()
        self._lanes: list[threading.Thread] = []
        self._is_closed = False

    def ask(self, left: str, right: str) -> str | Future[str]:
        """Ask about a pair, in either order: what is remembered of it, or a Future of the same.

        The finding is ``same``, ``different``, ``unreadable``, ``memory``, ``recursion``, ``error``,
        ``timeout`` or ``died``. The Future raises `DocendoError` where math-verify cannot be loaded. Callers
        that ask about a pair at the same time share one Future, each with a share that it can cancel.
        """
        pair = (left, right) if left <= right else (right, left)
        with self._lock:
            if self._is_closed:
                raise _closed()
            if pair in self._found:
                return self._found[pair]
            share: Future[str] = Future()
            if pair in self._asked:
                self._asked[pair].shares.append(share)
                return share
            job = _Job(*pair, [share])
            self._asked[pair] = job
            self._jobs.put(job)
            if len(self._lanes) < min(self.workers, self._jobs.qsize()):
                lane = threading.Thread(target=self._serve, name="docendo-math", daemon=True)
                self._lanes.append(lane)
                lane.start()
        return share

    def _settle(self, job: _Job, result: str | Exception) -> None:
        with self._lock:
            del self._asked[job.left, job.right]
            if isinstance(result, str):
                self._found[job.left, job.right] = result
                if len(self._found) > CACHED_PAIRS:
                    del self._found[next(iter(self._found))]
        for share in job.shares:
            if not share.set_running_or_notify_cancel():
                continue
            if isinstance(result, str):
                share.set_result(result)
            else:
                share.set_exception(result)

    def _is_wanted(self, job: _Job) -> bool:
        """Whether anybody still waits for a pair; forgets it where nobody does."""
        with self._lock:
            if all(share.cancelled() for share in job.shares):
                del self._asked[job.left, job.right]
                return False
        return True

    def close(self) -> None:
        """End the workers; pairs that wait are cancelled. May be called twice."""
        with self._lock:
            self._is_closed = True
            self._refuse(_closed())
            for _ in self._lanes:
                self._jobs.put(None)
        self.zygote.close()

    def _refuse(self, why: Exception) -> None:
        """Tell every pair that nobody has taken yet."""
        while True:
            try:
                job = self._jobs.get(block=False)
            except queue.Empty:
                return
            if job is not None:
                self._settle(job, why)

    def _serve(self) -> None:
        worker: _Worker | None = None
        mine: deque[_Job] = deque()
        try:
            while self._take(mine):
                if worker is None:
                    worker = _Worker(self.zygote)
                if not self._answer(worker, mine):
                    worker.kill()
                    worker = None
        except Exception as error:
            # The workers cannot be started: every pair that waits has to hear of it. The next begins anew.
            with self._lock:
                self._lanes.remove(threading.current_thread())
                self._refuse(error)
            for job in mine:
                self._settle(job, error)
        else:
            for job in mine:
                self._settle(job, _closed())
        finally:
            if worker is not None:
                worker.leave()

    def _take(self, mine: deque[_Job]) -> bool:
        """Fill an empty ``mine`` with a fair share of what waits. False: the pool was closed."""
        if self._is_closed:
            return False
        # What is left of a batch goes alone: its first pair may be the one that its worker died of.
        while not mine:
            share = min(BATCH, 1 + self._jobs.qsize() // self.workers)
            while len(mine) < share:
                try:
                    job = self._jobs.get(block=not mine)
                except queue.Empty:
                    break
                if job is None:
                    return False
                if self._is_wanted(job):
                    mine.append(job)
        return True

    def _answer(self, worker: _Worker, mine: deque[_Job]) -> bool:
        """Work off the batch; what is not answered stays in it. False: the worker is of no more use."""
        try:
            worker.ask([(job.left, job.right) for job in mine])
            while mine:
                if not worker.has_answer(self.timeout_seconds):
                    self._settle(mine.popleft(), "timeout")
                    return False
                found = worker.answer()
                self._settle(mine.popleft(), found)
                if found == "memory":
                    # It may hold on to what it had; the next pair shall have all of the memory.
                    return False
        except (EOFError, OSError):
            if self._is_closed:
                raise _closed() from None
            # It died at the first pair of what is left. Once may be somebody else's fault.
            mine[0].deaths += 1
            if mine[0].deaths == DEATHS:
                self._settle(mine.popleft(), "died")
            return False
        return True


def _closed() -> DocendoError:
    return DocendoError("the pool of math workers was closed")


class _Zygote:
    """The process with math-verify loaded, from which workers are forked."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = False

    def fork(self) -> tuple[int, Connection]:
        """Return process id and connection of a new worker."""
        with self._lock:
            try:
                return self._forked()
            except (EOFError, OSError):
                if self._is_closed:
                    raise _closed() from None
                # Somebody killed it, and its workers with it. A second time is no accident.
                self._drop()
                return self._forked()

    def kill(self, pid: int) -> None:
        """Kill a worker and wait until it is gone."""
        with self._lock:
            if self._control is None:
                return
            # Where that fails it is gone itself; the next fork finds out.
            with suppress(OSError):
                self._control.sendall(b"K" + struct.pack("!i", pid))
                self._control.recv(1)

    def _forked(self) -> tuple[int, Connection]:
        control = self._started()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(control, [b"F"], [theirs.fileno()])
            reply = control.recv(4)
            if len(reply) != 4:
                raise EOFError
            return struct.unpack("!i", reply)[0], Connection(ours.detach())

    def _drop(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End it and all its workers."""
        # Without the lock: a thread that waits for a reply holds it, and shutting down is what wakes it.
        self._is_closed = True
        control, self._control = self._control, None
        if control is not None:
            control.shutdown(socket.SHUT_RDWR)
            control.close()
        elif self._process is not None:
            # Still loading, so there are no workers that it would have to end.
            self._process.kill()
        if self._process is not None:
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:  # a machine too busy to let it end by itself
                self._process.kill()
                self._process.wait()

    def abandon(self) -> None:
        """Let go of it in a forked copy of our process, without a word to it."""
        if self._control is not None:
            self._control.close()

    def _started(self) -> socket.socket:
        if self._is_closed:
            raise _closed()
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        with theirs:
            # -P: the folder of the program holds a math.py. Of the environment it gets nothing that could be
            # secret.
            kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH") if name in os.environ}
            paths = os.pathsep.join(path for path in sys.path if path)
            program = str(Path(__file__).with_name("math_worker.py"))
            arguments = [str(theirs.fileno()), str(self._memory_bytes)]
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-W", "ignore", program, *arguments],
                pass_fds=[theirs.fileno()],
                env={**kept, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # An interrupt from the keyboard is for us, not for it.
                start_new_session=True,
            )
        ours.settimeout(START_SECONDS)
        try:
            reply = ours.recv(500)
        except TimeoutError:
            reply = b"it did not start in time"
        if reply != b"ready" or self._is_closed:
            ours.close()
            self._process.kill()
            self._process.wait()
            if self._is_closed:
                raise _closed()
            why = reply.decode(errors="replace") or "it ended at once"
            raise DocendoError(f"math-verify could not be loaded: {why}", hint="pip install math-verify")
        ours.settimeout(None)
        self._control = ours
        return ours


class _Worker:
    """One worker process."""

    def __init__(self, zygote: _Zygote) -> None:
        self._zygote = zygote
        self._pid, self._connection = zygote.fork()

    def ask(self, pairs: list[tuple[str, str]]) -> None:
        # JSON, escaped: what comes back from a process that read hostile text must not be unpickled, and a
        # lone surrogate must go through.
        self._connection.send_bytes(json.dumps(pairs).encode())

    def has_answer(self, timeout_seconds: float) -> bool:
        return self._connection.poll(timeout_seconds)

    def answer(self) -> str:
        return self._connection.recv_bytes(64).decode()

    def kill(self) -> None:
        self.leave()
        self._zygote.kill(self._pid)

    def leave(self) -> None:
        # It ends by itself when it finds nobody at the other side.
        self._connection.close()


_POOLS: dict[tuple[float, int], MathPool] = {}
_POOLS_LOCK = [threading.Lock()]


def shared_pool(timeout_seconds: float, memory_bytes: int) -> MathPool:
    """Return the process's pool for these limits, made at the first call and closed at exit."""
    with _POOLS_LOCK[0]:
        pool = _POOLS.get((timeout_seconds, memory_bytes))
        if pool is None:
            pool = MathPool(timeout_seconds=timeout_seconds, memory_bytes=memory_bytes, workers=_processors())
            _POOLS[timeout_seconds, memory_bytes] = pool
        return pool


def _processors() -> int:
    ours = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(MAX_WORKERS, ours or 1)


def _close_all() -> None:
    for pool in _POOLS.values():
        pool.close()


def _forget_all() -> None:
    """In a forked child: the threads of the pools stayed behind, so it begins with none."""
    for pool in _POOLS.values():
        pool.zygote.abandon()
    _POOLS.clear()
    # Another thread may have held it when we were forked, and that thread is not here to let go of it.
    _POOLS_LOCK[0] = threading.Lock()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
