"""DPO and SPIN: the worked numbers of both, and SPIN's theory on tables of probabilities."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from docendo.trainers.losses.pairs import evaluator_margin, negative_likelihood, preference, rewards

# policy chosen, policy rejected, reference chosen, reference rejected (spin.md, section 10)
A, B, C = (-42.0, -60.0, -45.0, -50.0), (-48.0, -49.0, -45.0, -50.0), (-45.0, -50.0, -45.0, -50.0)


def costs_of(*cases: tuple[float, ...], beta: float, shape: str = "logistic") -> torch.Tensor:
    table = torch.tensor(cases, dtype=torch.float64)
    return preference(rewards(table[:, :2], table[:, 2:], beta), shape)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("case", "beta", "ahead", "loss"),
    [
        (A, 0.1, 1.3, 0.241008),
        (A, 1.0, 13.0, 2.26033e-6),
        (A, 5.0, 65.0, 5.9e-29),
        (B, 0.1, -0.4, 0.913015),
        (B, 1.0, -4.0, 4.018150),
        (B, 5.0, -20.0, 20.0),
        (C, 0.1, 0.0, math.log(2)),
        (C, 5.0, 0.0, math.log(2)),
        ((-20.0, -30.0, -25.0, -24.0), 0.1, 1.1, 0.28734),  # star_family.md, section 5
        ((-20.0, -22.0, -21.0, -21.5), 0.1, 0.15, 0.62096),  # lbt.md, section 8
    ],
)
def test_the_worked_numbers(case: tuple[float, ...], beta: float, ahead: float, loss: float) -> None:
    table = torch.tensor([case], dtype=torch.float64)
    found = rewards(table[:, :2], table[:, 2:], beta)
    assert (found[0, 0] - found[0, 1]).item() == pytest.approx(ahead, abs=1e-12)
    assert preference(found).item() == pytest.approx(loss, rel=2e-2 if loss < 1e-20 else 2e-5)


def test_means_and_the_hinge_of_the_worked_numbers() -> None:
    assert costs_of(A, B, C, beta=0.1).mean().item() == pytest.approx(0.615724, abs=1e-6)
    assert costs_of(A, B, C, beta=5.0).mean().item() == pytest.approx(6.897716, abs=1e-6)
    assert costs_of(A, B, C, beta=0.1, shape="hinge").tolist() == pytest.approx([0.0, 1.4, 1.0])


@pytest.mark.parametrize(("case", "beta", "slope"), [(A, 0.1, -0.021417), (C, 0.1, -0.05), (C, 5.0, -2.5)])
def test_the_gradient_is_minus_beta_sigmoid_of_minus_d(
    case: tuple[float, ...], beta: float, slope: float
) -> None:
    logprobs = torch.tensor([case[:2]], dtype=torch.float64, requires_grad=True)
    preference(rewards(logprobs, torch.tensor([case[2:]], dtype=torch.float64), beta)).sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad[0].tolist() == pytest.approx([slope, -slope], abs=1e-6)


def test_the_likelihood_term_is_by_token_or_by_text() -> None:
    logprobs, tokens = torch.tensor([-20.0]), torch.tensor([10])
    by_token, by_text = (negative_likelihood(logprobs, tokens, per).item() for per in ("token", "text"))
    assert (by_token, by_text) == (2.0, 20.0)
    assert 50 * by_token == 100.0  # about 160 times the preference loss of 0.62096


finite = st.floats(-50, 50, width=32)


@given(finite, finite, finite, finite, finite, st.floats(0.01, 5))
def test_only_the_difference_counts(
    a: float, b: float, c: float, d: float, shift: float, beta: float
) -> None:
    moved = (a + shift, b + shift, c, d)
    assert costs_of((a, b, c, d), beta=beta).item() == pytest.approx(
        costs_of(moved, beta=beta).item(), rel=1e-6, abs=1e-9
    )
    swapped = costs_of((b, a, d, c), beta=beta).item() - costs_of((a, b, c, d), beta=beta).item()
    assert swapped == pytest.approx(beta * ((a - c) - (b - d)), rel=1e-6, abs=1e-6)  # l(-d) - l(d) = d


# ---- SPIN on tables: three answers, one prompt

DATA, OLD = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.2, 0.3, 0.5]).double()


def expected_loss(policy: torch.Tensor, old: torch.Tensor, lam: float) -> torch.Tensor:
    """Return the expected loss over chosen ~ data, rejected ~ old; old is the reference."""
    real, made = torch.meshgrid(torch.arange(3), torch.arange(3), indexing="ij")
    both = torch.stack([real.flatten(), made.flatten()], dim=1)
    found = preference(rewards(policy.log()[both], old.log()[both], lam))
    return (DATA[both[:, 0]] * old[both[:, 1]] * found).sum()


def closed_form(old: torch.Tensor, lam: float) -> torch.Tensor:
    """Return theorem 5.4's minimiser: proportional to old * (data / old) ** (1 / lambda)."""
    return (old.log() + (DATA.log() - old.log()) / lam).softmax(0)


def kl(policy: torch.Tensor) -> float:
    return float((DATA * (DATA / policy).log()).sum())


def slope_at(policy: torch.Tensor, old: torch.Tensor, lam: float) -> torch.Tensor:
    logits = policy.log().clone().requires_grad_()
    (found,) = torch.autograd.grad(expected_loss(logits.softmax(0), old, lam), logits)
    return found


@pytest.mark.parametrize(
    ("lam", "expected"),
    [
        (0.5, [0.766871, 0.184049, 0.049080]),
        (1.0, [0.5, 0.3, 0.2]),
        (2.0, [0.339134, 0.321731, 0.339134]),
        (5.0, [0.251150, 0.313643, 0.435207]),
        (0.1, [0.999843, 0.000157, 2.7e-8]),
    ],
)
def test_the_closed_form_is_the_minimum(lam: float, expected: list[float]) -> None:
    best = closed_form(OLD, lam)
    assert best.tolist() == pytest.approx(expected, abs=1e-6)
    assert slope_at(best, OLD, lam).abs().max().item() < 1e-12
    assert expected_loss(best, OLD, lam).item() == pytest.approx(0.568631, abs=1e-6)  # log 2 - JSD
    for direction in torch.eye(3).double():
        moved = (best.log() + 0.01 * direction).softmax(0)
        assert expected_loss(moved, OLD, lam) > expected_loss(best, OLD, lam)


@pytest.mark.parametrize(("lam", "loss"), [(1.0, 0.568631), (0.1, 0.667315), (5.0, 1.121613)])
def test_the_loss_at_the_start_and_at_the_data(lam: float, loss: float) -> None:
    assert expected_loss(OLD, OLD, lam).item() == pytest.approx(math.log(2))
    assert expected_loss(DATA, OLD, lam).item() == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("lam", [0.1, 1.0, 5.0])
def test_the_data_is_the_only_fixed_point(lam: float) -> None:
    assert slope_at(DATA, DATA, lam).abs().max().item() < 1e-15
    assert slope_at(OLD, OLD, lam).abs().max().item() > 1e-3


@pytest.mark.parametrize(
    ("lam", "distances"),
    [
        (2.0, [0.06751, 0.01650, 0.00407, 0.00101, 0.00025]),
        (0.6, [0.10161, 0.05312, 0.02148, 0.01024]),
        (0.4, [0.43226, 1.27882, 1.49926, 4.43553]),
    ],
)
def test_exact_play_converges_for_lambda_above_a_half(lam: float, distances: list[float]) -> None:
    policy = OLD
    for expected in distances:
        policy = closed_form(policy, lam)
        assert kl(policy) == pytest.approx(expected, abs=6e-6)


# ---- the evaluator's margin (math_fine_tuning.md, section 9)


@pytest.mark.parametrize(
    ("right", "wrong", "margin", "loss"),
    [
        (0.60, 0.75, 0.0, 0.22314),
        (0.60, 0.75, 0.5, 0.72314),
        (0.60, 0.75, 1.0, 1.22314),
        (0.80, 0.20, 1.0, 0.0),
        (0.80, 0.20, 1.5, 0.11371),
    ],
)
def test_the_worked_margins(right: float, wrong: float, margin: float, loss: float) -> None:
    scores = torch.tensor([[right, wrong]]).log()
    assert evaluator_margin(scores, margin).item() == pytest.approx(loss, abs=1e-5)


def test_a_pair_past_the_margin_has_no_gradient() -> None:
    scores = torch.tensor([[0.8, 0.2], [0.6, 0.75]]).log().requires_grad_()
    evaluator_margin(scores, 1.0).sum().backward()
    assert scores.grad is not None
    assert scores.grad.tolist() == [[0.0, 0.0], [-1.0, 1.0]]
