"""How fast samples are drawn: the own decode path, ``generate()`` and ctranslate2, side by side.

    python -m benchmarks.engine

All on the built-in base model, with its real answer lengths, in one thread each; then the engine with one and
with two worker processes. Contestants take turns, so that what else the machine does falls on all of them,
and beside the clock the processor time is taken, which other programs disturb less. Every contestant gets the
batch size that suited it best in a first round.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from docendo.core.protocols import Request, Sampling
from docendo.core.records import Message
from docendo.core.seeds import derived_seed
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.decode import Decoder
from docendo.engines.jobs import Draw
from docendo.engines.tokenizer import Tokenizer
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from docendo.lab import problems

MODEL = Path(problems.__file__).parent.parent / "models" / "base"
TEMPERATURE = 0.8
MOST_NEW_TOKENS = 128
BATCH_ROWS = (32, 64, 128, 256, 512)

Contestant = Callable[[int], int]
"""Draws all samples with so many rows in a batch; returns how many tokens, end tokens counted."""


def run(prompts: int = 256, samples: int = 8, repeats: int = 5) -> dict[str, Any]:
    """Measure, and return tokens per second (median, least, most) and ratios of medians."""
    import torch

    torch.set_num_threads(1)
    tokenizer = Tokenizer.load(MODEL)
    stories = problems.FAMILIES["stories"].problems("test", prompts)
    messages = [(Message("user", problem.question),) for problem in stories]
    ids = sorted(tokenizer.prompts_ids(messages), key=len)
    contestants: dict[str, Contestant] = {
        "own": _own(ids, samples, tokenizer),
        "generate": _generate(ids, samples, tokenizer),
        "ctranslate2": _ctranslate2(ids, samples, tokenizer),
    }
    best = {name: _best_rows(contestant) for name, contestant in contestants.items()}
    turns: list[tuple[str, Callable[[], int]]] = [
        (name, lambda contestant=contestant, rows=best[name][0]: contestant(rows))
        for name, contestant in contestants.items()
    ]
    engines = {f"engine, {workers} worker": _engine(messages, samples, workers) for workers in (1, 2)}
    turns += [(name, engine) for name, engine in engines.items()]
    for _, turn in turns[3:]:
        turn()  # starts the workers
    speeds: dict[str, list[float]] = {name: [] for name, _ in turns}
    by_processor: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, turn in turns:
            start, busy = time.perf_counter(), time.process_time()
            tokens = turn()
            speeds[name].append(tokens / (time.perf_counter() - start))
            if name in by_processor:
                by_processor[name].append(tokens / (time.process_time() - busy))
    medians = {name: statistics.median(values) for name, values in speeds.items()}
    busy_medians = {name: statistics.median(values) for name, values in by_processor.items()}
    return {
        "model": str(json.loads((MODEL / "config.json").read_text(encoding="utf-8"))["hidden_size"])
        + " wide",
        "rows": prompts * samples,
        "batch rows tried": {name: tried for name, (_, tried) in best.items()},
        "tokens a second (median, least, most)": {
            name: [round(medians[name]), round(min(values)), round(max(values))]
            for name, values in speeds.items()
        },
        "tokens a processor second (median)": {name: round(value) for name, value in busy_medians.items()},
        "own / generate": round(medians["own"] / medians["generate"], 2),
        "own / generate, by processor time": round(busy_medians["own"] / busy_medians["generate"], 2),
        "own / ctranslate2": round(medians["own"] / medians["ctranslate2"], 2),
        "own / ctranslate2, by processor time": round(busy_medians["own"] / busy_medians["ctranslate2"], 2),
        "two workers / one": round(medians["engine, 2 worker"] / medians["engine, 1 worker"], 2),
    }


def _best_rows(contestant: Contestant) -> tuple[int, dict[int, int]]:
    """Try batch sizes once each, after a warm-up; return the fastest, and all speeds by processor time."""
    contestant(BATCH_ROWS[2])
    tried: dict[int, int] = {}
    for rows in BATCH_ROWS:
        start = time.process_time()
        tokens = contestant(rows)
        tried[rows] = round(tokens / (time.process_time() - start))
    return max(tried, key=lambda rows: tried[rows]), tried


def _own(ids: Sequence[list[int]], samples: int, tokenizer: Tokenizer) -> Contestant:
    decoder = Decoder(MODEL, "fp32")
    draw = Draw(TEMPERATURE, 0, 1.0, False, tuple(tokenizer.end_ids))
    seeds = [[derived_seed(place, number) for number in range(samples)] for place in range(len(ids))]

    def generate(rows: int) -> int:
        size = max(1, rows // samples)
        tokens = 0
        for first in range(0, len(ids), size):
            here = slice(first, first + size)
            limits = [MOST_NEW_TOKENS] * len(ids[here])
            tokens += sum(map(len, decoder.sample(ids[here], seeds[here], limits, draw).token_ids))
        return tokens

    return generate


def _generate(ids: Sequence[list[int]], samples: int, tokenizer: Tokenizer) -> Contestant:
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(str(MODEL), dtype=torch.float32).eval()
    end = tokenizer.eos_id

    def generate(rows: int) -> int:
        size = max(1, rows // samples)
        tokens = 0
        for first in range(0, len(ids), size):
            batch = ids[first : first + size]
            longest = max(map(len, batch))
            filled = torch.tensor([[tokenizer.pad_id] * (longest - len(row)) + row for row in batch])
            seen = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in batch])
            with torch.inference_mode():
                out = model.generate(
                    input_ids=filled,
                    attention_mask=seen,
                    do_sample=True,
                    temperature=TEMPERATURE,
                    top_k=0,
                    max_new_tokens=MOST_NEW_TOKENS,
                    num_return_sequences=samples,
                    eos_token_id=end,
                    pad_token_id=tokenizer.pad_id,
                )[:, longest:]
            is_end = out == end
            first_end = torch.where(is_end.any(1), is_end.int().argmax(1) + 1, out.shape[1])
            tokens += int(first_end.sum())
        return tokens

    return generate


def _ctranslate2(ids: Sequence[list[int]], samples: int, tokenizer: Tokenizer) -> Contestant:
    import ctranslate2
    from ctranslate2.converters import TransformersConverter
    from transformers import PreTrainedTokenizerFast

    folder = Path(tempfile.mkdtemp()) / "ct2"
    TransformersConverter(str(MODEL)).convert(str(folder))
    generator: Any = ctranslate2.Generator(str(folder), device="cpu", inter_threads=1, intra_threads=1)
    fast: Any = PreTrainedTokenizerFast.from_pretrained(str(MODEL))
    words = [fast.convert_ids_to_tokens(row) for row in ids for _ in range(samples)]

    def generate(rows: int) -> int:
        results = generator.generate_batch(
            words,
            max_batch_size=rows,
            sampling_temperature=TEMPERATURE,
            sampling_topk=0,
            max_length=MOST_NEW_TOKENS,
            include_prompt_in_result=False,
            return_end_token=True,
            end_token=[tokenizer.eos_id],
        )
        return sum(len(result.sequences_ids[0]) for result in results)

    return generate


def _engine(messages: Sequence[tuple[Message, ...]], samples: int, workers: int) -> Callable[[], int]:
    engine = TransformersEngine(TransformersOptions(workers=workers, device="cpu"))
    checkpoint = open_checkpoint(MODEL)
    sampling = Sampling(temperature=TEMPERATURE, max_new_tokens=MOST_NEW_TOKENS)
    requests = [
        Request(place * samples, message, tuple(derived_seed(place, number) for number in range(samples)))
        for place, message in enumerate(messages)
    ]

    def generate() -> int:
        chunks = engine.chunks(checkpoint, requests, sampling)
        return sum(
            completion.generated_tokens
            for done in engine.sample(checkpoint, chunks, sampling)
            for completion in getattr(done, "results", ())
        )

    return generate


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
