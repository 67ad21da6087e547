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


def read_once(texts: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the places of texts that one reading serves, the shortest first: equal but for the last token.

    That one is predicted and not read, so words of one token behind one prompt cost a single reading.

    Example:
        >>> read_once([[5, 6, 7], [5, 6], [5, 6, 8]])
        [[1], [0, 2]]
    """
    served: dict[tuple[int, ...], list[int]] = {}
    for place, ids in enumerate(texts):
        served.setdefault(tuple(ids[:-1]), []).append(place)
    return sorted(served.values(), key=lambda places: len(texts[places[0]]))


def wanted_tokens(
    texts: Sequence[Sequence[int]], starts: Sequence[int], readings: Sequence[Sequence[int]], piece: int
) -> Iterator[tuple[list[int], Tensor, Tensor, Tensor]]:
    """Yield, in pieces, for each token from its text's start on: text, row, the place before it, token.

    The row is that of the reading, out of ``readings`` as `read_once` gives them, that serves the text.
    """
    wanted = [
        (text, row, place - 1, texts[text][place])
        for row, served in enumerate(readings)
        for text in served
        for place in range(starts[text], len(texts[text]))
    ]
    piece = max(1, piece)
    for first in range(0, len(wanted), piece):
        text, row, before, token = torch.tensor(wanted[first : first + piece]).t()
        yield text.tolist(), row, before, token
