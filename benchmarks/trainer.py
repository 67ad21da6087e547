"""How much slower is the training loop than a bare PyTorch loop on the same rows?

    python -m benchmarks.trainer [START]

Both train the same checkpoint on the same rows in the same order with the same optimizer, one after the
other, several times. The bare loop is the shortest one that does the same work: no micro-batches, no saved
steps, no checks for divergence. START is a checkpoint directory; without it, the built-in model ``base``.

Both wall-clock and processor time are measured: with one thread and an idle machine they are the same, and
where other programs run the second is what the loops themselves need.
"""

from __future__ import annotations

import json
import shutil
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


def now() -> np.ndarray:
    """Wall-clock and processor time, in seconds."""
    return np.array([time.perf_counter(), time.process_time()])


def bare(start: Path, rows: Path) -> tuple[dict[str, torch.Tensor], list[float], np.ndarray]:
    """Return the weights after one epoch, the loss of each step, and the time of the loop."""
    tokenizer = Tokenizer.load(start)
    read = read_rows(rows, supervised().reads, tokenizer, Limits.of(start, tokenizer, 2048))
    sequences = [torch.from_numpy(read.sequence(row).astype(np.int64)) for row in range(len(read))]
    prompts = [len(read.prompt(row)) for row in range(len(read))]
    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32).train()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.999), weight_decay=0.0, fused=True)
    order = batches(read.lengths, batch_rows=SETTINGS.batch_rows, epoch=1, seed=SEED)
    losses: list[float] = []
    began = now()
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
    return dict(model.state_dict()), losses, now() - began


def ours(
    start: Path, rows: Path, folder: Path
) -> tuple[dict[str, torch.Tensor], list[float], np.ndarray, np.ndarray]:
    """Return the same, and the time of everything: reading, tokenising, loading, the checkpoint."""
    losses: list[float] = []
    moments: list[np.ndarray] = []

    def report(step: Any) -> None:
        losses.append(step.loss)
        moments.append(now())

    began = now()
    trainer = AccelerateTrainer(device="cpu", threads=torch.get_num_threads())
    trained = list(
        trainer.train(start, rows, supervised(), SETTINGS, epochs=1, seed=SEED, folder=folder, report=report)
    )
    whole = now() - began
    # The first step ends at the first report; its share of the loop is counted as that of the others.
    loop = (moments[-1] - moments[0]) * len(moments) / (len(moments) - 1)
    return load_file(trained[-1].folder / "model.safetensors"), losses, loop, whole


def run(start: Path = BASE, *, rows: int = 2048, repeats: int = 3, threads: int = 1) -> dict[str, Any]:
    """Measure.

    Returns:
        For wall-clock and processor time, ``ratio``: our loop's time by the bare loop's, the median over
        repeats; ``ratios``: each of them; ``ms_a_step``: of both loops; ``around_s``: our time outside the
        loop (reading, tokenising, loading, writing and comparing the checkpoint). ``largest_difference``: of
        a step's loss, and of a weight after the last step.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    times: dict[str, list[np.ndarray]] = {"bare": [], "ours": [], "around": []}
    losses_apart: list[float] = []
    weights_apart: list[float] = []
    steps = 0
    try:
        with tempfile.TemporaryDirectory() as temporary:
            start = Path(shutil.copytree(start, Path(temporary) / "start"))  # whoever replaces it meanwhile
            path = Path(temporary) / "rows.parquet"
            write_rows(path, rows)
            bare(start, path)  # the first pass allocates
            for repeat in range(repeats):
                weights, losses, bare_time = bare(start, path)
                our_weights, our_losses, our_time, whole = ours(start, path, Path(temporary) / str(repeat))
                steps = len(losses)
                times["bare"].append(bare_time)
                times["ours"].append(our_time)
                times["around"].append(whole - our_time)
                losses_apart.append(max(abs(a - b) for a, b in zip(losses, our_losses, strict=True)))
                weights_apart += [
                    (weights[name] - value).abs().max().item() for name, value in our_weights.items()
                ]
    finally:
        torch.set_num_threads(before)
    ratios = [(our / bare).round(3) for our, bare in zip(times["ours"], times["bare"], strict=True)]
    found: dict[str, Any] = {"rows": rows, "steps": steps, "threads": threads}
    for place, clock in enumerate(("wall", "processor")):
        found[clock] = {
            "ratio": statistics.median(float(ratio[place]) for ratio in ratios),
            "ratios": [float(ratio[place]) for ratio in ratios],
            "ms_a_step": {
                name: [round(1000 * float(one[place]) / steps, 1) for one in times[name]]
                for name in ("bare", "ours")
            },
            "around_s": [round(float(one[place]), 2) for one in times["around"]],
        }
    found["largest_difference"] = {"loss": max(losses_apart), "weight": max(weights_apart)}
    return found


def main(arguments: Sequence[str]) -> None:
    print(json.dumps(run(Path(arguments[0]) if arguments else BASE), indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
