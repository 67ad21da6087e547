"""Tiny random checkpoints: real files, real architectures, made in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LAB_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\nA:"
    "{% elif m.role == 'system' %}{{ m.content }}\n"
    "{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEXT = [
    "Ava has 12 pens and buys 3 more. How many pens does she have now?",
    "She has 12 + 3 = 15 pens. The answer is 15.",
    "Let's think step by step. 4 times 7 is 28.",
]
START, END, PAD = 0, 1, 2


def write_tokenizer(folder: Path, *, template: str | None = LAB_TEMPLATE, **special: str | None) -> Path:
    """Write a byte-level BPE tokenizer of 320 tokens at most with ``<s>``, ``</s>``, ``<pad>``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>", "</s>", "<pad>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(TEXT, trainer)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", START)])
    return _saved(backend, folder, template, special)


def write_sentencepiece(folder: Path) -> Path:
    """Write a tokenizer that puts a word start before every text and drops it after decoding."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    backend.decoder = decoders.Metaspace(prepend_scheme="always")
    special = ["<s>", "</s>", "<pad>", "<unk>"]
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    backend.train_from_iterator([*TEXT, "a a b\n c"], trainer)
    return _saved(backend, folder, None, {})


def _saved(backend: Any, folder: Path, template: str | None, special: dict[str, str | None]) -> Path:
    from transformers import PreTrainedTokenizerFast

    tokens = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", **special}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template=template,
        **{name: token for name, token in tokens.items() if token is not None},
    )
    folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(str(folder))
    return folder


def write_model(folder: Path, kind: str = "llama", *, head: str = "causal", **settings: Any) -> Path:
    """Write a random checkpoint of two layers with grouped queries; its biases and norms are random too."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    write_tokenizer(folder)
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "vocab_size": 320,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": START,
        "eos_token_id": END,
        "pad_token_id": PAD,
        "initializer_range": 0.3,
        "tie_word_embeddings": kind == "llama",
    }
    if kind == "gpt2":
        sizes = {
            "vocab_size": 320,
            "n_embd": 48,
            "n_layer": 2,
            "n_head": 4,
            "n_positions": 128,
            "bos_token_id": START,
            "eos_token_id": END,
            "initializer_range": 0.3,
        }
    auto: Any = AutoModelForCausalLM if head == "causal" else AutoModelForSequenceClassification
    model: Any = auto.from_config(AutoConfig.for_model(kind, **{**sizes, **settings}))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.5)
            elif "norm" in name:
                weight.uniform_(0.5, 1.5)
    model.save_pretrained(str(folder))
    return folder
