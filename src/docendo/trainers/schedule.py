"""Which rows an optimizer step sees, and how far it goes: pure functions of the step, nothing to be saved."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from docendo.core.losses import Optimizer
from docendo.core.seeds import derived_rng

ORDER_RULE = "length-grouped-50"
"""Names the rule of `batches`. Part of the trainer's signature: another rule gives other weights."""

_GROUP_BATCHES = 50
"""Batches whose rows are sorted together. Ours. So many that hardly a cell is padding, so few that the
neighbours of a row change from epoch to epoch where there are many rows."""


def batches(lengths: NDArray[np.int64], *, batch_rows: int, epoch: int, seed: int) -> list[NDArray[np.int64]]:
    """Divide the rows of an epoch into batches of similar length, in shuffled order.

    Rows are shuffled and taken in groups of ``50 * batch_rows``; each group is sorted by length, ties staying
    shuffled, and cut into batches; then the batches of all groups are shuffled. Every row stands in exactly
    one batch. If ``batch_rows`` does not divide their number one batch is smaller: any of the last group, so
    that it is not always the longest rows that are few and therefore count for more.

    Args:
        lengths: Tokens of each row.
        batch_rows: Rows in a batch. Count, >= 1.
        epoch: From 1. Every epoch has another order.
        seed: The seed of the train stage.

    Returns:
        Row numbers of each batch; within a batch by rising length.

    Example:
        >>> rows = batches(np.array([3, 9, 4, 8]), batch_rows=2, epoch=1, seed=0)
        >>> sorted(sorted(map(int, batch)) for batch in rows)
        [[0, 2], [1, 3]]
    """
    rng = derived_rng("order of training rows", seed, epoch)
    shuffled = list(range(len(lengths)))
    rng.shuffle(shuffled)
    rows = np.array(shuffled, dtype=np.int64)
    found: list[NDArray[np.int64]] = []
    for begin in range(0, len(rows), _GROUP_BATCHES * batch_rows):
        group = rows[begin : begin + _GROUP_BATCHES * batch_rows]
        group = group[np.argsort(lengths[group], kind="stable")]
        sizes = [batch_rows] * (len(group) // batch_rows)
        if len(group) % batch_rows:
            sizes.insert(rng.randrange(len(sizes) + 1), len(group) % batch_rows)
        found += np.split(group, np.cumsum(sizes)[:-1])
    rng.shuffle(found)
    return found


def learning_rate(step: int, steps: int, optimizer: Optimizer) -> float:
    """Return the learning rate of an optimizer step.

    With S steps, W = ceil(warmup_share * S) of them warm-up, s from 0, and the peak L::

        s < W:   L (s + 1) / W
        else:    constant L;  linear L (S - s) / (S - W);  cosine L (1 + cos(pi (s - W) / (S - W))) / 2

    So the last warm-up step and the first after it have the peak, and linear and cosine would be 0 one step
    after the last: no step is spent on a learning rate of 0.

    Args:
        step: s. Count, in ``[0, steps)``.
        steps: S. Count, >= 1.
        optimizer: Peak, warm-up and schedule.

    Example:
        >>> settings = Optimizer(learning_rate=1.0, warmup_share=0.5)
        >>> [learning_rate(step, 4, settings) for step in range(4)]
        [0.5, 1.0, 1.0, 0.5]
    """
    warmup = math.ceil(optimizer.warmup_share * steps)
    if step < warmup:
        return optimizer.learning_rate * (step + 1) / warmup
    past = (step - warmup) / (steps - warmup)
    match optimizer.schedule:
        case "constant":
            share = 1.0
        case "linear":
            share = 1.0 - past
        case "cosine":
            share = (1.0 + math.cos(math.pi * past)) / 2
    return optimizer.learning_rate * share
