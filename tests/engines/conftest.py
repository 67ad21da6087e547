"""Tiny random checkpoints: real files, real architectures, made in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

LAB_TEMPLATE = (
    "<s>{% for m in messages %}{% if m.role == 'user' %}Q: {{ m.content }}\nA:"
    "{% elif m.role == 'system' %}{{ m.content }}\n"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
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


def write_tokenizer(folder: Path, *, template: str | None = LAB_TEMPLATE, **special: Any) -> Path:
    """Write a byte-level BPE tokenizer of about 300 tokens with ``<s>``, ``</s>``, ``<pad>``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

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
    backend.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", backend.token_to_id("<s>"))]
    )
    tokens = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", **special}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template=template,
        **{name: token for name, token in tokens.items() if token is not None},
    )
    folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the tokenizer of the built-in models' kind."""
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def write_model(folder: Path, kind: str = "llama", *, seed: int = 0, **settings: Any) -> Path:
    """Write a random checkpoint of two layers with grouped queries; biases and norms are random too."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    write_tokenizer(folder)
    torch.manual_seed(seed)
    sizes: dict[str, Any] = {
        "vocab_size": 320,
        "hidden_size": 48,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 128,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 2,
        "initializer_range": 0.3,
        "tie_word_embeddings": kind == "llama",
    }
    model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **{**sizes, **settings}))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.5)
            elif "norm" in name:
                weight.uniform_(0.5, 1.5)
    model.save_pretrained(str(folder))
    return folder
