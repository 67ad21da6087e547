"""The samples of a chunk while they grow, whatever model says what may follow."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from docendo.engines.jobs import Draw, Drawn
from docendo.engines.sampler import chosen, logprobs_of, uniforms

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_NUMBERS_AHEAD = 32


StopCheck = Callable[[list[list[int]]], list[bool]]
"""Says for each row of generated ids whether its text holds a stop text by now."""


class CancelledError(Exception):
    """Nobody waits for the chunk any more."""


class GrowingRows:
    """The samples of a chunk while they grow: what was drawn, who is finished, which numbers come next.

    The books are kept on the CPU; logits may lie on any device. One row more than there are samples is a
    place for what nobody asks for.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        seeds: Sequence[Sequence[int]],
        limits: Sequence[int],
        draw: Draw,
        vocabulary: int,
    ) -> None:
        self.prompt = [place for place, own in enumerate(seeds) for _ in own]
        """Which prompt each row belongs to."""
        self.count = len(self.prompt)
        self.generated = 0
        """Tokens that every growing row has by now."""
        self.is_alive = torch.ones(self.count + 1, dtype=torch.bool)
        self.is_alive[-1] = False
        self._draw = draw
        self._limits = torch.tensor([*(limits[place] for place in self.prompt), 1])
        self._lengths = torch.zeros(self.count + 1, dtype=torch.int64)
        self._is_stopped = torch.zeros(self.count + 1, dtype=torch.bool)
        self._is_end = torch.zeros(vocabulary, dtype=torch.bool)
        self._is_end[[token for token in draw.end_ids if token < vocabulary]] = True
        most = max(limits, default=1)
        self._ids = torch.zeros(self.count + 1, most, dtype=torch.int32)
        self._logprobs = torch.zeros(self.count + 1, most) if draw.logprobs else None
        self._seeds = torch.tensor([*(seed for own in seeds for seed in own), 0])
        self._numbers = torch.empty(0, 0)
        self._numbers_from = 0

    def draw_next(
        self, logits: Float[Tensor, "rows vocabulary"], rows: Int[Tensor, " rows"], stops: StopCheck | None
    ) -> Int[Tensor, " all_rows"]:
        """Draw the next token of some rows; return the newest token of every row, by its number."""
        place, draw = self.generated, self._draw
        numbers = self._numbers_at(place, rows)
        if numbers is not None:
            numbers = numbers.to(logits.device)
        tokens = chosen(logits, numbers, draw.temperature, draw.top_k, draw.top_p)
        if self._logprobs is not None:
            self._logprobs[rows, place] = logprobs_of(logits, tokens).cpu()
        tokens = tokens.cpu()
        self._ids[rows, place] = tokens.to(torch.int32)
        is_stopped = self._is_end[tokens]
        self.generated = place + 1
        if stops is not None:
            growing = (self.is_alive[rows] & ~is_stopped).nonzero()[:, 0]
            texts = self._ids[rows[growing], : self.generated].tolist()
            is_stopped[growing] |= torch.tensor(stops(texts), dtype=torch.bool)
        is_done = (is_stopped | (self._limits[rows] <= self.generated)) & self.is_alive[rows]
        if is_done.any():
            done = rows[is_done]
            self.is_alive[done] = False
            self._lengths[done] = self.generated
            self._is_stopped[done] = is_stopped[is_done]
        newest = torch.zeros(self.count + 1, dtype=torch.int64)
        newest[rows] = tokens
        return newest

    def _numbers_at(self, place: int, rows: Tensor) -> Tensor | None:
        if self._draw.temperature == 0:
            return None
        if place >= self._numbers_from + self._numbers.shape[1]:
            self._numbers_from = place
            self._numbers = uniforms(self._seeds, place, _NUMBERS_AHEAD)
        return self._numbers[rows, place - self._numbers_from]

    def result(self) -> Drawn:
        """Return what was drawn."""
        lengths = self._lengths[: self.count].tolist()
        ids = self._ids[: self.count].tolist()
        logprobs = None if self._logprobs is None else self._logprobs[: self.count].tolist()
        return Drawn(
            token_ids=[row[:length] for row, length in zip(ids, lengths, strict=True)],
            token_logprobs=None
            if logprobs is None
            else [row[:length] for row, length in zip(logprobs, lengths, strict=True)],
            is_stopped=self._is_stopped[: self.count].tolist(),
        )
