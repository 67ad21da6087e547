"""The program that math-verify runs in: a small parent that has it loaded, and workers forked from it.

Run by path, never imported by Docendo. It needs no package but math-verify, reads no environment, and its
answers are plain words. The parent process ("zygote") lives to make a new worker in a few milliseconds where
one was killed: it takes orders over the socket with the file number ``sys.argv[1]``. ``F`` with a file
descriptor forks a worker that serves it; ``K`` with a process id kills that worker and reaps it, so that no
id is killed twice.
"""

# pyright: basic
from __future__ import annotations

import ctypes
import json
import logging
import os
import resource
import signal
import socket
import struct
import sys
from multiprocessing.connection import Connection


def zygote(control: socket.socket, memory_bytes: int) -> None:
    """Serve orders until the other side is gone; then end every worker."""
    # Whoever started us may have it ignored, and then nobody can wait for a child.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    workers: set[int] = set()
    try:
        while True:
            order, descriptors, _, _ = socket.recv_fds(control, 5, 1)
            if not order:
                break
            if order[:1] == b"F":
                pid = os.fork()
                if pid == 0:
                    control.close()
                    try:
                        work(Connection(descriptors[0]), memory_bytes)
                    finally:
                        # Never back into this loop, which is the parent's.
                        os._exit(0)
                workers.add(pid)
                os.close(descriptors[0])
                control.sendall(struct.pack("!i", pid))
            else:
                (pid,) = struct.unpack("!i", order[1:5])
                # A worker of an earlier zygote died with it, and its number may be somebody else's by now.
                if pid in workers:
                    workers.discard(pid)
                    end(pid)
                control.sendall(b"k")
    finally:
        # The other side may be gone in the middle of an order.
        for pid in workers:
            end(pid)


def end(pid: int) -> None:
    """Kill a worker and wait until it is gone."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def work(connection: Connection, memory_bytes: int) -> None:
    """Answer batches of pairs, one message for each pair, until the other side is gone."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # Die with the zygote, whatever kills it (PR_SET_PDEATHSIG): nobody else would end a pair that hangs.
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    while True:
        try:
            batch = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        for left, right in batch:
            found = finding(left, right)
            # math-verify takes an error inside it, lack of memory too, for a difference.
            if found == "different" and peak_bytes() > memory_bytes // 2:
                found = "memory"
            connection.send_bytes(found.encode())


def peak_bytes() -> int:
    """Return the largest resident memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # The one unit that differs: bytes on macOS, kilobytes elsewhere.
    return peak if sys.platform == "darwin" else peak * 1024


def finding(left: str, right: str) -> str:
    """Return ``same``, ``different``, ``unreadable``, ``memory``, ``recursion`` or ``error``."""
    try:
        expressions = read(left), read(right)
        if not all(expressions):
            return "unreadable"
        return "same" if either_way(*expressions) else "different"
    except MemoryError:
        return "memory"
    except RecursionError:
        return "recursion"
    except Exception:
        return "error"


def read(text: str) -> list:
    """Return what math-verify makes of a whole text as LaTeX; empty where it can make nothing of it."""
    # Only LaTeX and only the first match: other settings look for a number somewhere inside what they cannot
    # read.
    return math_verify.parse(
        f"${text}$",
        extraction_config=(LATEX,),
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=0,
        raise_on_error=True,
    )


def either_way(left: list, right: list) -> bool:
    """Whether math-verify finds them equal in one order or the other; it is not symmetric itself."""
    fault: Exception | None = None
    for gold, target in ((left, right), (right, left)):
        try:
            if math_verify.verify(gold, target, timeout_seconds=0, raise_on_error=True):
                return True
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            fault = error
    if fault is not None:
        raise fault
    return False


if __name__ == "__main__":
    order_socket = socket.socket(fileno=int(sys.argv[1]))
    try:
        import math_verify

        LATEX = math_verify.LatexExtractionConfig(boxed_match_priority=-1)
        # It warns that its own time limits are off, which they have to be: they are signals.
        logging.disable(logging.CRITICAL)
        finding("x+1", "1+x")
    except Exception as error:
        order_socket.sendall(f"{type(error).__name__}: {error}".encode()[:500])
        sys.exit(1)
    order_socket.sendall(b"ready")
    zygote(order_socket, int(sys.argv[2]))
