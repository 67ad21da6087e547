"""Losses over the learned tokens of completions.

Tokens of all rows stand end to end; ``rows`` says of each token to which row it belongs. Costs are per token
and not yet summed. Rewards, advantages and reference log-probabilities are data: no gradient goes through.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

Sums = tuple[Float[Tensor, ""], Float[Tensor, ""]]
"""Numerator and denominator."""

_TEMPERATURES = (1e-3, 1e3)
"""Where the best temperature is looked for: below, the softmax is a maximum, above, it is a mean."""
_HALVINGS = 60


def supervised(
    logits: Float[Tensor, "tokens vocabulary"],
    targets: Int[Tensor, " tokens"],
    weights: Float[Tensor, " tokens"],
) -> Sums:
    """Compute weighted next-token cross-entropy over the learned tokens.

    With p the softmax of the logits, y_t the target and w_t the weight of learned token t::

        numerator = sum_t w_t * -log p_t(y_t)        denominator = sum_t w_t

    A row's weight stands at each of its tokens, so long rows count for more. With weights of 0 and 1 the loss
    is that of ordinary fine-tuning on the rows with weight 1. With rewards as weights, and the numerator
    divided by the number of all samples instead, it is the objective of reward-weighted likelihood.

    Args:
        logits: Unnormalised log-probabilities at the positions *before* the learned tokens, and only there.
        targets: The learned token ids, in ``[0, vocabulary)``.
        weights: Finite and >= 0.

    Returns:
        Numerator in nats and denominator, both scalars.
    """
    negative_logprobs = functional.cross_entropy(logits, targets, reduction="none")
    return (negative_logprobs * weights).sum(), weights.sum()


def unrolled(
    rewards: Float[Tensor, " tokens"], rows: Int[Tensor, " tokens"], length: int
) -> Float[Tensor, " tokens"]:
    """Return for each token the sum of the next ``length`` rewards of its row, its own the first of them.

    Args:
        rewards: One a token.
        rows: The row of each token; a row's tokens stand together.
        length: k. Count, >= 1.

    References:
        Gulcehre et al. (2023), arXiv:2308.08998, section 4: GOLD with k = 5.

    Example:
        >>> unrolled(torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0, 0, 0, 1]), 2).tolist()
        [3.0, 6.0, 4.0, 8.0]
    """
    sums = rewards.clone()
    for step in range(1, min(length, len(rewards))):
        sums[:-step] += torch.where(rows[step:] == rows[:-step], rewards[step:], 0.0)
    return sums


def gold(
    logprobs: Float[Tensor, " tokens"],
    returns: Float[Tensor, " tokens"],
    *,
    lower_bound: float,
    baseline: float,
) -> Float[Tensor, " tokens"]:
    """Compute GOLD's cost of each token: ``w_t (Q_t - b) * -log p(y_t)`` with ``w_t = max(p(y_t), u)``.

    Args:
        logprobs: log p(y_t) under the policy. The weight w_t is a constant for the gradient.
        returns: Q_t, what `unrolled` gives.
        lower_bound: u, in ``[0, 1]``; 1: no importance weights.
        baseline: b.

    References:
        Pang & He (2021), arXiv:2009.07839, section 3.
    """
    weights = logprobs.detach().exp().clamp(min=lower_bound)
    return -weights * (returns - baseline) * logprobs


def advantages(
    returns: Float[Tensor, " tokens"], values: Float[Tensor, " tokens"]
) -> Float[Tensor, " tokens"]:
    """Return A_t = G_t - V(s_t): Monte-Carlo return minus state value, without V-trace."""
    return returns - values


def actor_critic(
    logprobs: Float[Tensor, " tokens"], advantages: Float[Tensor, " tokens"]
) -> Float[Tensor, " tokens"]:
    """Compute the offline actor's cost of each token, ``-A_t log p(y_t)``.

    References:
        Mathieu et al. (2021), as used in Gulcehre et al. (2023), arXiv:2308.08998, section 4.
    """
    return -advantages * logprobs


def upper_half(advantages: Float[Tensor, " tokens"]) -> Bool[Tensor, " tokens"]:
    """Return which advantages are in the upper half; of an odd number the middle one is. Ties all are."""
    rank = max(1, math.ceil(len(advantages) / 2))
    return advantages >= advantages.topk(rank).values[-1]


def temperature_loss(
    advantages: Float[Tensor, " tokens"], temperature: float, epsilon: float
) -> Float[Tensor, ""]:
    """Compute V-MPO's dual ``eta * epsilon + eta * log(mean_t exp(A_t / eta))`` over the upper half.

    References:
        Song et al. (2020), arXiv:1909.12238, equation 4.
    """
    kept = advantages[upper_half(advantages)].double()
    return temperature * (epsilon + (kept / temperature).logsumexp(0) - math.log(len(kept)))


def best_temperature(advantages: Float[Tensor, " tokens"], epsilon: float) -> float:
    """Return the temperature in [0.001, 1000] that minimises `temperature_loss`, which is convex in it.

    Its slope is ``epsilon - KL(psi || uniform)``, so this is the sharpest psi within epsilon of uniform.
    """
    kept = advantages[upper_half(advantages)].double()
    low, high = (math.log(bound) for bound in _TEMPERATURES)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        logits = kept / math.exp(middle)
        psi = logits.softmax(0)
        divergence = (psi * (logits.log_softmax(0) + math.log(len(kept)))).sum()
        low, high = (low, middle) if divergence < epsilon else (middle, high)
    return math.exp((low + high) / 2)


def vmpo_weights(
    advantages: Float[Tensor, " tokens"], weights: Float[Tensor, " tokens"], temperature: float
) -> Float[Tensor, " tokens"]:
    """Return psi: proportional to ``w_t exp(A_t / eta)`` in the upper half of the batch, 0 elsewhere.

    Args:
        advantages: Of all tokens of the batch.
        weights: w_t, >= 0 and not all 0 in the upper half; all 1 in the paper.
        temperature: eta, above 0.

    Returns:
        Sums to 1.

    References:
        Song et al. (2020), arXiv:1909.12238, equation 3.

    Example:
        >>> vmpo_weights(torch.tensor([1.0, 0.5, -0.5, -1.0]), torch.ones(4), 1.0)
        tensor([0.6225, 0.3775, 0.0000, 0.0000])
    """
    logits = advantages / temperature + weights.log()
    return logits.masked_fill(~upper_half(advantages), -math.inf).softmax(0)


def behaviour_kl(
    logprobs: Float[Tensor, " tokens"], behaviour: Float[Tensor, " tokens"]
) -> Float[Tensor, " tokens"]:
    """Estimate KL(p_0 || p) at each token that the behaviour policy p_0 wrote: ``log p_0 - log p``.

    Its mean and its gradient are unbiased for tokens drawn from p_0. A single value may be below 0.
    """
    return behaviour - logprobs


def kl_weight(
    progress: float, *, start: float = 1.0, end: float = 1e-5, annealing: Literal["linear", "geometric"]
) -> float:
    """Return the weight of the KL term, falling from ``start`` to ``end`` while progress goes from 0 to 1.

    Example:
        >>> [kl_weight(share, annealing="linear") for share in (0.0, 0.5, 1.0)]
        [1.0, 0.500005, 1e-05]
    """
    if annealing == "linear":
        return (1.0 - progress) * start + progress * end
    return start * (end / start) ** progress
