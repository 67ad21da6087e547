"""Training losses as pure functions: tensors in, a numerator and a denominator out.

A loss is ``numerator / denominator``, both summed over all rows of an optimizer step, however these are
divided over micro-batches and processes. `docendo.trainers.objectives` says which columns of the training
rows each needs and how the loop calls it; the settings stand in `docendo.core.losses`.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

Sums = tuple[Float[Tensor, ""], Float[Tensor, ""]]
"""Numerator and denominator."""


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
