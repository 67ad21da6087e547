"""A pool of worker processes that outlive a call, but never their driver.

Workers are started when there is work for them, each as a fresh interpreter that imports no more than it
needs (so a script that uses Docendo needs no ``__main__`` guard, and nothing of it is imported twice). They
sit in a session of their own: Ctrl-C reaches the driver alone. A worker that the system kills is replaced;
which jobs it took with it is reported, and what to do about that is the caller's business.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import weakref
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path

from docendo.core.errors import StageError
from docendo.engines.jobs import Job, Ready, Reply, Runtime

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from docendo.engines.worker import main; main(int(sys.argv[1]))"
)
_IN_FLIGHT = 2
"""Jobs handed to a worker: the one it does, and the next, so that it never waits for the driver."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker died while it did this job."""

    serial: int
    reason: str


@dataclass(slots=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    link: Connection
    jobs: dict[int, Job] = field(default_factory=dict[int, Job])
    """What it was given and has not answered, the oldest first."""
    is_ready: bool = False


class Pool:
    """Some workers of one kind."""

    def __init__(self, runtimes: list[Runtime]) -> None:
        """Prepare a pool; nothing is started yet.

        Args:
            runtimes: One for each worker, at most that many are started.
        """
        self._runtimes = runtimes
        self._workers: list[_Worker | None] = [None] * len(runtimes)
        self._unsent: list[tuple[int, Job]] = []
        self._serial = 0
        self._finalizer = weakref.finalize(self, _stop_all, self._workers)

    @property
    def in_flight(self) -> int:
        """Jobs that were handed in and not yet answered."""
        return len(self._unsent) + sum(len(worker.jobs) for worker in self._workers if worker)

    def has_room(self, workers: int) -> bool:
        """Whether some worker would get another job at once, if this many workers may be used."""
        return not self._unsent and self._free_place(workers) is not None

    def submit(self, job: Job, workers: int) -> int:
        """Hand in a job; return the number under which `wait` reports it.

        Args:
            job: What is to be done.
            workers: Of how many workers, at most, the pool may make use; >= 1.
        """
        self._serial += 1
        self._unsent.append((self._serial, job))
        self._send(workers)
        return self._serial

    def wait(self, workers: int) -> list[Reply | Lost]:
        """Return what has come in, waiting until there is something.

        Raises:
            StageError: A worker cannot even be started.
        """
        self._send(workers)
        replies: list[Reply | Lost] = []
        links = {worker.link: place for place, worker in enumerate(self._workers) if worker}
        for link in wait(list(links)):
            place = links[link]  # type: ignore[index]
            worker = self._workers[place]
            if worker is None:
                continue
            try:
                reply: Reply = worker.link.recv()
            except (EOFError, ConnectionResetError):
                replies += self._buried(place, worker)
                continue
            if isinstance(reply, Ready):
                worker.is_ready = True
            elif worker.jobs.pop(reply.serial, None) is not None:
                replies.append(reply)
        self._send(workers)
        return replies

    def cancel(self) -> None:
        """Let go of all jobs. Workers stop at the next token; the pool can be used at once."""
        self._unsent.clear()
        for worker in self._workers:
            if worker:
                with contextlib.suppress(OSError):
                    for serial in worker.jobs:
                        worker.link.send(serial)
                worker.jobs.clear()

    def close(self) -> None:
        """End all workers. May be called twice; a later job starts them again."""
        self._unsent.clear()
        _stop_all(self._workers)

    def _free_place(self, workers: int) -> int | None:
        """Return the place of an idle worker, else of one to be started, else of the least busy one."""
        loads = [len(worker.jobs) if worker else None for worker in self._workers[:workers]]
        for wanted in (0, None, *range(1, _IN_FLIGHT)):
            if wanted in loads:
                return loads.index(wanted)
        return None

    def _send(self, workers: int) -> None:
        while self._unsent and (place := self._free_place(workers)) is not None:
            serial, job = self._unsent.pop(0)
            worker = self._workers[place] or self._started(place)
            worker.jobs[serial] = job
            # A dead worker takes nothing; `wait` then sees the end of its link and reports the job.
            with contextlib.suppress(OSError):
                worker.link.send((serial, job))

    def _started(self, place: int) -> _Worker:
        ours, theirs = socket.socketpair()
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-c", _START, str(theirs.fileno()), json.dumps(sys.path)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                start_new_session=True,
                env=environment,
                cwd=str(Path.cwd()),
            )
        worker = _Worker(process, Connection(ours.detach()))
        worker.link.send(self._runtimes[place])
        self._workers[place] = worker
        return worker

    def _buried(self, place: int, worker: _Worker) -> list[Reply | Lost]:
        self._workers[place] = None
        code = worker.process.wait()
        worker.link.close()
        if not worker.is_ready:
            raise StageError(
                f"a worker process ended before it was ready (exit code {code})",
                hint="its own message stands above; often torch cannot be imported, or memory is short",
            )
        first, *others = [*worker.jobs.items(), None]
        self._unsent[:0] = [job for job in others if job is not None]
        return [] if first is None else [Lost(first[0], f"its worker process was ended by {_named(code)}")]


def available_cores() -> int:
    """Return how many physical cores this process may use, as far as the system tells; at least 1."""
    try:
        cpus = os.sched_getaffinity(0)
    except AttributeError:  # not on Linux
        return max(1, (os.cpu_count() or 2) // 2)
    cores: set[str] = set()
    for cpu in cpus:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        with contextlib.suppress(OSError):
            cores.add(siblings.read_text(encoding="ascii"))
    count = len(cores) or len(cpus)
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        count = min(count, max(1, int(quota) // int(period)))  # "max" is no number: no quota
    return max(1, count)


def _named(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
    return f"signal {name}" + (" (out of memory?)" if -code == signal.SIGKILL else "")


def _stop_all(workers: list[_Worker | None]) -> None:
    for place, worker in enumerate(workers):
        if worker:
            workers[place] = None
            worker.link.close()
            worker.process.kill()
            worker.process.wait()
