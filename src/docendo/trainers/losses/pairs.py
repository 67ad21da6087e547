"""Losses over pairs: a text that is wanted, and one that is not, after the same prompt.

The last axis has two places: chosen, rejected. Log-probabilities are sums over a text's tokens with its end
token, not means. Costs are per row and not yet summed.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def rewards(
    logprobs: Float[Tensor, "rows 2"], reference: Float[Tensor, "rows 2"], beta: float
) -> Float[Tensor, "rows 2"]:
    """Return the implicit rewards ``beta * (log p - log p_0)``.

    Args:
        logprobs: Of both texts under the policy.
        reference: The same under the reference. Data: no gradient goes there.
        beta: SPIN's lambda. Above 0.

    References:
        Rafailov et al. (2023), arXiv:2305.18290, equation 5; Chen et al. (2024), arXiv:2401.01335, eq. 4.7.
    """
    return beta * (logprobs - reference)


def preference(
    rewards: Float[Tensor, "rows 2"], shape: Literal["logistic", "hinge"] = "logistic"
) -> Float[Tensor, " rows"]:
    """Compute the loss of DPO, of SPIN and of reward models: it falls the further the chosen text is ahead.

    With d the difference of the rewards, be they implicit (`rewards`) or a head's scores::

        logistic    -log sigmoid(d)        ln 2 where policy and reference are the same
        hinge       max(0, 1 - d)

    References:
        Rafailov et al. (2023), arXiv:2305.18290, equation 7; Chen et al. (2024), arXiv:2401.01335, section 4;
        Ouyang et al. (2022), arXiv:2203.02155, equation 1.
    """
    ahead = rewards[:, 0] - rewards[:, 1]
    return -functional.logsigmoid(ahead) if shape == "logistic" else (1.0 - ahead).clamp(min=0.0)


def negative_likelihood(
    logprobs: Float[Tensor, " rows"], tokens: Int[Tensor, " rows"], per: Literal["token", "text"]
) -> Float[Tensor, " rows"]:
    """Compute the likelihood term beside a preference loss: ``-log p``, by token divided by their number."""
    return -logprobs / tokens if per == "token" else -logprobs


def evaluator_margin(log_scores: Float[Tensor, "rows 2"], margin: float) -> Float[Tensor, " rows"]:
    """Compute ``max(0, log s(rejected) - log s(chosen) + margin)``.

    Args:
        log_scores: log s, the evaluator's log-probability of "correct" of the right and the wrong solution.
        margin: lambda, in nats. >= 0.

    References:
        Liu et al. (2023), arXiv:2310.10047, equation 8.
    """
    return (log_scores[:, 1] - log_scores[:, 0] + margin).clamp(min=0.0)
