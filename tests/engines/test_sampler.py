from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from docendo.engines.sampler import chosen, drawn, logprobs_of, probabilities, uniforms

SEEDS = st.integers(0, 2**63 - 1)


def test_numbers_are_the_outputs_of_splitmix64() -> None:
    # The published first outputs of the generator started at 1234567.
    outputs = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    expected = [(output >> 11) * 2.0**-53 for output in outputs]
    assert uniforms(torch.tensor([1234567]), 0, 5)[0].tolist() == expected


@given(seeds=st.lists(SEEDS, min_size=1, max_size=8), first=st.integers(0, 5000), count=st.integers(1, 9))
def test_a_number_depends_on_its_seed_and_position_alone(seeds: list[int], first: int, count: int) -> None:
    numbers = uniforms(torch.tensor(seeds), first, count)
    assert ((numbers >= 0) & (numbers < 1)).all()
    for row, seed in enumerate(seeds):
        for column in range(count):
            assert uniforms(torch.tensor([seed]), first + column, 1).item() == numbers[row, column].item()


def test_numbers_of_neighbouring_seeds_are_spread_evenly() -> None:
    numbers = uniforms(torch.arange(2000), 0, 50).flatten()
    counts = torch.histc(numbers, 100, 0, 1)
    assert chisquare(counts.numpy()).pvalue > 1e-3


def test_top_k_and_temperature_give_the_shares_worked_out_by_hand() -> None:
    # exp(2/.7) / (exp(2/.7) + exp(1/.7)) = 1 / (1 + exp(-1/.7)) = .80668
    shares = probabilities(torch.tensor([[2.0, 1.0, 0.0, -1.0]]), temperature=0.7, top_k=2)
    assert shares[0].tolist() == pytest.approx([0.80668, 0.19332, 0, 0], abs=1e-5)
    whole = probabilities(torch.tensor([[2.0, 1.0, 0.0, -1.0]]), temperature=1.0)
    assert whole[0].tolist() == pytest.approx([0.64391, 0.23688, 0.08714, 0.03206], abs=1e-5)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [(0.3, [1.0, 0, 0, 0]), (0.51, [0.625, 0.375, 0, 0]), (0.8, [0.625, 0.375, 0, 0]), (0.81, None)],
)
def test_top_p_keeps_the_smallest_set_that_holds_it(top_p: float, kept: list[float] | None) -> None:
    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    expected = kept or [0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0]
    assert probabilities(logits, 1.0, top_p=top_p)[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_equally_likely_tokens_are_kept_by_their_order() -> None:
    shares = probabilities(torch.zeros(1, 4), 1.0, top_p=0.5)
    assert shares[0].tolist() == [0.5, 0.5, 0, 0]


def test_a_number_points_at_the_token_under_it() -> None:
    shares = torch.tensor([[0.25, 0.0, 0.5, 0.25]]).repeat(6, 1)
    numbers = torch.tensor([0.0, 0.2499, 0.25, 0.7499, 0.75, 1 - 2**-53], dtype=torch.float64)
    assert drawn(shares, numbers).tolist() == [0, 0, 2, 2, 3, 3]


@given(
    shares=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=12).filter(lambda row: sum(row) > 1e-30),
    number=st.integers(0, 2**53 - 1),
)
def test_no_token_without_probability_is_ever_drawn(shares: list[float], number: int) -> None:
    row = torch.tensor([shares])
    token = drawn(row, torch.tensor([number * 2.0**-53], dtype=torch.float64)).item()
    assert shares[int(token)] > 0


def test_draws_follow_the_probabilities() -> None:
    logits = torch.tensor([1.0, 0.0, -1.0, 2.0, 0.5]).repeat(40_000, 1)
    numbers = uniforms(torch.arange(40_000) * 7919, 3, 1)[:, 0]
    for top_k, top_p in ((0, 1.0), (3, 1.0), (0, 0.8)):
        shares = probabilities(logits[:1], 0.8, top_k, top_p)[0].double()
        tokens = chosen(logits, numbers, 0.8, top_k, top_p)
        counts = torch.bincount(tokens, minlength=5)
        possible = shares > 0
        assert counts[~possible].sum() == 0
        expected = shares[possible] / shares[possible].sum() * len(tokens)
        assert chisquare(counts[possible].numpy(), expected.numpy()).pvalue > 1e-3


@given(seed=SEEDS, rows=st.integers(2, 9))
def test_a_row_is_drawn_alike_in_any_batch(seed: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, 50, generator=generator)
    numbers = uniforms(torch.arange(rows) + seed % 2**62, 0, 1)[:, 0]
    together = chosen(logits, numbers, 1.0, 10, 0.9)
    alone = [chosen(logits[row : row + 1], numbers[row : row + 1], 1.0, 10, 0.9) for row in range(rows)]
    assert together.tolist() == torch.cat(alone).tolist()


def test_temperature_zero_takes_the_most_likely() -> None:
    assert chosen(torch.tensor([[0.0, 3.0, 1.0]]), None, 0.0, 0, 1.0).tolist() == [1]


def test_logprobs_are_those_before_temperature_and_filters() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    assert logprobs_of(logits, torch.tensor([1])).exp().item() == pytest.approx(0.23688, abs=1e-5)
