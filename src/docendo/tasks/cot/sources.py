"""Where the rows of the 12 tasks are read, and how each finds its place in the authors' numbering.

In a folder, the first of these that is there:

=======================================  ==================================================================
``single_eq.jsonl.gz``                   one file a task, by the authors' key; any kind that
                                         `docendo.tasks.files` reads. AQuA: ``aqua_train``, ``aqua_dev``,
                                         ``aqua_test``, any of them
``single_eq.json``                       the authors' processed files
``SingleEq/questions.json``              the upstream files, as kojima-takeshi188/zero_shot_cot lays them
                                         out; also straight in the folder
=======================================  ==================================================================

A row's place is that of its question in the published file, known by a digest (``orders.json`` here holds the
first 8 hexadecimal digits for each question, and no question). So the splits are the published ones whatever
the order of the rows, and where only some of them are there. SVAMP's rows carry their number; those of
CommonsenseQA and AQuA are taken in the order of the files. A question that is not the task's is an error in a
local file; on the hub, where data sets hold more, it is passed over.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files as package_files
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson

from docendo.core.errors import DataError
from docendo.core.seeds import digest_of
from docendo.tasks.cot.catalogue import CotTask, Piece
from docendo.tasks.cot.upstream import understood
from docendo.tasks.files import SUFFIXES, BadRow, read_rows
from docendo.tasks.formats import LETTERS
from docendo.tasks.gold import Columns, GoldRow, Origin
from docendo.tasks.hub import load_splits
from docendo.tasks.options import TaskOptions
from docendo.tasks.rows import normalised_question

DIGITS = 8
PIECES: tuple[Piece, ...] = ("all", "train", "dev", "test")
_NUMBER = re.compile(r"\d+$")


@dataclass(frozen=True, slots=True)
class Placed:
    """A row and its place in the authors' numbering; None for questions that they do not number."""

    index: int | None
    row: GoldRow


def placed_rows(name: str, task: CotTask, folder: Path | None) -> list[Placed]:
    """Return the rows of a task by their place; those without one are the last.

    Args:
        name: What people call the task.
        task: What is known of it.
        folder: Where its files are. None: the hub.

    Raises:
        DataError: They are not there, or one cannot be understood or is not the task's.
    """
    pieces = _from_hub(name, task) if folder is None else _from_folder(name, task, folder)
    found = list(_placed(name, task, pieces, is_local=folder is not None))
    placed = sorted((placed for placed, _ in found), key=lambda one: (one.index is None, one.index or 0))
    for one, other in pairwise(placed):
        if one.index is not None and one.index == other.index:
            raise DataError(f"{other.row.origin}: the question stands already in {one.row.origin}")
    if folder is None and task.n_train is None and len(placed) < task.size:
        raise DataError(
            f"data set {task.hub} holds {len(placed):,} of the {task.size:,} questions of {name}",
            hint=f"give local files with --data-dir: {_expected(task)}",
        )
    if task.shuffled and any(is_raw for _, is_raw in found):
        if len(placed) < task.size:
            raise DataError(f"there are {len(placed)} rows of {name}; expected all {task.size}")
        rows = with_shuffled_choices(one.row for one in placed)
        return [replace(one, row=row) for one, row in zip(placed, rows, strict=True)]
    return placed


# -- where they are read -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Piece:
    """Rows in the order of their publisher."""

    name: Piece
    rows: Iterable[tuple[Origin, Mapping[str, Any]]]


def _from_folder(name: str, task: CotTask, folder: Path) -> Iterator[_Piece]:
    found: dict[Piece, Path] = {}
    for piece in PIECES:
        stem = task.key if piece == "all" else f"{task.key}_{piece}"
        names = [f"{stem}{kind}{packed}" for kind in SUFFIXES for packed in ("", ".gz")]
        path = next((path for name in names if (path := folder / name).is_file()), None)
        if path is not None:
            found[piece] = path
    if "all" in found:
        found = {"all": found["all"]}
    if not found:
        for piece, path in task.files.items():
            places = (folder / path, folder / "dataset" / path, folder / Path(path).name)
            if place := next(filter(Path.is_file, places), None):
                found[piece] = place
    if not found:
        raise DataError(
            f"folder {folder} has no file of {name} that we know", hint=f"expected {_expected(task)}"
        )
    for piece, path in found.items():
        yield _Piece(piece, _records(path))


def _expected(task: CotTask) -> str:
    stem = f"{task.key}_test" if task.key == "aqua" else task.key
    return f"{stem}.jsonl or {stem}.jsonl.gz, or {', '.join(task.files.values())}"


def _records(path: Path) -> Iterator[tuple[Origin, Mapping[str, Any]]]:
    """Yield the rows of a file; of a file that wraps them in an object, those inside."""
    for row in read_rows(path, ".jsonl" if _is_lines(path) else None):
        if isinstance(row, BadRow):
            raise DataError(f"{row.origin}: {row.reason}", hint="mend or delete that line")
        inside = row.values.get("examples") or row.values.get("data")
        if isinstance(inside, list):
            for number, values in enumerate(cast("list[Any]", inside), 1):
                if not isinstance(values, dict):
                    raise DataError(
                        f"{path.name} row {number} is no object; expected a question and its answer"
                    )
                yield Origin(path.name, number, "row"), cast("dict[str, Any]", values)
        else:
            yield row.origin, row.values


def _is_lines(path: Path) -> bool:
    """Whether a file that is called .json holds an object a line, as AQuA's do."""
    if path.suffix != ".json":
        return False
    with path.open("rb") as file:
        first = file.readline()
    try:
        return isinstance(orjson.loads(first), dict)
    except orjson.JSONDecodeError:
        return False


def _from_hub(name: str, task: CotTask) -> Iterator[_Piece]:
    if task.hub is None:
        raise DataError(
            f"there is no data set with the questions of {name} on the hub that we know",
            hint=f"give local files with --data-dir: {_expected(task)}",
        )
    splits = load_splits(task.hub)
    pieces: dict[str, Piece] = dict.fromkeys(splits, "all")
    if task.key == "commonsense_qa":  # its test answers are not published
        pieces = {"train": "train", "validation": "test"}
    elif task.n_train is not None:
        pieces = {"train": "train", "validation": "dev", "test": "test"}
    for split, piece in pieces.items():
        values = splits.get(split, ())
        rows = ((Origin(f"{name} {split}", number, "row"), row) for number, row in enumerate(values, 1))
        yield _Piece(piece, rows)


# -- their places ------------------------------------------------------------------------------------------


def _placed(
    name: str, task: CotTask, pieces: Iterable[_Piece], *, is_local: bool
) -> Iterator[tuple[Placed, bool]]:
    """Yield rows with their places, and whether a row is as BIG-bench has it."""
    columns = Columns(TaskOptions())
    places = _places(task)
    for piece in pieces:
        first = (task.n_train or 0) if piece.name == "test" else 0
        number = -1
        for number, (origin, values) in enumerate(piece.rows):
            row = understood(task, values, origin, columns)
            index: int | None = first + number
            if piece.name == "dev":
                index = None
            elif task.key == "svamp":
                index = _own_number(row) if row.id else number
            elif task.n_train is None:
                waiting = places.get(question_digest(row.question))
                if not waiting:
                    if is_local:
                        raise DataError(
                            f"{origin}: the question is none of the {task.size:,} of {name}, or repeated",
                            hint="give other questions as a task of their own, with --task FILE",
                        )
                    continue
                index = waiting.popleft()
            yield Placed(index, row), _is_raw(values)
        _check_count(name, task, piece.name, number + 1)


def _check_count(name: str, task: CotTask, piece: Piece, count: int) -> None:
    """Make sure that rows which are known by their place are all there."""
    if task.n_train is None or piece == "dev":
        return
    wanted = {"all": task.size, "train": task.n_train, "test": task.size - task.n_train}[piece]
    if count != wanted:
        raise DataError(
            f"{piece} of {name} has {count:,} rows; expected {wanted:,}",
            hint="the published split goes by the place of a row; give the whole file, in its order",
        )


def _own_number(row: GoldRow) -> int:
    """Return SVAMP's own number of a question: ``chal-17`` is the one at 16, as is ``svamp-16``."""
    match = _NUMBER.search(row.id)
    if match is None:
        raise DataError(f"{row.origin}: id is {row.id!r}; expected chal-1 or svamp-0 and so on")
    return int(match[0]) - row.id.startswith("chal-")


def question_digest(question: str) -> str:
    """Return what stands for a question in ``orders.json``."""
    return digest_of(normalised_question(question))[:DIGITS]


def _places(task: CotTask) -> dict[str, deque[int]]:
    """Return the places of each question by its digest: several where a question is repeated."""
    digests = _orders().get(task.key, "")
    places: dict[str, deque[int]] = defaultdict(deque)
    for index, start in enumerate(range(0, len(digests), DIGITS)):
        places[digests[start : start + DIGITS]].append(index)
    return places


@cache
def _orders() -> Mapping[str, str]:
    return orjson.loads(package_files("docendo.tasks.cot").joinpath("orders.json").read_bytes())


# -- the order of choices ----------------------------------------------------------------------------------


def _is_raw(values: Mapping[str, Any]) -> bool:
    """Whether a row comes from BIG-bench as it is, with the right choice first."""
    return "target_scores" in values or "multiple_choice_targets" in values


def with_shuffled_choices(rows: Iterable[GoldRow]) -> Iterator[GoldRow]:
    """Put the choices of all rows, in the order of the authors, into the authors' order.

    One ``RandomState(0)`` for all; the i-th choice goes to place ``permutation(n)[i]``.
    """
    state = np.random.RandomState(0)
    for row in rows:
        to = [int(place) for place in state.permutation(len(row.choices))]
        choices = [""] * len(to)
        for choice, place in zip(row.choices, to, strict=True):
            choices[place] = choice
        yield replace(row, choices=tuple(choices), answer=LETTERS[to[LETTERS.index(row.answer)]])
