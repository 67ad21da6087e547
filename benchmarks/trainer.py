"""How much slower is the training loop than a bare PyTorch loop on the same rows?

    python -m benchmarks.trainer [START]

Both train the same checkpoint on the same rows in the same order with the same optimizer, one after the other,
several times. The bare loop is the shortest one that does the same work: no micro-batches, no saved steps, no
checks for divergence. START is a checkpoint directory; without it, the built-in model ``base``.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file
from torch.nn import functional
from transformers import AutoModelForCausalLM

from docendo.core.losses import Optimizer, supervised
from docendo.engines.tokenizer import Tokenizer
from docendo.lab.problems import FAMILIES
from docendo.trainers.objectives import objective_of
from docendo.trainers.rows import Limits, read_rows
from docendo.trainers.schedule import batches, learning_rate
from docendo.trainers.trainer import AccelerateTrainer

BASE = Path(__file__).parents[1] / "src" / "docendo" / "lab" / "models" / "base"
SEED = 0
SETTINGS = Optimizer(batch_rows=32)


def write_rows(path: Path, count: int) -> None:
    problems = list(FAMILIES["stories"].problems("train", count))
    rows = {
        "prompt": [[{"role": "user", "content": problem.question}] for problem in problems],
        "completion": [
            [{"role": "assistant", "content": f"{problem.rationales[0]} The answer is {problem.answer}."}]
            for problem in problems
        ],
    }
    pq.write_table(pa.table(rows), path)


def bare(start: Path, rows: Path) -> tuple[dict[str, torch.Tensor], list[float], float]:
    """Return the weights after one epoch, the loss of each step, and the seconds of the loop."""
    tokenizer = Tokenizer.load(start)
    read = read_rows(rows, objective_of(supervised()), tokenizer, Limits.of(start, tokenizer, 2048))
    sequences = [torch.from_numpy(read.sequence(row).astype(np.int64)) for row in range(len(read))]
    prompts = [len(read.prompt(row)) for row in range(len(read))]
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.999), weight_decay=0.0, fused=True)
    order = batches(read.lengths, batch_rows=SETTINGS.batch_rows, epoch=1, seed=SEED)
    losses: list[float] = []
    began = time.perf_counter()
    for step, batch in enumerate(order):
        ids = torch.nn.utils.rnn.pad_sequence(
            [sequences[row] for row in batch], batch_first=True, padding_value=read.pad_id
        )
        learned = torch.zeros_like(ids, dtype=torch.bool)
        for place, row in enumerate(batch):
            learned[place, prompts[row] : len(sequences[row])] = True
        before = learned.roll(-1, dims=1)
        logits = model(input_ids=ids, use_cache=False, logits_to_keep=before).logits
        loss = functional.cross_entropy(logits, ids[learned])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), SETTINGS.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, len(order), SETTINGS)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return dict(model.state_dict()), losses, time.perf_counter() - began


def ours(start: Path, rows: Path, folder: Path) -> tuple[dict[str, torch.Tensor], list[float], float, float]:
    """Return the same, and the seconds of everything: reading, tokenising, loading, the checkpoint."""
    losses: list[float] = []
    moments: list[float] = []

    def report(step: Any) -> None:
        losses.append(step.loss)
        moments.append(time.perf_counter())

    began = time.perf_counter()
    trainer = AccelerateTrainer(device="cpu", threads=torch.get_num_threads())
    trained = list(
        trainer.train(
            start, rows, supervised(), SETTINGS, epochs=1, seed=SEED, folder=folder, report=report
        )
    )
    whole = time.perf_counter() - began
    # The first step ends at the first report; its share of the loop is counted as that of the others.
    loop = (moments[-1] - moments[0]) * len(moments) / (len(moments) - 1)
    return load_file(trained[-1].folder / "model.safetensors"), losses, loop, whole


def run(start: Path = BASE, *, rows: int = 2048, repeats: int = 3, threads: int = 1) -> dict[str, Any]:
    """Measure; every number is of one thread unless ``threads`` says otherwise.

    Returns:
        ``ratio``: median over repeats of our loop's seconds by the bare loop's, ``ratios``: each of them;
        ``ms_a_step`` of both; ``same_losses_within``: largest difference of a step's loss; ``same_weights_within``;
        ``around_s``: our seconds outside the loop.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    ratios: list[float] = []
    seconds: dict[str, list[float]] = {"bare": [], "ours": [], "around": []}
    differences: list[float] = []
    apart: list[float] = []
    steps = 0
    try:
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "rows.parquet"
            write_rows(path, rows)
            bare(start, path)  # the first pass allocates
            for repeat in range(repeats):
                weights, losses, bare_seconds = bare(start, path)
                folder = Path(temporary) / str(repeat)
                our_weights, our_losses, our_seconds, whole = ours(start, path, folder)
                steps = len(losses)
                ratios.append(our_seconds / bare_seconds)
                seconds["bare"].append(bare_seconds)
                seconds["ours"].append(our_seconds)
                seconds["around"].append(whole - our_seconds)
                differences.append(max(abs(a - b) for a, b in zip(losses, our_losses, strict=True)))
                apart.append(max((weights[name] - our_weights[name]).abs().max().item() for name in our_weights))
    finally:
        torch.set_num_threads(before)
    return {
        "rows": rows,
        "steps": steps,
        "threads": threads,
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ms_a_step": {
            name: [round(1000 * value / steps, 1) for value in seconds[name]] for name in ("bare", "ours")
        },
        "around_s": [round(value, 2) for value in seconds["around"]],
        "same_losses_within": max(differences),
        "same_weights_within": max(apart),
    }


def main(arguments: Sequence[str]) -> None:
    print(json.dumps(run(Path(arguments[0]) if arguments else BASE), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
