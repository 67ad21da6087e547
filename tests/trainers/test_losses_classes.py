"""Weak-to-strong's losses and the evaluator's: worked numbers (weak_to_strong.md, 10) and invariants."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from docendo.trainers.losses.classes import (
    confidence,
    hardened,
    logconf,
    of_choices,
    product,
    product_target,
    xent,
)

Z = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.5, 0.0], [-1.0, 1.0]]).double()
WEAK = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8]]).double()
P = Z.log_softmax(1)
TIES: list[Any] = ["label", "first"]


def mean_logconf(labels: torch.Tensor, coefficient: float, ties: Any = "label") -> float:
    return logconf(P, labels, hardened(P.exp(), labels, ties), coefficient).mean().item()


@pytest.mark.parametrize("ties", TIES)
def test_the_threshold_gives_the_second_class_its_share(ties: Any) -> None:
    assert P.exp()[:, 0].tolist() == pytest.approx([0.880797, 0.268941, 0.622459, 0.119203], abs=1e-6)
    assert torch.quantile(P.exp()[:, 0], 0.5).item() == pytest.approx(0.445700, abs=1e-6)
    assert hardened(P.exp(), WEAK, ties)[:, 1].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_cross_entropy_with_labels_and_with_hard_classes() -> None:
    assert xent(P, WEAK).mean().item() == pytest.approx(0.647799, abs=1e-6)
    assert xent(P, hardened(P.exp(), WEAK)).mean().item() == pytest.approx(0.260299, abs=1e-6)
    assert mean_logconf(WEAK, 0.5) == pytest.approx(0.454049, abs=1e-6)
    assert pytest.approx(0.454049) == 0.5 * 0.647799 + 0.5 * 0.260299


@pytest.mark.parametrize(
    ("settings", "progress", "coefficient", "loss"),
    [
        ({"alpha": 0.5, "warmup_share": 0.1, "ramp": "released"}, 0.05, 0.025, 0.638111),
        ({"alpha": 0.5, "warmup_share": 0.1, "ramp": "released"}, 0.10, 0.05, 0.628424),
        ({"alpha": 0.5, "warmup_share": 0.1, "ramp": "released"}, 0.11, 0.5, 0.454049),
        ({"alpha": 0.5, "warmup_share": 0.1}, 0.05, 0.25, 0.550924),  # the code's pull request 33
        ({"alpha": 0.75, "warmup_share": 0.2}, 0.1, 0.375, 0.502486),
        ({"alpha": 0.75, "warmup_share": 0.2}, 0.5, 0.75, 0.357174),
        ({"alpha": 0.75, "warmup_share": 0.0}, 0.0, 0.75, 0.357174),
    ],
)
def test_the_schedules_of_the_worked_numbers(
    settings: Any, progress: float, coefficient: float, loss: float
) -> None:
    assert confidence(progress, **settings) == pytest.approx(coefficient)
    assert mean_logconf(WEAK, coefficient) == pytest.approx(loss, abs=1e-6)


def test_schedules_rise_and_only_the_released_one_jumps() -> None:
    shares = [step / 1000 for step in range(1001)]
    for ramp, greatest in (("linear", 0.0051), ("released", 0.46)):
        ramped: Any = ramp
        found = [confidence(share, alpha=0.5, warmup_share=0.1, ramp=ramped) for share in shares]
        assert found == sorted(found)
        steps = [later - earlier for earlier, later in itertools.pairwise(found)]
        assert max(steps) < greatest
        assert (max(steps) > 0.4) == (ramp == "released")


def test_an_unbalanced_prior() -> None:
    labels = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.4, 0.6]]).double()
    assert torch.quantile(P.exp()[:, 0], labels[:, 1].mean()).item() == pytest.approx(0.253968, abs=1e-6)
    for ties in TIES:
        assert hardened(P.exp(), labels, ties)[:, 1].tolist() == [0.0, 0.0, 0.0, 1.0]
        assert mean_logconf(labels, 0.5, ties) == pytest.approx(0.629049, abs=1e-6)


def test_the_product_s_targets() -> None:
    targets = product_target(P, WEAK, alpha=1.0, beta=1.0)
    assert targets[:, 0].tolist() == pytest.approx([0.985186, 0.355595, 0.414038, 0.032727], abs=1e-6)
    assert product(P, WEAK, alpha=1.0, beta=1.0).mean().item() == pytest.approx(0.446213, abs=1e-6)
    assert product(P, WEAK, alpha=1.0, beta=0.0).mean().item() == pytest.approx(0.647799, abs=1e-6)
    own = product_target(P, torch.tensor([[1.0, 0.0]]).double().expand(4, 2), alpha=0.0, beta=1.0)
    torch.testing.assert_close(own, P.exp())


def test_a_head_that_starts_at_zero_hardens_all_rows_as_released_and_the_share_by_label() -> None:
    flat = torch.full((4, 2), math.log(0.5)).double()
    as_released = hardened(flat.exp(), WEAK, "first")
    assert as_released.tolist() == [[1.0, 0.0]] * 4
    for coefficient in (0.0, 0.5, 1.0):
        assert logconf(flat, WEAK, as_released, coefficient).mean().item() == pytest.approx(math.log(2))
    assert hardened(flat.exp(), WEAK, "label")[:, 1].tolist() == [0.0, 0.0, 1.0, 1.0]


# ---- invariants (section 11)

rows = st.integers(2, 12).flatmap(
    lambda count: st.tuples(
        *[st.lists(st.floats(0.02, 0.98), min_size=count, max_size=count) for _ in range(2)]
    )
)


def table(first: list[float]) -> torch.Tensor:
    one = torch.tensor(first).double()
    return torch.stack([one, 1 - one], dim=1)


@given(rows)
def test_the_second_class_has_its_share_and_both_rules_agree_without_ties(
    drawn: tuple[list[float], list[float]],
) -> None:
    assume(len(set(drawn[0])) == len(drawn[0]))
    probabilities, labels = map(table, drawn)
    hard = hardened(probabilities, labels)
    count, share = len(hard), labels[:, 1].mean().item()
    assert abs(hard[:, 1].sum().item() / count - share) <= 1 / count + 1e-9
    assert hard.sum(dim=1).tolist() == [1.0] * count
    on_edge = abs(share * (count - 1) - round(share * (count - 1))) < 1e-5
    assert on_edge or torch.equal(hard, hardened(probabilities, labels, "first"))
    moved = torch.sigmoid(torch.logit(probabilities[:, 0]) + 0.5)  # all log-odds raised alike
    assert torch.equal(hard, hardened(torch.stack([moved, 1 - moved], dim=1), labels))


@given(rows, st.sampled_from([0.0, 0.3, 1.0]))
def test_gradients_are_prediction_minus_target_and_none_goes_through_targets(
    drawn: tuple[list[float], list[float]], coefficient: float
) -> None:
    start, labels = table(drawn[0]).log(), table(drawn[1])
    for kind in ("logconf", "product"):
        logits = start.clone().requires_grad_()
        logprobs = logits.log_softmax(1)
        hard = hardened(logprobs.exp(), labels)
        if kind == "logconf":
            costs = logconf(logprobs, labels, hard, coefficient)
            target = (1 - coefficient) * labels + coefficient * hard
        else:
            costs = product(logprobs, labels, alpha=coefficient, beta=1.0)
            target = product_target(logprobs, labels, alpha=coefficient, beta=1.0)
        (found,) = torch.autograd.grad(costs.mean(), logits)
        torch.testing.assert_close(target.sum(dim=1), torch.ones(len(labels)).double())
        torch.testing.assert_close(found, (logprobs.exp() - target).detach() / len(labels))


@given(rows)
def test_a_coefficient_of_zero_is_cross_entropy(drawn: tuple[list[float], list[float]]) -> None:
    logprobs, labels = table(drawn[0]).log(), table(drawn[1])
    assert torch.equal(
        logconf(logprobs, labels, hardened(logprobs.exp(), labels), 0.0), xent(logprobs, labels)
    )


# ---- the evaluator (math_fine_tuning.md, section 9)


def test_a_choice_s_probability_is_renormalised_over_the_choices() -> None:
    sums = torch.tensor([[-1.2, -2.0]]).double()
    log_score = of_choices(sums)[0, 0].item()
    assert log_score == pytest.approx(-0.37110, abs=1e-5)
    assert math.exp(log_score) == pytest.approx(0.68997, abs=1e-5)
    assert log_score == pytest.approx(-math.log(1 + math.exp(-2.0 - -1.2)))
    assert torch.equal(of_choices(sums, renormalised=False), sums)


@pytest.mark.parametrize(
    ("p", "is_right", "loss"), [(0.80, True, 0.22314), (0.25, False, 1.38629), (0.75, False, 0.28768)]
)
def test_the_evaluator_s_cross_entropy(p: float, is_right: bool, loss: float) -> None:
    sums = torch.tensor([[p, 0.1] if is_right else [0.1, p]]).log()  # the rest is on other words
    labels = torch.tensor([[float(is_right), float(not is_right)]])
    assert xent(of_choices(sums, renormalised=False), labels).item() == pytest.approx(loss, abs=1e-5)


def test_a_label_of_zero_costs_nothing_however_unlikely_the_class() -> None:
    logprobs = torch.tensor([[0.0, -math.inf]], requires_grad=True)
    cost = xent(logprobs, torch.tensor([[1.0, 0.0]]))
    assert cost.item() == 0.0
