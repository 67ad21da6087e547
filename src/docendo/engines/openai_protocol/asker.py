"""The samples of one prompt: found in the store, asked for, asked for again where something went wrong."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from docendo.core.errors import DocendoError, StageError
from docendo.core.protocols import Request
from docendo.core.records import Completion
from docendo.engines.openai_protocol.budget import Budget, Closed
from docendo.engines.openai_protocol.client import Answered, Broken, Refused, Rejected, Server
from docendo.engines.openai_protocol.embeddings import EmbeddingCall
from docendo.engines.openai_protocol.prices import Price
from docendo.engines.openai_protocol.store import CompletionStore
from docendo.engines.openai_protocol.wire import Call, Unusable

AnyCall = Call | EmbeddingCall

_LONGEST_WAIT_SECONDS = 20.0
"""Of our own waiting between tries; what a server asks for may be longer."""
_PATIENCE_AT_FIRST_SECONDS = 10.0
"""For a server that was never reached: most likely the address is wrong or it was not started."""


@dataclass(frozen=True, slots=True)
class GaveUp:
    """Why a sample is not there."""

    reason: str
    by_server: bool = False
    """Whether the server turned the request down."""


@dataclass(slots=True)
class Tally:
    """What a stage's questions came to."""

    found: int = 0
    """Samples that were there already."""
    bought: int = 0
    """Samples that a server gave."""
    requests: int = 0
    uncounted: int = 0
    """Answers without the server's count of tokens."""


@dataclass(slots=True)
class Asker:
    """Asks one server for one model. For one event loop."""

    server: Server
    store: CompletionStore
    budget: Budget
    run: str
    price: Price | None
    tally: Tally = field(default_factory=Tally)
    _flying: dict[str, asyncio.Event] = field(default_factory=dict[str, asyncio.Event])

    async def samples(self, call: AnyCall, request: Request) -> list[Completion]:
        """Return one completion for each sample of a request, failed ones with their reason.

        Raises:
            Closed: No request may go out any more; what came before is in the store.
            ModelError, StageError: No request can be answered.
        """
        keys = [call.key(seed) for seed in request.seeds or (0,)]
        wanted = list(dict.fromkeys(keys))
        failed: dict[str, GaveUp] = {}
        first = True
        while True:
            there = self.store.found(wanted)
            if first:
                self.tally.found += len(there)
            first = False
            missing = [key for key in wanted if key not in there and key not in failed]
            if not missing:
                break
            own = [key for key in missing if key not in self._flying]
            if not own:  # the same sample is asked for by another row
                await self._flying[missing[0]].wait()
                continue
            done = asyncio.Event()
            self._flying |= dict.fromkeys(own, done)
            try:
                failed |= await self._bought(call, own)
            finally:
                for key in own:
                    del self._flying[key]
                done.set()
        return [there[key] if key in there else _failed(failed[key].reason) for key in keys]

    async def _bought(self, call: AnyCall, keys: Sequence[str]) -> dict[str, GaveUp]:
        """Ask for the samples, together if the server can, and store them. Return those that failed."""
        left = list(keys)
        while len(left) > 1 and self.server.takes_n:
            got = await self._tried(call, left)
            if isinstance(got, GaveUp):
                if not got.by_server:
                    return dict.fromkeys(left, got)
                break  # it may be the number that the server does not bear
            if got == 1:
                self.server.takes_n = False
            left = left[got:]
        # One that cannot go on does not stop the others: they may have been paid for.
        ended = await asyncio.gather(*(self._tried(call, [key]) for key in left), return_exceptions=True)
        for error in sorted(
            (one for one in ended if isinstance(one, BaseException)), key=lambda one: isinstance(one, Closed)
        ):
            raise error
        failed = {key: one for key, one in zip(left, ended, strict=True) if isinstance(one, GaveUp)}
        if len(left) > 1 and not failed:
            self.server.takes_n = False
        return failed

    async def _tried(self, call: AnyCall, keys: Sequence[str]) -> int | GaveUp:
        """Ask in one request until samples come. Return how many of the first keys are stored now."""
        began = time.monotonic()
        patience = self.server.options.patience_seconds
        tries = broken = alone = 0
        while True:
            sent = time.monotonic()
            outcome = await self._sent(call, keys, is_first=not tries)
            if isinstance(outcome, int):
                return outcome
            tries += 1
            if isinstance(outcome, Rejected):
                return GaveUp(outcome.reason, by_server=True)
            broken += isinstance(outcome, Broken)
            if broken >= self.server.options.max_attempts:
                return GaveUp(f"no usable answer in {broken} attempts, the last: {outcome.reason}")
            # While others are answered, waiting longer and longer would only make this one the last of all.
            alone = 0 if self.server.last_answer > sent else alone + 1
            wait = 0.1 * broken
            if isinstance(outcome, Refused) or outcome.by_load:
                wait = min(_LONGEST_WAIT_SECONDS, 0.25 * 2 ** min(alone, 10))
            wait *= random.uniform(0.5, 1)
            if isinstance(outcome, Refused):
                wait = max(wait, outcome.wait_seconds)
            if time.monotonic() + wait - began > self._patience(patience, outcome):
                if isinstance(outcome, Refused):
                    self._check_alive(began, outcome)
                return GaveUp(f"no answer in {patience:g} s and {tries} attempts, the last: {outcome.reason}")
            await self.budget.rest(wait)

    def _patience(self, patience: float, outcome: Refused | Broken) -> float:
        is_unknown = isinstance(outcome, Refused) and not outcome.was_reached and not self.server.last_answer
        return min(patience, _PATIENCE_AT_FIRST_SECONDS) if is_unknown else patience

    def _check_alive(self, since: float, outcome: Refused) -> None:
        """End the stage where the server has answered nobody for as long as this sample was tried."""
        if self.server.last_answer < since:
            waited = time.monotonic() - since
            asks = f", and asks to wait {outcome.wait_seconds:,.0f} s" if outcome.wait_seconds else ""
            raise StageError(
                f"{self.server.base_url} answers nobody, tried for {waited:.0f} s: {outcome.reason}{asks}",
                hint="when the server is there again, run the same command: what was answered is kept",
            )

    async def _sent(
        self, call: AnyCall, keys: Sequence[str], *, is_first: bool
    ) -> int | Refused | Broken | Rejected:
        """Send one request when limits and caps let it out, and store what comes.

        What was learned about the server meanwhile counts: where it gives one sample at a time, the first key
        is asked for alone.
        """
        limiter = self.server.limiter
        await limiter.acquire(first=not is_first)
        began = time.monotonic()
        refused: bool | None = None
        try:
            n = len(keys) if self.server.takes_n else 1
            length_name = self.server.length_name
            at_most = call.at_most_usd(n, self.price)
            await self.budget.admit(at_most)
            began = time.monotonic()
            outcome = await self._settled(call, keys[:n], length_name, at_most)
            refused = isinstance(outcome, Refused) or (isinstance(outcome, Broken) and outcome.by_load)
        finally:
            limiter.release(refused=refused, seconds=time.monotonic() - began)
        if isinstance(outcome, Rejected) and self.server.learns_from(outcome.reason, length_name):
            return await self._sent(call, keys, is_first=False)
        return outcome

    async def _settled(
        self, call: AnyCall, keys: Sequence[str], length_name: str, at_most: float
    ) -> int | Refused | Broken | Rejected:
        """Send one request that was let out, and settle what it cost."""
        self.store.sending(self.run, at_most)
        self.tally.requests += 1
        found: list[Completion] = []
        usd, is_sure = 0.0, False
        try:
            n = len(keys)
            body = call.body(n, length_name=length_name)
            outcome = await self.server.send(call.path, body, call.most_bytes(n))
            is_sure = isinstance(outcome, Refused)
            is_sure |= isinstance(outcome, Rejected) and not outcome.was_worked_on
            if isinstance(outcome, Answered):
                found, outcome = self._understood(outcome, call, n)
                usd = sum(one.cost_usd or 0.0 for one in found)
                is_sure = self.price is None or bool(found and found[0].cost_usd is not None)
        except DocendoError:
            is_sure = True  # turned away at the door
            raise
        finally:
            if is_sure or found:
                self.store.settle(
                    self.run,
                    at_most_usd=at_most if is_sure else 0.0,
                    usd=usd,
                    model=call.model,
                    completions=dict(zip(keys, found, strict=False)),
                )
            self.tally.bought += len(found)
            await self.budget.settle(at_most, usd=usd, is_sure=is_sure)
        return outcome

    def _understood(self, answer: Answered, call: AnyCall, n: int) -> tuple[list[Completion], int | Broken]:
        try:
            found = call.completions(answer.content, n, self.price)
        except Unusable as error:
            return [], Broken(str(error))
        if not found[0].prompt_tokens:
            self.tally.uncounted += 1
        return found, len(found)


def _failed(reason: str) -> Completion:
    return Completion("", "failed", status="failed", reason=reason)
