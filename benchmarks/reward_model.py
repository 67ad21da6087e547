"""Train a small reward model on lab data, for `docendo run rest --reward-by model --reward OUT`.

    python -m benchmarks.reward_model OUT [--start lab/teacher] [--problems 800] [--samples 4] [--epochs 3]

The head of one label starts at zeros on START. It learns, by cross-entropy, to tell right from wrong samples
that the built-in base drew for story problems of another task seed: none of them is a problem of the runs in
which the reward is used. A plain loop: the trainer's losses are for language models. At the end the share of
right orderings is told, of pairs of a right and a wrong sample for problems that were not learned.
"""

from __future__ import annotations

import argparse
import itertools
import random
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from docendo.core.records import Message, Sample
from docendo.engines.tokenizer import Tokenizer
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from docendo.runs.models import open_model
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import Workspace
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task
from docendo.trainers.export import copy_companions, load_model, save_weights
from docendo.trainers.heads import class_logits, with_head
from docendo.trainers.trainer import AccelerateTrainer

TASK_SEED = 1
BATCH = 32
RATE = 5e-4
HELD_OUT = 0.2
"""Share of the problems that are not learned."""
Turn = tuple[tuple[Message, ...], str]


def judged(folder: Path, problems: int, samples: int) -> list[Sample]:
    """Draw samples of the base for training problems, and verify them."""
    engine: Any = TransformersEngine(TransformersOptions(device="cpu"))
    workspace = Workspace(folder)
    (workspace.runs / "reward").mkdir(parents=True)
    run = Run(
        name="reward",
        workspace=workspace,
        task=open_task("story-problems", TaskOptions(task_seed=TASK_SEED)),
        models={"base": open_model("lab/base")},
        engine=lambda name: engine,
        trainer=lambda: AccelerateTrainer(device="cpu"),
        settings=RunSettings(train_problems=problems),
    )
    drawn = run.sample(run.base, run.problems("train"), samples, temperature=0.8)
    found = [sample for sample in run.verify(drawn) if sample.finish == "stop"]
    engine.close()
    return found


def padded(tokenizer: Tokenizer, samples: list[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prompts with finished turns as ids, and where a token stands."""
    rows = [[*tokenizer.prompt_ids(one.prompt.messages), *one.token_ids] for one in samples]
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    attended = torch.zeros_like(ids, dtype=torch.bool)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = torch.tensor(row)
        attended[place, : len(row)] = True
    return ids, attended


def scores(model: Any, tokenizer: Tokenizer, samples: list[Sample]) -> torch.Tensor:
    """Return the score of each sample."""
    return class_logits(model, *padded(tokenizer, samples))[:, 0]


def ordered(values: dict[str, float], samples: list[Sample]) -> float:
    """Return how often a right sample stands above a wrong one of the same problem."""
    by_problem: dict[str, list[Sample]] = {}
    for sample in samples:
        by_problem.setdefault(sample.problem.id, []).append(sample)
    pairs = [
        values[right.id] > values[wrong.id]
        for own in by_problem.values()
        for right, wrong in itertools.product(own, own)
        if right.is_correct and not wrong.is_correct
    ]
    print(f"{len(pairs)} pairs of problems that were not learned")
    return sum(pairs) / max(1, len(pairs))


def main() -> None:
    """Sample, train, tell, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--start", default="lab/teacher")
    parser.add_argument("--problems", type=int, default=800)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        samples = judged(Path(folder) / "workspace", given.problems, given.samples)
    start = Path(open_model(given.start).checkpoint.location)
    with_head(start, given.out, classes=1)
    tokenizer = Tokenizer.load(given.out)
    model: Any = load_model(given.out, torch.float32)
    ids = sorted({sample.problem.id for sample in samples})
    unseen = set(ids[: round(HELD_OUT * len(ids))])
    learned = [sample for sample in samples if sample.problem.id not in unseen]
    kept = [sample for sample in samples if sample.problem.id in unseen]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    steps = given.epochs * (len(learned) // BATCH)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    shuffled = random.Random(0)
    for epoch in range(given.epochs):
        shuffled.shuffle(learned)
        losses: list[float] = []
        for place in range(0, len(learned) - BATCH + 1, BATCH):
            batch = learned[place : place + BATCH]
            right = torch.tensor([float(sample.is_correct) for sample in batch])
            loss = functional.binary_cross_entropy_with_logits(scores(model, tokenizer, batch), right)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        print(f"epoch {epoch + 1}: loss {sum(losses) / len(losses):.3f}")
    with torch.no_grad():
        values = {
            sample.id: value
            for place in range(0, len(kept), 128)
            for sample, value in zip(
                kept[place : place + 128],
                scores(model, tokenizer, kept[place : place + 128]).tolist(),
                strict=False,
            )
        }
    print(f"in the right order: {100 * ordered(values, kept):.1f} %")
    save_weights(model, given.out)
    copy_companions(start, given.out)


if __name__ == "__main__":
    main()
