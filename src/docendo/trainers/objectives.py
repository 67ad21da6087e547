"""What the training loop knows of each loss: its numerator, its denominator, what it reports.

To add one: settings in `docendo.core.losses` with the columns that they read, a pure function in
`docendo.trainers.losses`, an entry in `OBJECTIVES`. The loop stays as it is: an objective gets the model and
a batch, so it may look at one sequence a row or at several, at reference log-probabilities that stand in a
column, at how far the training has come, or at a statistic over all rows of a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from docendo.core.errors import DataError, UnknownNameError
from docendo.core.losses import (
    REFERENCE_SUMS,
    REFERENCE_TOKENS,
    ActorCritic,
    BehaviouralCloning,
    Bvmpo,
    EvaluatorMargin,
    Gold,
    LogConf,
    Loss,
    Preference,
    Product,
    RewardPairs,
    Supervised,
    Xent,
)
from docendo.trainers.batch import (
    Batch,
    Progress,
    learned_logits,
    sequence_logprobs,
    sums_by_sequence,
    token_logprobs,
)
from docendo.trainers.losses import classes, completions, pairs


@dataclass(frozen=True, slots=True)
class Computed:
    """What a forward pass came to."""

    numerator: Float[Tensor, ""]
    """The part of the loss that is differentiated, not yet divided."""
    measures: Mapping[str, Float[Tensor, " rows"]] = field(default_factory=dict[str, Tensor])
    """By name, a number a row, to be reported: their mean over an epoch's rows, by weight."""


@dataclass(frozen=True, slots=True)
class Whole:
    """How a loss takes a statistic over all rows of a step, however these are divided over micro-batches.

    ``survey`` looks at each micro-batch without gradient; ``settle`` sees what it gave for the whole step, in
    no order that counts; each micro-batch then gets its own part of the result as `Batch.settled`. Where the
    step is one micro-batch nothing is surveyed, and the numerator calls ``settle`` by itself.
    """

    survey: Callable[[Any, nn.Module, Batch], Float[Tensor, "items width"]]
    """(settings, model, batch) -> some numbers for each row or token."""
    settle: Callable[[Any, Float[Tensor, "items width"]], Float[Tensor, "items settled"]]
    """(settings, those of the whole step) -> numbers for each row or token."""


@dataclass(frozen=True, slots=True)
class Objective:
    """How the loop uses a loss."""

    numerator: Callable[[Any, nn.Module, Batch, Progress], Computed]
    """(settings, model, batch, progress) -> the loss's numerator, and what is reported."""
    denominator: Callable[[Any, Batch], float]
    """(settings, batch) -> what the numerators of all micro-batches of a step are divided by the sum of."""
    whole: Whole | None = None


def _token_weight(loss: Loss, batch: Batch) -> float:
    return float(batch.token_weights.double().sum())


def _row_weight(loss: Loss, batch: Batch) -> float:
    return float(batch.weights.double().sum())


# -- completions ------------------------------------------------------------------------------------------


def _supervised(loss: Supervised, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    return Computed(
        completions.supervised(learned_logits(model, batch), batch.targets, batch.token_weights)[0]
    )


def _behavioural_cloning(
    loss: BehaviouralCloning, model: nn.Module, batch: Batch, progress: Progress
) -> Computed:
    (logprobs,) = sequence_logprobs(model, batch).unbind(1)
    return Computed(-loss.kept_share * (logprobs * batch.weights).sum(), {"logprob": logprobs.detach()})


def _gold(loss: Gold, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    logprobs = token_logprobs(model, batch)
    reference = batch.per_token[REFERENCE_TOKENS]
    rewards = reference.exp() if loss.reward == "probability" else reference
    returns = completions.unrolled(rewards, batch.sequence_of_token, loss.unroll)
    costs = completions.gold(logprobs, returns, lower_bound=loss.lower_bound, baseline=loss.baseline)
    return _of_tokens(costs, logprobs, batch)


def _actor_critic(loss: ActorCritic, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    logprobs = token_logprobs(model, batch)
    return _of_tokens(completions.actor_critic(logprobs, batch.per_token["advantages"]), logprobs, batch)


def _of_tokens(costs: Tensor, logprobs: Tensor, batch: Batch) -> Computed:
    return Computed(
        (costs * batch.token_weights).sum(), {"logprob": sums_by_sequence(batch, logprobs.detach())}
    )


def _bvmpo(loss: Bvmpo, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    settled = batch.settled
    if settled is None:
        settled = _vmpo_settle(loss, _vmpo_survey(loss, model, batch))
    psi = settled[:, 0]
    logprobs = token_logprobs(model, batch)
    divergences = completions.behaviour_kl(logprobs, batch.per_token[REFERENCE_TOKENS])
    weight = completions.kl_weight(
        progress.share, start=loss.kl_start, end=loss.kl_end, annealing=loss.annealing
    )
    # psi is a share of the whole step already; the loop divides by the step's weight of tokens.
    costs = completions.actor_critic(logprobs, psi) * settled[:, 1]
    return Computed(
        costs.sum() + weight * (divergences * batch.token_weights).sum(),
        {
            "logprob": sums_by_sequence(batch, logprobs.detach()),
            "behaviour_kl": sums_by_sequence(batch, divergences.detach()),
        },
    )


def _vmpo_survey(loss: Bvmpo, model: nn.Module, batch: Batch) -> Tensor:
    return torch.stack([batch.per_token["advantages"], batch.token_weights], dim=1)


def _vmpo_settle(loss: Bvmpo, surveyed: Tensor) -> Tensor:
    advantages, weights = surveyed.unbind(1)
    temperature = loss.temperature or completions.best_temperature(advantages, loss.epsilon)
    psi = completions.vmpo_weights(advantages, weights, temperature)
    return torch.stack([psi, weights.sum().expand_as(psi)], dim=1)


# -- pairs ------------------------------------------------------------------------------------------------


def _preference(loss: Preference, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    logprobs = sequence_logprobs(model, batch)
    reference = torch.cat([batch.numbers[name] for name in REFERENCE_SUMS], dim=1)
    rewards = pairs.rewards(logprobs, reference, loss.beta)
    costs = pairs.preference(rewards, loss.shape)
    if loss.nll_weight:
        tokens = batch.token_counts.view(-1, 2)[:, 0]
        costs = costs + loss.nll_weight * pairs.negative_likelihood(logprobs[:, 0], tokens, loss.nll_per)
    logprobs = logprobs.detach()
    return Computed(
        (costs * batch.weights).sum(),
        {
            **_of_rewards(rewards.detach()),
            "chosen_logprob": logprobs[:, 0],
            "rejected_logprob": logprobs[:, 1],
        },
    )


def _reward_pairs(loss: RewardPairs, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    # The model is a `docendo.trainers.heads.Pooled`: [text, label]; a row's two texts stand together.
    rewards = model(batch.ids, batch.lengths).float().view(len(batch.weights), 2)
    costs = pairs.preference(rewards)
    return Computed((costs * batch.weights).sum(), _of_rewards(rewards.detach()))


def _of_rewards(rewards: Float[Tensor, "rows 2"]) -> dict[str, Tensor]:
    return {
        "margin": rewards[:, 0] - rewards[:, 1],
        "accuracy": (rewards[:, 0] > rewards[:, 1]).float(),
        "chosen_reward": rewards[:, 0],
        "rejected_reward": rewards[:, 1],
    }


def _evaluator_margin(loss: EvaluatorMargin, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    sums = sequence_logprobs(model, batch).view(len(batch.weights), 2, -1)
    log_scores = classes.of_choices(sums)[..., 0]
    costs = pairs.evaluator_margin(log_scores, loss.margin)
    found = log_scores.detach()
    return Computed(
        (costs * batch.weights).sum(),
        {
            "margin": found[:, 0] - found[:, 1],
            "accuracy": (found[:, 0] > found[:, 1]).float(),
            "chosen_logprob": found[:, 0],
            "rejected_logprob": found[:, 1],
        },
    )


# -- choices ----------------------------------------------------------------------------------------------


def _class_logprobs(model: nn.Module, batch: Batch, *, renormalised: bool = True) -> Tensor:
    if batch.lengths is not None:  # the model is a `docendo.trainers.heads.Pooled`
        return model(batch.ids, batch.lengths).float().log_softmax(-1)
    return classes.of_choices(sequence_logprobs(model, batch), renormalised=renormalised)


def _of_classes(costs: Tensor, logprobs: Tensor, batch: Batch) -> Computed:
    """Report how often the model's first choice is the label's, ties of the label counting for it."""
    labels = batch.numbers["probabilities"]
    chosen = labels.gather(1, logprobs.detach().argmax(dim=1, keepdim=True))[:, 0]
    return Computed((costs * batch.weights).sum(), {"accuracy": (chosen == labels.amax(dim=1)).float()})


def _xent(loss: Xent, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    logprobs = _class_logprobs(model, batch, renormalised=loss.renormalised)
    return _of_classes(classes.xent(logprobs, batch.numbers["probabilities"]), logprobs, batch)


def _logconf(loss: LogConf, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    logprobs = _class_logprobs(model, batch)
    labels = batch.numbers["probabilities"]
    hard = batch.settled
    if hard is None:
        hard = _logconf_settle(loss, torch.cat([logprobs.detach().exp(), labels], dim=1))
    coefficient = classes.confidence(
        progress.share, alpha=loss.alpha, warmup_share=loss.warmup_share, ramp=loss.ramp
    )
    return _of_classes(classes.logconf(logprobs, labels, hard, coefficient), logprobs, batch)


def _logconf_survey(loss: LogConf, model: nn.Module, batch: Batch) -> Tensor:
    return torch.cat([_class_logprobs(model, batch).exp(), batch.numbers["probabilities"]], dim=1)


def _logconf_settle(loss: LogConf, surveyed: Tensor) -> Tensor:
    if surveyed.shape[1] != 4:
        raise DataError(
            f"the rows have {surveyed.shape[1] // 2} choices; logconf is for 2",
            hint="use xent or product, or make one row of each choice with 'yes' and 'no'",
        )
    return classes.hardened(surveyed[:, :2], surveyed[:, 2:], loss.ties)


def _product(loss: Product, model: nn.Module, batch: Batch, progress: Progress) -> Computed:
    logprobs = _class_logprobs(model, batch)
    labels = batch.numbers["probabilities"]
    return _of_classes(classes.product(logprobs, labels, alpha=loss.alpha, beta=loss.beta), logprobs, batch)


OBJECTIVES: dict[type[Loss], Objective] = {
    Supervised: Objective(_supervised, _token_weight),
    BehaviouralCloning: Objective(_behavioural_cloning, _row_weight),
    Gold: Objective(_gold, _token_weight),
    ActorCritic: Objective(_actor_critic, _token_weight),
    Bvmpo: Objective(_bvmpo, _token_weight, Whole(_vmpo_survey, _vmpo_settle)),
    Preference: Objective(_preference, _row_weight),
    RewardPairs: Objective(_reward_pairs, _row_weight),
    EvaluatorMargin: Objective(_evaluator_margin, _row_weight),
    Xent: Objective(_xent, _row_weight),
    LogConf: Objective(_logconf, _row_weight, Whole(_logconf_survey, _logconf_settle)),
    Product: Objective(_product, _row_weight),
}
"""The losses that can be trained, by their settings class."""


def objective_of(loss: Loss) -> Objective:
    """Return how the loop uses a loss.

    Raises:
        UnknownNameError: The trainer does not know this kind of loss.
    """
    try:
        return OBJECTIVES[type(loss)]
    except KeyError:
        raise UnknownNameError.of("loss", loss.name, (kind.name for kind in OBJECTIVES)) from None
