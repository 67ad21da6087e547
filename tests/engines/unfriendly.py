"""A small server that speaks the OpenAI protocol and is deliberately unfriendly.

What it does to a request depends on its seed, the request's body and how often that body came before, and on
nothing else; so does each answer's text, but for a serial number that tells every answer from every other.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from docendo.core.seeds import derived_rng

Headers = dict[str, str]
REPEATED = ("429", "truncated", "no json", "hang up")
"""After which a client has nothing and must ask again."""
FAULTS: tuple[str, ...] = ("slow", *REPEATED, "duplicate", "empty", "filter", "huge")
"""In the order in which they share the unit interval; the rest of it is a plain answer."""


@dataclass(slots=True)
class Call:
    """One request as the server saw it."""

    key: str
    """What was asked: the last question, or the prompt."""
    body: dict[str, Any]
    headers: Headers
    fault: str
    at: float
    in_flight: int
    seconds: float = 0.0
    """How long it worked on it."""


@dataclass(slots=True)
class UnfriendlyServer:
    """Listens on a free port of this machine, in a thread of its own, between ``with`` and its end."""

    faults: Mapping[str, float] = field(default_factory=dict[str, float])
    """Chance of each fault."""
    latency_seconds: float = 0.0
    slow_factor: float = 5.0
    capacity: int = 1000
    """Requests at once; further ones are refused with 429."""
    seed: int = 0
    takes_n: bool = True
    counts_tokens: bool = True
    retry_after: str = ""
    huge_bytes: int = 1_100_000
    answers: Callable[[Call, int], tuple[int, Headers, bytes] | None] = lambda call, times: None
    """(call, how often its body came before) -> an answer of the test's own, or None."""
    calls: list[Call] = field(default_factory=list[Call])
    delivered: Counter[str] = field(default_factory=Counter[str])
    """By key: answers that were sent whole."""
    peak: int = 0
    port: int = 0
    _seen: Counter[str] = field(default_factory=Counter[str])
    _in_flight: int = 0
    _serial: int = 0
    _loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    _thread: threading.Thread | None = None
    _server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> UnfriendlyServer:
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        assert self._thread is not None
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=1 << 22)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while await self._one(reader, writer):
                pass
        writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        users = [one["content"] for one in body.get("messages", ()) if one["role"] == "user"]
        key = users[-1] if users else body.get("prompt", body.get("input"))
        times = self._seen[key]
        self._seen[key] += 1
        self._in_flight += 1
        self.peak = max(self.peak, self._in_flight)
        fault = "429" if self._in_flight > self.capacity else self._fault(key, times)
        call = Call(key, body, headers, fault, time.monotonic(), self._in_flight)
        self.calls.append(call)
        try:
            return await self._answered(call, times, writer)
        finally:
            call.seconds = time.monotonic() - call.at
            self._in_flight -= 1

    def _fault(self, key: str, times: int) -> str:
        drawn = derived_rng(self.seed, key, times).random()
        for fault in FAULTS:
            drawn -= self.faults.get(fault, 0.0)
            if drawn < 0:
                return fault
        return ""

    async def _answered(self, call: Call, times: int, writer: asyncio.StreamWriter) -> bool:
        own = self.answers(call, times)
        if own is not None:
            status, headers, content = own
            await self._write(writer, status, content, headers)
            self.delivered[call.key] += status == 200
            return True
        if call.fault == "429":
            wait = {"retry-after": self.retry_after} if self.retry_after else {}
            await self._write(writer, 429, b'{"error": {"message": "too many requests"}}', wait)
            return True
        if call.fault == "hang up":
            return False
        share = {"slow": self.slow_factor, "truncated": 0.5, "no json": 0.5}.get(call.fault, 1)
        await asyncio.sleep(self.latency_seconds * share)  # what breaks, breaks half way
        if call.fault == "no json":
            await self._write(writer, 200, b"<html>bad gateway</html>", {})
            return True
        content = self._content(call)
        if call.fault == "truncated":
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(content) + content[: len(content) // 2]
            )
            await writer.drain()
            return False
        await self._write(writer, 200, content, {})
        self.delivered[call.key] += 1
        return True

    def _content(self, call: Call) -> bytes:
        if "input" in call.body:
            return self._embedding(call)
        wanted = call.body.get("n", 1) if self.takes_n else 1
        choices = [self._choice(call, index) for index in range(wanted)]
        if call.fault == "duplicate":
            choices += [dict(choice) for choice in choices]
        usage = {"prompt_tokens": 10, "completion_tokens": 7 * wanted, "total_tokens": 10 + 7 * wanted}
        return json.dumps({"choices": choices, **({"usage": usage} if self.counts_tokens else {})}).encode()

    def _embedding(self, call: Call) -> bytes:
        vector = [float(len(word)) for word in call.body["input"].split()[:3]]
        usage = {"prompt_tokens": len(vector), "total_tokens": len(vector)}
        entry = {"object": "embedding", "index": 0, "embedding": vector}
        return json.dumps({"data": [entry], "usage": usage}).encode()

    def _choice(self, call: Call, index: int) -> dict[str, Any]:
        self._serial += 1
        text = f"Answer {self._serial} to {call.key}"
        text = {"empty": "", "huge": "x" * self.huge_bytes}.get(call.fault, text)
        ended = "content_filter" if call.fault == "filter" else "stop"
        said = (
            {"text": text} if "prompt" in call.body else {"message": {"role": "assistant", "content": text}}
        )
        return {"index": index, "finish_reason": ended, **said}

    @staticmethod
    async def _write(writer: asyncio.StreamWriter, status: int, content: bytes, headers: Headers) -> None:
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(content)}\r\n{more}\r\n"
        writer.write(head.encode() + content)
        await writer.drain()
