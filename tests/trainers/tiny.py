"""A tiny random model with its tokenizer, and training rows: real files, made in a moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

TEMPLATE = (
    "<s>{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\nA:"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
BOS, EOS, PAD = 0, 1, 2

Row = dict[str, Any]


def write_tokenizer(folder: Path) -> None:
    """Write a byte-level tokenizer without merges: 259 ids."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    symbols = ["<s>", "</s>", "<pad>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE(vocab={symbol: place for place, symbol in enumerate(symbols)}, merges=[]))
    backend.add_special_tokens(symbols[:3])
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", BOS)])
    PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>", chat_template=TEMPLATE
    ).save_pretrained(str(folder))


def write_model(folder: Path, *, dropout: float = 0.0, seed: int = 0) -> Path:
    """Write a Llama of two layers with random weights, its tokenizer and its generation settings."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=259,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        attention_dropout=dropout,
        bos_token_id=BOS,
        eos_token_id=EOS,
        pad_token_id=PAD,
    )
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def row(question: str, answer: str, **columns: Any) -> Row:
    """Return a training row as a run writes it."""
    return {
        "prompt": [{"role": "user", "content": question}],
        "completion": [{"role": "assistant", "content": answer}],
        "prefix": "",
        "weight": 1.0,
        "token_ids": [],
        "problem_id": question,
        "parents": [],
        **columns,
    }


def sums(count: int) -> list[Row]:
    """Return rows of different lengths."""
    return [row(f"{i} + {i * i}", f"{i} plus {i * i} is {i + i * i}." * (1 + i % 3)) for i in range(count)]


def pairs(count: int) -> list[Row]:
    """Return pairs of different lengths, with made-up log-probabilities of a reference."""
    return [
        {
            "prompt": [{"role": "user", "content": f"{i} + {i * i}"}],
            "chosen": [{"role": "assistant", "content": f"{i + i * i}." * (1 + i % 3)}],
            "rejected": [{"role": "assistant", "content": f"it is {i}" * (1 + i % 2)}],
            "prefix": "",
            "weight": 0.5 + i % 3,
            "ref_chosen_logps": -20.0 - i,
            "ref_rejected_logps": -30.0 + i,
        }
        for i in range(count)
    ]


def choices(count: int) -> list[Row]:
    """Return rows with soft labels over two choices of different lengths."""
    return [
        {
            "prompt": [{"role": "user", "content": f"is {i} * {i} even?" * (1 + i % 3)}],
            "choices": ["yes", "no!"],
            "probabilities": [0.1 + 0.8 * (i % 5) / 4, 0.9 - 0.8 * (i % 5) / 4],
            "weight": 0.5 + i % 3,
        }
        for i in range(count)
    ]


def choice_pairs(count: int) -> list[Row]:
    """Return pairs whose texts end the question, and two choices (of one length: sums of bytes add up)."""
    return [
        {
            "prompt": [],
            "chosen": [{"role": "user", "content": f"{i} + 1 = {i + 1}. This is"}],
            "rejected": [{"role": "user", "content": f"{i} + 1 = {i * 77}. This is"}],
            "choices": ["right", "wrong"],
            "weight": 0.5 + i % 3,
        }
        for i in range(count)
    ]


def tokens(count: int) -> list[Row]:
    """Return completions as sampled, with advantages and log-probabilities of a reference."""
    found: list[Row] = []
    for i in range(count):
        ids = [*range(40 + i, 44 + i + i % 4), EOS]
        advantages = [((7 * i + 3 * place) % 11 - 5) / 4 for place in range(len(ids))]
        reference = [-0.5 - ((5 * i + place) % 7) for place in range(len(ids))]
        more = {"token_ids": ids, "advantages": advantages, "ref_token_logps": reference}
        found.append(row(f"{i} + 1", "as sampled", weight=0.5 + i % 3, **more))
    return found


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """Write rows to a Parquet file."""
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    for name, kind in (("token_ids", pa.list_(pa.int32())), ("parents", pa.list_(pa.string()))):
        if name in columns:
            columns[name] = pa.array(columns[name], kind)
    pq.write_table(pa.table(columns), path)
    return path
