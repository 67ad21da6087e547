"""Decode with whatever model transformers knows, on any device, by the sampling rule of the own path.

The prompts of a chunk are read once, filled up on the left; their cache is then laid out for the samples, and
finished rows are dropped from it. Greedy completions are those of ``generate()``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from docendo.core.errors import ModelError
from docendo.engines.batches import batches, padded, read_once, wanted_tokens
from docendo.engines.checkpoints import classes_of
from docendo.engines.jobs import Draw, Drawn
from docendo.engines.rows import CancelledError, GrowingRows, StopCheck
from docendo.engines.sampler import logprobs_of
from docendo.engines.weights import DTYPES

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

_TEXT_TOKENS = 8192
"""Tokens read at once where log-probabilities are asked for."""
_DROPPED_SHARE = 0.25


class GenericDecoder:
    """A model as transformers loads it: a causal language model, or a sequence classifier."""

    def __init__(self, folder: Path, precision: str, device: str) -> None:
        """Load a checkpoint directory.

        Args:
            folder: In Hugging Face format, weights as safetensors.
            precision: ``fp32`` or ``bf16``.
            device: As torch names it.

        Raises:
            ModelError: transformers does not know the architecture, or it is no model that goes on with a
            text.
        """
        from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

        self._has_classes = classes_of(folder) > 0
        loader: Any = AutoModelForSequenceClassification if self._has_classes else AutoModelForCausalLM
        try:
            model = loader.from_pretrained(
                str(folder),
                dtype=DTYPES[precision],
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
        except ValueError as error:
            kind = "classifier" if self._has_classes else "causal language model"
            raise ModelError(f"transformers cannot load {folder} as a {kind}: {error}") from error
        if model.config.is_encoder_decoder:
            raise ModelError(
                f"{folder} is an encoder-decoder model ({model.config.model_type})",
                hint="only models that go on with a text are served",
            )
        if self._has_classes and model.config.problem_type == "multi_label_classification":
            raise ModelError(
                f"{folder} has a head of labels that do not exclude each other (problem_type in config.json)",
                hint="heads of classes, and of scores (one label, or problem_type regression), are served",
            )
        self._is_score = model.config.problem_type == "regression" or model.config.num_labels == 1
        self._model = model.to(device).eval()
        self._device = torch.device(device)
        self._takes = set(inspect.signature(model.forward).parameters)
        self._vocabulary: int = model.config.get_text_config().vocab_size

    @torch.inference_mode()
    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[Sequence[int]],
        limits: Sequence[int],
        draw: Draw,
        *,
        stops: StopCheck | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Drawn:
        """Draw samples for some prompts: see `docendo.engines.decode.Decoder.sample`."""
        from transformers import DynamicCache

        if not prompts:
            return Drawn([], [] if draw.logprobs else None, [])
        rows = GrowingRows(prompts, seeds, limits, draw, self._vocabulary)
        ids = padded([ids[::-1] for ids in prompts]).flip(1)
        lengths = torch.tensor([len(ids) for ids in prompts])
        seen = torch.arange(ids.shape[1]) >= ids.shape[1] - lengths[:, None]
        cache = DynamicCache(config=self._model.config)
        positions = (seen.cumsum(1) - 1).clamp(min=0)
        logits = self._logits(ids, seen, positions, cache)[:, -1]
        layout = torch.tensor(rows.prompt)
        newest = rows.draw_next(logits[layout.to(self._device)], torch.arange(rows.count), stops)
        growing = torch.arange(rows.count)
        alive = rows.is_alive[growing]
        cache.batch_select_indices(layout[alive].to(self._device))
        seen, growing = seen[layout[alive]], growing[alive]
        while len(growing):
            if is_cancelled():
                raise CancelledError
            seen = torch.cat([seen, torch.ones(len(growing), 1, dtype=torch.bool)], 1)
            positions = seen.sum(1, keepdim=True) - 1
            logits = self._logits(newest[growing][:, None], seen, positions, cache)[:, -1]
            newest = rows.draw_next(logits, growing, stops)
            alive = rows.is_alive[growing]
            count = int(alive.sum())
            if count == 0:
                break
            if count <= (1 - _DROPPED_SHARE) * len(growing):
                kept = alive.nonzero()[:, 0]
                cache.batch_select_indices(kept.to(self._device))
                seen, growing = seen[kept], growing[kept]
        return rows.result()

    def _logits(
        self,
        ids: Int[Tensor, "rows time"],
        seen: Tensor,
        positions: Int[Tensor, "rows time"],
        cache: Any = None,
        last_only: bool = True,
    ) -> Float[Tensor, "rows time vocabulary"]:
        extra: dict[str, Any] = {"position_ids": positions.to(self._device), "use_cache": cache is not None}
        if cache is not None:
            extra["past_key_values"] = cache
        if last_only:
            extra["logits_to_keep"] = 1
        found = self._model(
            input_ids=ids.to(self._device),
            attention_mask=seen.to(self._device, torch.long),
            **{name: value for name, value in extra.items() if name in self._takes},
        )
        return found.logits.float()

    @torch.inference_mode()
    def logprobs(
        self, texts: Sequence[Sequence[int]], starts: Sequence[int], *, most_logits: int
    ) -> list[list[float]]:
        """Return the log-probabilities of the tokens of each text from its start on, as the own path does."""
        found: list[list[float]] = [[] for _ in texts]
        readings = read_once(texts)
        done = 0
        most_tokens = max(1, min(_TEXT_TOKENS, most_logits // self._vocabulary))
        for batch in batches([texts[reading[0]] for reading in readings], most_tokens):
            here = readings[done : done + len(batch)]
            done += len(batch)
            ids = padded(batch)
            seen = torch.arange(ids.shape[1]) < torch.tensor([len(text) for text in batch])[:, None]
            positions = torch.arange(ids.shape[1]).expand(len(batch), -1)
            logits = self._logits(ids, seen, positions, last_only=False)
            for places, row, before, token in wanted_tokens(texts, starts, here, _TEXT_TOKENS):
                rows = logits[row.to(self._device), before.to(self._device)]
                values = logprobs_of(rows, token.to(self._device)).tolist()
                for place, value in zip(places, values, strict=True):
                    found[place].append(value)
        return found

    @torch.inference_mode()
    def classes(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """Return the log-softmax over the head's classes for each text; of a head of scores the scores.

        A score is a head's only label, or, where its config says ``regression``, one for each label.
        Texts of equal length are read together: then nothing is filled up, models need no padding token, and
        the last token is pooled whatever its id is.
        """
        found: list[list[float]] = [[] for _ in texts]
        by_length: dict[int, list[int]] = {}
        for place, ids in enumerate(texts):
            by_length.setdefault(len(ids), []).append(place)
        # Classifiers read their answer off the last token that is not padding; here no token is.
        self._model.config.get_text_config().pad_token_id = -1
        for length, places in by_length.items():
            size = max(1, _TEXT_TOKENS // max(1, length))
            for first in range(0, len(places), size):
                here = places[first : first + size]
                ids = torch.tensor([list(texts[place]) for place in here], device=self._device)
                logits = self._model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits.float()
                values_of_texts = logits if self._is_score else logits.log_softmax(-1)
                for place, values in zip(here, values_of_texts.tolist(), strict=True):
                    found[place] = values
        return found
