"""The built-in engine: checkpoints in Hugging Face format, on this machine.

Llama-like checkpoints on a CPU go through a decode path of our own (`docendo.engines.decode`), everything
else through transformers' own models (`docendo.engines.generic`); both draw by the rule in
`docendo.engines.sampler`. Texts are embedded by `docendo.engines.embedder`. Work is done by worker processes,
so that this one needs no torch, and an out-of-memory ends a worker and not the run.

What is the same when: a chunk gives the same bytes each time, on any number of workers, on one machine with
the same versions of torch and of the libraries under it. A sample's own draws depend on its seed alone; in
another chunk the last bits of its logits may differ, which changes a token about once in a few million.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from docendo.core.errors import ModelError, SettingError, StageError
from docendo.core.protocols import Chunk, Finished, Halved, Request, Sampling
from docendo.core.records import Checkpoint
from docendo.engines.chunk_work import (
    ChunkWork,
    choosing_work,
    classes_work,
    embedding_work,
    logprobs_work,
    sampling_work,
)
from docendo.engines.chunking import LOGIT_BYTES, chunked, cut_for_answers, cut_for_embeddings
from docendo.engines.jobs import Broke, DidNotFit, Done, Dropped, Ready, Reply, Runtime
from docendo.engines.pool import Lost, Pool, available_cores
from docendo.engines.served import Hardware, gpu_count

_ATTEMPTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersOptions:
    """Settings of the built-in engine."""

    workers: int = 0
    """Worker processes of one thread each; 0: one for each physical core (or for each GPU)."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run; auto: on GPUs where there are any."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of weights, activations and cache; auto: fp32 on a CPU, bf16 on a GPU."""
    max_rows_per_chunk: int = 256
    """Samples in a chunk at most. Ours: more lose by the processor's cache on small models."""
    memory_budget_mb: int = 1024
    """What the cache and the logits of one chunk may take, in MiB; chunks are cut to fit. Every worker does
    one chunk at a time."""
    worker_memory_mb: int = 0
    """Hard limit on the memory of a worker's data, in MiB, kept by the operating system; 0: none."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be."""
        faults: list[str] = []
        if self.workers < 0:
            faults.append(f"workers is {self.workers}; expected 0 (one for each core) or more")
        if self.device not in ("auto", "cpu", "cuda"):
            faults.append(f"device is {self.device!r}; expected auto, cpu or cuda")
        if self.precision not in ("auto", "fp32", "bf16"):
            faults.append(f"precision is {self.precision!r}; expected auto, fp32 or bf16")
        if self.max_rows_per_chunk < 1:
            faults.append(f"max_rows_per_chunk is {self.max_rows_per_chunk}; expected at least 1")
        if self.memory_budget_mb < 1:
            faults.append(f"memory_budget_mb is {self.memory_budget_mb}; expected at least 1")
        if self.worker_memory_mb < 0:
            faults.append(f"worker_memory_mb is {self.worker_memory_mb}; expected 0 (no limit) or more")
        if faults:
            raise SettingError.of_all(faults)


def engine(*, workers: int = 0, device: Literal["auto", "cpu", "cuda"] = "auto") -> TransformersEngine:
    """Make the built-in engine: what the entry point of ``docendo.engines`` is called with."""
    return TransformersEngine(TransformersOptions(workers=workers, device=device))


class TransformersEngine:
    """Serves checkpoint directories with worker processes of this machine.

    Several calls may follow one another on the same workers; two may not run at once. A generator that is
    closed before its end lets go of the rest.
    """

    name: ClassVar[str] = "transformers"
    can: frozenset[str] = frozenset({"sample", "logprobs", "classes", "embed"})

    def __init__(self, options: TransformersOptions | None = None) -> None:
        """Prepare the engine; workers start with the first chunk.

        Raises:
            SettingError: ``device`` is ``cuda`` and there is no usable GPU.
        """
        self.options = options or TransformersOptions()
        gpus = 0 if self.options.device == "cpu" else gpu_count()
        if self.options.device == "cuda" and gpus == 0:
            raise SettingError(
                "device is cuda, but torch finds no usable GPU", hint="use --device auto or cpu"
            )
        cores, precision = available_cores(), self.options.precision
        self._hardware = Hardware(
            is_cpu=gpus == 0,
            precision=("bf16" if gpus else "fp32") if precision == "auto" else precision,
            workers=self.options.workers or gpus or cores,
            cores=cores,
        )
        devices = [f"cuda:{number}" for number in range(gpus)] or ["cpu"]
        self._pool = Pool(
            [
                Runtime(
                    devices[number % len(devices)], self._hardware.precision, self.options.worker_memory_mb
                )
                for number in range(self._hardware.workers)
            ]
        )
        self._is_busy = False

    @property
    def signature(self) -> Mapping[str, str]:
        """What results depend on, beside checkpoint and chunk."""
        return {
            "engine": self.name,
            "precision": self._hardware.precision,
            "sampler": "inverse-cdf/1",
            "decode": "2",
        }

    def note(self, checkpoint: Checkpoint) -> str:
        """Return why a checkpoint is not decoded by the fast path; empty where it is."""
        return self._hardware.served(checkpoint).note

    def chunks(
        self,
        checkpoint: Checkpoint,
        requests: Iterable[Request],
        sampling: Sampling | Literal["embed"] | None,
    ) -> Iterator[Chunk]:
        """Cut requests into chunks: of like length, bounded in rows and in memory, the longest first.

        The rule, over each run of 8,192 requests: requests of more samples than a chunk may have are cut; all
        are sorted by the number of their tokens, then by position; the rows of a chunk are at most
        ``max_rows_per_chunk``, or a quarter of all if that is less (but not below 64); and its cache, at full
        length, with the logits of one token for each row, stays within ``memory_budget_mb``. Machine, workers
        and load do not enter.

        Args:
            checkpoint: Whose tokenizer and shape count.
            requests: In any order.
            sampling: How they will be drawn; None: log-probabilities will be asked for; embed: embeddings.

        Raises:
            DataError: A prompt cannot be rendered, or a text has no token.
            ModelError: The checkpoint cannot be used.
        """
        most_rows = self.options.max_rows_per_chunk
        if sampling == "embed":
            reader = self._hardware.embedder(checkpoint).reader
            return chunked(requests, lambda window: cut_for_embeddings(reader, window, most_rows=most_rows))
        served, most_bytes = self._hardware.served(checkpoint), self.options.memory_budget_mb << 20
        return chunked(
            requests,
            lambda window: cut_for_answers(
                served, window, sampling, most_rows=most_rows, most_bytes=most_bytes
            ),
        )

    def sample(
        self, checkpoint: Checkpoint, chunks: Iterable[Chunk], sampling: Sampling
    ) -> Generator[Finished | Halved]:
        """Answer every chunk, in the order in which they get done; results are `Completion` rows.

        A classification head answers with a space and the name of a class: greedily the most probable one, of
        equals the first; at a temperature one drawn by the sample's seed.

        A prompt that leaves no room for a token gives rows with status ``failed``. A chunk that does not fit
        into memory, or that takes its worker down twice, is halved; a single request that does is failed.

        Raises:
            ModelError: The checkpoint cannot be used.
            StageError: A worker met a fault that asking again would not mend.
        """
        served = self._hardware.served(checkpoint)
        if served.classes and not served.class_names:
            raise ModelError(
                f"{checkpoint.name or checkpoint.location} has a classification head whose classes have no "
                "names, and cannot write",
                hint="ask it for logprobs; or name its classes in config.json, under id2label",
            )
        work = choosing_work if served.classes else sampling_work
        return self._run(served.workers, chunks, functools.partial(work, served, sampling))

    def logprobs(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Generator[Finished | Halved]:
        """Give log-probabilities; results are `Logprobs`, one for each request.

        Continuations given as text are tokenised as they stand after the prompt, without an end token; give
        ids to have it counted. Where the prompt is empty, or does not fit into the context together with a
        continuation, ``values`` is empty. A classification head reads the prompt as it is sent, up to where
        the model would go on; with a continuation, the first one as the rest of the model's turn, up to the
        end token. It gives its classes, or its score, at the last token.

        Raises:
            ModelError: The checkpoint cannot be used.
            StageError: A worker met a fault that asking again would not mend.
        """
        served = self._hardware.served(checkpoint)
        if served.classes:
            return self._run(served.workers, chunks, functools.partial(classes_work, served))
        most_logits = max(1, (self.options.memory_budget_mb << 20) // (2 * LOGIT_BYTES))
        return self._run(served.workers, chunks, functools.partial(logprobs_work, served, most_logits))

    def embed(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Generator[Finished | Halved]:
        """Give vectors; results are `Embedding`, one for the text of each request.

        The last hidden states of an encoder, or of a causal model's backbone, are pooled as the checkpoint's
        files of sentence-transformers say; without any, by the mean over the tokens, and the vector has
        length 1. A text that is longer than the model reads is cut off there. A single text that does not
        fit into memory has an empty vector and a reason.

        Raises:
            ModelError: The checkpoint cannot be used.
            StageError: A worker met a fault that asking again would not mend.
        """
        served = self._hardware.embedder(checkpoint)
        return self._run(served.workers, chunks, functools.partial(embedding_work, served))

    def close(self) -> None:
        """End the workers. A later call starts them again."""
        self._pool.close()

    def _run(
        self, workers: int, chunks: Iterable[Chunk], make: Callable[[Chunk], ChunkWork]
    ) -> Generator[Finished | Halved]:
        if self._is_busy:
            raise StageError(
                "the engine is asked for something while it is still answering something else",
                hint="finish or close the first generator, or use a second engine",
            )
        self._is_busy = True
        coming = iter(chunks)
        again: deque[ChunkWork] = deque()
        flying: dict[int, ChunkWork] = {}
        try:
            while True:
                while self._pool.has_room(workers):
                    work = again.popleft() if again else None
                    if work is None:
                        chunk = next(coming, None)
                        if chunk is None:
                            break
                        work = make(chunk)
                    flying[self._pool.submit(work.job, workers)] = work
                if not flying:
                    return
                for reply in self._pool.wait(workers):
                    yield from self._answered(reply, flying, again, make)
        except GeneratorExit:
            self._pool.cancel()
            raise
        except BaseException:
            # Ctrl-C may come in the middle of a worker's message; what is left of it nobody can read.
            self._pool.close()
            raise
        finally:
            self._is_busy = False

    def _answered(
        self,
        reply: Reply | Lost,
        flying: dict[int, ChunkWork],
        again: deque[ChunkWork],
        make: Callable[[Chunk], ChunkWork],
    ) -> Iterator[Finished | Halved]:
        if isinstance(reply, Ready | Dropped):
            return
        work = flying.pop(reply.serial)
        match reply:
            case Done(result=result):
                yield Finished(work.chunk, work.results(result))
            case Broke(message=message, trace=trace):
                if trace:
                    raise StageError(f"chunk {work.chunk.id} met a fault: {message}\n{trace}")
                raise ModelError(message)
            case Lost(reason=reason) if work.attempts + 1 < _ATTEMPTS:
                work.attempts += 1
                again.append(work)
            case Lost(reason=reason) | DidNotFit(reason=reason):
                if len(work.chunk.requests) == 1:
                    yield Finished(work.chunk, work.failed(reason))
                    return
                halves = work.chunk.halves()
                again.extend(make(half) for half in halves)
                yield Halved(work.chunk, halves, reason)
