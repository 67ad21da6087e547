from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.metrics.ordering import Ordering, ordering

Problems = list[list[tuple[bool, float | None]]]
problems = st.lists(
    st.lists(st.tuples(st.booleans(), st.none() | st.integers(-3, 3).map(float)), max_size=6), max_size=4
)


def ordered(given: Problems) -> Ordering:
    return ordering(
        [[right for right, _ in own] for own in given], [[score for _, score in own] for own in given]
    )


def test_pairs_are_within_a_problem_and_equal_scores_count_half() -> None:
    found = ordered([[(True, 2.0), (False, 1.0), (False, 2.0)], [(True, 0.0)], [(False, 9.0), (True, None)]])
    assert found == Ordering(pairs=2, above=1.5)
    assert found.accuracy == 0.75
    assert ordered([[(True, 1.0)], [(False, 0.0)]]).accuracy is None


@given(problems)
def test_it_is_what_counting_by_hand_gives_and_only_the_order_counts(given: Problems) -> None:
    pairs = [
        (right, wrong)
        for own in given
        for is_right, right in own
        for is_other_right, wrong in own
        if is_right and not is_other_right and right is not None and wrong is not None
    ]
    found = ordered(given)
    assert found.pairs == len(pairs)
    assert found.above == sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    stretched = [[(right, None if s is None else math.exp(s)) for right, s in own] for own in given]
    assert ordered(stretched) == found
    turned = [[(right, None if s is None else -s) for right, s in own] for own in given]
    assert ordered(turned).above == found.pairs - found.above


def test_lists_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        ordering([[True]], [[0.1, 0.2]])
