"""``transformers serve`` as a server of tests."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx2


@dataclass(slots=True)
class Serve:
    """``transformers serve`` as a process of its own, with its log of requests."""

    folder: Path
    model: str
    port: int = 0
    process: subprocess.Popen[bytes] | None = None
    logs: list[Path] = field(default_factory=list[Path])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self) -> None:
        self.begin()
        self.wait()

    def begin(self) -> None:
        if not self.port:
            with socket.socket() as free:
                free.bind(("127.0.0.1", 0))
                self.port = free.getsockname()[1]
        self.logs.append(self.folder / f"serve-{len(self.logs)}.log")
        command = [Path(sys.executable).with_name("transformers"), "serve", self.model, "--device", "cpu"]
        with self.logs[-1].open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", str(self.port), "--log-level", "error"],
                stdout=log,
                stderr=log,
            )

    def wait(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                httpx2.get(f"http://127.0.0.1:{self.port}/health")
            except httpx2.TransportError:
                time.sleep(0.2)
            else:
                return
        raise AssertionError(self.logs[-1].read_text("utf-8"))

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def answered(self) -> int:
        """Count the completions that the server says it has given, in all its lives."""
        pattern = r'"POST /v1/(chat/)?completions HTTP/1.1" 200'
        return sum(len(re.findall(pattern, log.read_text("utf-8"))) for log in self.logs)
