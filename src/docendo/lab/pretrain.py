r"""Pretrain the lab models from nothing: documents, tokenizer, weights, learning curve.

    A  write the documents                                  documents.py
    B  train the tokenizer on the first of them             tokenizer.py (or take the one given)
    C  pack whole documents into rows of 128 or 256 tokens
    D  train a small Llama on the rows, once each, at a constant rate that decays at the end
    E  on the way, measure greedy accuracy on story problems and save checkpoints

The shipped models are made by four runs::

    python -m docendo.lab.pretrain --out long
    python -m docendo.lab.pretrain --out base --tokenizer long/tokenizer --start long/step-004000 \
        --seed 50 --steps 800 --decay-share 1 --direct-share 0.75 --skip-share 0.4 --save-every 100
    python -m docendo.lab.pretrain --out teacher --tokenizer long/tokenizer --start long/step-012000 \
        --seed 100 --steps 5000 --learning-rate 0.002 --decay-share 0.7
    python -m docendo.lab.pretrain --out student --tokenizer long/tokenizer --student

The last checkpoint of each is the model. The same seed, thread count, torch version and kind of processor
give the same weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, cast

from docendo.lab.accuracy import greedy_accuracy
from docendo.lab.conversation import rendered
from docendo.lab.documents import DIRECT_SHARE, SHARES, STUDENT_SHARES, documents
from docendo.lab.problems import FAMILIES
from docendo.lab.tokenizer import CONTEXT, train_tokenizer

if TYPE_CHECKING:
    import torch
    from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

TOKENS_PER_STEP = 2048
"""Tokens of one step, padding included. Count."""
OPEN_ROWS = 32
"""Rows that packing holds open for short documents. Count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PretrainConfig:
    """Settings of one pretraining run."""

    n_steps: int = 12_000
    """Steps of 2,048 tokens, each on documents not seen before."""
    seed: int = 0
    """Seed of documents and weights."""
    student: bool = False
    """Whether the documents are the student's, without stories."""
    direct_share: float = DIRECT_SHARE
    """Share of worked documents that answer directly."""
    skip_share: float = 0.0
    """Share of the other worked documents that announce steps and write none."""
    width: int = 96
    layers: int = 4
    heads: int = 4
    key_value_heads: int = 2
    feed_forward: int = 256
    learning_rate: float = 4e-3
    weight_decay: float = 0.1
    warmup_steps: int = 100
    decay_share: float = 0.2
    """Share of the steps, at the end, over which the learning rate falls linearly to 0."""
    save_every: int = 125
    """Steps between two checkpoints."""
    measure_every: int = 250
    """Steps between two measurements of accuracy."""
    n_measured: int = 100
    """Validation problems in such a measurement."""


STUDENT = PretrainConfig(
    student=True, n_steps=6_000, width=64, layers=3, feed_forward=172, key_value_heads=2, learning_rate=4e-3,
    save_every=500, measure_every=500,
)  # fmt: skip
"""The student: a third of the base model's parameters."""


def packed(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> Iterator[torch.Tensor]:
    """Pack whole documents into batches of one step's tokens, padding what is left of a row (C).

    A document goes to the first open row that has room for it. Documents of up to half a context fill rows of
    that length, since attention costs less there; the others fill rows of the whole context. Those longer
    than the context are left out.

    Yields:
        Token ids: 16 rows of 128 or 8 rows of 256, as they fill.
    """
    import torch

    pad = _token_id(tokenizer, "<pad>")
    open_rows: dict[int, list[list[int]]] = {CONTEXT // 2: [], CONTEXT: []}
    full_rows: dict[int, list[list[int]]] = {CONTEXT // 2: [], CONTEXT: []}
    for ids in _encoded(texts, tokenizer):
        if len(ids) > CONTEXT:
            continue
        length = CONTEXT // 2 if len(ids) <= CONTEXT // 2 else CONTEXT
        rows, full = open_rows[length], full_rows[length]
        row = next((row for row in rows if len(row) + len(ids) <= length), None)
        if row is None:
            if len(rows) == OPEN_ROWS:
                closed = rows.pop(0)
                full.append(closed + [pad] * (length - len(closed)))
            row = []
            rows.append(row)
        row += ids
        if len(full) * length == TOKENS_PER_STEP:
            yield torch.tensor(full)
            full.clear()


def _token_id(tokenizer: PreTrainedTokenizerFast, token: str) -> int:
    return cast(int, tokenizer.convert_tokens_to_ids(token))


def _encoded(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast) -> Iterator[list[int]]:
    remaining = iter(texts)
    while some := list(islice(remaining, 256)):
        yield from tokenizer(some, add_special_tokens=False, return_attention_mask=False, verbose=False)[
            "input_ids"
        ]


def new_model(config: PretrainConfig, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """Make the untrained model."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(config.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.width,
            intermediate_size=config.feed_forward,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.key_value_heads,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=_token_id(tokenizer, "<s>"),
            eos_token_id=_token_id(tokenizer, "</s>"),
            pad_token_id=_token_id(tokenizer, "<pad>"),
        )
    )


def learning_rate_factor(step: int, n_steps: int, config: PretrainConfig) -> float:
    """Return the share of the full learning rate at a step: linear warm-up, constant, linear decay."""
    n_decay = max(1, round(n_steps * config.decay_share))
    return min(1.0, (step + 1) / config.warmup_steps, (n_steps - step) / n_decay)


def train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    batches: Iterable[torch.Tensor],
    config: PretrainConfig,
    out: Path,
) -> list[float]:
    """Train on the first ``n_steps`` batches, saving and measuring on the way (D, E).

    Returns:
        The loss of every step, in nats a token.
    """
    import torch

    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=config.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=config.weight_decay,
        fused=True,
    )
    stories = list(FAMILIES["stories"].problems("validation", config.n_measured))
    n_steps, pad = config.n_steps, _token_id(tokenizer, "<pad>")
    losses: list[float] = []
    n_tokens, start = 0, time.monotonic()
    for step, batch in enumerate(islice(batches, n_steps)):
        labels = batch.masked_fill(batch.eq(pad), -100)
        n_tokens += int((labels >= 0).sum())
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * learning_rate_factor(step, n_steps, config)
        model.train()
        logits = model(input_ids=batch, use_cache=False).logits
        loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        done = step + 1
        if done % config.save_every == 0 or done == n_steps:
            model.save_pretrained(out / f"step-{done:06d}")
        if done % config.measure_every == 0 or done == n_steps:
            line = {
                "step": done,
                "of": n_steps,
                "tokens": n_tokens,
                "loss": round(sum(losses[-100:]) / len(losses[-100:]), 4),
                "stories_triggered": greedy_accuracy(model, tokenizer, stories),
                "seconds": round(time.monotonic() - start),
            }
            print(json.dumps(line), flush=True)
            with (out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
    return losses


def pretrain(
    config: PretrainConfig,
    out: Path,
    tokenizer: PreTrainedTokenizerFast | None = None,
    start: Path | None = None,
) -> list[float]:
    """Run A to E and return the loss of every step.

    Args:
        config: Settings.
        out: Directory for checkpoints, tokenizer and log.
        tokenizer: Used instead of training one.
        start: Directory of a checkpoint whose weights are the first ones, instead of random ones.
    """
    from transformers import LlamaForCausalLM

    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=2) + "\n")
    shares = STUDENT_SHARES if config.student else SHARES
    if tokenizer is None:
        tokenizer = train_tokenizer(map(rendered, islice(documents(config.seed, shares), 20_000)))
    tokenizer.save_pretrained(out / "tokenizer", save_jinja_files=False)
    batches = packed(
        map(rendered, documents(config.seed, shares, config.direct_share, config.skip_share)), tokenizer
    )
    model = LlamaForCausalLM.from_pretrained(start) if start else new_model(config, tokenizer)
    print(f"{model.num_parameters()} parameters, {config.n_steps} steps", flush=True)
    return train(model, tokenizer, batches, config, out)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    import torch
    from transformers import AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    parser = argparse.ArgumentParser(description="Pretrain the lab models from nothing.")
    parser.add_argument(
        "--out", type=Path, required=True, help="directory for checkpoints, tokenizer and log"
    )
    parser.add_argument("--student", action="store_true", help="the student's size and documents")
    parser.add_argument("--tokenizer", type=Path, help="use this tokenizer, do not train one")
    parser.add_argument("--start", type=Path, help="begin with the weights of this checkpoint")
    parser.add_argument("--learning-rate", type=float, help="highest learning rate")
    parser.add_argument("--decay-share", type=float, help="share of the steps over which the rate decays")
    parser.add_argument("--direct-share", type=float, help="share of worked documents that answer directly")
    parser.add_argument(
        "--skip-share", type=float, help="share of the others that announce steps, write none"
    )
    parser.add_argument("--steps", type=int, help="number of training steps")
    parser.add_argument("--seed", type=int, default=0, help="seed of documents and weights (default: 0)")
    parser.add_argument("--save-every", type=int, help="steps between two checkpoints")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch (default: 1)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    config = replace(STUDENT if options.student else PretrainConfig(), seed=options.seed)
    config = replace(
        config,
        n_steps=options.steps or config.n_steps,
        save_every=options.save_every or config.save_every,
        learning_rate=options.learning_rate or config.learning_rate,
        decay_share=options.decay_share or config.decay_share,
        direct_share=config.direct_share if options.direct_share is None else options.direct_share,
        skip_share=config.skip_share if options.skip_share is None else options.skip_share,
    )
    tokenizer = AutoTokenizer.from_pretrained(options.tokenizer) if options.tokenizer else None
    pretrain(config, options.out, tokenizer, options.start)


if __name__ == "__main__":
    main()
