"""When to stop sending: the caps of a run on money and requests, or a fault that no request can get past.

Caps are kept strictly: what a request in flight may still be billed counts as spent until it is back.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from docendo.engines.openai_protocol.store import Spent


class Closed(Exception):
    """No further request may go out. What is in flight comes to its end."""


@dataclass(slots=True)
class Budget:
    """Lets requests out as long as the caps hold whatever those in flight cost. For one event loop.

    Attributes:
        spent: What the run has spent, earlier processes included.
        max_cost: USD; None: no cap.
        max_requests: None: no cap.
    """

    spent: Spent
    max_cost: float | None = None
    max_requests: int | None = None
    cap: str = ""
    """Which cap was reached; empty: none."""
    _in_flight_usd: float = 0.0
    _in_flight: int = 0
    _closed: asyncio.Event = field(default_factory=asyncio.Event)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def is_closed(self) -> bool:
        """Whether nothing goes out any more."""
        return self._closed.is_set()

    async def close(self) -> None:
        """Let nothing out any more."""
        self._closed.set()
        async with self._changed:
            self._changed.notify_all()

    async def rest(self, seconds: float) -> None:
        """Wait, but no longer than requests may go out.

        Raises:
            Closed: They may not.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._closed.wait()
        except TimeoutError:
            return
        raise Closed

    async def admit(self, at_most_usd: float) -> None:
        """Wait until a request may go out that costs at most so much, and count it.

        Raises:
            Closed: None may, now or when those in flight are back.
        """
        async with self._changed:
            while not self._fits(at_most_usd):
                if self.is_closed:
                    raise Closed
                await self._changed.wait()
            self.spent.requests += 1
            self._in_flight += 1
            self._in_flight_usd += at_most_usd

    def _fits(self, at_most_usd: float) -> bool:
        if self.is_closed:
            return False
        spent = self.spent
        if self.max_requests is not None and spent.requests >= self.max_requests:
            self._reached(f"{spent.requests:,} requests were sent, and max_requests is {self.max_requests:,}")
            return False
        if self.max_cost is None:
            return True
        billed = spent.usd + spent.unsure_usd
        if billed + self._in_flight_usd + at_most_usd <= self.max_cost:
            return True
        if self._in_flight == 0:
            unsure = f", perhaps ${spent.unsure_usd:.4f} more" if spent.unsure_usd else ""
            self._reached(
                f"${spent.usd:.4f} was spent{unsure}, the next request may cost ${at_most_usd:.4f}, "
                f"and max_cost is ${self.max_cost:g}"
            )
        return False

    def _reached(self, cap: str) -> None:
        self.cap = cap
        self._closed.set()

    async def settle(self, at_most_usd: float, *, usd: float, is_sure: bool) -> None:
        """Take a request back and count its cost; one that is not sure counts with all that it may cost."""
        self._in_flight -= 1
        self._in_flight_usd = self._in_flight_usd - at_most_usd if self._in_flight else 0.0
        self.spent.usd += usd
        if not is_sure:
            self.spent.unsure_usd += at_most_usd
        async with self._changed:
            self._changed.notify_all()
