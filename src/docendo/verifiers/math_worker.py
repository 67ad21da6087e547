"""The program that math-verify runs in: a small parent that has it loaded, and workers forked from it.

Run by path, never imported by Docendo. It needs no package but math-verify, reads no environment, and its
answers are plain words. The parent process ("zygote") lives to make a new worker in a few milliseconds where
one was killed: it takes orders over the socket with the file number ``sys.argv[1]``. ``F`` with a file
descriptor forks a worker that serves it; ``K`` with a process id kills that worker and reaps it, so that no
id is killed twice.
"""

# pyright: basic
from __future__ import annotations

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
    workers: set[int] = set()
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, 5, 1)
        if not order:
            break
        if order[:1] == b"F":
            pid = os.fork()
            if pid == 0:
                control.close()
                work(Connection(descriptors[0]), memory_bytes)
                os._exit(0)
            os.close(descriptors[0])
            workers.add(pid)
            control.sendall(struct.pack("!i", pid))
        else:
            (pid,) = struct.unpack("!i", order[1:5])
            end(pid)
            workers.discard(pid)
            control.sendall(b"k")
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
    while True:
        try:
            batch = json.loads(connection.recv_bytes())
        except (EOFError, OSError):
            return
        for left, right in batch:
            connection.send_bytes(finding(left, right).encode())


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
