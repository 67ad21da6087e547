"""The 12 tasks by name: their rows with the published splits, Formats and Verifier.

Validation is cut off the published train split, 10 % and at most 500 problems, as `docendo.tasks.rows`
does, so that nothing is ever chosen on test; AQuA has a validation split of its own. Test problems that
stand in the published few-shot prompt are left out, unless ``keep_exemplars`` is set: 53 and 143 of Date
Understanding, 0, 3 and 7 of StrategyQA.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from docendo.core.errors import DataError, SettingError
from docendo.core.protocols import Verifier
from docendo.tasks.cot.answers import TOLERANCE, PublishedEquality
from docendo.tasks.cot.catalogue import TASKS, CotTask
from docendo.tasks.cot.exemplars import few_shot_prompt
from docendo.tasks.cot.formats import published_formats
from docendo.tasks.cot.sources import Placed, placed_rows
from docendo.tasks.cot.splits import (
    for_testing,
    for_training,
    subset_of,
    template_of,
    template_train_indices,
)
from docendo.tasks.gold import GoldRow
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.tasks.rows import RowsTask, together
from docendo.verifiers.numeric import Numeric

COT_OPTIONS = ("data_dir", "validation_size", "task_seed", "train_size", "equality")
"""Options that all 12 tasks heed."""
MOST_VALIDATION = 500


def cot_task(name: str, rows: Callable[[], Iterable[GoldRow]], options: TaskOptions) -> RowsTask:
    """Return a task with the published Formats and the chosen Verifier.

    Args:
        name: One of `TASKS`.
        rows: Reads the rows, each with its split.
        options: Settings of the task.
    """
    task = TASKS[name]
    exemplars = "" if options.data_dir is None else few_shot_prompt(task, options.data_dir)
    own_size = options.validation_size if options.train_size is None else None  # else `_cut` has heeded it
    settings = replace(options, answer_kind=task.kind, validation_size=own_size)
    repeats = task.repeats if options.split_by == "problem" else ()
    return RowsTask(
        name,
        lambda: _cut(name, list(rows()), options),
        settings,
        formats=published_formats(task, exemplars),
        verifier=_verifier(task, options),
        repeats=frozenset(f"{task.key}-{index}" for index in repeats),
    )


def _verifier(task: CotTask, options: TaskOptions) -> Verifier | None:
    if options.equality == "published":
        return PublishedEquality(equality=task.equality)
    return Numeric(tolerance=TOLERANCE) if task.equality == "number" else None


def _cut(name: str, rows: list[GoldRow], options: TaskOptions) -> Iterator[GoldRow]:
    """Leave of train what is to be learned from; with ``train_size``, validation is cut off the rest."""
    size = options.train_size
    if size is None:
        yield from rows
        return
    train = [row for row in rows if row.split == "train"]
    places = {int(row.id.rpartition("-")[2]): place for place, row in enumerate(train)}
    published = for_training(TASKS[name]) if options.split_by == "problem" else frozenset(places)
    if size >= len(published):
        raise SettingError(f"train_size is {size}; {name} has {len(published):,} problems in train")
    drawn = subset_of(published, size)
    if not drawn <= places.keys():
        raise DataError(
            f"{len(drawn - places.keys())} of the {size} problems that {name} learns from are not there",
            hint="the study of data sizes needs the whole train split; leave out --train-size",
        )
    chosen = {places[index] for index in drawn}
    held = set[int]()
    has_validation = any(row.split == "validation" for row in rows)
    if has_validation and options.validation_size is not None:
        raise SettingError(
            f"validation_size is {options.validation_size}, but {name} needs none: it has a validation split"
        )
    if not has_validation:
        wanted = options.validation_size or min(round(len(train) / 10), MOST_VALIDATION)
        for piece in together(train, options.task_seed):
            if len(held) < wanted and chosen.isdisjoint(piece):
                held.update(piece)
    for place, row in enumerate(train):
        if place in chosen or place in held:
            yield replace(row, split="train" if place in chosen else "validation")
    yield from (row for row in rows if row.split != "train")


def _opener(name: str) -> Callable[[TaskOptions], RowsTask]:
    task = TASKS[name]
    more = [*(["split_by"] if task.templated else []), *(["keep_exemplars"] if _leaks(task) else [])]

    def opened(options: TaskOptions = DEFAULTS) -> RowsTask:
        options.only(name, *COT_OPTIONS, *more)
        return cot_task(name, lambda: _rows(name, task, options), options)

    opened.__doc__ = f"Return the task {name}, from ``options.data_dir`` or from the hub."
    return opened


def _leaks(task: CotTask) -> bool:
    return not for_testing(task).isdisjoint(task.exemplars)


def _rows(name: str, task: CotTask, options: TaskOptions) -> Iterator[GoldRow]:
    placed = placed_rows(name, task, options.data_dir)
    train, test = for_training(task), for_testing(task)
    if options.split_by == "template":
        placed = _with_templates(name, task, placed)
        train = template_train_indices([one.row.group for one in placed])
        test = frozenset(range(task.size)) - train
    if not options.keep_exemplars:
        test -= frozenset(task.exemplars)
    n_unplaced = 0
    for one in placed:
        index = one.index
        row = replace(one.row, question=one.row.question + task.asked, id=f"{task.key}-{index}")
        if index is None:
            yield replace(row, split="validation", id=f"{task.key}-dev-{n_unplaced}")
            n_unplaced += 1
        elif index in train or index in test:
            yield replace(row, split="train" if index in train else "test")


def _with_templates(name: str, task: CotTask, placed: list[Placed]) -> list[Placed]:
    if len(placed) < task.size:
        raise DataError(
            f"there are {len(placed)} rows of {name}; the template split needs all {task.size}",
            hint="leave out --split-by template",
        )
    return [replace(one, row=replace(one.row, group=template_of(task, one.row.question))) for one in placed]


single_eq = _opener("single-eq")
addsub = _opener("addsub")
multiarith = _opener("multiarith")
svamp = _opener("svamp")
aqua = _opener("aqua")
commonsense_qa = _opener("commonsense-qa")
strategy_qa = _opener("strategy-qa")
date_understanding = _opener("date-understanding")
tracking_shuffled_objects = _opener("tracking-shuffled-objects")
last_letter = _opener("last-letter")
coin_flip = _opener("coin-flip")
