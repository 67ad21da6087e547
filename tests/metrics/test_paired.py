from __future__ import annotations

import random
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar

from docendo.metrics.intervals import bootstrap_interval, t_interval
from docendo.metrics.paired import compare, discordant_interval, mcnemar_p


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemar_agrees_with_statsmodels(b: int, c: int) -> None:
    expected = mcnemar([[10, b], [c, 10]], exact=True).pvalue  # pyright: ignore[reportAttributeAccessIssue]
    assert mcnemar_p(b, c) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize(
    ("lost", "won", "low", "high"),
    [
        # Huang et al. (2023), arXiv:2310.01798, GSM8K: problems that self-correction broke and mended,
        # counts recovered from the published percentages
        (116, 100, 0.30, 0.31),  # GPT-3.5, of 1319
        (16, 3, 0.004, 0.005),  # GPT-4, of 200
        (62, 11, 0.0, 1e-8),  # Llama-2-70b-chat, of 200
    ],
)
def test_mcnemar_on_published_counts(lost: int, won: int, low: float, high: float) -> None:
    assert low < mcnemar_p(lost, won) < high


def test_mcnemar_by_hand() -> None:
    assert mcnemar_p(0, 0) == 1
    assert mcnemar_p(3, 3) == 1  # 2 (1 + 6 + 15 + 20) / 64 is above one
    assert mcnemar_p(0, 5) == 0.0625  # 2 / 32
    assert mcnemar_p(6, 0) == 0.03125  # 2 / 64
    assert mcnemar_p(1, 7) == mcnemar_p(7, 1) == 18 / 256  # 2 (1 + 8) / 2^8
    with pytest.raises(ValueError, match="counts -1 and 2, expected both >= 0"):
        mcnemar_p(-1, 2)


@given(st.integers(0, 30), st.integers(0, 30), st.integers(1, 50), st.sampled_from([0.8, 0.9, 0.95, 0.99]))
def test_the_discordant_interval_excludes_zero_just_when_mcnemar_rejects(
    won: int, lost: int, same: int, level: float
) -> None:
    interval = discordant_interval([1.0] * won + [-1.0] * lost + [0.0] * same, level=level)
    assert interval.contains(0) == (mcnemar_p(won, lost) >= 1 - level)


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.25, 1.0]), min_size=1))
def test_the_discordant_interval_holds_the_mean_and_mirrors(differences_P: list[float]) -> None:
    interval = discordant_interval(differences_P)
    mirrored = discordant_interval([-d for d in differences_P])
    assert interval.contains(round(sum(differences_P) / len(differences_P), 12))
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low), abs=1e-11)


def test_the_discordant_interval_scales_with_the_size_of_differences() -> None:
    whole = discordant_interval([1.0] * 12 + [-1.0] * 3 + [0.0] * 85)
    third = discordant_interval([1 / 3] * 12 + [-1 / 3] * 3 + [0.0] * 85)
    assert (third.low, third.high) == pytest.approx((whole.low / 3, whole.high / 3), abs=1e-11)


def test_no_differing_problem_is_not_certainty() -> None:
    # none in 100: 1 - 0.025^(1 / 100)
    interval = discordant_interval([0.0] * 100)
    assert interval.high == pytest.approx(1 - 0.025**0.01, abs=1e-12)
    assert interval.low == -interval.high
    with pytest.raises(ValueError, match=r"difference 1.5, expected a number in \[-1, 1\]"):
        discordant_interval([1.5])
    with pytest.raises(ValueError, match="no problems"):
        discordant_interval([])


def test_four_wins_and_no_loss_are_no_evidence_although_the_bootstrap_says_so() -> None:
    result = compare([[1] * 4 + [1, 0] * 248], [[0] * 4 + [1, 0] * 248])
    assert result.bootstrap.low > 0
    assert result.mcnemar_p_S == (0.125,)
    assert result.interval.contains(0)


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60),
    st.integers(0, 40),
    st.integers(0, 40),
)
def test_with_one_seed_evidence_always_goes_with_an_exact_p_below_five_percent(
    pairs: list[tuple[bool, bool]], won: int, lost: int
) -> None:
    pairs = pairs + [(True, False)] * won + [(False, True)] * lost
    result = compare([[float(a) for a, _ in pairs]], [[float(b) for _, b in pairs]], n_resamples=50)
    assert result.interval.contains(0) or result.mcnemar_p_S[0] < 0.05


def test_one_seed_worked_by_hand() -> None:
    # 100 problems: both right 40, only the first 30, only the second 10, none 20
    first = [1] * 40 + [1] * 30 + [0] * 10 + [0] * 20
    second = [1] * 40 + [0] * 30 + [1] * 10 + [0] * 20
    result = compare([first], [second])
    assert (result.n_problems, result.n_seeds, result.over_seeds) == (100, 1, None)
    assert (result.mean_first, result.mean_second, result.difference) == (0.7, 0.5, 0.2)
    assert result.mcnemar_p_S == (mcnemar_p(30, 10),)
    # standard error sqrt(0.4 - 0.2^2) / 10 = 0.06
    assert (result.bootstrap.low, result.bootstrap.high) == pytest.approx(
        (0.2 - 0.1176, 0.2 + 0.1176), abs=0.011
    )
    assert result.bootstrap == bootstrap_interval([a - b for a, b in zip(first, second, strict=True)])
    assert result.interval.low == min(result.bootstrap.low, result.discordant.low)
    assert result.interval.high == max(result.bootstrap.high, result.discordant.high)


def test_several_seeds_report_the_hull_of_three_intervals() -> None:
    rng = random.Random(1)
    first = [[float(rng.random() < p) for _ in range(80)] for p in (0.7, 0.8, 0.75)]
    second = [[float(rng.random() < 0.5) for _ in range(80)] for _ in range(3)]
    result = compare(first, second, n_resamples=500)
    gaps = [sum(a) / 80 - sum(b) / 80 for a, b in zip(first, second, strict=True)]
    over_seeds = t_interval(gaps)
    assert result.over_seeds == over_seeds
    assert result.difference == pytest.approx(sum(gaps) / 3)
    assert result.interval == result.bootstrap.hull(result.discordant, over_seeds)
    assert len(result.mcnemar_p_S) == 3


def test_the_same_seed_three_times_is_no_more_evidence_than_once() -> None:
    first, second = [1.0] * 8 + [0.0] * 2 + [1.0] * 40, [0.0] * 8 + [1.0] * 2 + [1.0] * 40
    once, thrice = compare([first], [second]), compare([first] * 3, [second] * 3)
    assert thrice.discordant == once.discordant
    assert thrice.bootstrap.high - thrice.bootstrap.low == pytest.approx(
        once.bootstrap.high - once.bootstrap.low, abs=0.021
    )
    assert once.interval.contains(0)
    assert thrice.interval.contains(0)


def test_graded_values_have_no_mcnemar_p() -> None:
    result = compare([[0.5, 0.75, 1.0]], [[0.25, 0.75, 0.0]], n_resamples=100)
    assert result.mcnemar_p_S == ()
    assert result.difference == pytest.approx(1.25 / 3)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_swapping_the_arms_mirrors_the_comparison(pairs: list[tuple[bool, bool]]) -> None:
    first, second = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    there, back = compare([first], [second], n_resamples=20), compare([second], [first], n_resamples=20)
    assert there.difference == -back.difference
    assert there.mcnemar_p_S == back.mcnemar_p_S
    assert there.discordant.low == pytest.approx(-back.discordant.high, abs=1e-11)


def test_an_arm_against_itself_is_no_evidence() -> None:
    result = compare([[1, 0, 1], [0, 0, 1]], [[1, 0, 1], [0, 0, 1]], n_resamples=20)
    assert result.difference == 0
    assert result.interval.low < 0 < result.interval.high


@pytest.mark.parametrize(("n_seeds", "spread"), [(1, 0.0), (3, 0.0), (3, 0.3), (5, 0.3)])
def test_equal_arms_are_seldom_told_apart(n_seeds: int, spread: float) -> None:
    # Problems of differing difficulty; the first arm is as good as the second but for luck and, on the
    # logit scale, a normal deviation of each seed. At most 5 % of such comparisons may exclude zero.
    rng, n_told_apart, n_trials = random.Random(7), 0, 150
    for trial in range(n_trials):
        logits = [rng.gauss(0.4, 2.0) for _ in range(120)]
        first, second = [], []
        for _ in range(n_seeds):
            moved = rng.gauss(0.0, spread)
            first.append([float(rng.random() < 1 / (1 + exp(-x - moved))) for x in logits])
            second.append([float(rng.random() < 1 / (1 + exp(-x))) for x in logits])
        n_told_apart += not compare(first, second, n_resamples=200, seed=trial).interval.contains(0)
    # 7.5 expected at 5 %; two standard deviations of Binomial(150, 0.05) are 5.3
    assert n_told_apart <= 12


def test_a_clear_gain_is_found() -> None:
    rng = random.Random(3)
    first = [[float(rng.random() < 0.65) for _ in range(300)] for _ in range(3)]
    second = [[float(rng.random() < 0.45) for _ in range(300)] for _ in range(3)]
    assert compare(first, second, n_resamples=1000).interval.low > 0
    assert compare(second, first, n_resamples=1000).interval.high < 0


def test_compare_refuses_arms_that_do_not_pair() -> None:
    with pytest.raises(ValueError, match=r"arms of \[2\] and \[1\] problems by seed"):
        compare([[1, 0]], [[1]])
    with pytest.raises(ValueError, match=r"arms of \[1, 1\] and \[1\] problems by seed"):
        compare([[1], [1]], [[1]])
    with pytest.raises(ValueError, match=r"seeds with \[2, 1\] problems"):
        compare([[1, 0], [1]], [[1, 0], [1]])
    with pytest.raises(ValueError, match="no problems"):
        compare([], [])
    with pytest.raises(ValueError, match="no problems"):
        compare([[]], [[]])
    with pytest.raises(ValueError, match=r"value 2, expected a number in \[0, 1\]"):
        compare([[2]], [[0]])
    with pytest.raises(ValueError, match=r"value nan, expected a number in \[0, 1\]"):
        compare([[float("nan")]], [[0]])
