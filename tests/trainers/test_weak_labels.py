"""What weak labels do to a learner, in small: errors that cannot be predicted vanish, simulable ones stay.

Linear students, trained with the losses themselves. Burns et al. (2023), arXiv:2312.09390, section 5.1 and
its synthetic study.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from docendo.metrics.pgr import agreement, performance_gap_recovered
from docendo.trainers.losses.classes import confidence, hardened, logconf, xent

FEATURES = 12


def world(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return inputs, and the classes that a linear rule over all features gives them."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(size=(count, FEATURES))
    rule = np.random.default_rng(0).normal(size=FEATURES)
    return torch.tensor(inputs), torch.tensor(inputs @ rule > 0).long()


def learned(inputs: Tensor, labels: Tensor, loss: str = "xent", steps: int = 300) -> Tensor:
    """Return the weights of a linear student that begins with zeros."""
    weights = torch.zeros(2, inputs.shape[1], dtype=inputs.dtype, requires_grad=True)
    optimizer = torch.optim.Adam([weights], lr=0.05)
    for step in range(steps):
        logprobs = (inputs @ weights.T).log_softmax(-1)
        if loss == "xent":
            cost = xent(logprobs, labels)
        else:
            coefficient = confidence(step / steps, alpha=0.5, warmup_share=0.2)
            cost = logconf(logprobs, labels, hardened(logprobs.exp(), labels), coefficient)
        optimizer.zero_grad()
        cost.mean().backward()
        optimizer.step()
    return weights.detach()


def accuracy(weights: Tensor, inputs: Tensor, classes: Tensor) -> float:
    return float(((inputs @ weights.T).argmax(1) == classes).double().mean())


def one_hot(classes: Tensor) -> Tensor:
    return torch.nn.functional.one_hot(classes, 2).double()


@pytest.mark.parametrize("loss", ["xent", "logconf"])
def test_labels_flipped_at_random_are_outgrown(loss: str) -> None:
    inputs, classes = world(4000, 1)
    is_flipped = torch.tensor(np.random.default_rng(2).random(4000) < 0.3)
    weak = torch.where(is_flipped, 1 - classes, classes)
    test_inputs, test_classes = world(4000, 3)
    found = accuracy(learned(inputs, one_hot(weak), loss), test_inputs, test_classes)
    assert found > 0.9  # of labels of which 70 % are right


@pytest.mark.parametrize("loss", ["xent", "logconf"])
def test_errors_that_the_student_can_simulate_are_taken_over(loss: str) -> None:
    """The supervisor sees half of the features; all that it says the student can say as well."""
    inputs, classes = world(4000, 1)
    own, _ = world(4000, 4)
    _, own_classes = world(4000, 4)
    half = torch.zeros(FEATURES, dtype=inputs.dtype)
    half[: FEATURES // 2] = 1
    supervisor = learned(own * half, one_hot(own_classes))
    weak = (inputs * half @ supervisor.T).softmax(-1)
    test_inputs, test_classes = world(4000, 3)
    student = learned(inputs, weak, loss)
    of_weak = accuracy(supervisor, test_inputs * half, test_classes)
    of_ceiling = accuracy(learned(inputs, one_hot(classes)), test_inputs, test_classes)
    pgr = performance_gap_recovered(of_weak, accuracy(student, test_inputs, test_classes), of_ceiling)
    assert of_weak < 0.9 < of_ceiling
    assert pgr is not None
    assert abs(pgr) < 0.1
    said, told = (
        (one.argmax(1)).tolist() for one in (test_inputs @ student.T, test_inputs * half @ supervisor.T)
    )
    assert agreement(said, told, test_classes.tolist()).overall > of_weak


def test_a_model_that_supervises_its_like_gains_nothing() -> None:
    inputs, _ = world(4000, 1)
    own, own_classes = world(200, 4)
    supervisor = learned(own, one_hot(own_classes))
    student = learned(inputs, (inputs @ supervisor.T).softmax(-1), steps=1500)
    test_inputs, test_classes = world(4000, 3)
    found = [accuracy(one, test_inputs, test_classes) for one in (supervisor, student)]
    assert found[1] == pytest.approx(found[0], abs=0.01)
