"""How a checkpoint makes one vector of a text, read off its files; no torch.

The files are those of sentence-transformers: ``modules.json`` lists a transformer, a pooling and perhaps a
normalisation; ``1_Pooling/config.json`` says how; ``sentence_bert_config.json`` how many tokens are read. A
checkpoint without them is pooled by the mean over its tokens, and the vector has length 1. Prompts that a
model's files name are not put before a text: whoever asks puts them there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from docendo.core.errors import DataError, ModelError
from docendo.core.protocols import Request
from docendo.engines.checkpoints import POOLING_FILES, read_config, read_json

if TYPE_CHECKING:
    from tokenizers import Tokenizer as Backend

Kind = Literal["mean", "cls", "last"]
"""Mean over the tokens; the first token; the last one."""

_KINDS: dict[str, Kind] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
    "lasttoken": "last",
}
_COUNTING_FROM_PADDING = ("roberta", "xlm-roberta", "mpnet", "camembert")
"""Families whose positions begin behind the padding token's id, so that fewer tokens fit."""
_NO_LIMIT = 1 << 20


@dataclass(frozen=True, slots=True)
class Pooling:
    """How a text's last hidden states become a vector."""

    kind: Kind = "mean"
    is_normalised: bool = True
    """Whether the vector is divided by its length."""


class TextReader:
    """Makes token ids of texts as the checkpoint's embeddings want them.

    Attributes:
        pooling: What becomes of the hidden states.
        most_tokens: A longer text is cut there, as sentence-transformers does.
    """

    def __init__(self, backend: Backend, pooling: Pooling, most_tokens: int, *, lower: bool = False) -> None:
        backend.no_padding()
        backend.enable_truncation(most_tokens)
        self._backend = backend
        self._lower = lower
        self.pooling = pooling
        self.most_tokens = most_tokens

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the ids of each text, with the special tokens that the tokenizer puts around it.

        Raises:
            DataError: A text has no token.
        """
        read = [text.lower() for text in texts] if self._lower else list(texts)
        rows = self._backend.encode_batch_fast(read)
        for text, row in zip(texts, rows, strict=True):
            if not row.ids:
                raise DataError(f"text {text!r} has no token, so it has no embedding")
        return [row.ids for row in rows]


def text_of(request: Request) -> str:
    """Return the text that is to be embedded: its messages, one behind the other."""
    return "".join(message.content for message in request.messages)


def load_reader(folder: Path) -> TextReader:
    """Return what makes token ids for a checkpoint directory; the same as long as its files are unchanged.

    Raises:
        ModelError: There is no ``tokenizer.json``, or the vectors are made in a way that is not known here.
    """
    names = ("config.json", "tokenizer.json", "tokenizer_config.json", *POOLING_FILES)
    states = [(name, path.stat()) for name in names if (path := folder / name).is_file()]
    return _reader(folder, tuple((name, state.st_size, state.st_mtime_ns) for name, state in states))


@lru_cache(maxsize=8)
def _reader(folder: Path, states: tuple[tuple[str, int, int], ...]) -> TextReader:
    from tokenizers import Tokenizer

    if not (folder / "tokenizer.json").is_file():
        raise ModelError(
            f"no tokenizer in {folder}: expected tokenizer.json",
            hint="save one there: AutoTokenizer.from_pretrained(MODEL).save_pretrained(FOLDER)",
        )
    settings = _content(folder / "sentence_bert_config.json")
    return TextReader(
        Tokenizer.from_file(str(folder / "tokenizer.json")),
        _pooling(folder),
        _most_tokens(folder, settings.get("max_seq_length")),
        lower=bool(settings.get("do_lower_case")),
    )


def _pooling(folder: Path) -> Pooling:
    path = folder / "modules.json"
    if not path.is_file():
        return Pooling()
    modules = read_json(path, list)
    kinds = [str(module.get("type", "")).split(".")[-1] for module in modules]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ModelError(
            f"{folder} makes its vectors by {', '.join(kinds) or 'nothing'} (modules.json)",
            hint="served: Transformer, Pooling, and Normalize where there is one",
        )
    config = _content(folder / "1_Pooling" / "config.json")
    named = config.get("pooling_mode")  # newer files name it; older ones have a flag for each
    flags = [name.removeprefix("pooling_mode_") for name, is_on in config.items() if is_on is True]
    modes = [named] if isinstance(named, str) else [name for name in flags if name != "include_prompt"]
    if len(modes) != 1 or modes[0] not in _KINDS:
        raise ModelError(
            f"{folder} pools by {', '.join(modes) or 'nothing'} (1_Pooling/config.json)",
            hint="served: the mean over the tokens, the first token (cls) or the last",
        )
    return Pooling(_KINDS[modes[0]], is_normalised=kinds[-1] == "Normalize")


def _most_tokens(folder: Path, said: int | None) -> int:
    """Return how many tokens of a text are read."""
    config = read_config(folder)
    config = config.get("text_config") or config
    positions = config.get("max_position_embeddings") or config.get("n_positions") or _NO_LIMIT
    if config.get("model_type") in _COUNTING_FROM_PADDING:
        positions -= (config.get("pad_token_id") or 0) + 1
    named = _content(folder / "tokenizer_config.json").get("model_max_length") or _NO_LIMIT
    return int(min(positions, said or min(named, _NO_LIMIT)))


def _content(path: Path) -> dict[str, Any]:
    return read_json(path, dict) if path.is_file() else {}
