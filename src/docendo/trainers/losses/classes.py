"""Losses over the probabilities of a few choices: soft labels, and the student's own confidence.

They take log-probabilities of classes, wherever these come from: texts that may follow a prompt
(`of_choices`), or a classification head. Labels are probabilities, and each row's sum to 1. Costs are per row
and not yet summed.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def of_choices(
    sums: Float[Tensor, "*rows classes"], *, renormalised: bool = True
) -> Float[Tensor, "*rows classes"]:
    """Return log-probabilities of choices, from the sums of their tokens' log-probabilities.

    Args:
        sums: Log-probability of each choice as what follows the prompt.
        renormalised: Over the choices, so that they sum to 1: ``log s = -log(1 + exp(l_incorrect -
            l_correct))`` for two. Otherwise the sums as they are.

    References:
        Liu et al. (2023), arXiv:2310.10047, section 3.2.
    """
    return sums.log_softmax(-1) if renormalised else sums


def xent(
    logprobs: Float[Tensor, "rows classes"], labels: Float[Tensor, "rows classes"]
) -> Float[Tensor, " rows"]:
    """Compute cross-entropy with soft labels: ``-sum_c w_c log p_c``.

    References:
        Burns et al. (2023), arXiv:2312.09390; their released code, `xent_loss`.
    """
    return -torch.where(labels > 0, labels * logprobs, 0.0).sum(-1)  # 0 log 0 is 0


def logconf(
    logprobs: Float[Tensor, "rows classes"],
    labels: Float[Tensor, "rows classes"],
    hard: Float[Tensor, "rows classes"],
    coefficient: float,
) -> Float[Tensor, " rows"]:
    """Compute cross-entropy with the labels mixed with the model's own hardened predictions.

    ``-sum_c ((1 - a) w_c + a h_c) log p_c``, by linearity (1 - a) CE(w, p) + a CE(h, p).

    Args:
        logprobs: log p.
        labels: w, the weak labels.
        hard: h, what `hardened` gives for the whole batch; a constant for the gradient.
        coefficient: a, in ``[0, 1]``, what `confidence` gives.

    References:
        Burns et al. (2023), arXiv:2312.09390, appendix A.4; their released code, `logconf_loss_fn`.
    """
    return xent(logprobs, (1.0 - coefficient) * labels + coefficient * hard.detach())


def hardened(
    probabilities: Float[Tensor, "rows 2"],
    labels: Float[Tensor, "rows 2"],
    ties: Literal["label", "first"] = "label",
) -> Float[Tensor, "rows 2"]:
    """Turn predictions into classes so that the second has the share that the labels give it.

    The threshold t is the quantile of p_1 (the first class's probability) at m, the mean of the labels of the
    second class, linear between two values; the first class is where p_1 >= t. So about m of the batch
    becomes the second class, however well the student is calibrated.

    Args:
        probabilities: Of all rows of the batch: m and t are its statistics.
        labels: The weak labels, whose mean is the prior.
        ties: First: as the code, so that rows that are equal at t all become the first class (of a head that
            starts at zero: every row). Label: such rows go by their labels, then by their place, and the
            share holds. Without ties the same.

    Returns:
        One-hot rows without a gradient.

    References:
        Burns et al. (2023), arXiv:2312.09390; released code, `logconf_loss_fn`: strong_preds >= threshold.

    Example:
        >>> hardened(torch.tensor([[0.9, 0.1], [0.3, 0.7]]), torch.tensor([[0.5, 0.5], [0.5, 0.5]])).tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    first = probabilities[:, 0].detach().double()
    share = labels[:, 1].double().mean().clamp(0.0, 1.0)
    if ties == "first":
        is_second = first < torch.quantile(first, share)
    else:
        # Rows below the quantile of distinct values; the small number: a mean of 32-bit labels is not exact.
        count = math.ceil(share.item() * (len(first) - 1) - 1e-6)
        by_label = labels[:, 0].argsort(stable=True)
        order = by_label[first[by_label].argsort(stable=True)]
        is_second = torch.zeros_like(first, dtype=torch.bool)
        is_second[order[:count]] = True
    return functional.one_hot(is_second.long(), 2).to(probabilities.dtype)


def confidence(
    progress: float, *, alpha: float, warmup_share: float, ramp: Literal["linear", "released"] = "linear"
) -> float:
    """Return the weight a of the hardened predictions.

    Args:
        progress: Share of the training that is done, in ``[0, 1]``.
        alpha: What it rises to.
        warmup_share: Share of the training over which it rises.
        ramp: Linear: ``alpha * min(1, progress / warmup_share)``. Released: as the code has it, ``alpha *
            progress`` up to ``warmup_share``, then ``alpha``.

    Example:
        >>> [confidence(p, alpha=0.5, warmup_share=0.1, ramp="released") for p in (0.1, 0.11)]
        [0.05, 0.5]
    """
    if ramp == "released":
        return alpha if progress > warmup_share else alpha * progress
    return alpha if progress >= warmup_share else alpha * progress / warmup_share


def product(
    logprobs: Float[Tensor, "rows classes"],
    labels: Float[Tensor, "rows classes"],
    *,
    alpha: float,
    beta: float,
) -> Float[Tensor, " rows"]:
    """Compute cross-entropy with the target ``p^beta w^alpha``, normalised, a constant for the gradient.

    References:
        Burns et al. (2023), released code, `product_loss_fn`; not in the paper.
    """
    return xent(logprobs, product_target(logprobs, labels, alpha=alpha, beta=beta))


def product_target(
    logprobs: Float[Tensor, "rows classes"],
    labels: Float[Tensor, "rows classes"],
    *,
    alpha: float,
    beta: float,
) -> Float[Tensor, "rows classes"]:
    """Return ``p^beta w^alpha``, each row divided by its sum."""
    own = beta * logprobs.detach()
    return (own + alpha * labels.log() if alpha else own).softmax(-1)
