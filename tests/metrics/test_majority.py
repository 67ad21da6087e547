from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.metrics.majority import clusters, majority, majority_at_k, majority_is_correct

answers = st.lists(st.sampled_from(["1", "2", "3", None]), min_size=1, max_size=8)


def same_number(a: str, b: str) -> bool:
    return float(a) == float(b)


def brute_force(answers_G: list[str | None], k: int) -> str | None:
    votes = Counter(a for a in answers_G[:k] if a is not None)
    most = max(votes.values(), default=0)
    return next((a for a in answers_G[:k] if a is not None and votes[a] == most), None)


@given(answers, st.data())
def test_majority_equals_brute_force(answers_G: list[str | None], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(answers_G)))
    vote = majority(answers_G, k)
    assert (vote.answer if vote else None) == brute_force(answers_G, k)
    if vote:
        assert vote.n_votes == answers_G[:k].count(vote.answer)
        assert vote.index == answers_G.index(vote.answer)
        assert vote.n_samples == k


@given(answers)
def test_clusters_partition_the_samples_with_an_answer(answers_G: list[str | None]) -> None:
    found = clusters(answers_G)
    members = sorted(m for c in found for m in c.members)
    assert members == [i for i, a in enumerate(answers_G) if a is not None]
    assert [c.members[0] for c in found] == sorted(c.members[0] for c in found)


def test_unreadable_samples_count_in_k_and_never_win() -> None:
    # Huang et al. (2022): 4 of 8 for 108, so confidence 0.5; "none" is no candidate
    vote = majority(["108", "96", "108", "108", "110", "96", "108", None])
    assert vote is not None
    assert (vote.answer, vote.n_votes, vote.share) == ("108", 4, 0.5)
    vote = majority([None, "24", None], k=3)
    assert vote is not None
    assert (vote.answer, vote.index, vote.share) == ("24", 1, 1 / 3)
    assert majority([None, None]) is None


def test_a_tie_goes_to_the_answer_that_came_first() -> None:
    assert majority(["18", "24", "24", "18"]).answer == "18"  # pyright: ignore[reportOptionalMemberAccess]
    assert majority(["18", "24", "24"]).answer == "24"  # pyright: ignore[reportOptionalMemberAccess]
    assert majority(["18", "24", "24"], k=2).answer == "18"  # pyright: ignore[reportOptionalMemberAccess]


def test_equivalent_answers_vote_together_and_the_first_spelling_wins() -> None:
    vote = majority(["7", "18.0", "18", "7.5", "18"], same=same_number)
    assert vote is not None
    assert (vote.index, vote.answer, vote.n_votes) == (1, "18.0", 3)


def test_only_leaders_are_compared_where_sameness_is_not_transitive() -> None:
    def near(a: str, b: str) -> bool:
        return abs(int(a) - int(b)) <= 1

    assert [c.members for c in clusters(["1", "2", "3", "2"], near)] == [(0, 1, 3), (2,)]


def test_a_text_seen_before_is_not_compared_again() -> None:
    asked: list[tuple[str, str]] = []

    def counting(a: str, b: str) -> bool:
        asked.append((a, b))
        return a == b

    clusters(["1", "2", "1", "2", "2", "1"], counting)
    assert asked == [("1", "2")]


def test_the_chosen_samples_own_verdict_judges_the_vote() -> None:
    assert majority_is_correct(["18", "24", "24"], [False, True, True])
    assert not majority_is_correct(["18", "24", "24"], [True, False, False])
    assert not majority_is_correct([None, None], [False, False])


def test_majority_at_k_is_the_share_of_right_votes() -> None:
    answers_P_G = [["18", "24", "24"], ["7", None, None], [None, None, None], ["1", "2", "2"]]
    right_P_G = [[False, True, True], [True, False, False], [False] * 3, [True, False, False]]
    assert majority_at_k(answers_P_G, right_P_G, k=3) == 0.5
    assert majority_at_k(answers_P_G, right_P_G, k=1) == 0.5
    assert majority_at_k(answers_P_G[:1], right_P_G[:1], k=2) == 0.0


def test_majority_refuses_more_votes_than_samples_and_unequal_lists() -> None:
    with pytest.raises(ValueError, match=r"k 3, expected a count in \[1, 2\]"):
        majority(["1", "2"], k=3)
    with pytest.raises(ValueError, match=r"k 0, expected a count"):
        majority([])
    with pytest.raises(ValueError, match="1 verdicts, expected 2"):
        majority_is_correct(["1", "2"], [True])
    with pytest.raises(ValueError, match="no problems"):
        majority_at_k([], [], k=1)
    with pytest.raises(ValueError, match="verdicts of 0 problems, expected 1"):
        majority_at_k([["1"]], [], k=1)
