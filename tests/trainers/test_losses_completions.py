"""ReST's inner losses: worked numbers (rest.md, section 10) and what follows from their definitions."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from docendo.trainers.losses.completions import (
    actor_critic,
    advantages,
    behaviour_kl,
    best_temperature,
    gold,
    kl_weight,
    temperature_loss,
    unrolled,
    upper_half,
    vmpo_weights,
)

GAINS = torch.tensor([1.0, 0.5, -0.5, -1.0])


@pytest.mark.parametrize(
    ("tau", "over_all", "over_kept"), [(0.0, 1.625, 1.625), (0.7, 1.125, 1.5), (0.9, 0.875, 1.75)]
)
def test_filtered_likelihood_over_all_rows_is_that_over_the_kept_ones_times_their_share(
    tau: float, over_all: float, over_kept: float
) -> None:
    costs, scores = torch.tensor([2.0, 1.0, 3.0, 0.5]), torch.tensor([0.65, 0.72, 0.91, 0.95])
    kept = costs[scores > tau]
    assert kept.mean().item() == pytest.approx(over_kept)
    assert (len(kept) / len(costs) * kept.mean()).item() == pytest.approx(over_all)


def test_the_offline_actor_s_worked_numbers() -> None:
    gains = advantages(torch.full((3,), 0.8), torch.tensor([0.5, 0.6, 0.75]))
    assert gains.tolist() == pytest.approx([0.3, 0.2, 0.05])
    logprobs = torch.tensor([-0.2, -1.0, -0.3], requires_grad=True)
    loss = actor_critic(logprobs, gains).mean()
    assert loss.item() == pytest.approx(0.091667, abs=1e-6)
    (found,) = torch.autograd.grad(loss, logprobs)
    torch.testing.assert_close(found, -gains / 3)


def test_v_mpo_s_worked_numbers() -> None:
    psi = vmpo_weights(GAINS, torch.ones(4), 1.0)
    assert psi.tolist() == pytest.approx([0.622459, 0.377541, 0.0, 0.0], abs=1e-6)
    assert temperature_loss(GAINS, 1.0, 0.1).item() == pytest.approx(0.880930, abs=1e-6)


def test_row_weights_multiply_psi() -> None:
    twice = vmpo_weights(torch.tensor([1.0, 0.5, 0.5, -0.5, -1.0, -2.0]), torch.ones(6), 1.0)
    once = vmpo_weights(torch.tensor([1.0, 0.5, -0.5, -1.0]), torch.tensor([1.0, 2.0, 1.0, 1.0]), 1.0)
    assert once[1].item() == pytest.approx(2 * twice[1].item())


@given(st.lists(st.integers(-20, 20), min_size=1, max_size=9))
def test_the_upper_half_is_at_least_half_and_above_the_rest(values: list[int]) -> None:
    gains = torch.tensor(values).float()
    kept = upper_half(gains)
    assert kept.sum() >= len(values) / 2
    assert kept.all() or gains[kept].min() > gains[~kept].max()


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=9, unique=True), st.floats(0.02, 0.6))
def test_the_best_temperature_minimises_the_temperature_loss(values: list[float], epsilon: float) -> None:
    gains = torch.tensor(values).double()
    best = best_temperature(gains, epsilon)
    least = temperature_loss(gains, best, epsilon)
    for other in (best * 0.9, best * 1.1, 0.01, 1.0, 100.0):
        if 1e-3 <= other <= 1e3:
            assert least <= temperature_loss(gains, other, epsilon) + 1e-9


def test_the_weight_of_the_kl_term() -> None:
    shares = (0.0, 0.5, 1.0)
    kinds: list[Any] = ["linear", "geometric"]
    found = [[kl_weight(share, annealing=kind) for share in shares] for kind in kinds]
    assert found[0] == pytest.approx([1.0, 0.500005, 1e-5])
    assert found[1] == pytest.approx([1.0, 0.003162, 1e-5], rel=1e-3)


def test_the_estimated_kl_has_the_gradient_of_the_true_one() -> None:
    behaviour = torch.tensor([0.5, 0.3, 0.2]).double()
    logits = torch.tensor([0.1, -0.4, 0.7]).double().requires_grad_()
    policy = logits.log_softmax(0)
    estimated = (behaviour * behaviour_kl(policy, behaviour.log())).sum()  # its mean over what p_0 writes
    torch.testing.assert_close(estimated, (behaviour * (behaviour.log() - policy)).sum())
    (found,) = torch.autograd.grad(estimated, logits)
    torch.testing.assert_close(found, (policy.exp() - behaviour).detach())


rewards = st.lists(st.tuples(st.integers(0, 2), st.integers(-9, 9)), min_size=1, max_size=12)


@given(rewards, st.integers(1, 7))
def test_unrolled_rewards_are_those_of_the_next_tokens_of_the_same_row(
    drawn: list[tuple[int, int]], length: int
) -> None:
    drawn = sorted(drawn, key=lambda one: one[0])
    owners, values = [row for row, _ in drawn], [float(value) for _, value in drawn]
    found = unrolled(torch.tensor(values), torch.tensor(owners), length)
    for place, row in enumerate(owners):
        window = range(place, min(place + length, len(values)))
        assert found[place].item() == sum(values[later] for later in window if owners[later] == row)


def test_gold_weighs_by_probability_and_return_without_a_gradient_through_them() -> None:
    logprobs = torch.tensor([0.5, 0.01]).log().requires_grad_()
    costs = gold(logprobs, torch.tensor([2.0, 3.0]), lower_bound=0.1, baseline=1.0)
    expected = [-0.5 * (2 - 1) * math.log(0.5), -0.1 * (3 - 1) * math.log(0.01)]
    assert costs.tolist() == pytest.approx(expected)
    (found,) = torch.autograd.grad(costs.sum(), logprobs)
    assert found.tolist() == pytest.approx([-0.5, -0.2])


def test_gold_with_weights_and_returns_of_one_is_likelihood() -> None:
    logprobs = torch.tensor([-0.3, -2.0])
    torch.testing.assert_close(gold(logprobs, torch.ones(2), lower_bound=1.0, baseline=0.0), -logprobs)


# ---- the population view of an Improve step, by the mean over the kept (App. A.9)

POLICY, SCORES = [0.4, 0.3, 0.2, 0.1], [0.2, 0.5, 0.8, 1.0]


@pytest.mark.parametrize(
    ("tau", "share", "expected", "value"),
    [
        (0.42, 1.0, [0.0, 0.5, 0.3333, 0.1667], 0.6833),
        (0.7, 1.0, [0.0, 0.0, 0.6667, 0.3333], 0.8667),
        (0.9, 1.0, [0.0, 0.0, 0.0, 1.0], 1.0),
        (0.0, 0.8, [0.32, 0.44, 0.16, 0.08], 0.492),
        (0.42, 0.8, [0.0, 0.6471, 0.2353, 0.1176], 0.6294),
        (0.7, 0.8, [0.0, 0.0, 0.6667, 0.3333], 0.8667),
    ],
)
def test_the_filtered_distribution_minimises_filtered_likelihood(
    tau: float, share: float, expected: list[float], value: float
) -> None:
    human = torch.tensor([0.0, 1.0, 0.0, 0.0]).double()
    mixed = share * torch.tensor(POLICY).double() + (1 - share) * human
    kept = mixed * (torch.tensor(SCORES) > tau)
    target = kept / kept.sum()
    assert target.tolist() == pytest.approx(expected, abs=6e-5)
    assert float(target @ torch.tensor(SCORES).double()) == pytest.approx(value, abs=6e-5)
    logits = target.clamp(min=1e-12).log().requires_grad_()
    (found,) = torch.autograd.grad((kept * -logits.log_softmax(0)).sum(), logits)
    assert found.abs().max().item() < 1e-9
