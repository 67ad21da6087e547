"""Verb lessons: exams have the verb and the meaning of the problem that is taught, and other questions."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from docendo.core.errors import SettingError, UnknownNameError
from docendo.lab.lessons import VerbLessons, hinted_verb_lessons, verb_lessons
from docendo.tasks.conformance import check_task
from docendo.tasks.options import TaskOptions

ALL = [verb_lessons, hinted_verb_lessons]
HINT = re.compile(r"s (\d+): (she|he) (gets \1 more|loses \1 of them|has \1 times as many)\.")


@pytest.mark.parametrize("make", ALL)
def test_they_pass_their_checks(make: Callable[[TaskOptions], VerbLessons]) -> None:
    options = TaskOptions(task_seed=3)
    assert not [check for check in check_task(make(options), make(options), limit=200) if not check.passed]


@pytest.mark.parametrize("make", ALL)
def test_exams_share_verb_and_meaning_with_what_is_taught(
    make: Callable[[TaskOptions], VerbLessons],
) -> None:
    task = make(TaskOptions())
    exams: dict[str, list[str]] = {}
    for problem in task.problems("exams"):
        exams.setdefault(problem.group, []).append(problem.id)
    gold = task.labels("exams")
    for split, least in (("train", 1000), ("validation", 300), ("test", 500)):
        labels = task.labels(split)
        taught = list(task.problems(split))
        assert len(taught) == len({problem.group for problem in taught}) >= least
        for problem in taught[:60]:
            own = exams[problem.group]
            assert len(own) == 7
            signs = [sign_of(label.solution) for label in (labels[problem.id], *map(gold.__getitem__, own))]
            assert len(set(signs)) == 1


def sign_of(solution: str) -> str:
    words = {"plus": "+", "minus": "-", "times": "*"}
    found = re.search(r"\d (\+|-|\*|plus|minus|times) \d", solution)
    assert found
    return words.get(found[1], found[1])


def test_a_hint_says_what_the_verb_means_in_half_of_the_groups() -> None:
    task = hinted_verb_lessons()
    labels = task.labels("test", 200)
    hinted = [(one, found) for one in task.problems("test", 200) if (found := HINT.search(one.question))]
    assert 70 < len(hinted) < 130
    for problem, found in hinted:
        meaning = {"g": "+", "l": "-", "h": "*"}[found[3][0]]
        assert sign_of(labels[problem.id].solution) == meaning
    groups: dict[str, set[bool]] = {}
    for problem in (*task.problems("test", 200), *task.problems("exams")):
        groups.setdefault(problem.group, set()).add(bool(HINT.search(problem.question)))
    assert all(len(own) == 1 for own in groups.values())
    assert not any(HINT.search(problem.question) for problem in verb_lessons().problems("exams", 500))


def test_what_it_has_not_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown split 'pretrain'"):
        verb_lessons().problems("pretrain")
    with pytest.raises(SettingError, match="test_size is 5; task verb-lessons has no use for it"):
        verb_lessons(TaskOptions(test_size=5))
