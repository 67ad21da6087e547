"""Pairs by correctness and exam score: the specification's worked example and thresholds."""

from __future__ import annotations

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import SettingError
from docendo.core.records import Message, Outcome, Problem, Prompt, Sample, Score, Verdict
from docendo.core.table import Rows
from docendo.examples.gaps import GapPair, gap_pairs, worth
from docendo.selectors.cap import Cap
from docendo.selectors.gap import WiderThan, Widest

FIVE = {"p": (1, 9), "q": (1, 5), "r": (1, 2), "s": (0, 6), "t": (0, 0)}
WIDE = WiderThan(0.3)


def sample(name: str, right: int, exams: int | None, of: int = 9, finish: str = "stop") -> Sample:
    prompt = Prompt(Problem("one", "What?", "train"), (Message("user", "What?"),))
    verdict = Verdict(Outcome.CORRECT if right else Outcome.INCORRECT)
    score = Score(None if exams is None else exams / of)
    return Sample(
        name, prompt, 0, f" {name}.", finish, token_ids=(ord(name[0]), 1), tokenizer="t",  # type: ignore
        verdicts={"verdict": verdict}, scores={"exam": score},
    )  # fmt: skip


def pairs(samples: Iterable[Sample], share: float = 0.5) -> list[GapPair]:
    found = list(gap_pairs(Rows(samples), "exam", share, n=8))
    reasons = WIDE.reasons({"gap": [pair.gap for pair in found]}, random.Random(0))
    return [pair for pair, reason in zip(found, reasons, strict=True) if reason is None]


def named(found: Iterable[GapPair]) -> dict[str, float]:
    return {pair.chosen.id + pair.rejected.id: round(pair.gap, 4) for pair in found}


def test_the_five_rationales_of_the_specification() -> None:
    five = [sample(name, *own) for name, own in FIVE.items()]
    assert [round(worth(one, "exam", 0.5), 4) for one in five] == [1, 0.7778, 0.6111, 0.3333, 0]
    assert named(pairs(five)) == {
        "pr": 0.3889, "ps": 0.6667, "pt": 1, "qs": 0.4444, "qt": 0.7778, "rt": 0.6111, "st": 0.3333,
    }  # fmt: skip
    by_correctness = named(pairs(five, share=0))
    assert set(by_correctness) == {"ps", "pt", "qs", "qt", "rs", "rt"}
    assert set(by_correctness.values()) == {1}


@pytest.mark.parametrize("low", range(10))
@pytest.mark.parametrize("high", range(10))
def test_the_thresholds_on_the_grid_of_nine_exams(high: int, low: int) -> None:
    for right in (0, 1):
        same = named(pairs([sample("w", right, high), sample("l", right, low)]))
        assert ("wl" in same) == (high - low >= 6)
    mixed = named(pairs([sample("w", 1, high), sample("l", 0, low)]))
    assert ("wl" in mixed) == (high - low >= -3)


@given(st.integers(1, 60), st.data())
def test_a_gap_that_equals_the_bound_is_not_above_it(of: int, data: st.DataObject) -> None:
    high, low = data.draw(st.integers(0, of)), data.draw(st.integers(0, of))
    found = named(pairs([sample("w", 1, high, of), sample("l", 1, low, of)]))
    assert ("wl" in found) == (10 * (high - low) > 6 * of)  # exactly, in whole numbers


def test_what_has_no_score_or_no_end_stands_in_no_pair() -> None:
    given = [sample("w", 1, 9), sample("x", 0, None), sample("y", 0, 0, finish="length"), sample("l", 0, 0)]
    assert set(named(pairs(given))) == {"wl"}
    assert set(named(pairs(given, share=0))) == {"wl"}


def test_a_pair_is_learned_as_it_was_sampled() -> None:
    (pair,) = pairs([sample("w", 1, 9), sample("l", 0, 0)])
    row = pair.example()
    assert (row.chosen, row.rejected, row.parents) == (" w.", " l.", ("w", "l"))
    assert row.chosen_token_ids == (ord("w"), 1)
    assert (row.problem_id, pair.problem.id) == ("one", "one")


@given(st.lists(st.floats(0, 1), max_size=30), st.integers(1, 8))
def test_the_widest_are_kept_and_no_more_than_the_limit(gaps: list[float], limit: int) -> None:
    reasons = Widest(limit).reasons({"gap": gaps}, random.Random(0))
    kept = [gap for gap, reason in zip(gaps, reasons, strict=True) if reason is None]
    dropped = [gap for gap, reason in zip(gaps, reasons, strict=True) if reason]
    assert len(kept) == min(limit, len(gaps))
    assert min(kept, default=1) >= max(dropped, default=0)
    drawn = Cap(limit).reasons({"problem_id": ["one"] * len(gaps)}, random.Random(0))
    assert drawn.count(None) == min(limit, len(gaps))


def test_bounds_that_cannot_be_are_refused() -> None:
    with pytest.raises(SettingError, match=r"gap is 1\.0; expected at least 0 and below 1"):
        WiderThan(1.0)
    with pytest.raises(SettingError, match="limit is 0 pairs a problem"):
        Widest(0)
