"""Decode with Llama-like models on a CPU, in plain PyTorch, several times as fast as ``generate()``.

Only torch and safetensors are imported, so a worker process is up in a second. What makes it fast:

- A prompt is read once for all of its samples, and its keys and values stay one copy for all of them: the
  samples of a prompt form a group that attends to it with one matrix product (as in Juravsky et al. 2024,
  arXiv:2402.05099). Keys and values of generated tokens stand in a second cache in which all rows are level.
- Finished rows are dropped by forming the groups anew, when enough of them have gathered.
- What can be worked into the weights is: the factors of the norms, the scale of the attention, and an order
of
  the rows of queries and keys in which the rotation by position is one complex product.

What a chunk of prompts gives is a function of the chunk alone on one machine with the same versions: the same
chunk in another company of chunks, or in another worker, gives the same bytes. The same prompt in *another*
chunk gives the same draws up to the last bits of the logits, because those depend on the shape of a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from docendo.engines.checkpoints import read_config, weight_files
from docendo.engines.jobs import Draw, Drawn
from docendo.engines.sampler import chosen, logprobs_of, uniforms
from docendo.engines.shapes import Shape, UnsupportedError

if TYPE_CHECKING:
    from jaxtyping import Complex, Float, Int

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}

_PREFILL_TOKENS = 2048
"""Prompt tokens read at once. Bounds the memory of activations; larger gains nothing on a CPU."""
_FIRST_COLUMNS = 32
_DROPPED_SHARE = 0.2
"""Groups are formed anew when that makes at least this share of the rows disappear."""
_NUMBERS_AHEAD = 32


class CancelledError(Exception):
    """Nobody waits for the chunk any more."""


@dataclass(slots=True)
class _Layer:
    qkv: Tensor
    qkv_bias: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    gate_up: Tensor
    gate_up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None


StopCheck = Callable[[list[list[int]]], list[bool]]
"""Says for each row of generated ids whether its text holds a stop text by now."""


class Decoder:
    """A model's weights, laid out for decoding, and the decoding itself."""

    def __init__(self, folder: Path, precision: str) -> None:
        """Read a checkpoint directory.

        Args:
            folder: With ``config.json`` and safetensors.
            precision: ``fp32`` or ``bf16``: of weights, activations and cache.

        Raises:
            UnsupportedError: It is no model that this module can decode.
        """
        config = read_config(folder)
        self.shape = Shape.of(config)
        self._dtype = DTYPES[precision]
        self._turns: Complex[Tensor, "position pair"] = torch.empty(0, self.shape.head_size // 2)
        self._read(folder, is_tied=bool(config.get("tie_word_embeddings", False)))

    # ---- reading the weights

    def _read(self, folder: Path, *, is_tied: bool) -> None:
        handles = [safe_open(str(path), framework="pt") for path in weight_files(folder)]
        files = {name: handle for handle in handles for name in handle.keys()}  # noqa: SIM118 (no mapping)

        def tensor(name: str) -> Tensor | None:
            return files[name].get_tensor(name).to(self._dtype) if name in files else None

        def needed(name: str) -> Tensor:
            found = tensor(name)
            if found is None:
                raise UnsupportedError(f"the weights have no {name!r}")
            return found

        self._embedding = needed("model.embed_tokens.weight")
        self._norm = needed("model.norm.weight")
        self._head = self._embedding if is_tied else needed("lm_head.weight")
        self._layers = [self._layer(needed, tensor, f"model.layers.{k}.") for k in range(self.shape.layers)]

    def _layer(
        self, needed: Callable[[str], Tensor], tensor: Callable[[str], Tensor | None], name: str
    ) -> _Layer:
        shape = self.shape
        half = shape.head_size // 2
        # Dimension k and dimension k + half are turned together; side by side they are one complex number.
        # Products of queries and keys do not change when both are put in the same new order.
        order = torch.arange(shape.head_size).view(2, half).t().reshape(-1)

        def turned(part: Tensor, heads: int) -> Tensor:
            return part.view(heads, shape.head_size, -1)[:, order].reshape(part.shape)

        attention, inner = name + "self_attn.", name + "mlp."
        before_attention = needed(name + "input_layernorm.weight")
        before_inner = needed(name + "post_attention_layernorm.weight")
        scale = shape.head_size**-0.5
        query_norm, key_norm = tensor(attention + "q_norm.weight"), tensor(attention + "k_norm.weight")
        query_scale = 1.0 if shape.has_head_norms else scale

        def joined_bias(names: Sequence[str]) -> list[Tensor] | None:
            parts = [tensor(part + ".bias") for part in names]
            return [part for part in parts if part is not None] if parts[0] is not None else None

        q, k, v = (needed(f"{attention}{part}_proj.weight") for part in "qkv")
        qkv = torch.cat([turned(q, shape.heads) * query_scale, turned(k, shape.kv_heads), v])
        qkv_bias = None
        if biases := joined_bias([f"{attention}{part}_proj" for part in "qkv"]):
            qkv_bias = torch.cat(
                [turned(biases[0], shape.heads) * query_scale, turned(biases[1], shape.kv_heads), biases[2]]
            )
        gate_up = torch.cat([needed(f"{inner}{part}_proj.weight") for part in ("gate", "up")])
        gate_up_biases = joined_bias([f"{inner}{part}_proj" for part in ("gate", "up")])
        return _Layer(
            qkv=qkv * before_attention,
            qkv_bias=qkv_bias,
            out=needed(attention + "o_proj.weight"),
            out_bias=tensor(attention + "o_proj.bias"),
            gate_up=gate_up * before_inner,
            gate_up_bias=None if gate_up_biases is None else torch.cat(gate_up_biases),
            down=needed(inner + "down_proj.weight"),
            down_bias=tensor(inner + "down_proj.bias"),
            query_norm=None if query_norm is None else query_norm[order] * scale,
            key_norm=None if key_norm is None else key_norm[order],
        )

    # ---- parts of a forward pass

    def _turns_until(self, length: int) -> Complex[Tensor, "position pair"]:
        if len(self._turns) < length:
            positions = torch.arange(max(length, 2 * len(self._turns), 256), dtype=torch.float32)
            angles = torch.outer(positions, torch.tensor(self.shape.frequencies, dtype=torch.float32))
            self._turns = torch.polar(torch.ones_like(angles), angles)
        return self._turns

    def _normed(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        if x.dtype != torch.float32:
            return F.rms_norm(x, (x.shape[-1],), weight, self.shape.epsilon)
        # Half the time of F.rms_norm, which makes three copies of x on a CPU.
        factor = torch.linalg.vecdot(x, x).div_(x.shape[-1]).add_(self.shape.epsilon).rsqrt_()
        normed = x * factor.unsqueeze(-1)
        return normed if weight is None else normed.mul_(weight)

    def _qkv(self, layer: _Layer, x: Tensor, turns: Tensor) -> Tensor:
        """Return queries, keys and values, [..., head, size], queries and keys turned by position."""
        shape = self.shape
        joined = F.linear(self._normed(x), layer.qkv, layer.qkv_bias)
        qkv = joined.view(*x.shape[:-1], shape.heads + 2 * shape.kv_heads, shape.head_size)
        if layer.query_norm is not None:
            qkv[..., : shape.heads, :] = self._normed(qkv[..., : shape.heads, :], layer.query_norm)
            keys = qkv[..., shape.heads : shape.heads + shape.kv_heads, :]
            keys.copy_(self._normed(keys, layer.key_norm))
        turning = qkv[..., : shape.heads + shape.kv_heads, :]
        pairs = turning.unflatten(-1, (shape.head_size // 2, 2))
        if qkv.dtype == torch.float32:
            torch.view_as_complex(pairs).mul_(turns)
        else:
            turned = torch.view_as_complex(pairs.float()) * turns
            pairs.copy_(torch.view_as_real(turned))
        return qkv

    def _inner(self, layer: _Layer, x: Float[Tensor, "rows hidden"]) -> None:
        gate_up = F.linear(self._normed(x), layer.gate_up, layer.gate_up_bias)
        gate, up = gate_up.chunk(2, dim=-1)
        x.addmm_(F.silu(gate).mul_(up), layer.down.t())
        if layer.down_bias is not None:
            x += layer.down_bias

    def _logits(self, x: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows vocabulary"]:
        return F.linear(self._normed(x, self._norm), self._head).float()

    def _read_texts(
        self,
        ids: Int[Tensor, "texts time"],
        prefix: _Prefix | None = None,
        first: int = 0,
        ends: Int[Tensor, " texts"] | None = None,
    ) -> Float[Tensor, "rows hidden"]:
        """Run the model over texts that are filled up on the right.

        Args:
            ids: The texts.
            prefix: Keeps keys and values, where given, from its text number ``first`` on.
            first: See ``prefix``.
            ends: Place of each text's last token, where only what follows it is wanted: then the last layer
                does nothing else but for keys and values.

        Returns:
            A row for each place of each text, or for each text with ``ends``.
        """
        shape = self.shape
        texts, time = ids.shape
        group = shape.heads // shape.kv_heads
        turns = self._turns_until(time)[:time, None]
        x = self._embedding[ids].view(texts * time, shape.hidden)
        for number, layer in enumerate(self._layers):
            qkv = self._qkv(layer, x.view(texts, time, -1), turns).transpose(1, 2)
            q, k, v = qkv.split([shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
            if prefix is not None:
                prefix.keys[number][first : first + texts, :, :time] = k
                prefix.values[number][first : first + texts, :, :time] = v
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            if ends is not None and number == shape.layers - 1:
                rows = torch.arange(texts)
                x = x.view(texts, time, -1)[rows, ends]
                is_seen = torch.arange(time) <= ends[:, None, None, None]
                q = q[rows, :, ends][:, :, None]
                seen = F.scaled_dot_product_attention(q, k, v, attn_mask=is_seen, scale=1.0)
            else:
                seen = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=1.0)
            x.addmm_(seen.transpose(1, 2).reshape(len(x), -1), layer.out.t())
            if layer.out_bias is not None:
                x += layer.out_bias
            self._inner(layer, x)
        return x

    # ---- sampling

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
        """Draw samples for some prompts.

        Args:
            prompts: Token ids of each prompt; none is empty.
            seeds: For each prompt one seed for each sample.
            limits: Most tokens to generate for each prompt, >= 1; with its prompt at most the context.
            draw: How tokens are drawn.
            stops: Asked after each token, where there are stop texts.
            is_cancelled: Asked after each token.

        Returns:
            The samples in the order of prompts and seeds.

        Raises:
            CancelledError: ``is_cancelled`` said so.
        """
        if not prompts:
            return Drawn([], [] if draw.logprobs else None, [])
        rows = GrowingRows(prompts, seeds, limits, draw, self.shape.vocabulary)
        prefix, x = self._prefilled(prompts)
        group_of_row = torch.tensor(rows.prompt)
        tokens = rows.draw_next(self._logits(x)[group_of_row], torch.arange(rows.count), stops)
        grid = _Grid.start(self.shape, prefix, rows)
        while grid is not None:
            if is_cancelled():
                raise CancelledError
            tokens = rows.draw_next(self._step(grid, tokens[grid.rows], rows), grid.rows, stops)
            grid = grid.next(rows)
        return rows.result()

    def _prefilled(self, prompts: Sequence[Sequence[int]]) -> tuple[_Prefix, Float[Tensor, "prompts hidden"]]:
        lengths = torch.tensor([len(ids) for ids in prompts])
        prefix = _Prefix.empty(self.shape, lengths, self._dtype)
        last = torch.empty(len(prompts), self.shape.hidden, dtype=self._dtype)
        first = 0
        for batch in batches(prompts, _PREFILL_TOKENS):
            here = slice(first, first + len(batch))
            last[here] = self._read_texts(padded(batch), prefix, first, lengths[here] - 1)
            first += len(batch)
        return prefix, last

    def _step(
        self, grid: _Grid, tokens: Int[Tensor, " rows"], rows: GrowingRows
    ) -> Float[Tensor, "rows vocabulary"]:
        """Put one more token behind each row of the grid and return what may follow."""
        shape = self.shape
        groups, members = grid.groups, grid.members
        kv, share, size = shape.kv_heads, shape.heads // shape.kv_heads, shape.head_size
        column = grid.columns
        grid.grow_to(column + 1)
        turns = self._turns_until(grid.longest + column + 1)[grid.positions + column][:, None]
        x = self._embedding[tokens]
        for layer, past, keys, values in zip(
            self._layers, grid.past, grid.prefix.keys, grid.prefix.values, strict=True
        ):
            qkv = self._qkv(layer, x, turns).view(groups, members, -1, size)
            # past: [2, groups, kv heads, members, columns, size]
            past[..., column, :] = qkv[:, :, shape.heads :].unflatten(2, (2, kv)).permute(2, 0, 3, 1, 4)
            q = qkv[:, :, : shape.heads].unflatten(2, (kv, share)).transpose(1, 2)
            q = q.reshape(groups * kv, members * share, size)
            flat = past.view(2, groups * kv * members, -1, size)[:, :, : column + 1]
            to_prompt = _products(q, keys.view(groups * kv, -1, size).transpose(1, 2), grid.hidden)
            to_own = torch.bmm(q.reshape(-1, share, size), flat[0].transpose(1, 2))
            width = to_prompt.shape[-1]
            weights = torch.cat(
                [to_prompt.view(-1, share, width), to_own],
                dim=-1,
            ).softmax(-1)
            seen = torch.bmm(
                weights.view(groups * kv, members * share, -1)[:, :, :width],
                values.view(groups * kv, -1, size),
            )
            seen.view(-1, share, size).baddbmm_(weights[:, :, width:], flat[1])
            seen = seen.view(groups, kv, members, share * size).transpose(1, 2).reshape(len(x), -1)
            x.addmm_(seen, layer.out.t())
            if layer.out_bias is not None:
                x += layer.out_bias
            self._inner(layer, x)
        grid.columns += 1
        return self._logits(x)

    # ---- log-probabilities

    @torch.inference_mode()
    def logprobs(
        self, texts: Sequence[Sequence[int]], starts: Sequence[int], *, most_logits: int
    ) -> list[list[float]]:
        """Return the log-probabilities of the tokens of each text from its start on.

        Args:
            texts: Token ids of prompt and continuation, together.
            starts: Where the continuation begins in each, >= 1.
            most_logits: Bounds the memory: how many logits are held at once, more or less.
        """
        found: list[list[float]] = [[] for _ in texts]
        readings = read_once(texts)
        done = 0
        for batch in batches([texts[reading[0]] for reading in readings], _PREFILL_TOKENS):
            here = readings[done : done + len(batch)]
            done += len(batch)
            x = self._read_texts(padded(batch)).view(len(batch), -1, self.shape.hidden)
            piece = most_logits // self.shape.vocabulary
            for places, row, before, token in wanted_tokens(texts, starts, here, piece):
                values = logprobs_of(self._logits(x[row, before]), token).tolist()
                for place, value in zip(places, values, strict=True):
                    found[place].append(value)
        return found


@dataclass(slots=True)
class _Prefix:
    """Keys and values of prompts, one copy for all samples of a prompt; filled up on the right."""

    lengths: Int[Tensor, " groups"]
    keys: list[Float[Tensor, "groups kv_heads time size"]]
    values: list[Float[Tensor, "groups kv_heads time size"]]

    @classmethod
    def empty(cls, shape: Shape, lengths: Tensor, dtype: torch.dtype) -> _Prefix:
        sizes = (len(lengths), shape.kv_heads, int(lengths.max()), shape.head_size)
        # Zeros: what stands behind a shorter prompt is weighed with 0, and 0 x infinity would not be 0.
        return cls(
            lengths,
            [torch.zeros(sizes, dtype=dtype) for _ in range(shape.layers)],
            [torch.zeros(sizes, dtype=dtype) for _ in range(shape.layers)],
        )

    def taken(self, groups: Tensor) -> _Prefix:
        lengths = self.lengths[groups]
        longest = int(lengths.max())
        return _Prefix(
            lengths,
            [keys[:, :, :longest].index_select(0, groups) for keys in self.keys],
            [values[:, :, :longest].index_select(0, groups) for values in self.values],
        )


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


@dataclass(slots=True)
class _Grid:
    """The rows in flight: groups of equal size, each of samples of one prompt.

    Where a prompt has fewer samples left than a group has places, the last places are filled with the row
    that nobody asks for.
    """

    shape: Shape
    prefix: _Prefix
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
        return len(self.prompt_of_group)

    @classmethod
    def start(cls, shape: Shape, prefix: _Prefix, rows: GrowingRows) -> _Grid | None:
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
        cls, shape: Shape, prefix: _Prefix, prompts: np.ndarray, members: int, rows: np.ndarray, alive: int
    ) -> _Grid:
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

    def next(self, rows: GrowingRows) -> _Grid | None:
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


def _products(q: Tensor, keys: Tensor, hidden: Tensor | None) -> Tensor:
    if hidden is None:
        return torch.bmm(q, keys)
    return torch.baddbmm(hidden, q, keys)


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
