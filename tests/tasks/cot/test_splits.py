"""The published indices, as the authors' split files have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from docendo.tasks.cot.catalogue import TASKS
from docendo.tasks.cot.splits import (
    for_testing,
    for_training,
    subset_of,
    template_of,
    template_train_indices,
)

Rows = Callable[[str], Iterator[dict[str, Any]]]

# Table 1 of the paper's appendix and the released split files.
SIZES = {
    "single-eq": (356, 152),
    "addsub": (276, 119),
    "multiarith": (420, 180),
    "gsm8k": (7473, 1319),
    "aqua": (10000, 254),
    "svamp": (700, 300),
    "date-understanding": (258, 111),
    "tracking-shuffled-objects": (525, 225),
    "last-letter": (350, 150),
    "coin-flip": (350, 150),
    "commonsense-qa": (9741, 1221),
    "strategy-qa": (1603, 687),
}


@pytest.mark.parametrize("name", TASKS)
def test_sizes_are_the_published_ones_and_nothing_is_on_both_sides(name: str) -> None:
    train, test = for_training(TASKS[name]), for_testing(TASKS[name])
    assert (len(train), len(test)) == SIZES[name]
    assert not train & test
    assert max(train | test) < TASKS[name].size


def test_indices_of_the_study_of_data_sizes() -> None:
    multiarith = subset_of(for_training(TASKS["multiarith"]), 8)
    assert sorted(multiarith) == [14, 31, 150, 189, 199, 255, 392, 495]
    dates = for_training(TASKS["date-understanding"])
    assert sorted(subset_of(dates, 8)) == [10, 156, 161, 170, 219, 271, 313, 334]
    assert subset_of(dates, 8) <= subset_of(dates, 32) <= subset_of(dates, 128) <= dates


def test_exemplars_that_stand_in_test() -> None:
    leaked = {
        name: sorted(for_testing(task) & set(task.exemplars))
        for name, task in TASKS.items()
        if for_testing(task) & set(task.exemplars)
    }
    assert leaked == {"date-understanding": [53, 143], "strategy-qa": [0, 3, 7]}


def test_templates_leave_numbers_and_names_out() -> None:
    task = TASKS["multiarith"]
    assert template_of(task, "Debby had 32 sweets and Ann 4.") == template_of(
        task, "Carol had 7 sweets and Bo 51."
    )
    assert template_of(task, "Debby had 32 sweets.") != template_of(task, "Debby had 32 cards.")
    dates = TASKS["date-understanding"]
    assert template_of(dates, "It is noon. What is the date tomorrow in MM/DD/YYYY?") == "It is noon."


def test_of_ten_templates_seven_are_for_training() -> None:
    templates = [str(place // 3) for place in range(30)]
    train = template_train_indices(templates)
    assert len(train) == 21
    assert all(
        {3 * place, 3 * place + 1, 3 * place + 2} & train in (set(), {*range(3 * place, 3 * place + 3)})
        for place in range(10)
    )


@pytest.mark.parametrize("name", [name for name in TASKS if TASKS[name].n_train is None])
def test_random_splits_are_those_of_the_released_files(name: str, data_rows: Rows) -> None:
    train = for_training(TASKS[name])
    for row in data_rows(TASKS[name].key):
        index = int(row["id"].rpartition("-")[2])
        assert (index in train) is (row["split"] == "train"), row["id"]


@pytest.mark.parametrize(
    ("name", "n_templates", "n_train"), [("multiarith", 120, 413), ("date-understanding", 41, 261)]
)
def test_template_splits_are_those_of_the_released_files(
    name: str, n_templates: int, n_train: int, data_rows: Rows
) -> None:
    rows = list(data_rows(TASKS[name].key))
    templates = [template_of(TASKS[name], row["question"]) for row in rows]
    train = template_train_indices(templates)
    assert (len(set(templates)), len(train)) == (n_templates, n_train)
    assert train == {index for index, row in enumerate(rows) if row["split_template"] == "train"}
