"""Few training stories share a long run of words with held-out ones: contamination filters drop few."""

from __future__ import annotations

import re

from docendo.lab.problems import FAMILIES


def runs_of_words(question: str, length: int = 13) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9]+", question.lower())
    return {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}


def test_under_one_percent_of_training_stories_share_13_words_with_held_out_ones():
    stories = FAMILIES["stories"]
    held_out = [*stories.problems("test", 1000), *stories.problems("validation", 500)]
    known = set[tuple[str, ...]]().union(*(runs_of_words(problem.question) for problem in held_out))
    shared = [
        problem for problem in stories.problems("train", 2000) if runs_of_words(problem.question) & known
    ]
    assert len(shared) <= 20
