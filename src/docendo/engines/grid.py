"""The rows in flight of `docendo.engines.decode`: the caches of prompts and of generated tokens.

The rows stand in a grid: groups of equal size, each of samples of one prompt, which share its cache.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from docendo.engines.rows import GrowingRows
from docendo.engines.shapes import Shape

if TYPE_CHECKING:
    from jaxtyping import Float, Int

_FIRST_COLUMNS = 32
_DROPPED_SHARE = 0.2
"""Groups are formed anew when that makes at least this share of the rows disappear."""


@dataclass(slots=True)
class Prefix:
    """Keys and values of prompts, one copy for all samples of a prompt; filled up on the right."""

    lengths: Int[Tensor, " groups"]
    keys: list[Float[Tensor, "groups kv_heads time size"]]
    values: list[Float[Tensor, "groups kv_heads time size"]]

    @classmethod
    def empty(cls, shape: Shape, lengths: Tensor, dtype: torch.dtype) -> Prefix:
        """Make room for prompts of these lengths."""
        sizes = (len(lengths), shape.kv_heads, int(lengths.max()), shape.head_size)
        # Zeros: what stands behind a shorter prompt is weighed with 0, and 0 x infinity would not be 0.
        return cls(
            lengths,
            [torch.zeros(sizes, dtype=dtype) for _ in range(shape.layers)],
            [torch.zeros(sizes, dtype=dtype) for _ in range(shape.layers)],
        )

    def copy_from(self, trunks: Prefix, source: Tensor, rows: Tensor) -> None:
        """Begin some rows with the trunk that each has: its number in ``source``."""
        for ours, theirs in zip((*self.keys, *self.values), (*trunks.keys, *trunks.values), strict=True):
            ours[rows, :, : theirs.shape[2]] = theirs[source]

    def taken(self, groups: Tensor) -> Prefix:
        """Return those of some prompts; one may be taken several times."""
        lengths = self.lengths[groups]
        longest = int(lengths.max())
        return Prefix(
            lengths,
            [keys[:, :, :longest].index_select(0, groups) for keys in self.keys],
            [values[:, :, :longest].index_select(0, groups) for values in self.values],
        )


@dataclass(slots=True)
class Rest:
    """Texts that go on behind what a Prefix holds of their rows already."""

    prefix: Prefix
    rows: slice | Int[Tensor, " texts"]
    known: int
    """Tokens before them, of the row that has most."""
    hidden: Float[Tensor, "texts one time all"]
    """Minus infinity where a token does not look: where its row has none before it, and at later ones."""
    source: tuple[Tensor, Tensor]
    """Text and place of each token that is no filling."""
    target: tuple[Tensor, Tensor]
    """Its row and place in the Prefix."""

    @classmethod
    def of(
        cls,
        prefix: Prefix,
        rows: slice | Int[Tensor, " texts"],
        behind: Int[Tensor, " texts"],
        ends: Int[Tensor, " texts"],
        time: int,
    ) -> Rest:
        """Prepare for texts of ``time`` places, each up to its end, behind the first tokens of their rows."""
        known, dtype = int(behind.max()), prefix.keys[0].dtype
        later = torch.full((time, time), -math.inf, dtype=dtype).triu(1)
        none = torch.zeros(len(behind), known, dtype=dtype)
        none.masked_fill_(torch.arange(known) >= behind[:, None], -math.inf)
        shape = (len(behind), time)
        hidden = torch.cat([none[:, None].expand(*shape, known), later.expand(*shape, time)], dim=2)
        text, place = (torch.arange(time) <= ends[:, None]).nonzero(as_tuple=True)
        row = torch.arange(len(prefix.lengths))[rows][text]
        return cls(prefix, rows, known, hidden[:, None], (text, place), (row, behind[text] + place))

    def joined(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Put the texts' keys and values into the Prefix; return them behind what stands before them."""
        (text, place), (row, column) = self.source, self.target
        found: list[Tensor] = []
        for kept, own in ((self.prefix.keys[layer], keys), (self.prefix.values[layer], values)):
            kept[row, :, column] = own[text, :, place]
            found.append(torch.cat([kept[self.rows, :, : self.known], own], dim=2))
        return found[0], found[1]


@dataclass(slots=True)
class Grid:
    """The rows in flight: groups of equal size, each of samples of one prompt.

    Where a prompt has fewer samples left than a group has places, the last places are filled with the row
    that nobody asks for.
    """

    shape: Shape
    prefix: Prefix
    prompt_of_group: np.ndarray
    members: int
    rows: Int[Tensor, " places"]
    """[groups x members] the row in each place."""
    past: list[Float[Tensor, "two groups kv_heads members columns size"]]
    columns: int
    """Generated tokens in the cache."""
    positions: Int[Tensor, " places"]
    """Length of the prompt in each place."""
    longest: int
    hidden: Float[Tensor, "groups_kv one time"] | None
    """Minus infinity where a prompt has ended; None where all are equally long."""
    alive: int

    @property
    def groups(self) -> int:
        """How many."""
        return len(self.prompt_of_group)

    @classmethod
    def start(cls, shape: Shape, prefix: Prefix, rows: GrowingRows) -> Grid | None:
        """Return the grid of the rows that grow after their first token; None where none does."""
        alive = np.flatnonzero(rows.is_alive.numpy())
        if len(alive) == 0:
            return None
        prompt = np.asarray(rows.prompt)[alive]
        members = _best_members(shape, np.unique_counts(prompt).counts, prefix.keys[0].shape[2], 16)
        groups, places = placed(prompt, members)
        row_of_place = np.where(places < 0, rows.count, alive[places])
        grid = cls._with(
            shape, prefix.taken(torch.from_numpy(groups)), groups, members, row_of_place, len(alive)
        )
        grid.past = [grid._empty_past(prefix.keys[0].dtype, _FIRST_COLUMNS) for _ in range(shape.layers)]
        return grid

    @classmethod
    def _with(
        cls, shape: Shape, prefix: Prefix, prompts: np.ndarray, members: int, rows: np.ndarray, alive: int
    ) -> Grid:
        lengths = prefix.lengths
        longest = int(lengths.max())
        hidden = None
        if int(lengths.min()) < longest:
            behind = torch.arange(longest) >= lengths[:, None]
            hidden = torch.zeros(behind.shape, dtype=prefix.keys[0].dtype).masked_fill_(behind, -math.inf)
            hidden = hidden.repeat_interleave(shape.kv_heads, 0)[:, None]
        return cls(
            shape=shape,
            prefix=prefix,
            prompt_of_group=prompts,
            members=members,
            rows=torch.from_numpy(rows),
            past=[],
            columns=0,
            positions=lengths.repeat_interleave(members),
            longest=longest,
            hidden=hidden,
            alive=alive,
        )

    def _empty_past(self, dtype: torch.dtype, columns: int) -> Tensor:
        shape = self.shape
        return torch.empty(
            2, self.groups, shape.kv_heads, self.members, columns, shape.head_size, dtype=dtype
        )

    def grow_to(self, columns: int) -> None:
        """Make room for so many columns."""
        room = self.past[0].shape[4]
        if columns <= room:
            return
        for number, past in enumerate(self.past):
            self.past[number] = self._empty_past(past.dtype, 2 * room)
            self.past[number][..., :room, :] = past

    def next(self, rows: GrowingRows) -> Grid | None:
        """Return the grid for the next token: this one, one without the finished rows, or None."""
        is_alive = rows.is_alive[self.rows].numpy()
        count = int(is_alive.sum())
        if count == 0:
            return None
        if count == self.alive:
            return self
        self.alive = count
        if count > (1 - _DROPPED_SHARE) * len(is_alive):
            return self
        places = np.flatnonzero(is_alive)
        prompt = np.repeat(self.prompt_of_group, self.members)[places]
        members = _best_members(self.shape, np.unique_counts(prompt).counts, self.longest, self.columns)
        prompts, new = placed(prompt, members)
        if len(new) > (1 - _DROPPED_SHARE) * len(is_alive):
            return self
        # An empty place is filled like the last one before it; the first of a group is never empty.
        filled = new[np.maximum.accumulate(np.where(new < 0, 0, np.arange(len(new))))]
        old = places[filled]
        row_of_place = np.where(new < 0, rows.count, self.rows.numpy()[old])
        group_of_place = old // self.members
        groups = torch.from_numpy(group_of_place[::members])
        grid = self._with(self.shape, self.prefix.taken(groups), prompts, members, row_of_place, count)
        grid.columns = self.columns
        kv = self.shape.kv_heads
        head = np.arange(kv)[None, :, None]
        old = old.reshape(-1, 1, members)
        index = torch.from_numpy(
            (((old // self.members) * kv + head) * self.members + old % self.members).ravel()
        )
        room = self.past[0].shape[4]
        for past in self.past:
            flat = past.view(2, -1, room, self.shape.head_size)
            fresh = grid._empty_past(past.dtype, room)
            fresh.view(2, -1, room, self.shape.head_size)[:, :, : self.columns] = flat[
                :, index, : self.columns
            ]
            grid.past.append(fresh)
        return grid


def _best_members(shape: Shape, counts: np.ndarray, prompt_tokens: int, own_tokens: int) -> int:
    """Return how many samples of one prompt best form a group.

    Large groups read the prompt's cache less often; small ones leave fewer places empty. The cost of a place
    is that of the weights of a layer and of its own cache; the factors are measured, and only weigh the two.
    """
    cache = 2 * shape.kv_heads * shape.head_size
    place = shape.layer_weights + cache * (5.4 * own_tokens + 1.4 * prompt_tokens)
    group = 4.0 * cache * prompt_tokens
    largest = int(counts.max())
    sizes = range(1, largest + 1) if largest <= 32 else [*range(1, 33), largest]

    def cost(members: int) -> float:
        groups = int(np.ceil(counts / members).sum())
        return groups * (members * place + group)

    return min(sizes, key=cost)


def placed(prompt: np.ndarray, members: int) -> tuple[np.ndarray, np.ndarray]:
    """Put rows into groups: the prompt of each group, and for each place the index of its row or -1.

    ``prompt`` holds the prompt of each row, equal ones side by side.
    """
    prompts, starts, counts = np.unique(prompt, return_index=True, return_counts=True)
    groups: list[int] = []
    places: list[int] = []
    for which, start, count in zip(prompts.tolist(), starts.tolist(), counts.tolist(), strict=True):
        for first in range(start, start + count, members):
            last = min(first + members, start + count)
            groups.append(which)
            places += [*range(first, last), *[-1] * (first + members - last)]
    return np.asarray(groups), np.asarray(places)
