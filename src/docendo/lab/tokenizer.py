"""The tokenizer of the lab models: byte-level BPE of 512 entries, every digit a token of its own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from docendo.lab.conversation import CHAT_TEMPLATE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<unk>")
DIGIT = r" ?\d"
"""What is never merged with its neighbours: a digit, with the space before it if there is one."""
CONTEXT = 256
"""Tokens that a lab model can read and write. Count."""


def train_tokenizer(texts: Iterable[str], vocabulary_size: int = 512) -> PreTrainedTokenizerFast:
    """Train the tokenizer on rendered conversations.

    The alphabet is printable ASCII and the line break, not all 256 bytes: other characters become ``<unk>``,
    and 160 more entries are left for words.

    Args:
        texts: Rendered conversations.
        vocabulary_size: Entries in all. Count, >= 100.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(DIGIT), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = [chr(code) for code in range(33, 127)] + [
        "Ġ",
        "Ċ",
    ]  # as byte-level BPE writes space and line break
    tokenizer.train_from_iterator(
        (text.replace("<s>", "").replace("</s>", "") for text in texts),
        trainers.BpeTrainer(
            vocab_size=vocabulary_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=alphabet,
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        chat_template=CHAT_TEMPLATE,
        model_max_length=CONTEXT,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
