from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.metrics.transitions import Transitions, transitions

verdicts = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1)


@given(verdicts)
def test_the_four_counts_partition_the_problems_and_explain_the_change(
    pairs: list[tuple[bool, bool]],
) -> None:
    before, after = [b for b, _ in pairs], [a for _, a in pairs]
    change = transitions(before, after)
    assert change.n_problems == len(pairs)
    assert change.accuracy_before == sum(before) / len(pairs)
    assert change.accuracy_after == sum(after) / len(pairs)
    assert change.net == sum(after) - sum(before)


def test_ten_problems_worked_by_hand() -> None:
    # right at the start 1 to 6; then 5 and 6 are lost and 7 is won: 0.6 - 0.2 + 0.1 = 0.5
    before = [True] * 6 + [False] * 4
    after = [True] * 4 + [False] * 2 + [True] + [False] * 3
    change = transitions(before, after)
    assert change == Transitions(right_right=4, right_wrong=2, wrong_right=1, wrong_wrong=3)
    assert (change.accuracy_before, change.accuracy_after, change.net) == (0.6, 0.5, -1)


def test_going_backwards_swaps_won_and_lost() -> None:
    there, back = transitions([True, False], [False, False]), transitions([False, False], [True, False])
    assert (there.right_wrong, there.wrong_right) == (back.wrong_right, back.right_wrong) == (1, 0)


def test_transitions_refuse_other_problems_and_none() -> None:
    with pytest.raises(ValueError, match="2 verdicts after, expected 1 as before"):
        transitions([True], [True, False])
    with pytest.raises(ValueError, match="no problems"):
        transitions([], [])
