"""The built-in engine: checkpoints in Hugging Face format, on this machine.

Llama-like checkpoints on a CPU go through a decode path of our own (`docendo.engines.decode`), everything
else through transformers' own models (`docendo.engines.generic`); both draw by the rule in
`docendo.engines.sampler`. Work is done by worker processes, so that this one needs no torch, and an
out-of-memory ends a worker and not the run.

What is the same when: a chunk gives the same bytes each time, on any number of workers, on one machine with
the same versions of torch and of the libraries under it. A sample's own draws depend on its seed alone; in
another chunk the last bits of its logits may differ, which changes a token about once in a few million.
"""

from __future__ import annotations

import functools
import math
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

from docendo.core.errors import ModelError, SettingError, StageError
from docendo.core.protocols import Chunk, Finished, Halved, Request, Sampling
from docendo.core.records import Checkpoint, Completion, Logprobs
from docendo.engines.checkpoints import (
    class_names,
    classes_of,
    load_tokenizer,
    read_config,
    weight_files,
)
from docendo.engines.jobs import (
    Broke,
    ClassesJob,
    DidNotFit,
    Done,
    Draw,
    Drawn,
    Dropped,
    Job,
    LogprobsJob,
    Ready,
    Reply,
    Runtime,
    SampleJob,
    Weights,
)
from docendo.engines.pool import Lost, Pool, available_cores
from docendo.engines.tokenizer import Tokenizer

_WINDOW = 8192
"""Requests that are sorted together. More would only cost memory; chunks are far smaller."""
_FEWEST_ROWS = 64
"""Chunks of fewer rows are not worth being told apart, even to keep more workers busy."""
_CHUNKS_WANTED = 4
_LOGIT_BYTES = 24
"""Memory for each entry of a row of logits: itself, probabilities, running sums, and what is in between."""
_ATTEMPTS = 2
_WEIGHTS_SHARE = 0.4
"""Share of the machine's memory that the weights of all workers together may take."""


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


@dataclass(frozen=True, slots=True)
class _Served:
    """A checkpoint as the engine sees it."""

    tokenizer: Tokenizer
    weights: Weights
    context: int
    vocabulary: int
    cache_bytes_per_token: int
    classes: int
    class_names: tuple[str, ...]
    workers: int
    note: str
    """Why it is not decoded by the own path; empty where it is."""


@dataclass(slots=True)
class _Task:
    """A chunk on its way, and how to make its results of what the worker gives."""

    chunk: Chunk
    job: Job
    results: Callable[[Any], Sequence[Any]]
    failed: Callable[[str], Sequence[Any]]
    attempts: int = 0


class TransformersEngine:
    """Serves checkpoint directories with worker processes of this machine.

    Several calls may follow one another on the same workers; two may not run at once. A generator that is
    closed before its end lets go of the rest.
    """

    name: ClassVar[str] = "transformers"
    can: frozenset[str] = frozenset({"sample", "logprobs", "classes"})

    def __init__(self, options: TransformersOptions | None = None) -> None:
        """Prepare the engine; workers start with the first chunk.

        Raises:
            SettingError: ``device`` is ``cuda`` and there is no usable GPU.
        """
        self.options = options or TransformersOptions()
        gpus = 0 if self.options.device == "cpu" else _gpus()
        if self.options.device == "cuda" and gpus == 0:
            raise SettingError(
                "device is cuda, but torch finds no usable GPU", hint="use --device auto or cpu"
            )
        self._is_cpu = gpus == 0
        precision = self.options.precision
        self._precision = ("fp32" if self._is_cpu else "bf16") if precision == "auto" else precision
        self._cores = available_cores()
        workers = self.options.workers or (self._cores if self._is_cpu else gpus)
        devices = ["cpu"] if self._is_cpu else [f"cuda:{number}" for number in range(gpus)]
        self._pool = Pool(
            [
                Runtime(devices[number % len(devices)], self._precision, self.options.worker_memory_mb)
                for number in range(workers)
            ]
        )
        self._workers = workers
        self._is_busy = False

    @property
    def signature(self) -> Mapping[str, str]:
        """What results depend on, beside checkpoint and chunk."""
        return {
            "engine": self.name,
            "precision": self._precision,
            "sampler": "inverse-cdf/1",
            "decode": "1",
        }

    def note(self, checkpoint: Checkpoint) -> str:
        """Return why a checkpoint is not decoded by the fast path; empty where it is."""
        return self._served(checkpoint).note

    def chunks(
        self, checkpoint: Checkpoint, requests: Iterable[Request], sampling: Sampling | None
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
            sampling: How they will be drawn; None: log-probabilities will be asked for.

        Raises:
            DataError: A prompt cannot be rendered.
            ModelError: The checkpoint cannot be used.
        """
        served = self._served(checkpoint)
        stream = iter(requests)
        number = 0
        while window := list(islice(stream, _WINDOW)):
            for cut in self._cut(served, window, sampling):
                yield Chunk(str(number), tuple(cut))
                number += 1

    def _cut(
        self, served: _Served, window: list[Request], sampling: Sampling | None
    ) -> Iterator[list[Request]]:
        requests = [part for request in window for part in _parts(request, self.options.max_rows_per_chunk)]
        prompts = served.tokenizer.prompts_ids([request.messages for request in requests])
        if sampling is None:
            sizes = [
                len(ids) + _longest_continuation(request)
                for ids, request in zip(prompts, requests, strict=True)
            ]
        else:
            sizes = [len(ids) for ids in prompts]
        order = sorted(range(len(requests)), key=lambda place: (-sizes[place], requests[place].position))
        rows = [_rows_of(request, sampling) for request in requests]
        wanted = max(_FEWEST_ROWS, math.ceil(sum(rows) / _CHUNKS_WANTED))
        most_rows = min(self.options.max_rows_per_chunk, wanted)
        budget = self.options.memory_budget_mb << 20
        cut: list[Request] = []
        cut_rows, longest = 0, 0
        for place in order:
            if cut:
                size = max(longest, sizes[place])
                count = cut_rows + rows[place]
                needed = self._bytes(served, size, len(cut) + 1, count, sampling)
                if count > most_rows or needed > budget:
                    yield cut
                    cut, cut_rows, longest = [], 0, 0
            cut.append(requests[place])
            cut_rows += rows[place]
            longest = max(longest, sizes[place])
        if cut:
            yield cut

    def _bytes(
        self, served: _Served, prompt_tokens: int, prompts: int, rows: int, sampling: Sampling | None
    ) -> int:
        """Return what a chunk needs at its worst: caches at full length, and logits."""
        per_token = served.cache_bytes_per_token
        if sampling is None:
            # Texts are read in pieces, so only the lists of numbers grow with the chunk.
            return rows * prompt_tokens * 64
        own = min(sampling.max_new_tokens, max(0, served.context - prompt_tokens))
        # Twice: forming groups anew copies both caches.
        return (
            2 * per_token * (prompts * prompt_tokens + rows * own) + rows * served.vocabulary * _LOGIT_BYTES
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
        served = self._served(checkpoint)
        if served.classes and not served.class_names:
            raise ModelError(
                f"{checkpoint.name or checkpoint.location} has a classification head whose classes have no "
                "names, and cannot write",
                hint="ask it for logprobs; or name its classes in config.json, under id2label",
            )
        if served.classes:
            return self._run(served, chunks, functools.partial(self._choosing_task, served, sampling))
        return self._run(served, chunks, functools.partial(self._sample_task, served, sampling))

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
        served = self._served(checkpoint)
        make = self._classes_task if served.classes else self._logprobs_task
        return self._run(served, chunks, functools.partial(make, served))

    def close(self) -> None:
        """End the workers. A later call starts them again."""
        self._pool.close()

    # ---- what a chunk becomes

    def _sample_task(self, served: _Served, sampling: Sampling, chunk: Chunk) -> _Task:
        prompts = served.tokenizer.prompts_ids([request.messages for request in chunk.requests])
        room = [served.context - len(ids) for ids in prompts]
        fits = [place for place, left in enumerate(room) if left > 0 and prompts[place]]

        def results(drawn: Drawn) -> list[Completion]:
            return _completions(served, sampling, chunk, prompts, room, drawn)

        def failed(reason: str) -> list[Completion]:
            return [
                _failed(reason, len(ids))
                for request, ids in zip(chunk.requests, prompts, strict=True)
                for _ in range(request.rows)
            ]

        draw = Draw(
            temperature=sampling.temperature,
            top_k=sampling.top_k,
            top_p=sampling.top_p,
            logprobs=sampling.logprobs,
            end_ids=tuple(sorted(served.tokenizer.end_ids)),
            stops=sampling.stop,
        )
        job = SampleJob(
            weights=served.weights,
            prompts=[prompts[place] for place in fits],
            # Greedy requests may come without seeds; they are one row each all the same.
            seeds=[chunk.requests[place].seeds or (0,) for place in fits],
            limits=[min(sampling.max_new_tokens, room[place]) for place in fits],
            draw=draw,
        )
        return _Task(chunk, job, results, failed)

    def _logprobs_task(self, served: _Served, chunk: Chunk) -> _Task:
        texts: list[list[int]] = []
        starts: list[int] = []
        places: list[list[int | None]] = []
        for request in chunk.requests:
            (prompt,) = served.tokenizer.prompts_ids([request.messages])
            own: list[int | None] = []
            for ids in _continuation_ids(served.tokenizer, request):
                if not prompt or len(prompt) + len(ids) > served.context:
                    own.append(None)
                else:
                    own.append(len(texts))
                    texts.append([*prompt, *ids])
                    starts.append(len(prompt))
            places.append(own)

        def results(found: list[list[float]]) -> list[Logprobs]:
            return [_logprobs(own, found) for own in places]

        def failed(reason: str) -> list[Logprobs]:
            raise StageError(f"log-probabilities of one request do not fit into memory: {reason}")

        job = LogprobsJob(
            served.weights, texts, starts, max(1, (self.options.memory_budget_mb << 20) // (2 * _LOGIT_BYTES))
        )
        return _Task(chunk, job, results, failed)

    def _choosing_task(self, served: _Served, sampling: Sampling, chunk: Chunk) -> _Task:
        asked = self._classes_task(served, chunk)
        lengths = [len(served.tokenizer.prompt_ids(request.messages)) for request in chunk.requests]

        def results(found: list[list[float]]) -> list[Completion]:
            return [
                _chosen(served.class_names, one.values, seed, sampling, length)
                if one.values
                else _failed(f"prompt of {length} tokens does not fit into the context", length)
                for request, one, length in zip(chunk.requests, asked.results(found), lengths, strict=True)
                for seed in request.seeds or (0,)
            ]

        return replace(asked, results=results)

    def _classes_task(self, served: _Served, chunk: Chunk) -> _Task:
        texts = [_classified(served.tokenizer, request) for request in chunk.requests]
        fits = [place for place, ids in enumerate(texts) if len(ids) <= served.context]

        def results(found: list[list[float]]) -> list[Logprobs]:
            values = dict(zip(fits, found, strict=True))
            return [
                Logprobs(tuple(values.get(place, ())), (1,) * len(values.get(place, ())))
                for place in range(len(texts))
            ]

        def failed(reason: str) -> list[Logprobs]:
            raise StageError(f"the classes of one request do not fit into memory: {reason}")

        return _Task(chunk, ClassesJob(served.weights, [texts[place] for place in fits]), results, failed)

    # ---- the loop over chunks

    def _run(
        self, served: _Served, chunks: Iterable[Chunk], make: Callable[[Chunk], _Task]
    ) -> Generator[Finished | Halved]:
        if self._is_busy:
            raise StageError(
                "the engine is asked for something while it is still answering something else",
                hint="finish or close the first generator, or use a second engine",
            )
        self._is_busy = True
        coming = iter(chunks)
        again: deque[_Task] = deque()
        flying: dict[int, _Task] = {}
        try:
            while True:
                while self._pool.has_room(served.workers):
                    task = again.popleft() if again else None
                    if task is None:
                        chunk = next(coming, None)
                        if chunk is None:
                            break
                        task = make(chunk)
                    flying[self._pool.submit(task.job, served.workers)] = task
                if not flying:
                    return
                for reply in self._pool.wait(served.workers):
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
        flying: dict[int, _Task],
        again: deque[_Task],
        make: Callable[[Chunk], _Task],
    ) -> Iterator[Finished | Halved]:
        if isinstance(reply, Ready | Dropped):
            return
        task = flying.pop(reply.serial)
        match reply:
            case Done(result=result):
                yield Finished(task.chunk, task.results(result))
            case Broke(message=message, trace=trace):
                if trace:
                    raise StageError(f"chunk {task.chunk.id} met a fault: {message}\n{trace}")
                raise ModelError(message)
            case Lost(reason=reason) if task.attempts + 1 < _ATTEMPTS:
                task.attempts += 1
                again.append(task)
            case Lost(reason=reason) | DidNotFit(reason=reason):
                if len(task.chunk.requests) == 1:
                    yield Finished(task.chunk, task.failed(reason))
                    return
                halves = task.chunk.halves()
                again.extend(make(half) for half in halves)
                yield Halved(task.chunk, halves, reason)

    def _served(self, checkpoint: Checkpoint) -> _Served:
        folder = Path(checkpoint.location)
        if not folder.is_dir():
            name = checkpoint.name or checkpoint.digest
            raise ModelError(
                f"checkpoint {name} has no directory {checkpoint.location!r}",
                hint="it was moved or removed; open it again",
            )
        config = read_config(folder)
        classes = classes_of(folder)
        own, note = _shape(config, classes, is_cpu=self._is_cpu)
        text = config.get("text_config") or config
        layers = text.get("num_hidden_layers") or text.get("n_layer") or 1
        heads = text.get("num_attention_heads") or text.get("n_head") or 1
        hidden = text.get("hidden_size") or text.get("n_embd") or 1
        kv_heads = text.get("num_key_value_heads") or heads
        size = text.get("head_dim") or hidden // heads
        width = 4 if self._precision == "fp32" else 2
        context = text.get("max_position_embeddings") or text.get("n_positions") or 1 << 30
        tokenizer = load_tokenizer(folder)
        workers = self._workers_for(folder)
        threads = max(1, self._cores // workers) if self._is_cpu and workers < self._workers else 1
        return _Served(
            tokenizer=tokenizer,
            weights=Weights(str(folder), checkpoint.digest, own, threads),
            context=context,
            vocabulary=text.get("vocab_size") or tokenizer.vocabulary,
            cache_bytes_per_token=2 * layers * kv_heads * size * width,
            classes=classes,
            class_names=class_names(folder) if classes else (),
            workers=workers,
            note=note,
        )

    def _workers_for(self, folder: Path) -> int:
        """Return of how many workers use is made: fewer where the weights would not fit so many times."""
        if not self._is_cpu:
            return self._workers
        weights = sum(path.stat().st_size for path in weight_files(folder))
        if self._precision == "fp32":
            weights *= 2  # most large checkpoints are kept in 16 bits
        most = int(_WEIGHTS_SHARE * _memory_bytes() // max(1, weights))
        return max(1, min(self._workers, most))


def _parts(request: Request, most_rows: int) -> Iterator[Request]:
    """Cut the samples of a request into requests of at most so many rows."""
    if len(request.seeds) <= most_rows:
        yield request
        return
    for first in range(0, len(request.seeds), most_rows):
        seeds = request.seeds[first : first + most_rows]
        yield Request(
            request.position + first,
            request.messages,
            seeds,
            request.continuations,
            request.continuation_ids,
        )


def _rows_of(request: Request, sampling: Sampling | None) -> int:
    if sampling is None:
        return max(1, len(request.continuation_ids or request.continuations or ()))
    return request.rows


def _longest_continuation(request: Request) -> int:
    if request.continuation_ids is not None:
        return max(map(len, request.continuation_ids), default=0)
    # A rough count will do: it decides which requests share a chunk, nothing more.
    return max((len(text) for text in request.continuations or ()), default=0) // 3


def _continuation_ids(tokenizer: Tokenizer, request: Request) -> Sequence[Sequence[int]]:
    if request.continuation_ids is not None:
        return request.continuation_ids
    if request.continuations is None:
        raise ModelError(
            "a request names no continuations, and the checkpoint has no classification head",
            hint="give the texts whose log-probabilities are wanted",
        )
    return tokenizer.continuations_ids([(request.messages, text) for text in request.continuations])


def _classified(tokenizer: Tokenizer, request: Request) -> list[int]:
    """Return the ids of a prompt as a classifier reads it, and of the finished turn where one is given."""
    prompt = tokenizer.prompt_ids(request.messages)
    if request.continuation_ids:
        return [*prompt, *request.continuation_ids[0]]
    if request.continuations:
        return prompt + tokenizer.completion_ids(request.messages, request.continuations[0])
    return prompt


def _chosen(
    names: Sequence[str], logprobs: Sequence[float], seed: int, sampling: Sampling, prompt_tokens: int
) -> Completion:
    """Return the completion that names the most probable class, or one drawn at the temperature."""
    place = max(range(len(names)), key=logprobs.__getitem__)
    if sampling.temperature > 0:
        top = logprobs[place]
        chances = [math.exp((value - top) / sampling.temperature) for value in logprobs]
        place = random.Random(seed).choices(range(len(names)), chances)[0]
    return Completion(
        f" {names[place]}",
        "stop",
        token_logprobs=(logprobs[place],) if sampling.logprobs else None,
        prompt_tokens=prompt_tokens,
        generated_tokens=1,
    )


def _completions(
    served: _Served,
    sampling: Sampling,
    chunk: Chunk,
    prompts: list[list[int]],
    room: list[int],
    drawn: Drawn,
) -> list[Completion]:
    texts = iter(served.tokenizer.decode_many(drawn.token_ids))
    rows = iter(range(len(drawn.token_ids)))
    found: list[Completion] = []
    for request, prompt, left in zip(chunk.requests, prompts, room, strict=True):
        for _ in range(request.rows):
            if left <= 0 or not prompt:
                reason = (
                    f"prompt of {len(prompt)} tokens does not fit into the context of {served.context} "
                    "tokens with room for an answer"
                    if prompt
                    else "the prompt is empty, and the tokenizer puts nothing before it"
                )
                found.append(_failed(reason, len(prompt)))
                continue
            row = next(rows)
            ids = drawn.token_ids[row]
            found.append(
                Completion(
                    text=_cut_off(next(texts), sampling.stop),
                    finish="stop" if drawn.is_stopped[row] else "length",
                    token_ids=tuple(ids),
                    token_logprobs=None if drawn.token_logprobs is None else tuple(drawn.token_logprobs[row]),
                    prompt_tokens=len(prompt),
                    generated_tokens=len(ids),
                )
            )
    return found


def _cut_off(text: str, stops: tuple[str, ...]) -> str:
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends)] if ends else text


def _failed(reason: str, prompt_tokens: int) -> Completion:
    return Completion("", "failed", prompt_tokens=prompt_tokens, status="failed", reason=reason)


def _logprobs(places: list[int | None], found: list[list[float]]) -> Logprobs:
    rows = [() if place is None else tuple(found[place]) for place in places]
    if any(place is None for place in places):
        return Logprobs((), ())
    return Logprobs(tuple(math.fsum(row) for row in rows), tuple(map(len, rows)), tuple(rows))


def _shape(config: dict[str, Any], classes: int, *, is_cpu: bool) -> tuple[bool, str]:
    """Say whether the own path serves a model; if not, why."""
    if not is_cpu:
        return False, "on a GPU models run through transformers"
    if classes:
        return False, "models with a classification head run through transformers"
    from docendo.engines.shapes import Shape, UnsupportedError

    try:
        Shape.of(config)
    except UnsupportedError as error:
        return False, f"{error} is not for the fast decode path; it runs through transformers, slower"
    return True, ""


def _gpus() -> int:
    """Return how many GPUs torch can use, without importing torch where there is no driver."""
    if not Path("/proc/driver/nvidia/version").exists():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


@functools.lru_cache(maxsize=1)
def _memory_bytes() -> int:
    """Return how much memory the machine, or the container that this runs in, has."""
    import os

    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(limit)
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()).isdigit():
            total = min(total, int(text))
    return total
