"""How many requests may be in flight: additive increase, multiplicative decrease, by the share refused.

Chiu and Jain (1989), "Analysis of the increase and decrease algorithms for congestion avoidance in computer
networks", show that this pair of rules finds a fair and efficient rate. Two things differ from TCP. A single
refusal says little, since servers also refuse for reasons of their own; what counts is the share of a
window's requests that were refused. And a refused request keeps its place for as long as an answer takes: so
the share refused says how far over the server's capacity the limit is, and a server that refuses at once is
not hammered.
"""

from __future__ import annotations

import asyncio
from collections import deque

FEWEST_TO_JUDGE = 8
"""A window is so many requests, or as many as may be in flight if that is more."""
TOO_MANY = 0.35
"""Share of refusals above which the limit shrinks."""
FEW_ENOUGH = 0.25
"""Share of refusals up to which it grows."""
SHRINK = 0.8
LONGEST_HOLD_SECONDS = 10.0


class AdaptiveLimit:
    """The law alone: outcomes in, a limit out. No clock.

    Attributes:
        most: The limit never exceeds it.
        limit: Requests that may be in flight, in ``[1, most]``.
    """

    def __init__(self, most: int, start: int = 4) -> None:
        self.most = most
        self._limit = float(min(start, most))
        self._doubling_until = float(most)
        self._seen = 0
        self._refused = 0

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return int(self._limit)

    def note(self, *, refused: bool) -> None:
        """Take in what became of a request."""
        self._seen += 1
        self._refused += refused
        if self._seen < max(FEWEST_TO_JUDGE, self.limit):
            return
        share = self._refused / self._seen
        self._seen = self._refused = 0
        if share == 1:  # nobody gets through: the server is away, which says nothing about its capacity
            self._limit = max(1.0, self._limit / 2)
        elif share > TOO_MANY:
            self._limit = max(1.0, self._limit * SHRINK)
            self._doubling_until = max(self._limit, self._doubling_until / 2)
        elif share <= FEW_ENOUGH:
            doubled = min(2 * self._limit, self._doubling_until)
            self._limit = min(self.most, max(self._limit + 1, doubled))


class Limiter:
    """Places for requests in flight, as many as an `AdaptiveLimit` says. For one event loop."""

    def __init__(self, most: int) -> None:
        self.law = AdaptiveLimit(most)
        self.in_flight = 0
        """Places taken, those held by refused requests included."""
        self.peak = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._usual_seconds = 0.0

    async def acquire(self, *, first: bool = False) -> None:
        """Wait for a place; ``first``: before all others, so that what is tried again does not pile up."""
        if self.in_flight < self.law.limit and not self._waiting:
            self._take()
            return
        turn = asyncio.get_running_loop().create_future()
        if first:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free()  # the place came together with the cancellation
            raise

    def release(self, *, refused: bool | None, seconds: float) -> None:
        """Give the place back; after a refusal only when an answer would have been there.

        Args:
            refused: Whether the server refused; None: nothing was sent.
            seconds: How long the request took; of answers it makes up what is usual.
        """
        if refused is None:
            self._free()
            return
        self.law.note(refused=refused)
        if refused and self._usual_seconds > seconds:
            hold = min(LONGEST_HOLD_SECONDS, self._usual_seconds - seconds)
            asyncio.get_running_loop().call_later(hold, self._free)
            return
        if not refused:
            weight = 0.1 if self._usual_seconds else 1.0
            self._usual_seconds += weight * (seconds - self._usual_seconds)
        self._free()

    def _take(self) -> None:
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)

    def _free(self) -> None:
        self.in_flight -= 1
        while self._waiting and self.in_flight < self.law.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._take()
                turn.set_result(None)
