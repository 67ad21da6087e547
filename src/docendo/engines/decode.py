"""Decode with Llama-like models on a CPU, in plain PyTorch, several times as fast as ``generate()``.

Only torch and safetensors are imported, so a worker process is up in a second. What makes it fast:

- A prompt is read once for all of its samples, and its keys and values stay one copy for all of them: the
  samples of a prompt form a group that attends to it with one matrix product (as in Juravsky et al. 2024,
  arXiv:2402.05099). Keys and values of generated tokens stand in a second cache in which all rows are level.
- What several prompts of a chunk begin with, as exams begin with a lesson, is read once for all of them
  (`docendo.engines.trunks`).
- Finished rows are dropped by forming the groups anew, when enough of them have gathered
  (`docendo.engines.grid`).
- What can be worked into the weights is (`docendo.engines.weights`).

What a chunk of prompts gives is a function of the chunk alone on one machine with the same versions: the same
chunk in another company of chunks, or in another worker, gives the same bytes. The same prompt in *another*
chunk gives the same draws up to the last bits of the logits, because those depend on the shape of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from docendo.engines.batches import batches, padded, read_once, wanted_tokens
from docendo.engines.grid import Grid, Prefix, Rest
from docendo.engines.jobs import Draw, Drawn
from docendo.engines.rows import CancelledError, GrowingRows, StopCheck
from docendo.engines.sampler import logprobs_of
from docendo.engines.trunks import trunks_of
from docendo.engines.weights import DTYPES, Layer, LlamaWeights

if TYPE_CHECKING:
    from jaxtyping import Complex, Float, Int

_ALL = slice(None)
_PREFILL_TOKENS = 2048
"""Prompt tokens read at once. Bounds the memory of activations; larger gains nothing on a CPU."""


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
        self._weights = LlamaWeights.read(folder, precision)
        self.shape = self._weights.shape
        self._dtype = DTYPES[precision]
        self._turns: Complex[Tensor, "position pair"] = torch.empty(0, self.shape.head_size // 2)

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

    def _qkv(self, layer: Layer, x: Tensor, turns: Tensor) -> Tensor:
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

    def _inner(self, layer: Layer, x: Float[Tensor, "rows hidden"]) -> None:
        gate_up = F.linear(self._normed(x), layer.gate_up, layer.gate_up_bias)
        gate, up = gate_up.chunk(2, dim=-1)
        x.addmm_(F.silu(gate).mul_(up), layer.down.t())
        if layer.down_bias is not None:
            x += layer.down_bias

    def _logits(self, x: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows vocabulary"]:
        return F.linear(self._normed(x, self._weights.norm), self._weights.head).float()

    def _read_texts(
        self,
        ids: Int[Tensor, "texts time"],
        prefix: Prefix | None = None,
        rows: slice | Int[Tensor, " texts"] = _ALL,
        ends: Int[Tensor, " texts"] | None = None,
        behind: Int[Tensor, " texts"] | None = None,
    ) -> Float[Tensor, "rows hidden"]:
        """Run the model over texts that are filled up on the right.

        Args:
            ids: The texts.
            prefix: Keeps keys and values, where given.
            rows: At which of its rows.
            ends: Place of each text's last token, where only what follows it is wanted: then the last layer
                does nothing else but for keys and values.
            behind: How many tokens of each row stand in ``prefix`` already; the texts go on behind them. With
                ``ends``.

        Returns:
            A row for each place of each text, or for each text with ``ends``.
        """
        shape = self.shape
        texts, time = ids.shape
        group = shape.heads // shape.kv_heads
        places = torch.arange(time)
        positions = places if behind is None else behind[:, None] + places
        turns = self._turns_until(int(positions.max()) + 1)[positions].unsqueeze(-2)
        rest = None
        if prefix is not None and behind is not None and ends is not None:
            rest = Rest.of(prefix, rows, behind, ends, time)
        hidden = None if rest is None else rest.hidden
        x = self._weights.embedding[ids].view(texts * time, shape.hidden)
        for number, layer in enumerate(self._weights.layers):
            qkv = self._qkv(layer, x.view(texts, time, -1), turns).transpose(1, 2)
            q, k, v = qkv.split([shape.heads, shape.kv_heads, shape.kv_heads], dim=1)
            if rest is not None:
                k, v = rest.joined(number, k, v)
            elif prefix is not None:
                prefix.keys[number][rows, :, :time] = k
                prefix.values[number][rows, :, :time] = v
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            if ends is not None and number == shape.layers - 1:
                which = torch.arange(texts)
                x = x.view(texts, time, -1)[which, ends]
                mask = places <= ends[:, None, None, None]
                if hidden is not None:
                    mask = hidden[which, :, ends][:, :, None]
                q = q[which, :, ends][:, :, None]
                seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=1.0)
            else:
                seen = F.scaled_dot_product_attention(
                    q, k, v, attn_mask=hidden, is_causal=hidden is None, scale=1.0
                )
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
        grid = Grid.start(self.shape, prefix, rows)
        while grid is not None:
            if is_cancelled():
                raise CancelledError
            tokens = rows.draw_next(self._step(grid, tokens[grid.rows], rows), grid.rows, stops)
            grid = grid.next(rows)
        return rows.result()

    def _prefilled(self, prompts: Sequence[Sequence[int]]) -> tuple[Prefix, Float[Tensor, "prompts hidden"]]:
        """Read the prompts; return their keys and values, and what follows the last token of each."""
        lengths = torch.tensor([len(ids) for ids in prompts])
        prefix = Prefix.empty(self.shape, lengths, self._dtype)
        last = torch.empty(len(prompts), self.shape.hidden, dtype=self._dtype)
        behind = self._read_trunks(prompts, prefix)
        rests = [ids[known:] for ids, known in zip(prompts, behind.tolist(), strict=True)]
        order = sorted(range(len(prompts)), key=lambda place: -len(rests[place])) if behind.any() else None
        first = 0
        for batch in batches(rests if order is None else [rests[place] for place in order], _PREFILL_TOKENS):
            span = slice(first, first + len(batch))
            first += len(batch)
            if order is None:
                last[span] = self._read_texts(padded(batch), prefix, span, lengths[span] - 1)
            else:
                rows = torch.tensor(order[span])
                ends = lengths[rows] - behind[rows] - 1
                last[rows] = self._read_texts(padded(batch), prefix, rows, ends, behind[rows])
        return prefix, last

    def _read_trunks(self, prompts: Sequence[Sequence[int]], prefix: Prefix) -> Int[Tensor, " prompts"]:
        """Read what several prompts begin with, once for all of them; return how much of each is read."""
        behind = torch.zeros(len(prompts), dtype=torch.int64)
        trunks = sorted((one for one in trunks_of(prompts) if one.length), key=lambda one: -one.length)
        texts = [prompts[trunk.members[0]][: trunk.length] for trunk in trunks]
        first = 0
        for batch in batches(texts, _PREFILL_TOKENS):
            here = trunks[first : first + len(batch)]
            first += len(batch)
            own = Prefix.empty(self.shape, torch.tensor([len(ids) for ids in batch]), self._dtype)
            self._read_texts(padded(batch), own)
            members = torch.tensor([member for trunk in here for member in trunk.members])
            source = torch.tensor([place for place, trunk in enumerate(here) for _ in trunk.members])
            prefix.copy_from(own, source, members)
            behind[members] = own.lengths[source]
        return behind

    def _step(
        self, grid: Grid, tokens: Int[Tensor, " rows"], rows: GrowingRows
    ) -> Float[Tensor, "rows vocabulary"]:
        """Put one more token behind each row of the grid and return what may follow."""
        shape = self.shape
        groups, members = grid.groups, grid.members
        kv, share, size = shape.kv_heads, shape.heads // shape.kv_heads, shape.head_size
        column = grid.columns
        grid.grow_to(column + 1)
        turns = self._turns_until(grid.longest + column + 1)[grid.positions + column][:, None]
        x = self._weights.embedding[tokens]
        for layer, past, keys, values in zip(
            self._weights.layers, grid.past, grid.prefix.keys, grid.prefix.values, strict=True
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


def _products(q: Tensor, keys: Tensor, hidden: Tensor | None) -> Tensor:
    if hidden is None:
        return torch.bmm(q, keys)
    return torch.baddbmm(hidden, q, keys)
