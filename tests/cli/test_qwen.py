"""`docendo run rest-em --model DIR --task gsm8k`: Qwen2.5's architecture, random and small, on real GSM8K.

What a hub would bring is made here: the configuration scaled down, a byte-level BPE tokenizer trained on
GSM8K's own text with Qwen's special tokens, and its chat template.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{%- if messages[0].role != 'system' %}"
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}"
    "{%- for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def qwen(folder: Path, texts: Iterator[str]) -> Path:
    """Write the checkpoint."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from transformers import GenerationConfig, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(texts, trainer)
    end, start_of_turn, end_of_turn = SPECIAL
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        chat_template=TEMPLATE,
        eos_token=end_of_turn,
        pad_token=end,
        additional_special_tokens=[start_of_turn],
    ).save_pretrained(str(folder))
    torch.manual_seed(0)
    ids = {token: backend.token_to_id(token) for token in SPECIAL}
    config = Qwen2Config(
        vocab_size=backend.get_vocab_size() + 16,  # the published one too is larger than its tokenizer
        hidden_size=56,
        intermediate_size=304,
        num_hidden_layers=3,
        num_attention_heads=14,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        max_position_embeddings=4096,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        eos_token_id=ids[end_of_turn],
        bos_token_id=ids[end],
    )
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(
        eos_token_id=[ids[end_of_turn], ids[end]], pad_token_id=ids[end], bos_token_id=ids[end]
    )
    model.save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_random_qwen_goes_through_gsm8k_to_a_verdict_and_a_checkpoint(
    tmp_path: Path, data_dir: Path, data_rows: Callable[[str], Iterator[dict[str, Any]]]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    rows = islice(data_rows("gsm8k_train"), 2000)
    model = qwen(tmp_path / "qwen", (row["question"] + "\n" + row["answer"] for row in rows))
    command = [
        *(sys.executable, "-m", "docendo.cli", "run", "rest-em", "--model", str(model), "--task", "gsm8k"),
        *("--data-dir", str(data_dir), "--workspace", str(tmp_path / "runs"), "--name", "qwen"),
        *("--train-problems", "24", "--validation-problems", "8", "--test-problems", "12"),
        *(
            "--rounds",
            "1",
            "--samples-per-problem",
            "2",
            "--evaluation-samples",
            "2",
            "--max-new-tokens",
            "24",
        ),
        *("--human-data", "--epochs", "1", "--temperature", "0.7", "--top-k", "40", "--cap", "10"),
        *("--learning-rate", "1e-3", "--no-choose-epoch"),
    ]
    done = subprocess.run(command, capture_output=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr.decode()
    result = json.loads((tmp_path / "runs" / "runs" / "qwen" / "result.json").read_text("utf-8"))
    assert result["verdict"] == "no evidence"
    assert result["task"] == "gsm8k"
    read = result["information"]["method"]["labels_read"]
    assert {"split": "train", "by": "labels", "problems": 24} in read
    trained = sorted((tmp_path / "runs" / "checkpoints").iterdir())[0]
    learned = AutoModelForCausalLM.from_pretrained(trained)
    assert learned.config.model_type == "qwen2"
    assert learned.generation_config.eos_token_id == [2, 0]
    tokenizer = AutoTokenizer.from_pretrained(trained)
    prompt = tokenizer.apply_chat_template(
        [{"role": "user", "content": "2 + 2?"}], add_generation_prompt=True, tokenize=False
    )
    assert prompt.startswith("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n")
    assert prompt.endswith("2 + 2?<|im_end|>\n<|im_start|>assistant\n")
