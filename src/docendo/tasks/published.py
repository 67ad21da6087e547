"""Where a published data set's rows are read: one file of our layout, its publisher's files, or the hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docendo.core.errors import DataError
from docendo.tasks.files import SUFFIXES, BadRow, read_rows
from docendo.tasks.gold import SPLIT_NAMES, Origin
from docendo.tasks.hub import HubId, load_splits


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """One row as its publisher has it."""

    origin: Origin
    split: str
    """train, validation or test; empty where nothing says it."""
    number: int
    """Place in its split or file, from 0."""
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A data set that is published in splits."""

    key: str
    """Name of the one file of our layout, without its kind: its rows may have a ``split`` column."""
    files: Mapping[str, tuple[str, ...]]
    """The publisher's files by our split; the first that is there counts."""
    folder: str
    """What the publisher's folder is called; files may lie in it or straight in the folder given."""
    hub: HubId
    hub_splits: Mapping[str, str]
    """Our split by what the hub's is called there."""

    def rows(self, folder: Path | None) -> Iterator[PublishedRow]:
        """Yield all rows.

        Args:
            folder: Where the files are. None: the hub.

        Raises:
            DataError: They are not there or cannot be read.
        """
        if folder is None:
            yield from self._from_hub()
            return
        own = next((path for path in self._own_files(folder) if path.is_file()), None)
        for split, path in {"": own}.items() if own else self._upstream_files(folder).items():
            yield from _file_rows(path, split)

    def _own_files(self, folder: Path) -> Iterator[Path]:
        return (folder / f"{self.key}{kind}{packed}" for kind in SUFFIXES for packed in ("", ".gz"))

    def _upstream_files(self, folder: Path) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for split, names in self.files.items():
            places = [place / name for name in names for place in (folder, folder / self.folder)]
            if path := next(filter(Path.is_file, places), None):
                found[split] = path
        if not found:
            upstream = ", ".join(names[0] for names in self.files.values())
            raise DataError(
                f"folder {folder} has no file of {self.key} that we know",
                hint=f"expected {self.key}.jsonl or {self.key}.jsonl.gz, or {upstream}",
            )
        return found

    def _from_hub(self) -> Iterator[PublishedRow]:
        splits = load_splits(self.hub)
        for theirs, split in self.hub_splits.items():
            for number, values in enumerate(splits.get(theirs, ())):
                yield PublishedRow(Origin(f"{self.hub} {theirs}", number + 1, "row"), split, number, values)


def _file_rows(path: Path, split: str) -> Iterator[PublishedRow]:
    for number, row in enumerate(read_rows(path)):
        if isinstance(row, BadRow):
            raise DataError(f"{row.origin}: {row.reason}", hint="mend or delete that line")
        named = SPLIT_NAMES.get(str(row.values.get("split", "")).lower(), "")
        yield PublishedRow(row.origin, split or named, number, row.values)


def text_of(row: PublishedRow, *columns: str) -> str:
    """Return the text of the first of some columns that the row has.

    Raises:
        DataError: It has none of them, or there is no text in it.
    """
    value = next((row.values[column] for column in columns if row.values.get(column) is not None), None)
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{row.origin}: {columns[0]} is {value!r}; expected a text")
    return " ".join(value.split())


def word_of(row: PublishedRow, words: tuple[str, str], *columns: str) -> str:
    """Return the word that a row's gold answer stands for: it may be the word, 0 or 1, true or false.

    Raises:
        DataError: It is none of these.
    """
    value = next((row.values[column] for column in columns if row.values.get(column) is not None), None)
    said = str(value).strip().lower()
    for word, number, truth in zip(words, "01", ("false", "true"), strict=True):
        if said in (word, number, truth):
            return word
    raise DataError(f"{row.origin}: {columns[0]} is {value!r}; expected {words[0]} or {words[1]}, or 0 or 1")
