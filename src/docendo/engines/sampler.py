"""How a token is drawn: the sampling rule that every path of the engine shares.

For one sample with seed s, the token at position t (0 is the first generated one) is

    A  logits / temperature; top-k: all below the k-th largest are dropped; softmax
    B  top-p: the smallest set of most likely tokens that holds at least p is kept
    C  u = the t-th output of SplitMix64 started at s, as a number in [0, 1)
    D  the first token, in the order of token ids, at which the running sum of probabilities exceeds u x total

So a draw depends on the logits and on (s, t), never on what else is in the batch. Nothing is carried from one
token to the next: a sample can be cut off and gone on with anywhere.

Reference for C: Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators", OOPSLA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from jaxtyping import Float, Int

SAMPLER = "inverse-cdf/1"
"""Name and version of the rule; part of an engine's signature."""

_GOLDEN = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def uniforms(seeds: Int[Tensor, " rows"], first: int, count: int) -> Float[Tensor, "rows count"]:
    """Return the numbers for positions ``first`` to ``first + count - 1`` of each seed.

    Args:
        seeds: 64-bit integers, one for each sample.
        first: Position of the first number, from 0.
        count: How many numbers for each seed.

    Returns:
        Double precision, in ``[0, 1)``, multiples of 2**-53.
    """
    positions = torch.arange(first + 1, first + count + 1, dtype=torch.int64, device=seeds.device)
    # Integer arithmetic in torch wraps modulo 2**64, which is what is wanted.
    state = seeds.to(torch.int64)[:, None] + positions * _signed(_GOLDEN)
    for shift, factor in _MIX:
        state = (state ^ _shifted(state, shift)) * _signed(factor)
    state = state ^ _shifted(state, 31)
    return _shifted(state, 11).to(torch.float64) * 2.0**-53


def probabilities(
    logits: Float[Tensor, "rows vocabulary"], temperature: float, top_k: int = 0, top_p: float = 1.0
) -> Float[Tensor, "rows vocabulary"]:
    """Return what is drawn from: steps A and B of the rule.

    Tokens with exactly the k-th largest logit are all kept by top-k. Among tokens of equal probability, top-p
    keeps the one with the smaller id first.

    Args:
        logits: As the model gives them.
        temperature: Above 0.
        top_k: 0: all tokens.
        top_p: In ``(0, 1]``.

    Returns:
        Single precision; every row sums to 1.
    """
    scaled = logits.float() / temperature
    if 0 < top_k < scaled.shape[-1]:
        least = scaled.topk(top_k, dim=-1).values[:, -1:]
        scaled = scaled.masked_fill(scaled < least, float("-inf"))
    shares = scaled.softmax(-1)
    if top_p < 1:
        sorted_shares, order = shares.sort(stable=True, dim=-1, descending=True)
        above = sorted_shares.cumsum(-1, dtype=torch.float64) - sorted_shares
        kept = sorted_shares * (above < top_p)
        shares = torch.zeros_like(shares).scatter_(-1, order, kept)
        shares = shares / shares.sum(-1, keepdim=True)
    return shares


def drawn(shares: Float[Tensor, "rows vocabulary"], numbers: Float[Tensor, " rows"]) -> Int[Tensor, " rows"]:
    """Return the token that each row's number in ``[0, 1)`` points at: step D of the rule."""
    running = shares.cumsum(-1, dtype=torch.float64)
    total = running[:, -1]
    # Below the total, so that rounding never points behind the last token that has a probability.
    target = torch.minimum(numbers * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(running, target[:, None], right=True)[:, 0]


def chosen(
    logits: Float[Tensor, "rows vocabulary"],
    numbers: Float[Tensor, " rows"] | None,
    temperature: float,
    top_k: int,
    top_p: float,
) -> Int[Tensor, " rows"]:
    """Return each row's next token: the most likely one at temperature 0, else a drawn one."""
    if temperature == 0 or numbers is None:
        return logits.argmax(-1)
    return drawn(probabilities(logits, temperature, top_k, top_p), numbers)


def logprobs_of(
    logits: Float[Tensor, "rows vocabulary"], tokens: Int[Tensor, " rows"]
) -> Float[Tensor, " rows"]:
    """Return the log-probability of each row's token at temperature 1, before top-k and top-p."""
    return logits.float().log_softmax(-1).gather(-1, tokens[:, None])[:, 0]


def _shifted(value: Tensor, bits: int) -> Tensor:
    """Shift right, filling with zeros; torch's own shift of signed numbers fills with the sign."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value
