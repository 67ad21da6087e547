"""What the training loop knows of each loss: the columns it reads, its numerator, its denominator.

To add one: settings in `docendo.core.losses`, a pure function in `docendo.trainers.losses`, an entry in
`OBJECTIVES`. The loop stays as it is: an objective gets the model and a batch, so it may look at one sequence
a row or at two, at reference log-probabilities that stand in a column, or at how far the training has come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from docendo.core.errors import UnknownNameError
from docendo.core.losses import Loss, Supervised
from docendo.trainers import losses


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows as tensors: one sequence a row, or as many as the objective has texts, one behind the other.

    Sequences are padded on the right. With causal attention nothing that is looked at can see the padding, so
    there is no attention mask, and no row can see another.
    """

    ids: Int[Tensor, "sequences time"]
    learned: Bool[Tensor, "sequences time"]
    """True at the tokens that are to be predicted: not at the prompt's, nor at the padding."""
    weights: Float[Tensor, " rows"]
    numbers: Mapping[str, Float[Tensor, "rows width"]]
    """The objective's columns with numbers of a row, by name."""
    per_token: Mapping[str, Float[Tensor, " tokens"]]
    """The objective's columns with a number for each learned token, all rows end to end."""

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

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device."""
        return Batch(
            self.ids.to(device),
            self.learned.to(device),
            self.weights.to(device),
            {name: column.to(device) for name, column in self.numbers.items()},
            {name: column.to(device) for name, column in self.per_token.items()},
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


@dataclass(frozen=True, slots=True)
class Objective:
    """How the loop uses a loss."""

    numerator: Callable[[Any, nn.Module, Batch, Progress], Float[Tensor, ""]]
    """(settings, model, batch, progress) -> the part of the loss that is differentiated, not yet divided."""
    denominator: Callable[[Any, Batch], float]
    """(settings, batch) -> what the numerators of all micro-batches of a step are divided by the sum of."""
    texts: tuple[str, ...] = ("completion",)
    """Columns whose text follows the prompt; each makes one sequence of a row. Pairs: chosen, rejected."""
    numbers: tuple[str, ...] = ()
    """Columns with a number a row, or a list of equally many numbers in every row."""
    per_token: tuple[str, ...] = ()
    """Columns with a list of numbers, one for each learned token. Only where there is a single text."""


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


def _supervised_numerator(loss: Supervised, model: nn.Module, batch: Batch, progress: Progress) -> Tensor:
    return losses.supervised(learned_logits(model, batch), batch.targets, batch.token_weights)[0]


def _supervised_denominator(loss: Supervised, batch: Batch) -> float:
    return float(batch.token_weights.double().sum())


OBJECTIVES: dict[type[Loss], Objective] = {
    Supervised: Objective(numerator=_supervised_numerator, denominator=_supervised_denominator),
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
