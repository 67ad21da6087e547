"""A checkpoint as the built-in engine sees it: what serves it, on how many workers, within which context."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docendo.core.errors import ModelError
from docendo.core.records import Checkpoint
from docendo.engines.checkpoints import (
    class_names,
    classes_of,
    load_tokenizer,
    read_config,
    weight_files,
)
from docendo.engines.jobs import Weights
from docendo.engines.pooling import TextReader, load_reader
from docendo.engines.tokenizer import Tokenizer

_WEIGHTS_SHARE = 0.4
"""Share of the machine's memory that the weights of all workers together may take."""


@dataclass(frozen=True, slots=True)
class Served:
    """A checkpoint that answers prompts or gives log-probabilities."""

    tokenizer: Tokenizer
    weights: Weights
    context: int
    vocabulary: int
    cache_bytes_per_token: int
    classes: int
    class_names: tuple[str, ...]
    workers: int
    note: str
    """Why it is not decoded by the own path; empty where it is."""


@dataclass(frozen=True, slots=True)
class ServedEmbedder:
    """A checkpoint that embeds texts."""

    reader: TextReader
    weights: Weights
    workers: int


@dataclass(frozen=True, slots=True)
class Hardware:
    """What there is to serve checkpoints with."""

    is_cpu: bool
    precision: str
    """``fp32`` or ``bf16``."""
    workers: int
    cores: int

    def served(self, checkpoint: Checkpoint) -> Served:
        """Look into a checkpoint that is to answer.

        Raises:
            ModelError: It has no directory, or cannot be used.
        """
        folder = _folder(checkpoint)
        config = read_config(folder)
        classes = classes_of(folder)
        own, note = _shape(config, classes, is_cpu=self.is_cpu)
        text = config.get("text_config") or config
        layers = text.get("num_hidden_layers") or text.get("n_layer") or 1
        heads = text.get("num_attention_heads") or text.get("n_head") or 1
        hidden = text.get("hidden_size") or text.get("n_embd") or 1
        kv_heads = text.get("num_key_value_heads") or heads
        size = text.get("head_dim") or hidden // heads
        width = 4 if self.precision == "fp32" else 2
        context = text.get("max_position_embeddings") or text.get("n_positions") or 1 << 30
        tokenizer = load_tokenizer(folder)
        workers, threads = self._workers_and_threads(folder)
        return Served(
            tokenizer=tokenizer,
            weights=Weights(str(folder), checkpoint.digest, "own" if own else "transformers", threads),
            context=context,
            vocabulary=text.get("vocab_size") or tokenizer.vocabulary,
            cache_bytes_per_token=2 * layers * kv_heads * size * width,
            classes=classes,
            class_names=class_names(folder) if classes else (),
            workers=workers,
            note=note,
        )

    def embedder(self, checkpoint: Checkpoint) -> ServedEmbedder:
        """Look into a checkpoint that is to embed.

        Raises:
            ModelError: It has no directory, or makes vectors in a way that is not known here.
        """
        folder = _folder(checkpoint)
        workers, threads = self._workers_and_threads(folder)
        weights = Weights(str(folder), checkpoint.digest, "embedder", threads)
        return ServedEmbedder(load_reader(folder), weights, workers)

    def _workers_and_threads(self, folder: Path) -> tuple[int, int]:
        """Return of how many workers use is made: fewer where the weights would not fit so many times."""
        if not self.is_cpu:
            return self.workers, 1
        weights = sum(path.stat().st_size for path in weight_files(folder))
        if self.precision == "fp32":
            weights *= 2  # most large checkpoints are kept in 16 bits
        most = int(_WEIGHTS_SHARE * _memory_bytes() // max(1, weights))
        workers = max(1, min(self.workers, most))
        return workers, max(1, self.cores // workers) if workers < self.workers else 1


def gpu_count() -> int:
    """Return how many GPUs torch can use, without importing torch where there is no driver."""
    if not Path("/proc/driver/nvidia/version").exists():
        return 0
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _folder(checkpoint: Checkpoint) -> Path:
    folder = Path(checkpoint.location)
    if not folder.is_dir():
        name = checkpoint.name or checkpoint.digest
        raise ModelError(
            f"checkpoint {name} has no directory {checkpoint.location!r}",
            hint="it was moved or removed; open it again",
        )
    return folder


def _shape(config: dict[str, Any], classes: int, *, is_cpu: bool) -> tuple[bool, str]:
    """Say whether the own path serves a model; if not, why."""
    if not is_cpu:
        return False, "on a GPU models run through transformers"
    if classes:
        return False, "models with a classification head run through transformers"
    from docendo.engines.shapes import Shape, UnsupportedError

    try:
        Shape.of(config)
    except UnsupportedError as error:
        return False, f"{error} is not for the fast decode path; it runs through transformers, slower"
    return True, ""


@functools.lru_cache(maxsize=1)
def _memory_bytes() -> int:
    """Return how much memory the machine, or the container that this runs in, has."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        path = Path(limit)
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()).isdigit():
            total = min(total, int(text))
    return total
