from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from docendo.trainers.losses.completions import supervised

REWARDED = {"log_p": [-1.0, -2.0, -0.5, -3.0], "reward": [1.0, 0.0, 1.0, 0.0]}


def logits_with(log_p: list[float]) -> torch.Tensor:
    """Return logits over two tokens such that token 0 has the given log-probability."""
    return torch.tensor([[value, math.log1p(-math.exp(value))] for value in log_p])


def test_reward_weighted_likelihood_matches_the_worked_numbers() -> None:
    # (1 * 1 + 1 * 0.5) = 1.5: over all four samples .375, over the two kept ones .75
    logits, rewards = logits_with(REWARDED["log_p"]), torch.tensor(REWARDED["reward"])
    numerator, denominator = supervised(logits, torch.zeros(4, dtype=torch.long), rewards)
    assert (numerator / 4).item() == pytest.approx(0.375, abs=1e-6)
    assert (numerator / denominator).item() == pytest.approx(0.75, abs=1e-6)


def test_binary_rewards_on_all_samples_equal_fine_tuning_on_the_kept_ones() -> None:
    logits, rewards = logits_with(REWARDED["log_p"]).requires_grad_(), torch.tensor(REWARDED["reward"])
    kept = rewards == 1
    everything = supervised(logits, torch.zeros(4, dtype=torch.long), rewards)
    (from_all,) = torch.autograd.grad(everything[0] / everything[1], logits)
    of_kept = supervised(logits[kept], torch.zeros(2, dtype=torch.long), torch.ones(2))
    (from_kept,) = torch.autograd.grad(of_kept[0] / of_kept[1], logits)
    torch.testing.assert_close(from_all, from_kept)
    # and the mean over all samples is that times kept / total
    assert (everything[0] / 4).item() == pytest.approx((of_kept[0] / of_kept[1]).item() * 2 / 4)


tokens = st.integers(1, 6).flatmap(
    lambda count: st.tuples(
        st.lists(
            st.lists(st.floats(-5, 5, width=32), min_size=3, max_size=3), min_size=count, max_size=count
        ),
        st.lists(st.integers(0, 2), min_size=count, max_size=count),
        st.lists(st.floats(0, 4, width=32), min_size=count, max_size=count),
    )
)


@given(tokens)
def test_it_is_the_weighted_sum_of_what_each_token_costs_alone(
    drawn: tuple[list[list[float]], list[int], list[float]],
) -> None:
    logits, targets, weights = torch.tensor(drawn[0]), torch.tensor(drawn[1]), torch.tensor(drawn[2])
    numerator, denominator = supervised(logits, targets, weights)
    alone = [
        weight * -math.log(math.exp(row[target]) / sum(map(math.exp, row)))
        for row, target, weight in zip(*drawn, strict=True)
    ]
    assert numerator.item() == pytest.approx(sum(alone), rel=1e-4, abs=1e-5)
    assert denominator.item() == pytest.approx(sum(drawn[2]), rel=1e-5, abs=1e-6)


def test_equal_weights_give_torch_s_mean_cross_entropy() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(50, 17), torch.randint(0, 17, (50,))
    numerator, denominator = supervised(logits, targets, torch.full((50,), 0.3))
    torch.testing.assert_close(numerator / denominator, functional.cross_entropy(logits, targets))
