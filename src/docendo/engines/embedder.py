"""Embed texts with whatever model transformers knows: an encoder, or a causal model's backbone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from docendo.core.errors import ModelError
from docendo.engines.batches import batches
from docendo.engines.pooling import Pooling
from docendo.engines.weights import DTYPES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

_TEXT_TOKENS = 8192
"""Tokens read at once, filling counted."""


class Embedder:
    """A model without a head."""

    def __init__(self, folder: Path, precision: str, device: str) -> None:
        """Load a checkpoint directory.

        Args:
            folder: In Hugging Face format, weights as safetensors.
            precision: ``fp32`` or ``bf16``, of weights and activations; vectors are pooled in fp32.
            device: As torch names it.

        Raises:
            ModelError: transformers does not know the architecture, or it is an encoder-decoder model.
        """
        from transformers import AutoModel
        from transformers.utils import logging

        # A head that is not read, or a pooler that is not used, is nothing to warn of.
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        loader: Any = AutoModel
        try:
            model = loader.from_pretrained(
                str(folder),
                dtype=DTYPES[precision],
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
        except ValueError as error:
            raise ModelError(f"transformers cannot load {folder}: {error}") from error
        if model.config.is_encoder_decoder:
            raise ModelError(
                f"{folder} is an encoder-decoder model ({model.config.model_type})",
                hint="encoders and causal models embed texts",
            )
        self._model = model.to(device).eval()
        self._device = torch.device(device)
        self._padding = model.config.get_text_config().pad_token_id or 0

    @torch.inference_mode()
    def vectors(self, texts: Sequence[Sequence[int]], pooling: Pooling) -> list[list[float]]:
        """Return the vector of each text, of the model's width; single precision.

        Args:
            texts: Token ids, special tokens included; none is empty.
            pooling: What becomes of the last hidden states.
        """
        found: list[list[float]] = [[] for _ in texts]
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        done = 0
        for batch in batches([texts[place] for place in order], _TEXT_TOKENS):
            places = order[done : done + len(batch)]
            done += len(batch)
            for place, vector in zip(places, self._pooled(batch, pooling).tolist(), strict=True):
                found[place] = vector
        return found

    def _pooled(self, texts: Sequence[Sequence[int]], pooling: Pooling) -> Float[Tensor, "texts width"]:
        lengths = torch.tensor([len(ids) for ids in texts], device=self._device)
        longest = int(lengths.max())
        rows = [[*ids, *[self._padding] * (longest - len(ids))] for ids in texts]
        is_there = torch.arange(longest, device=self._device) < lengths[:, None]
        states = self._model(
            input_ids=torch.tensor(rows, device=self._device), attention_mask=is_there.long()
        ).last_hidden_state.float()
        return pooled(states, is_there, pooling)


def pooled(
    states: Float[Tensor, "texts time width"], is_there: Bool[Tensor, "texts time"], pooling: Pooling
) -> Float[Tensor, "texts width"]:
    """Return one vector for each text of its last hidden states.

    Args:
        states: Filled up on the right.
        is_there: False where it is filling.
        pooling: How.
    """
    match pooling.kind:
        case "mean":
            mask = is_there[:, :, None].to(states.dtype)
            vectors = (states * mask).sum(1) / mask.sum(1)
        case "cls":
            vectors = states[:, 0]
        case "last":
            vectors = states[torch.arange(len(states)), is_there.sum(1) - 1]
    return torch.nn.functional.normalize(vectors, dim=-1) if pooling.is_normalised else vectors
