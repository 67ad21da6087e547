"""Which questions are for training and which for testing, by the authors' numbering.

Every draw is numpy's ``RandomState(0).permutation`` of a sorted list, cut, and sorted again [code,
generate_split.py]; its stream is frozen, so the numbers are those of the published split files.

==============  ==============================================================================================
random          70 % of all questions are for training
given           where the publisher has a train and a test file they are kept; of AQuA's train file 10,000
template        70 % of the templates: no template stands in both
subset          n questions of train, for the study of data sizes
==============  ==============================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from docendo.tasks.cot.catalogue import CotTask

TRAIN_SHARE = 0.7

_NAME = re.compile(r"\b[A-Z][a-z]+\b")
_NUMBER = re.compile(r"\d+")
_ASKS_DATE = " What is the date"


def for_training(task: CotTask) -> frozenset[int]:
    """Return the questions that are for training; those of AQuA are the drawn 10,000."""
    if task.n_train is None:
        return frozenset(_drawn(range(task.size), round(task.size * TRAIN_SHARE)))
    train = range(task.n_train)
    return frozenset(train if task.n_drawn is None else _drawn(train, task.n_drawn))


def for_testing(task: CotTask) -> frozenset[int]:
    """Return the questions that are for testing."""
    if task.n_train is None:
        return frozenset(range(task.size)) - for_training(task)
    return frozenset(range(task.n_train, task.size))


def template_train_indices(templates: Sequence[str]) -> frozenset[int]:
    """Return the questions of the templates that are for training; the others are for testing.

    Args:
        templates: Of every question, in order.
    """
    names = list(dict.fromkeys(templates))
    chosen = {names[place] for place in _drawn(range(len(names)), round(len(names) * TRAIN_SHARE))}
    return frozenset(index for index, template in enumerate(templates) if template in chosen)


def subset_of(train: frozenset[int], size: int) -> frozenset[int]:
    """Return the ``size`` training questions that the study of data sizes learns from."""
    return frozenset(_drawn(sorted(train), size))


def template_of(task: CotTask, question: str) -> str:
    """Return what a question has in common with others made like it.

    Date Understanding: what is said before the date is asked for; nine questions each. MultiArith: the text
    with its numbers and its capitalised words, the names among them, taken out.
    """
    if task.key == "date_understanding":
        return question.partition(_ASKS_DATE)[0]
    return _NAME.sub("X", _NUMBER.sub("0", question))


def _drawn(values: Sequence[int], size: int) -> list[int]:
    order = np.random.RandomState(0).permutation(np.asarray(values))
    return sorted(int(value) for value in order[:size])
