from __future__ import annotations

from collections.abc import Callable

import pytest

from docendo.core.errors import SettingError, UnknownNameError
from docendo.lab.tasks import MOST, LabTask, addition, chain, dates, letters, story_problems, verbs
from docendo.tasks.conformance import check_task
from docendo.tasks.options import TaskOptions
from docendo.verifiers.exact import Exact
from docendo.verifiers.numeric import Numeric

ALL = [story_problems, chain, addition, letters, dates, verbs]


@pytest.mark.parametrize("make", ALL)
def test_lab_tasks_pass_their_checks(make: Callable[[TaskOptions], LabTask]) -> None:
    options = TaskOptions(task_seed=5)
    checks = check_task(make(options), make(options), limit=150)
    assert not [check for check in checks if not check.passed]


@pytest.mark.parametrize("make", ALL)
def test_splits_have_at_least_as_many_problems_as_a_run_asks_for(
    make: Callable[[TaskOptions], LabTask],
) -> None:
    task = make(TaskOptions())
    asked = {"train": 1000, "validation": 300, "test": 500}
    for split, n in asked.items():
        assert sum(1 for _ in task.problems(split, n)) == n
        assert len(task.labels(split, n)) == n
    assert next(task.problems("test", 1)).id.endswith("-0-test-0")


def test_a_split_ends_where_the_family_does() -> None:
    n_letters = sum(1 for _ in letters().problems("test"))
    assert n_letters < MOST["test"]
    assert sum(1 for _ in letters().problems("test", n_letters + 5)) == n_letters


def test_numbers_and_texts_have_their_verifiers() -> None:
    assert isinstance(story_problems().verifier, Numeric)
    assert isinstance(dates().verifier, Exact)


def test_seeds_draw_other_problems_and_say_so() -> None:
    one, two = story_problems(), story_problems(TaskOptions(task_seed=1))
    assert one.identity != two.identity
    asked = [{problem.question for problem in task.problems("test", 50)} for task in (one, two)]
    assert not asked[0] & asked[1]


def test_only_verbs_have_groups() -> None:
    assert {problem.group for problem in story_problems().problems("train", 20)} == {""}
    assert len({problem.group for problem in verbs().problems("train", 16)}) == 2


def test_what_a_lab_task_cannot_heed_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"test_size is 5; task chain has no use for it\nhint: .* task_seed"
    ):
        chain(TaskOptions(test_size=5))
    with pytest.raises(UnknownNameError, match="unknown split 'pretrain'"):
        chain().problems("pretrain")
