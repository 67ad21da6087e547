"""Worked numbers are those of the method's specification; the rest are properties."""

from __future__ import annotations

from math import isfinite
from random import Random
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.metrics.pgr import agreement, median_recovery, performance_gap_recovered, recovery

shares = st.floats(0, 1)


def answers(n_right: int, n: int) -> list[float]:
    return [1.0] * n_right + [0.0] * (n - n_right)


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ((0.60, 0.70, 0.80), 0.5),
        ((0.60, 0.55, 0.80), -0.25),
        ((0.60, 0.85, 0.80), 1.25),
        # Burns et al., vision: weak 56.6; student and ceiling of ResNet-50 and ViT-B/8, and the code's README
        ((0.566, 0.607, 0.637), 0.577),
        ((0.566, 0.642, 0.749), 0.415),
        ((0.566, 0.619, 0.645), 0.671),
        ((0.566, 0.666, 0.740), 0.575),
    ],
)
def test_worked_numbers(accuracies: tuple[float, float, float], expected: float) -> None:
    assert performance_gap_recovered(*accuracies) == pytest.approx(expected, abs=5e-4)


@given(shares, shares, shares)
def test_a_ceiling_that_is_not_above_is_refused_and_nothing_is_infinite(
    weak: float, student: float, ceiling: float
) -> None:
    found = performance_gap_recovered(weak, student, ceiling)
    if ceiling <= weak:
        assert found is None
    else:
        assert found is not None


@given(st.integers(0, 50), st.integers(1, 50))
def test_the_supervisor_recovers_nothing_and_the_ceiling_everything(weak: int, gap: int) -> None:
    low, high = weak / 100, (weak + gap) / 100
    assert performance_gap_recovered(low, low, high) == 0
    assert performance_gap_recovered(low, high, high) == 1


def test_an_accuracy_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"accuracy 70, expected a number in \[0, 1\]"):
        performance_gap_recovered(0.6, 70, 0.8)


def test_the_interval_holds_the_ratio_and_narrows_with_problems() -> None:
    widths: list[float] = []
    for n in (200, 2000):
        rng = Random(1)
        order = rng.sample(range(n), n)
        weak, student, ceiling = (
            [answers(share * n // 10, n)[place] for place in order] for share in (6, 7, 8)
        )
        found = recovery([weak], [student], [ceiling], n_resamples=2000)
        assert found.pgr == 0.5
        assert found.reason == ""
        assert found.interval is not None
        assert found.interval.low < 0.5 < found.interval.high
        assert (found.weak, found.student, found.ceiling) == (0.6, 0.7, 0.8)
        widths.append(found.interval.high - found.interval.low)
    assert widths[1] < widths[0] / 2


def test_the_interval_covers_as_often_as_it_says() -> None:
    # True accuracies .6, .7, .8 of models that err independently: the gap recovered is .5.
    rng = Random(3)
    n_covering = n_given = 0
    for _ in range(60):
        arms = [[[float(rng.random() < share) for _ in range(400)]] for share in (0.6, 0.7, 0.8)]
        found = recovery(*arms, n_resamples=400)
        if found.interval is not None:
            n_given += 1
            n_covering += found.interval.contains(0.5)
    assert n_given > 55
    assert n_covering / n_given > 0.86


@settings(max_examples=60)
@given(
    st.integers(1, 3).flatmap(
        lambda n_seeds: st.integers(1, 25).flatmap(
            lambda n: st.lists(
                st.lists(
                    st.lists(st.sampled_from([0.0, 1.0]), min_size=n, max_size=n),
                    min_size=n_seeds,
                    max_size=n_seeds,
                ),
                min_size=3,
                max_size=3,
            )
        )
    )
)
def test_there_is_a_ratio_with_a_finite_interval_or_a_reason(arms: list[list[list[float]]]) -> None:
    found = recovery(*arms, n_resamples=200)
    assert (found.pgr is None) == (found.interval is None) == bool(found.reason)
    if found.interval is not None:
        assert isfinite(found.interval.low)
        assert isfinite(found.interval.high)
        assert found.gap.low > 0
        assert found.pgr == performance_gap_recovered(found.weak, found.student, found.ceiling)
    assert found.weak == pytest.approx(fmean(fmean(row) for row in arms[0]))


def test_a_gap_by_chance_is_no_gap() -> None:
    found = recovery([answers(60, 100)], [answers(70, 100)], [answers(64, 100)])
    assert found.pgr is None
    assert found.interval is None
    assert found.reason == "the ceiling is not significantly above the supervisor"
    assert found.ceiling > found.weak


def test_a_ceiling_below_the_supervisor_is_refused() -> None:
    assert recovery([answers(90, 100)], [answers(95, 100)], [answers(20, 100)]).pgr is None


def test_seeds_that_disagree_widen_the_interval() -> None:
    n = 400
    weak, ceiling = [answers(240, n)] * 3, [answers(320, n)] * 3
    steady = recovery(weak, [answers(280, n)] * 3, ceiling, n_resamples=1000)
    shaken = recovery(weak, [answers(k, n) for k in (240, 280, 320)], ceiling, n_resamples=1000)
    assert steady.pgr == shaken.pgr == 0.5
    assert steady.n_seeds == 3
    assert steady.interval is not None
    assert shaken.interval is not None
    assert shaken.interval.low < steady.interval.low
    assert shaken.interval.high > steady.interval.high


def test_models_on_other_problems_are_refused() -> None:
    with pytest.raises(ValueError, match="expected the same problems"):
        recovery([[1.0, 0.0]], [[1.0]], [[1.0, 1.0]])


def test_the_median_leaves_out_what_was_refused_and_counts_it() -> None:
    found = median_recovery([0.2, None, 0.5, 0.3, None])
    assert (found.median, found.n_counted, found.n_refused) == (0.3, 3, 2)
    # mean .3333, deviations -.1333, .1667, -.0333: s = .152753, over the root of 3
    assert found.standard_error == pytest.approx(0.0881917)
    assert median_recovery([None]).median is None
    assert median_recovery([0.4]).standard_error is None


@given(st.lists(st.tuples(*[st.sampled_from("ab")] * 3), min_size=1, max_size=40))
def test_agreement_is_the_mean_of_its_parts(rows: list[tuple[str, str, str]]) -> None:
    student, weak, gold = ([row[k] for row in rows] for k in range(3))
    found = agreement(student, weak, gold)
    assert found.n_right + found.n_wrong == len(rows)
    parts = (found.where_right or 0) * found.n_right + (found.where_wrong or 0) * found.n_wrong
    assert found.overall == pytest.approx(parts / len(rows))
    assert (found.where_wrong is None) == (found.n_wrong == 0)
    # With two classes a student that disagrees with a wrong supervisor is right.
    right = fmean(s == g for s, g in zip(student, gold, strict=True))
    shared = (found.where_right or 0) * found.n_right
    mended = (1 - found.where_wrong) * found.n_wrong if found.where_wrong is not None else 0
    assert right == pytest.approx((shared + mended) / len(rows))


def test_agreement_with_itself_is_whole() -> None:
    found = agreement([0, 1, 1], [0, 1, 1], [0, 0, 1])
    assert (found.overall, found.where_right, found.where_wrong) == (1, 1, 1)
    with pytest.raises(ValueError, match="equally many"):
        agreement([0], [0, 1], [0, 1])
