"""Checkpoints as files: found, checked, and known by a digest.

A checkpoint is a directory in Hugging Face format: ``config.json``, weights as safetensors, a tokenizer. Its
digest is over the contents of exactly the files that decide what it answers; a model card or a training log
beside them does not count. No pickle is read and no code of a checkpoint is run.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from docendo.core.errors import ModelError
from docendo.core.records import Checkpoint
from docendo.core.seeds import digest_of
from docendo.engines.tokenizer import Tokenizer

Content = TypeVar("Content", dict[str, Any], list[dict[str, Any]])

_COUNTED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
"""Files beside the weights that decide what a checkpoint answers."""
POOLING_FILES = ("modules.json", "1_Pooling/config.json", "sentence_bert_config.json")
"""Files of sentence-transformers that decide beside those how a checkpoint embeds texts."""
_FETCHED = ["model*.safetensors", "*.json", "*.txt", "*.jinja"]
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(@[\w./-]+)?")
_MOST_HEADER_BYTES = 100_000_000
"""What the safetensors format allows."""


def open_checkpoint(
    source: str | Path, *, name: str = "", root: str = "", embeds: bool = False
) -> Checkpoint:
    """Find a checkpoint, check its files, and return its record.

    Args:
        source: A directory, or the id of a repository on the Hugging Face hub, as ``Qwen/Qwen2.5-0.5B`` or
            with a branch, tag or commit behind it, ``Qwen/Qwen2.5-0.5B@main``. What the hub has is kept in
            its own cache and not fetched twice.
        name: What people call it; empty: ``source``.
        root: Digest of the base checkpoint that it descends from; empty: it is a base.
        embeds: It is to embed texts and nothing else: it needs no end token, and its files of
            sentence-transformers count where there are any.

    Raises:
        ModelError: It does not exist, cannot be reached, is incomplete or damaged, has its weights as pickle
            only, has no tokenizer or no end token, or would need code of its own to run.
    """
    folder = Path(source).expanduser()
    if not folder.is_dir():
        folder = _fetched(str(source), embeds=embeds)
    check_files(folder)
    digest = digest_of(
        [[str(path.relative_to(folder)), _sha256(path)] for path in _counted_files(folder, embeds=embeds)]
    )
    return Checkpoint(
        digest=digest,
        tokenizer="" if embeds else load_tokenizer(folder).digest,
        root=root or digest,
        engine="transformers",
        name=name or str(source),
        location=str(folder.resolve()),
    )


def check_files(folder: Path) -> None:
    """Check that a directory holds a whole checkpoint that can be read without trusting it.

    Reads the heads of the weight files, not the weights.

    Raises:
        ModelError: As for `open_checkpoint`.
    """
    config = read_config(folder)
    shards = weight_files(folder)
    for shard in shards:
        _check_safetensors(shard)
    if "auto_map" in config:
        from transformers import CONFIG_MAPPING

        if config.get("model_type") not in CONFIG_MAPPING:
            raise ModelError(
                f"{folder} needs program code of its own (auto_map in config.json): model type "
                f"{config.get('model_type')!r} is not one of transformers' own",
                hint="such code is never run; use a model whose architecture transformers knows",
            )


def read_config(folder: Path) -> dict[str, Any]:
    """Return the content of ``config.json``.

    Raises:
        ModelError: It is missing or cannot be read.
    """
    path = folder / "config.json"
    if not path.is_file():
        hint = "a LoRA adapter has none: merge it into its base model first" if _is_adapter(folder) else ""
        raise ModelError(
            f"no config.json in {folder}: expected a checkpoint in Hugging Face format", hint=hint
        )
    return read_json(path, dict)


def read_json(path: Path, kind: type[Content]) -> Content:
    """Return the content of a JSON file of a checkpoint, an object or a list.

    Raises:
        ModelError: It cannot be read, or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"cannot read {path}: {error}") from error
    if not isinstance(content, kind):
        raise ModelError(f"cannot read {path}: expected a JSON {'object' if kind is dict else 'list'}")
    return content


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files that make up the weights, in the order of their names.

    Raises:
        ModelError: There are none, or the index names one that is missing.
    """
    index = folder / "model.safetensors.index.json"
    single = folder / "model.safetensors"
    if single.is_file():
        return [single]
    if index.is_file():
        shards = sorted(set(read_json(index, dict).get("weight_map", {}).values()))
        missing = [shard for shard in shards if not (folder / shard).is_file()]
        if missing or not shards:
            raise ModelError(
                f"{index} names {', '.join(missing) or 'no weights'}, which is not there"
                if missing
                else f"{index} names no weights",
                hint="the copy or download is incomplete; fetch the checkpoint again",
            )
        return [folder / shard for shard in shards]
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise ModelError(
            f"{folder} has its weights only as pickle ({', '.join(pickles[:3])}), which can run code",
            hint="convert to safetensors: AutoModelForCausalLM.from_pretrained(...).save_pretrained(FOLDER)",
        )
    raise ModelError(
        f"no weights in {folder}: expected model.safetensors or model.safetensors.index.json",
        hint="a LoRA adapter alone is no checkpoint: merge it into its base model"
        if _is_adapter(folder)
        else "",
    )


def load_tokenizer(folder: Path) -> Tokenizer:
    """Return the tokenizer of a checkpoint directory; the same object as long as its files are unchanged.

    Raises:
        ModelError: As for `Tokenizer.load`.
    """
    states = tuple(_state(folder / name) for name in _COUNTED if (folder / name).is_file())
    return _tokenizer(folder, states)


def classes_of(folder: Path) -> int:
    """Return how many classes the checkpoint's classification head tells apart; 0 where it has none."""
    config = read_config(folder)
    architectures = config.get("architectures") or [""]
    if not str(architectures[0]).endswith("ForSequenceClassification"):
        return 0
    labels = config.get("id2label")
    return len(labels) if labels else int(config.get("num_labels", 2))


def class_names(folder: Path) -> tuple[str, ...]:
    """Return what the classes of the head are called, class 0 first; empty where they have no names.

    The names ``LABEL_0`` and so on, which transformers gives by itself, are none.
    """
    labels = read_config(folder).get("id2label") or {}
    names = tuple(str(labels[key]) for key in sorted(labels, key=int))
    is_named = classes_of(folder) > 1 and names != tuple(f"LABEL_{place}" for place in range(len(names)))
    return names if is_named else ()


def _fetched(source: str, *, embeds: bool) -> Path:
    if not _HUB_ID.fullmatch(source) or source.startswith((".", "/", "~")):
        raise ModelError(
            f"no checkpoint {source!r}: it is no directory",
            hint="name a directory, or a repository of the Hugging Face hub as OWNER/NAME",
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    repository, _, at = source.partition("@")
    revision = at or None
    try:
        if embeds:  # into the same folder
            snapshot_download(repository, revision=revision, allow_patterns=list(POOLING_FILES))
        return Path(
            snapshot_download(repository, revision=revision, allow_patterns=_FETCHED, ignore_patterns=["*/*"])
        )
    except GatedRepoError as error:
        raise ModelError(
            f"the Hugging Face hub gives {repository!r} only to those who were let in",
            hint="ask for access on its page and set HF_TOKEN in the environment",
        ) from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{repository!r} has no branch, tag or commit {at!r}") from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"no checkpoint {source!r}: it is no directory, and the Hugging Face hub has no such repository",
            hint="check the spelling; for a private repository set HF_TOKEN in the environment",
        ) from error
    except Exception as error:  # no network, no cache, a full disk: the hub's client has many ways to say so
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise ModelError(
            f"no checkpoint {source!r}: it is no directory, and could not be fetched from the "
            f"Hugging Face hub ({type(error).__name__}: {reason})",
            hint="connect to the network, or name a directory that holds the checkpoint",
        ) from error


def _check_safetensors(path: Path) -> None:
    """Hold the header of a safetensors file against the file's size.

    Layout: 8 bytes with the header's length n (little endian), n bytes of JSON, then the tensors' bytes.
    """
    size = path.stat().st_size
    damaged = ModelError(
        f"{path} is damaged or cut off: its {size} bytes do not match its header",
        hint="the copy or download is incomplete; fetch the checkpoint again",
    )
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _MOST_HEADER_BYTES):
            raise damaged
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise damaged from error
    if 8 + length + max(ends, default=0) != size:
        raise damaged


def _counted_files(folder: Path, *, embeds: bool) -> list[Path]:
    names = (*_COUNTED, *POOLING_FILES) if embeds else _COUNTED
    others = [folder / name for name in names if (folder / name).is_file()]
    return sorted([*weight_files(folder), *others], key=lambda path: path.name)


def _is_adapter(folder: Path) -> bool:
    return (folder / "adapter_config.json").is_file()


def _state(path: Path) -> tuple[Path, int, int]:
    status = path.stat()
    return path, status.st_size, status.st_mtime_ns


def _sha256(path: Path) -> str:
    return _sha256_of_state(*_state(path))


@lru_cache(maxsize=4096)
def _sha256_of_state(path: Path, size: int, modified_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=32)
def _tokenizer(folder: Path, states: tuple[tuple[Path, int, int], ...]) -> Tokenizer:
    return Tokenizer.load(folder)
