"""Members of the largest clusters: what a scorer is asked about."""

from __future__ import annotations

from itertools import compress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.metrics.choosing import Pool, Rule
from docendo.selectors.choose import Choose
from docendo.selectors.largest import LargestClusters
from docendo.verifiers.numeric import Numeric
from tests.selectors.partition import reasons_of

ANSWERS = ["12", "12", "12", "12", "15", "15", "15", "7", "20", "20"]


def columns(answers: list[str]) -> dict[str, list[Any]]:
    return {"answer": answers, "is_parsed": [bool(answer) for answer in answers]}


@pytest.mark.parametrize(("k", "members"), [(1, 4), (2, 7), (3, 9), (4, 10), (9, 10)])
def test_the_worked_example_keeps_the_largest_first(k: int, members: int) -> None:
    reasons = reasons_of(LargestClusters(Numeric(), k), columns(ANSWERS))
    assert reasons.count(None) == members
    assert all(reason in (None, "in no large cluster") for reason in reasons)
    pool = Pool.of(ANSWERS)
    assert [place for place, reason in enumerate(reasons) if reason is None] == list(
        Rule("best", k).scored(pool)
    )


@given(
    st.lists(st.tuples(st.sampled_from(["7", "7.0", "8", "9", ""]), st.none() | st.floats(0, 1)), min_size=1),
    st.integers(1, 4),
    st.sampled_from(["best", "weighted"]),
)
def test_choosing_from_what_is_left_is_choosing_within_k_of_all(
    rows: list[tuple[str, float | None]], k: int, by: Any
) -> None:
    answers, scores = [answer for answer, _ in rows], [score for _, score in rows]
    reasons = reasons_of(LargestClusters(Numeric(), k), columns(answers))
    kept = [reason is None for reason in reasons]
    assert all(reason == "no answer" for reason, answer in zip(reasons, answers, strict=True) if not answer)
    if not any(kept):
        assert not any(answers)
        return
    whole = columns(answers) | {"score:s": scores}
    left = {name: list(compress(values, kept)) for name, values in whole.items()}
    places = list(compress(range(len(rows)), kept))
    within = reasons_of(Choose(by, Numeric(), "s", k), whole).index(None)
    assert places[reasons_of(Choose(by, Numeric(), "s"), left).index(None)] == within


def test_no_cluster_at_all_is_refused() -> None:
    with pytest.raises(SettingError, match="k is 0 clusters; expected at least 1"):
        LargestClusters(Numeric(), 0)
