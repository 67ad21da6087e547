"""A worker process: takes jobs off a socket, one after the other, and sends back what they gave.

It ends when the other end of the socket closes, even in the middle of a job: no worker outlives its driver.
"""

from __future__ import annotations

import gc
import os
import queue
import threading
import traceback
from collections import OrderedDict
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from docendo.core.errors import ModelError
from docendo.engines.jobs import (
    Broke,
    ClassesJob,
    DidNotFit,
    Done,
    Drawn,
    Dropped,
    EmbedJob,
    Job,
    LogprobsJob,
    Ready,
    Reply,
    Runtime,
    SampleJob,
    Weights,
)

_MODELS_KEPT = 2
"""A policy and its reference; a third one pushes out the one that was not used for longest."""
_TAIL_TOKENS = 16
_SIGNS_OF_NO_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "alloc_cpu",
)


def main(descriptor: int) -> None:
    """Serve the socket with this file descriptor until it closes."""
    link = Connection(descriptor)
    runtime: Runtime = link.recv()
    jobs: queue.SimpleQueue[tuple[int, Job]] = queue.SimpleQueue()
    cancelled: set[int] = set()

    def listen() -> None:
        # A thread of its own, so that the driver never waits to hand over a job while this process works, and
        # so that its end is noticed at once.
        try:
            while True:
                message = link.recv()
                if isinstance(message, int):
                    cancelled.add(message)
                else:
                    jobs.put(message)
        except (EOFError, OSError):
            os._exit(0)

    import torch

    torch.set_num_threads(1)
    if runtime.memory_mb:
        _limit_memory(runtime.memory_mb)
    threading.Thread(target=listen, daemon=True).start()
    link.send(Ready())
    work = _Work(runtime)
    while True:
        serial, job = jobs.get()
        try:
            link.send(work.reply(serial, job, lambda serial=serial: serial in cancelled))
        except (BrokenPipeError, ConnectionResetError):
            os._exit(0)
        cancelled.discard(serial)


class _Work:
    """The models at hand, and the doing of jobs."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._models: OrderedDict[tuple[str, str, str], Any] = OrderedDict()

    def reply(self, serial: int, job: Job, is_cancelled: Callable[[], bool]) -> Reply:
        from docendo.engines.rows import CancelledError

        if is_cancelled():
            return Dropped(serial)
        try:
            model = self._model(job.weights)
        except ModelError as error:
            return Broke(serial, str(error), "")
        except Exception as error:
            if _is_no_memory(error):
                return Broke(
                    serial, f"the weights of {job.weights.folder} do not fit into memory: {error}", ""
                )
            return Broke(serial, f"cannot load {job.weights.folder}: {error}", traceback.format_exc())
        try:
            return Done(serial, self._result(model, job, is_cancelled))
        except CancelledError:
            return Dropped(serial)
        except Exception as error:
            if not _is_no_memory(error):
                return Broke(serial, f"{type(error).__name__}: {error}", traceback.format_exc())
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        # Outside of the handler, so that the frames that hold the tensors are gone.
        self._free()
        return DidNotFit(serial, reason)

    def _result(self, model: Any, job: Job, is_cancelled: Callable[[], bool]) -> Drawn | list[list[float]]:
        match job:
            case SampleJob():
                stops = _stop_check(Path(job.weights.folder), job.draw.stops) if job.draw.stops else None
                return model.sample(
                    job.prompts, job.seeds, job.limits, job.draw, stops=stops, is_cancelled=is_cancelled
                )
            case LogprobsJob():
                return model.logprobs(job.texts, job.starts, most_logits=job.most_logits)
            case ClassesJob():
                return model.classes(job.texts)
            case EmbedJob():
                return model.vectors(job.texts, job.pooling)

    def _model(self, weights: Weights) -> Any:
        import torch

        if torch.get_num_threads() != weights.threads:
            torch.set_num_threads(weights.threads)
        key = (weights.folder, weights.digest, weights.served_by)
        if key in self._models:
            self._models.move_to_end(key)
            return self._models[key]
        while len(self._models) >= _MODELS_KEPT:
            self._models.popitem(last=False)
        self._free()
        self._models[key] = self._loaded(weights)
        return self._models[key]

    def _loaded(self, weights: Weights) -> Any:
        folder, precision, device = Path(weights.folder), self._runtime.precision, self._runtime.device
        match weights.served_by:
            case "own":
                from docendo.engines.decode import Decoder

                return Decoder(folder, precision)
            case "transformers":
                from docendo.engines.generic import GenericDecoder

                return GenericDecoder(folder, precision, device)
            case "embedder":
                from docendo.engines.embedder import Embedder

                return Embedder(folder, precision, device)

    def _free(self) -> None:
        gc.collect()
        if self._runtime.device != "cpu":
            import torch

            torch.cuda.empty_cache()


def _stop_check(folder: Path, stops: tuple[str, ...]) -> Callable[[list[list[int]]], list[bool]]:
    """Return what says whether the newest tokens of each row have completed one of the stop texts.

    Only the end of each row is decoded: as many tokens as the stop texts can have, and some for what a token
    may show of its neighbours.
    """
    from tokenizers import Tokenizer

    backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tail = _TAIL_TOKENS + max(len(stop.encode()) for stop in stops)

    def is_stopped(rows: list[list[int]]) -> list[bool]:
        texts = backend.decode_batch([row[-tail:] for row in rows], skip_special_tokens=True)
        return [any(stop in text for stop in stops) for text in texts]

    return is_stopped


def _is_no_memory(error: Exception) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS_OF_NO_MEMORY)


def _limit_memory(megabytes: int) -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (megabytes << 20, hard))
