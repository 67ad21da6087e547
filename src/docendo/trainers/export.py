"""Checkpoints in Hugging Face format: written, read back, and held against the model in memory.

A causal language model or a sequence classifier: the config of a checkpoint says which.
"""

from __future__ import annotations

import contextlib
import copy
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from docendo.core.errors import ModelError, StageError
from docendo.engines.checkpoints import classes_of
from docendo.trainers.rows import Rows
from docendo.trainers.state import digest_of_file, remove, settle

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_COPIED = (
    "tokenizer*.json",
    "tokenizer.model",
    "*.spm",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "chat_template.*",
    "generation_config.json",
)
"""What does not change by training is copied byte by byte, so the tokenizer keeps its digest."""

_COMPARED_LOGITS = 4
_COMPARED_GENERATIONS = 20
_COMPARED_TOKENS = 8
"""New tokens in each compared generation. Ours: uses the cache, and is cheap enough for every epoch."""
MERGE_TOLERANCE = 1e-4
"""Greatest difference of a logit between adapters beside the weights and adapters merged into them."""


def load_model(folder: Path, dtype: torch.dtype) -> PreTrainedModel:
    """Load the weights of a checkpoint directory.

    A sequence classifier where its config names one, else a causal language model. Safetensors only, no code
    of the checkpoint, nothing from the network.

    Raises:
        ModelError: The directory is not a checkpoint that can be read.
    """
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    try:
        auto: Any = AutoModelForSequenceClassification if classes_of(folder) else AutoModelForCausalLM
        with without_progress_bar():
            loaded: Any = auto.from_pretrained(
                str(folder),
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"cannot load the model in {folder}: {error}",
            hint="expected config.json and model.safetensors in Hugging Face format",
        ) from error
    model, found = loaded
    if missing := sorted(found["missing_keys"]):  # transformers would fill them with random numbers
        raise ModelError(f"the weights in {folder} lack {len(missing)} tensors, first {missing[0]}")
    for value in model.parameters():
        # The last bit of a product with one row, as a head of one label is, depends on where that lies in
        # memory; what is mapped from a file lies anywhere.
        if len(value) == 1:
            value.data = value.data.clone()
    return model


@contextlib.contextmanager
def without_progress_bar() -> Iterator[None]:
    """Keep transformers from showing how far it is with a file."""
    from transformers.utils import logging

    with_bar = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if with_bar:
            logging.enable_progress_bar()


def digest_of_weights(folder: Path) -> str:
    """Return the SHA-256 of a checkpoint's weights; of several files, one behind the other by name."""
    return " ".join(digest_of_file(path) for path in sorted(folder.glob("*.safetensors")))


@dataclass(frozen=True, slots=True)
class Probe:
    """A few training rows that two models are compared on."""

    sequences: tuple[Tensor, ...]
    prompts: tuple[Tensor, ...]
    pad_id: int

    @classmethod
    def of(cls, rows: Rows) -> Probe:
        """Take rows evenly spread over all."""
        spread = np.unique(np.linspace(0, len(rows) - 1, _COMPARED_GENERATIONS, dtype=np.int64))
        return cls(
            tuple(torch.from_numpy(rows.sequence(row).astype(np.int64)) for row in spread[:_COMPARED_LOGITS]),
            tuple(torch.from_numpy(rows.prompt(row).astype(np.int64)) for row in spread),
            rows.pad_id,
        )

    def logits(self, model: nn.Module) -> Tensor:
        """Return the logits of the sequences, one behind the other.

        Of a language model [token, vocabulary]; of a classifier [sequence, class].
        """
        with torch.inference_mode():
            device = next(model.parameters()).device
            found = [model(input_ids=ids[None].to(device), use_cache=False).logits for ids in self.sequences]
            return torch.cat([logits.reshape(-1, logits.shape[-1]) for logits in found])

    def generations(self, model: Any) -> Tensor:
        """Return what the model goes on with after each prompt, greedily: [prompt, token]."""
        from transformers import GenerationConfig

        width = max(map(len, self.prompts))
        ids = torch.full((len(self.prompts), width), self.pad_id)
        attended = torch.zeros_like(ids)
        for row, prompt in enumerate(self.prompts):  # padded on the left: the new tokens follow on the right
            ids[row, width - len(prompt) :] = prompt
            attended[row, width - len(prompt) :] = 1
        settings = GenerationConfig(
            max_new_tokens=_COMPARED_TOKENS,
            do_sample=False,
            pad_token_id=self.pad_id,
            eos_token_id=None,
            bos_token_id=None,
        )
        device = next(model.parameters()).device
        with torch.inference_mode():
            made = model.generate(
                input_ids=ids.to(device), attention_mask=attended.to(device), generation_config=settings
            )
        return made[:, width:]


def merged(model: Any) -> PreTrainedModel:
    """Return a copy of a model with adapters in which they are added to its weights."""
    return copy.deepcopy(model).merge_and_unload()


def export(
    model: PreTrainedModel,
    *,
    start: Path,
    folder: Path,
    card: str,
    probe: Probe,
    dtype: torch.dtype,
) -> None:
    """Write a checkpoint, read it back and compare it; only then does it get its name.

    Args:
        model: The trained model, without adapters, in evaluation mode.
        start: The checkpoint that training started from: tokenizer and generation settings come from there.
        folder: Where to. Its bytes depend on the model, ``start`` and ``card`` alone.
        card: README.md.
        probe: What it is compared on: logits and greedy generations must be equal, bit by bit.
        dtype: Of the written weights. The comparison is with the model in memory, rounded to that type.

    Raises:
        StageError: What was written does not do the same as the model in memory.
    """
    aside = folder.with_name(f"{folder.name}.tmp")
    remove(aside)
    aside.mkdir(parents=True)
    save_weights(_in_type(model, dtype), aside)
    copy_companions(start, aside)
    (aside / "README.md").write_text(card, encoding="utf-8")
    # In single precision whatever was written: how a type computes is not what is asked here.
    reloaded: Any = load_model(aside, torch.float32)
    compare(_rounded(model, dtype), reloaded.to(model.device).eval(), probe)
    remove(folder)
    settle(aside, folder)


def save_weights(model: PreTrainedModel, folder: Path) -> None:
    """Write weights and configuration of a model into a folder that is there."""
    with without_progress_bar():
        model.save_pretrained(folder)
    for path in folder.glob("*.safetensors"):  # they come readable by their owner alone, unlike the rest
        path.chmod((folder / "config.json").stat().st_mode)


def copy_companions(start: Path, folder: Path) -> None:
    """Copy what belongs to a checkpoint beside its weights and configuration."""
    for pattern in _COPIED:
        for path in sorted(start.glob(pattern)):
            shutil.copyfile(path, folder / path.name)


def _in_type(model: Any, dtype: torch.dtype) -> Any:
    return model if model.dtype == dtype else copy.deepcopy(model).to(dtype)


def _rounded(model: Any, dtype: torch.dtype) -> Any:
    """Return the model with the values that its weights have in another type, still in its own."""
    if model.dtype == dtype:
        return model
    rounded = copy.deepcopy(model)
    for value in rounded.state_dict().values():  # not `.to(dtype)`: that rounds what is not written, too
        value.copy_(value.to(dtype))
    return rounded


def compare(kept: nn.Module, reloaded: nn.Module, probe: Probe) -> None:
    """Hold two models against each other.

    Raises:
        StageError: A logit differs; or a generated token, where it is a model that goes on with a text.
    """
    for name, outputs in _outputs(kept, probe):
        ours, theirs = outputs(kept), outputs(reloaded)
        if not torch.equal(ours, theirs):
            apart = (ours.double() - theirs.double()).abs().max().item()
            raise StageError(
                f"the written checkpoint does not give the same {name} as the model in memory "
                f"(largest difference {apart:g})",
                hint="the disk may be faulty, or this architecture does not survive being saved and loaded",
            )


def _outputs(model: nn.Module, probe: Probe) -> Sequence[tuple[str, Callable[[Any], Tensor]]]:
    from transformers import GenerationMixin

    logits = ("logits", probe.logits)
    if isinstance(model, GenerationMixin):
        return (logits, ("greedy generations", probe.generations))
    return (logits,)


def check_merge(adapted: nn.Module, plain: nn.Module, probe: Probe) -> None:
    """Hold a model with adapters against the one they are merged into.

    Raises:
        StageError: A logit differs by more than `MERGE_TOLERANCE`, relative where logits are above 1.
    """
    ours, theirs = probe.logits(adapted), probe.logits(plain)
    if not torch.allclose(ours, theirs, rtol=MERGE_TOLERANCE, atol=MERGE_TOLERANCE):
        apart = (ours - theirs).abs().max().item()
        raise StageError(
            f"merging the adapters changed a logit by {apart:g}; expected at most {MERGE_TOLERANCE:g}",
            hint="lower the learning rate or the adapters' rank",
        )
