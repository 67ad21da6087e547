"""What a loss is given: some rows as tensors, and what a model makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors: one sequence a row, or several one behind the other: a row's texts, or its choices.

    Sequences are padded on the right. With causal attention nothing that is looked at can see the padding, so
    there is no attention mask, and no row can see another.
    """

    ids: Int[Tensor, "sequences time"]
    learned: Bool[Tensor, "sequences time"]
    """True at the tokens that are to be predicted: not at the prompt's, nor at the padding."""
    weights: Float[Tensor, " rows"]
    numbers: Mapping[str, Float[Tensor, "rows width"]]
    """The loss's columns with numbers of a row, by name."""
    per_token: Mapping[str, Float[Tensor, " tokens"]]
    """The loss's columns with a number for each learned token, all rows end to end."""
    settled: Float[Tensor, "items width"] | None = None
    """What was found over all rows of a step, of these rows alone; see `objectives.Whole`. None: these are
    all rows of the step."""
    lengths: Int[Tensor, " sequences"] | None = None
    """Tokens of each sequence, where a head reads classes or a score off the last one and no token is
    predicted. None: there is no head."""

    @property
    def targets(self) -> Int[Tensor, " tokens"]:
        """The learned tokens, all sequences end to end."""
        return self.ids[self.learned]

    @property
    def sequence_of_token(self) -> Int[Tensor, " tokens"]:
        """The sequence in which each learned token stands."""
        return self.learned.nonzero()[:, 0]

    @property
    def token_weights(self) -> Float[Tensor, " tokens"]:
        """The weight of the row in which each learned token stands."""
        texts = len(self.ids) // len(self.weights)
        return self.weights[self.sequence_of_token // texts]

    @property
    def token_counts(self) -> Int[Tensor, " sequences"]:
        """How many tokens of each sequence are learned."""
        return self.learned.sum(dim=1)

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(
            self.ids.to(device),
            self.learned.to(device),
            self.weights.to(device),
            {name: column.to(device) for name, column in self.numbers.items()},
            {name: column.to(device) for name, column in self.per_token.items()},
            None if self.settled is None else self.settled.to(device),
            None if self.lengths is None else self.lengths.to(device),
        )

    def without_weight(self) -> Batch:
        """Return the batch with all weights 0: work without effect."""
        return replace(self, weights=torch.zeros_like(self.weights))


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training has come, for losses that change on the way."""

    step: int
    """From 0."""
    steps: int

    @property
    def share(self) -> float:
        """Share of the steps that are done, in ``[0, 1]``."""
        return self.step / self.steps


def learned_logits(model: nn.Module, batch: Batch) -> Float[Tensor, "tokens vocabulary"]:
    """Return the logits that predict the learned tokens, all sequences end to end, in single precision.

    Only these positions go through the output layer: prompts cost no logits.
    """
    before = torch.zeros_like(batch.learned)
    before[:, :-1] = batch.learned[:, 1:]
    logits = model(input_ids=batch.ids, use_cache=False, logits_to_keep=before).logits
    if logits.dim() == 3:  # an architecture that does not know logits_to_keep
        logits = logits[before]
    return logits.float()


def token_logprobs(model: nn.Module, batch: Batch) -> Float[Tensor, " tokens"]:
    """Return the log-probability of each learned token, all sequences end to end."""
    return -functional.cross_entropy(learned_logits(model, batch), batch.targets, reduction="none")


def sums_by_sequence(batch: Batch, values: Float[Tensor, " tokens"]) -> Float[Tensor, " sequences"]:
    """Return the sum of each sequence's values."""
    return values.new_zeros(len(batch.ids)).index_add(0, batch.sequence_of_token, values)


def sequence_logprobs(model: nn.Module, batch: Batch) -> Float[Tensor, "rows texts"]:
    """Return the log-probability of what is learned of each sequence, a row's sequences side by side.

    Sums over tokens, not means.
    """
    return sums_by_sequence(batch, token_logprobs(model, batch)).view(len(batch.weights), -1)
