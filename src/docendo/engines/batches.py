"""Token ids of several texts as tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Int


def padded(texts: Sequence[Sequence[int]]) -> Int[Tensor, "texts time"]:
    """Put texts into one tensor, filled up with zeros on the right."""
    longest = max(map(len, texts))
    return torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in texts])


def batches(texts: Sequence[Sequence[int]], most_tokens: int) -> Iterator[Sequence[Sequence[int]]]:
    """Cut texts into runs of at most so many tokens, filling counted; never fewer than one text."""
    start, longest = 0, 0
    for place, ids in enumerate(texts):
        longest = max(longest, len(ids))
        if place > start and longest * (place - start + 1) > most_tokens:
            yield texts[start:place]
            start, longest = place, len(ids)
    if start < len(texts):
        yield texts[start:]


def wanted_tokens(
    texts: Sequence[Sequence[int]], starts: Sequence[int], piece: int
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield, in pieces, for each token from its text's start on: the text, the place before it, the token."""
    wanted = [
        (text, place - 1, ids[place])
        for text, (ids, start) in enumerate(zip(texts, starts, strict=True))
        for place in range(start, len(ids))
    ]
    piece = max(1, piece)
    for first in range(0, len(wanted), piece):
        text, before, token = torch.tensor(wanted[first : first + piece]).t()
        yield text, before, token
