"""Thresholds: the worked numbers of ReST, section 5; strictness; what rises."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.selectors.differing import differing
from docendo.selectors.threshold import Above, Rule, rising, threshold_of
from tests.selectors.partition import reasons_of

REWARDS = {"a": [0.20, 0.55, 0.72, 0.91], "b": [0.60, 0.75, 0.85, 0.97], "c": [0.05, 0.10, 0.30, 0.50]}
ALL = [value for own in REWARDS.values() for value in own]
UNIT = st.floats(0, 1)


def kept(selector: Above, scores: list[float]) -> list[float]:
    reasons = reasons_of(selector, {"score:rescaled": scores})
    return [score for score, reason in zip(scores, reasons, strict=True) if reason is None]


@pytest.mark.parametrize(
    ("tau", "mean", "counts"),
    [
        (0.0, 0.5417, [4, 4, 4]),
        (0.7, 0.84, [2, 3, 0]),
        (0.8, 0.91, [1, 2, 0]),
        (0.9, 0.94, [1, 1, 0]),
        (0.95, 0.97, [0, 1, 0]),
        (0.99, None, [0, 0, 0]),
    ],
)
def test_the_worked_numbers_of_global_thresholds(tau: float, mean: float | None, counts: list[int]) -> None:
    selector = Above(level=tau)
    assert selector.per == "all"
    assert [len(kept(selector, own)) for own in REWARDS.values()] == counts
    found = kept(selector, ALL)
    assert len(found) == sum(counts)
    assert mean is None or sum(found) / len(found) == pytest.approx(mean, abs=5e-5)


@pytest.mark.parametrize(
    ("rule", "level", "thresholds", "count"),
    [
        ("percentile", 0.75, [0.7675, 0.88, 0.35], 1),
        ("interpolation", 0.5, [0.7525, 0.88125, 0.36875], 1),
        ("interpolation", 0.0, [0.595, 0.7925, 0.2375], 2),
    ],
)
def test_the_worked_numbers_of_thresholds_of_each_problem(
    rule: Rule, level: float, thresholds: list[float], count: int
) -> None:
    assert [threshold_of(rule, level, own) for own in REWARDS.values()] == pytest.approx(thresholds)
    selector = Above(level=level, rule=rule)
    assert selector.per == "problem"
    assert [len(kept(selector, own)) for own in REWARDS.values()] == [count] * 3


@given(st.lists(UNIT, min_size=1), UNIT, UNIT)
def test_a_greater_threshold_keeps_a_part_of_the_same_with_no_lower_mean(
    scores: list[float], one: float, other: float
) -> None:
    low, high = sorted((one, other))
    many, few = kept(Above(level=low), scores), kept(Above(level=high), scores)
    assert many == [score for score in scores if score > low]
    assert few == [score for score in many if score > high]
    if few:
        assert sum(few) / len(few) >= sum(many) / len(many) - 1e-12


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=1), st.floats(0, 1, exclude_max=True))
def test_of_binary_rewards_every_threshold_below_1_keeps_the_same(scores: list[float], tau: float) -> None:
    assert kept(Above(level=tau), scores) == [score for score in scores if score == 1.0]


@given(st.lists(UNIT, min_size=1, max_size=6, unique=True).map(sorted), UNIT)
def test_rising_thresholds_begin_at_the_mean_or_above(thresholds: list[float], mean: float) -> None:
    found = rising(thresholds, mean)
    assert found[0] >= mean
    assert all(low < high for low, high in pairwise(found))
    assert set(found) <= {mean, *thresholds}
    if thresholds[0] > mean:
        assert found == tuple(thresholds)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 10)), min_size=1, max_size=6), st.floats(0, 10))
def test_learning_what_is_above_a_threshold_gains_reward_wherever_it_is_not_below_the_mean(
    policy: list[tuple[int, int]], lift: float
) -> None:
    """Appendix A.3: counts stand for the policy; the new one is the old one where the reward is above tau."""
    mean = sum(count * reward for count, reward in policy) / sum(count for count, _ in policy)
    tau = mean + lift
    better = [(count, reward) for count, reward in policy if reward > tau]
    if better:
        new = sum(count * reward for count, reward in better) / sum(count for count, _ in better)
        assert new > mean


def test_samples_without_a_score_are_dropped() -> None:
    columns = {"score:rescaled": [None, 0.5, 0.1]}
    assert reasons_of(Above(level=0.2), columns) == ["no score", None, "not above the threshold"]
    assert reasons_of(Above(level=0.2), {"score:rescaled": [None]}) == ["no score"]
    with pytest.raises(SettingError, match="level is 1 by percentile"):
        Above(level=1, rule="percentile")


def test_pairs_of_equal_texts_are_dropped() -> None:
    columns = {"chosen": [" 2 + 2 is 4.", "a"], "rejected": ["2 + 2 is 4. ", "A"]}
    assert reasons_of(differing, columns) == ["exact copy", None]
