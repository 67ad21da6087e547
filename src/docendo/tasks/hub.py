"""Tasks from Hugging Face data sets, by their id: ``openai/gsm8k:main`` or ``org/name:config@revision``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from docendo.core.errors import DataError
from docendo.tasks.gold import SPLIT_NAMES, Columns, GoldRow, Origin
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.tasks.rows import RowsTask

_ID = re.compile(r"(?P<path>[^:@]+)(?::(?P<config>[^@]+))?(?:@(?P<revision>.+))?")


@dataclass(frozen=True, slots=True)
class HubId:
    """Names a data set, one of its configurations, and a revision of it."""

    path: str
    config: str | None = None
    revision: str | None = None

    @classmethod
    def of(cls, text: str) -> HubId:
        """Read ``org/name:config@revision``.

        Raises:
            DataError: The text has another form.
        """
        match = _ID.fullmatch(text)
        if match is None:
            raise DataError(
                f"data set id is {text!r}; expected org/name, org/name:config or org/name@revision"
            )
        return cls(match["path"], match["config"], match["revision"])

    def __str__(self) -> str:
        config = f":{self.config}" if self.config else ""
        return f"{self.path}{config}" + (f"@{self.revision}" if self.revision else "")


def hub_task(name: str, options: TaskOptions = DEFAULTS) -> RowsTask:
    """Make a task of a Hugging Face data set; its splits are kept, missing ones made.

    Args:
        name: ``org/name``, ``org/name:config``, either with ``@revision``; also a local folder that
            ``datasets.load_dataset`` reads.
        options: Columns, answers and the sizes of splits made here.

    Raises:
        DataError: The data set cannot be had, or a row cannot be understood.
    """
    options.only(
        name,
        *(f"{column}_column" for column in ("question", "answer", "solution", "choices", "id", "group")),
        "answer_kind",
        "keep_calculator_marks",
        "validation_size",
        "test_size",
        "task_seed",
    )
    columns = Columns(options)
    wanted = HubId.of(name)

    def rows() -> Iterator[GoldRow]:
        for split, values in load_splits(wanted).items():
            yield from hub_rows(name, split, values, columns)
        columns.check_all_met(name)

    return RowsTask(name, rows, options)


def hub_rows(
    name: str, split: str, values: Iterable[Mapping[str, Any]], columns: Columns
) -> Iterator[GoldRow]:
    """Yield the rows of one split, understood."""
    for number, row in enumerate(values, 1):
        # The data set's own split counts, whatever a column of the row says of it.
        yield columns.gold_row(
            {column: value for column, value in row.items() if column != "split"},
            Origin(f"{name} {split}", number, "row"),
            split,
        )


def load_splits(wanted: HubId) -> dict[str, Iterable[Mapping[str, Any]]]:
    """Load a data set and return the rows of its splits by our names; other splits are left out.

    Raises:
        DataError: ``datasets`` is not installed, the hub cannot be reached, or there is no such data set.
    """
    try:
        import datasets  # pyright: ignore[reportMissingTypeStubs]
    except ImportError as error:
        raise DataError(
            f"data set {wanted} cannot be loaded: the package datasets is not installed",
            hint="pip install 'docendo[hub]', or give a local file with --task FILE",
        ) from error
    try:
        loaded = cast(
            "Mapping[str, Any]",
            datasets.load_dataset(wanted.path, wanted.config, revision=wanted.revision),  # pyright: ignore
        )
    except Exception as error:
        # The library raises anything from ConnectionError to errors of its file readers.
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        is_offline = isinstance(error, ConnectionError)
        raise DataError(
            f"data set {wanted} cannot be loaded: {reason}",
            hint="give local files: --task FILE, or --data-dir for a named task"
            if is_offline
            else "an id is org/name, a configuration org/name:config; or give a local file with --task FILE",
        ) from error
    splits = {SPLIT_NAMES[split]: loaded[split] for split in loaded if split in SPLIT_NAMES}
    if not splits:
        raise DataError(
            f"data set {wanted} has the splits {', '.join(loaded)}; expected train, validation or test"
        )
    return splits
