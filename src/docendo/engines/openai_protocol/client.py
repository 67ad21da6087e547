"""One request to one server, and what became of it."""

from __future__ import annotations

import asyncio
import email.utils
import os
import time
from dataclasses import dataclass, field
from typing import Any

from docendo.core.errors import ModelError, SettingError, StageError
from docendo.engines.openai_protocol.limiter import Limiter
from docendo.engines.openai_protocol.options import ServerOptions
from docendo.engines.openai_protocol.wire import shown, told_by

try:
    import httpx2
except ImportError as error:
    raise SettingError(
        "served models need the package httpx2, which is not installed",
        hint="pip install 'docendo[openai]'",
    ) from error

_CONNECT_SECONDS = 10.0
_NOT_NOW = (408, 409, 425, 429, 503, 529)
"""The server is busy; it says nothing about this request."""
_NO_CREDIT = (b"insufficient_quota", b"billing_hard_limit_reached", b"billing_not_active")


@dataclass(frozen=True, slots=True)
class Answered:
    """The server answered: the body as it came."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Refused:
    """Not now: too many requests, overloaded, not reached."""

    reason: str
    wait_seconds: float = 0.0
    """As the server asked for."""
    was_reached: bool = True


@dataclass(frozen=True, slots=True)
class Broken:
    """It went wrong on the way or at the server; whether it was billed is not known."""

    reason: str
    by_load: bool = False
    """Whether too much work at the server may be why."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The server will not answer this request, however often it is asked."""

    reason: str
    was_worked_on: bool = False
    """Whether it may be billed all the same."""


Outcome = Answered | Refused | Broken | Rejected


@dataclass(slots=True)
class Server:
    """One address: its connections, how much it bears, and what was learned about it."""

    base_url: str
    options: ServerOptions
    limiter: Limiter = field(init=False)
    takes_n: bool = True
    """Whether it gives several samples in one answer where it is asked to."""
    length_name: str = "max_tokens"
    last_answer: float = 0.0
    """When it last answered, by `time.monotonic`; 0: never."""
    _http: httpx2.AsyncClient = field(init=False)
    _key: str = field(init=False)

    def __post_init__(self) -> None:
        """Prepare connections; none is made yet."""
        self.limiter = Limiter(self.options.concurrency)
        self._key = os.environ.get(self.options.api_key_env, "").strip()
        headers = {"content-type": "application/json", "accept": "application/json"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        most = self.options.concurrency
        self._http = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(self.options.request_timeout_seconds, connect=_CONNECT_SECONDS),
            limits=httpx2.Limits(max_connections=most, max_keepalive_connections=most),
            follow_redirects=False,  # the key goes to the address that the user named and to no other
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def send(self, path: str, body: bytes, most_bytes: int) -> Outcome:
        """Send one request. Never raises for what concerns this request alone.

        Args:
            path: Under the base URL.
            body: JSON.
            most_bytes: An answer that is longer is not read on.

        Raises:
            ModelError: The key is not accepted, or there is no such model or address.
            StageError: There is no credit left.
        """
        timeout = self.options.request_timeout_seconds
        try:
            async with asyncio.timeout(
                timeout
            ):  # the client's own limit is for each read, not for all of them
                url = f"{self.base_url}/{path}"
                async with self._http.stream("POST", url, content=body) as response:
                    content = bytearray()
                    async for part in response.aiter_bytes():
                        content += part
                        if len(content) > most_bytes:
                            self.last_answer = time.monotonic()
                            return Rejected(
                                f"an answer of more than {most_bytes:,} bytes", was_worked_on=True
                            )
        except (TimeoutError, httpx2.ReadTimeout, httpx2.WriteTimeout):
            return Broken(f"no answer in {timeout:g} s", by_load=True)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError) as error:
            return Refused(f"not reached: {self._told(error)}", was_reached=False)
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            return Broken(f"the connection broke: {self._told(error)}")
        except (httpx2.InvalidURL, UnicodeError) as error:
            raise ModelError(f"address {self.base_url} cannot be used: {self._told(error)}") from error
        return self._read(response, bytes(content))

    def learns_from(self, reason: str, length_name: str) -> bool:
        """Take up the protocol's newer name for the longest answer, if that is what a rejection asks for.

        Args:
            reason: Of the rejection.
            length_name: What was sent.
        """
        if "max_completion_tokens" not in reason or length_name == "max_completion_tokens":
            return False
        self.length_name = "max_completion_tokens"
        return True

    def _read(self, response: httpx2.Response, content: bytes) -> Outcome:
        status = response.status_code
        told = self._redacted(told_by(content))
        if status in _NOT_NOW or status >= 500:
            if any(word in content for word in _NO_CREDIT):
                raise self._no_credit(told)
            reason = f"HTTP {status}" + (f": {told}" if told else "")
            if status in _NOT_NOW:
                return Refused(reason, wait_asked_for(response.headers))
            return Broken(reason, by_load=True)
        self.last_answer = time.monotonic()
        if 200 <= status < 300:
            return Answered(content)
        if status in (401, 403):
            is_set = "is set, but not accepted" if self._key else "is not set"
            raise ModelError(
                f"{self.base_url} refuses access (HTTP {status}: {told})",
                hint=f"the environment variable {self.options.api_key_env} {is_set}; another: --api-key-env",
            )
        if status == 402:
            raise self._no_credit(told)
        if status == 404 or 300 <= status < 400:
            raise ModelError(
                f"{self.base_url} knows no such model or address (HTTP {status}: {told})",
                hint="a base URL most often ends in /v1; the model's name is the one the server lists",
            )
        return Rejected(f"HTTP {status}: {told}")

    def _no_credit(self, told: str) -> StageError:
        return StageError(
            f"{self.base_url} says that there is no credit left: {told}",
            hint="top up, then run the same command: what was answered is kept",
        )

    def _told(self, error: Exception) -> str:
        return self._redacted(shown((str(error) or type(error).__name__).encode()))

    def _redacted(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text


def wait_asked_for(headers: Any) -> float:
    """Return how many seconds a server asks to wait: ``retry-after-ms``, or ``retry-after`` in either form.

    0 where it does not say.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return seconds if 0 <= seconds < float("inf") else 0.0
    try:
        date = email.utils.parsedate_to_datetime(headers.get("retry-after", ""))
    except (TypeError, ValueError):
        return 0.0
    return max(0.0, date.timestamp() - time.time())
