"""The engine for served models: asynchronous inside, chunks in and chunks out like every other.

A chunk is one prompt with up to eight samples, which are asked for in one request where the server can; or
one text to embed. The event loop runs in a thread of its own, so that the engine can also be used where a
loop runs already.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Literal

from docendo.core.errors import BudgetReached, ModelError, SettingError
from docendo.core.protocols import Chunk, Finished, Halved, Request, Sampling
from docendo.core.records import Checkpoint, Completion
from docendo.engines.openai_protocol.asker import AnyCall, Asker, Tally
from docendo.engines.openai_protocol.budget import Budget, Closed
from docendo.engines.openai_protocol.client import Server
from docendo.engines.openai_protocol.embeddings import EmbeddingCall, embedding_of
from docendo.engines.openai_protocol.options import ServerOptions, address_of
from docendo.engines.openai_protocol.prices import AS_OF, Price, price_of, read_prices
from docendo.engines.openai_protocol.store import FILE, CompletionStore, Spent
from docendo.engines.openai_protocol.wire import Call
from docendo.engines.pooling import text_of

MOST_SAMPLES_PER_REQUEST = 8
_OPEN_PER_PLACE = 8
"""Prompts that are worked on, or wait after a refusal, for each request that may be in flight."""


def engine(
    *,
    server: ServerOptions | None = None,
    workspace: Path,
    run: str = "",
    says: Callable[[str], None] = lambda text: None,
) -> OpenAIEngine:
    """Make the engine: what the entry point of ``docendo.engines`` is called with."""
    return OpenAIEngine(server or ServerOptions(), workspace=workspace, run=run, says=says)


class OpenAIEngine:
    """Asks servers that speak the OpenAI protocol.

    Args:
        options: Limits, prices and caps.
        workspace: The folder in which completions are kept.
        run: Under which name requests and money are counted, over restarts.
        says: Is told what the user should read.
    """

    name = "openai"
    can = frozenset({"sample", "embed"})

    def __init__(
        self,
        options: ServerOptions,
        *,
        workspace: Path,
        run: str = "",
        says: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.options = options
        self._prices = read_prices(options.prices)
        self._path = workspace / FILE
        self._run = run
        self._says = says
        self._said: set[str] = set()

    @property
    def signature(self) -> Mapping[str, str]:
        """What results depend on, beside checkpoint and chunk; the address is no part of it."""
        return {"engine": self.name, "protocol": "1", "prefilled": self.options.prefilled}

    def chunks(
        self,
        checkpoint: Checkpoint,
        requests: Iterable[Request],
        sampling: Sampling | Literal["embed"] | None,
    ) -> Iterator[Chunk]:
        """Make one chunk of each request, of more if it wants more than eight samples.

        Raises:
            ModelError: Log-probabilities are asked for.
            SettingError: There is a cap on money and the model's price is not known.
        """
        if sampling is None or (sampling != "embed" and sampling.logprobs):
            raise self._no_logprobs(checkpoint)
        self.price(checkpoint)
        number = 0
        for request in requests:
            for first in range(0, max(1, len(request.seeds)), MOST_SAMPLES_PER_REQUEST):
                seeds = request.seeds[first : first + MOST_SAMPLES_PER_REQUEST]
                part = replace(
                    request, position=request.position + first, seeds=seeds, first=request.first + first
                )
                yield Chunk(str(number), (part,))
                number += 1

    def price(self, checkpoint: Checkpoint) -> Price | None:
        """Return what a model's tokens cost; None where that is not known.

        Raises:
            SettingError: There is a cap on money and the price is not known.
        """
        base_url, served = address_of(checkpoint)
        found = price_of(served, base_url, self._prices)
        if found is None and self.options.max_cost is not None:
            raise SettingError(
                f"max_cost is {self.options.max_cost:g}, but the price of {served!r} at {base_url} "
                "is not known",
                hint="name a file with --prices that says `NAME: {input: 0.4, output: 1.6}`, in USD per "
                "million tokens; or cap the number of requests with --max-requests",
            )
        return found

    def sample(
        self, checkpoint: Checkpoint, chunks: Iterable[Chunk], sampling: Sampling
    ) -> Generator[Finished | Halved]:
        """Answer every chunk; chunks come back in the order in which they are done.

        Raises:
            BudgetReached: A cap was reached. Everything that was in flight has come back before.
            ModelError: The server refuses access, or knows no such model.
            StageError: The server answers nobody any more, or there is no credit left.
        """
        if sampling.logprobs:
            raise self._no_logprobs(checkpoint)
        _, served = address_of(checkpoint)
        return self._answered(
            checkpoint,
            chunks,
            lambda request: Call(served, request.messages, sampling, self.options.prefilled),
            "samples",
        )

    def embed(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Generator[Finished | Halved]:
        """Give vectors, of one text a request; chunks come back in the order in which they are done.

        Raises:
            BudgetReached, ModelError, StageError: As for `sample`.
        """
        _, served = address_of(checkpoint)
        finished = self._answered(
            checkpoint, chunks, lambda request: EmbeddingCall(served, text_of(request)), "embeddings"
        )
        return (Finished(one.chunk, [embedding_of(kept) for kept in one.results]) for one in finished)

    def _answered(
        self,
        checkpoint: Checkpoint,
        chunks: Iterable[Chunk],
        call_of: Callable[[Request], AnyCall],
        what: str,
    ) -> Generator[Finished]:
        self._tell_price(checkpoint)
        session = _Session(self.options, checkpoint, self.price(checkpoint), self._path, self._run)
        yield from session.finished(chunks, call_of)
        self._tell_tally(checkpoint, session, what)
        if session.cap:
            raise BudgetReached(
                f"stopped before more is spent: {session.cap}",
                hint="raise the cap and run the same command: what was answered is kept",
            )

    def logprobs(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Iterator[Finished | Halved]:
        """Refuse: servers do not give the log-probability of a given text.

        Raises:
            ModelError: Always.
        """
        raise self._no_logprobs(checkpoint)

    def close(self) -> None:
        """Do nothing: each call closes what it opened."""

    def _no_logprobs(self, checkpoint: Checkpoint) -> ModelError:
        return ModelError(
            f"{checkpoint.name} is a served model and gives no log-probabilities",
            hint="name a checkpoint that runs on this machine",
        )

    def _tell_price(self, checkpoint: Checkpoint) -> None:
        found = self.price(checkpoint)
        _, served = address_of(checkpoint)
        if found is None:
            told = f"the price of {served} is not known: tokens are counted, money is not (--prices FILE)"
        else:
            whose = "by --prices" if served in self._prices else f"list price of {AS_OF}; --prices FILE"
            told = (
                f"{served} costs ${found.input:g} in and ${found.output:g} out per million tokens ({whose})"
            )
        self._say_once(told)

    def _tell_tally(self, checkpoint: Checkpoint, session: _Session, what: str) -> None:
        tally = session.tally
        _, served = address_of(checkpoint)
        if tally.uncounted:
            self._say_once(f"{served}: the server does not count tokens; they stand as 0")
        if not tally.requests:
            return
        spent = session.spent
        money = "" if self.price(checkpoint) is None else f"; ${spent.usd:.4f} by this run so far"
        there = f", {tally.found:,} were there" if tally.found else ""
        self._says(f"{served}: {tally.bought:,} {what} in {tally.requests:,} requests{there}{money}")

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._says(text)


class _Session:
    """One call of `OpenAIEngine.sample`: an event loop in a thread, and a queue of what is done."""

    def __init__(
        self,
        options: ServerOptions,
        checkpoint: Checkpoint,
        price: Price | None,
        store: Path,
        run: str,
    ) -> None:
        self._options = options
        self._base_url, _ = address_of(checkpoint)
        self._price = price
        self._store = store
        self._run = run
        self._done: queue.SimpleQueue[Finished | BaseException | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._work: asyncio.Task[None] | None = None
        self._fault: BaseException | None = None
        self.tally = Tally()
        self.spent = Spent()
        self.cap = ""
        """Which cap was reached."""

    def finished(self, chunks: Iterable[Chunk], call_of: Callable[[Request], AnyCall]) -> Generator[Finished]:
        """Yield the chunks as they are done. What is in flight when the generator is closed is let go."""
        started = threading.Event()
        thread = threading.Thread(
            target=self._run_loop, args=(chunks, call_of, started), name="docendo-openai", daemon=True
        )
        thread.start()
        started.wait()
        try:
            while (event := self._done.get()) is not None:
                if isinstance(event, BaseException):
                    raise event
                yield event
        finally:
            if self._loop is not None and self._work is not None and thread.is_alive():
                with suppress(RuntimeError):  # the loop has just come to its end
                    self._loop.call_soon_threadsafe(self._work.cancel)
            thread.join()

    def _run_loop(
        self, chunks: Iterable[Chunk], call_of: Callable[[Request], AnyCall], started: threading.Event
    ) -> None:
        async def all_of_it() -> None:
            self._loop = asyncio.get_running_loop()
            self._work = asyncio.current_task()
            started.set()
            await self._all(chunks, call_of)

        try:
            asyncio.run(all_of_it())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # raised again in the thread that asked
            self._done.put(error)
        finally:
            started.set()
            self._done.put(None)

    async def _all(self, chunks: Iterable[Chunk], call_of: Callable[[Request], AnyCall]) -> None:
        server = Server(self._base_url, self._options)
        with CompletionStore(self._store) as store:
            self.spent = store.spent(self._run)
            budget = Budget(self.spent, self._options.max_cost, self._options.max_requests)
            asker = Asker(server, store, budget, self._run, self._price, self.tally)
            places = asyncio.Semaphore(_OPEN_PER_PLACE * self._options.concurrency)
            try:
                async with asyncio.TaskGroup() as group:
                    for chunk in chunks:
                        await places.acquire()
                        if budget.is_closed:
                            break
                        task = group.create_task(self._one(asker, chunk, call_of))
                        task.add_done_callback(lambda _: places.release())
            finally:
                await server.close()
            self.cap = budget.cap
        if self._fault is not None:
            raise self._fault

    async def _one(self, asker: Asker, chunk: Chunk, call_of: Callable[[Request], AnyCall]) -> None:
        results: list[Completion] = []
        try:
            for request in chunk.requests:
                results += await asker.samples(call_of(request), request)
        except Closed:
            return
        except Exception as error:  # what is in flight, and may be paid, comes in first
            self._fault = self._fault or error
            await asker.budget.close()
            return
        self._done.put(Finished(chunk, results))
