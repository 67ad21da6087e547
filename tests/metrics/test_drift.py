from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.metrics.drift import Drift, distinct_answers_share, distinct_n, drift


def test_distinct_answers_are_counted_problem_by_problem() -> None:
    # 2 of 4, 1 of 2, and a problem without a readable answer that counts for nothing
    assert distinct_answers_share([["4", "4", "5", "4"], ["7", None, "7"], [None]]) == 0.5
    assert distinct_answers_share([[None], []]) == 0.0
    assert distinct_answers_share([["1", "2", "3"]]) == 1.0
    assert distinct_answers_share([["1.0", "1"]], same=lambda a, b: float(a) == float(b)) == 0.5


def test_distinct_n_by_hand() -> None:
    # "a b a b": bigrams ab, ba, ab; "a b": ab. Two of four.
    assert distinct_n(["a b a b", "a b"], n=2) == 0.5
    assert distinct_n(["a b a b", "a b"], n=1) == 2 / 6
    assert distinct_n(["a", ""], n=2) == 0.0
    with pytest.raises(ValueError, match="n 0, expected a count >= 1"):
        distinct_n(["a"], n=0)


@given(st.lists(st.text("ab "), max_size=6), st.integers(1, 3))
def test_saying_everything_twice_halves_distinct_n(texts: list[str], n: int) -> None:
    assert distinct_n(texts * 2, n) == pytest.approx(distinct_n(texts, n) / 2)


def test_drift_describes_the_samples_of_a_model() -> None:
    assert drift(
        texts_P_G=[["so 4", "so 5"], ["so so"]],
        answers_P_G=[["4", "5"], [None]],
        n_tokens_P_G=[[3, 4], [8]],
        finishes_P_G=[["stop", "stop"], ["length"]],
    ) == Drift(
        n_samples=3,
        mean_tokens=5.0,
        distinct_answers_share=1.0,
        unparsed_share=1 / 3,
        end_token_share=2 / 3,
        distinct_2=1.0,
    )


def test_drift_refuses_unequal_shapes_and_no_samples() -> None:
    with pytest.raises(ValueError, match="of unequal shape"):
        drift([["a"]], [["4", "5"]], [[1]], [["stop"]])
    with pytest.raises(ValueError, match="of unequal shape"):
        drift([["a"]], [["4"]], [[1], [2]], [["stop"]])
    with pytest.raises(ValueError, match="no samples"):
        drift([], [], [], [])
