r"""Tasks from local files: JSON Lines, JSON, CSV, TSV and Parquet; all but Parquet also packed with gzip.

One file: its ``split`` column says what is train, validation and test; without one the splits are made (see
`docendo.tasks.rows`). A folder: its files are named after their splits, ``train.jsonl``, ``dev.csv.gz``,
``test-00000-of-00001.parquet``.
"""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import orjson

from docendo.core.errors import DataError
from docendo.tasks.gold import SPLIT_NAMES, Columns, GoldRow, Origin
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.tasks.rows import RowsTask

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
"""Kinds of files that are read; ``.gz`` may follow all but the last."""
_SHARD = re.compile(r"-\d+-of-\d+$")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its values by column."""

    origin: Origin
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row of a file that cannot be read."""

    origin: Origin
    reason: str


def kind_of(path: Path) -> str:
    """Return which of `SUFFIXES` a file's name has, ``.gz`` aside; empty where it has none."""
    plain = path.name.lower().removesuffix(".gz")
    return next((suffix for suffix in SUFFIXES if plain.endswith(suffix)), "")


def read_rows(path: Path, kind: str | None = None) -> Iterator[Row | BadRow]:
    """Yield the rows of a file one after the other, bad ones as such; blank lines are passed over.

    Rows of JSON Lines, CSV and TSV are numbered by their lines, those of other files by themselves, from 1.
    All but JSON, which is read as a whole, are streamed. Quotes in a TSV file are signs like any other.

    Args:
        path: The file.
        kind: One of `SUFFIXES`, where the file's name does not say what it is. None: what the name says.

    Raises:
        DataError: The file is missing, empty, of no known kind, or cannot be read on from some place.
    """
    if not path.exists():
        raise DataError(f"there is no file {path}", hint="look for a typing error in its name")
    kind = kind or kind_of(path)
    if not kind or path.is_dir():
        what = "is a folder" if path.is_dir() else "is of no known kind"
        raise DataError(f"{path} {what}; expected a file that ends in {', '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty; expected at least one row")
    readers = {".jsonl": _json_lines, ".json": _json, ".csv": _csv, ".tsv": _tsv, ".parquet": _parquet}
    reader = readers[kind]
    n_rows = 0
    for row in reader(path):
        n_rows += 1
        yield row
    if n_rows == 0:
        raise DataError(f"{path} has no rows; expected at least one")


def line_count(path: Path) -> int:
    """Return about how many rows a file has, without reading them: its lines; 0 where it cannot be told.

    Raises:
        DataError: The file cannot be unpacked.
    """
    if kind_of(path) not in (".jsonl", ".csv") or not path.is_file():
        return 0
    with _opened(path) as file:
        return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b""))


def file_task(path: Path, options: TaskOptions = DEFAULTS) -> RowsTask:
    """Make a task of a file, or of a folder of files that are named after their splits.

    Raises:
        DataError: A file or a row cannot be read; the message names the line.
        SettingError: A setting cannot be.
    """
    options.only(
        path.name,
        *(f"{name}_column" for name in ("question", "answer", "solution", "choices", "id", "split", "group")),
        "answer_kind",
        "keep_calculator_marks",
        "validation_size",
        "test_size",
        "task_seed",
    )
    if path.is_dir():
        files = split_files(path)
        if not files:
            raise DataError(
                f"folder {path} has no file that is named after a split",
                hint="as in train.jsonl and test.jsonl",
            )
    else:
        files = {"": [path]}
    columns = Columns(options)

    def rows() -> Iterator[GoldRow]:
        for split, paths in files.items():
            for one in paths:
                yield from gold_rows(one, columns, split)
        columns.check_all_met(path.name)

    task = RowsTask(path.name, rows, options)
    # What is wrong with a file is told when it is named, not in the middle of a run.
    task.load()
    return task


def gold_rows(path: Path, columns: Columns, split: str = "") -> Iterator[GoldRow]:
    """Yield the rows of a file, understood.

    Raises:
        DataError: A row cannot be read or understood.
    """
    for row in read_rows(path):
        if isinstance(row, BadRow):
            raise DataError(f"{row.origin}: {row.reason}", hint="mend or delete that line")
        yield columns.gold_row(row.values, row.origin, split)


def split_files(folder: Path, prefixes: Sequence[str] = ("",)) -> dict[str, list[Path]]:
    """Find the files of a folder that are named after splits, by split; parts of one split in their order.

    Args:
        folder: Where to look; not below it.
        prefixes: What may stand before the split in a name, as in ``gsm8k_train.jsonl``.

    Raises:
        DataError: A split has two files that are not its parts.
    """
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        kind = kind_of(path)
        if not kind or path.is_dir():
            continue
        stem = path.name[: path.name.lower().index(kind)]
        for prefix in prefixes:
            split = SPLIT_NAMES.get(_SHARD.sub("", stem).removeprefix(prefix))
            if stem.startswith(prefix) and split:
                found.setdefault(split, []).append(path)
                break
    for split, paths in found.items():
        if len(paths) > 1 and not all(_SHARD.search(path.name.removesuffix(".parquet")) for path in paths):
            names = ", ".join(path.name for path in paths)
            raise DataError(f"folder {folder} has several files for {split}: {names}; expected one")
    return found


# -- the kinds of files ------------------------------------------------------------------------------------


@contextmanager
def _opened(path: Path) -> Generator[IO[bytes]]:
    """Open a file, unpacked; what cannot be unpacked is a DataError."""
    try:
        with gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb") as file:
            yield cast("IO[bytes]", file)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(
            f"{path} cannot be unpacked: {error}; expected a whole gzip file",
            hint="copy or download it again",
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def _json_lines(path: Path) -> Iterator[Row | BadRow]:
    with _opened(path) as file:
        for number, line in enumerate(file, 1):
            content = _without_mark(line, path) if number == 1 else line
            if not content.strip():
                continue
            origin = Origin(path.name, number)
            try:
                values = orjson.loads(content)
            except orjson.JSONDecodeError as error:
                yield BadRow(origin, _json_fault(content, error))
                continue
            yield _row(values, origin)


def _json(path: Path) -> Iterator[Row | BadRow]:
    with _opened(path) as file:
        content = _without_mark(file.read(), path)
    try:
        values = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        line = content.count(b"\n", 0, len(content.decode(errors="replace")[: error.pos].encode())) + 1
        raise DataError(
            f"{Origin(path.name, line)}: {_json_fault(content, error)}",
            hint="a file with one object a line is called .jsonl",
        ) from error
    rows = cast("list[Any]", values) if isinstance(values, list) else [values]
    for number, one in enumerate(rows, 1):
        yield _row(one, Origin(path.name, number, "row"))


def _csv(path: Path) -> Iterator[Row | BadRow]:
    return _table(path, "excel")


def _tsv(path: Path) -> Iterator[Row | BadRow]:
    return _table(path, _Tsv())


class _Tsv(csv.Dialect):
    """Fields between tabs, as they stand; a line break always ends a row."""

    delimiter = "\t"
    quoting = csv.QUOTE_NONE
    lineterminator = "\n"


def _table(path: Path, dialect: csv.Dialect | str) -> Iterator[Row | BadRow]:
    with _opened(path) as file:
        # Bytes that are no UTF-8 stay as lone surrogates, so that the row they stand in can be named.
        lines = (line.decode("utf-8", "surrogateescape") for line in _from_first(file, path))
        reader = csv.reader(lines, dialect, strict=True)
        header: list[str] = []
        while True:
            origin = Origin(path.name, reader.line_num + 1)
            try:
                values = next(reader, None)
            except csv.Error as error:
                raise DataError(
                    f"{origin}: not CSV: {error}", hint="look for a quote that is not closed"
                ) from error
            if values is None:
                return
            if not values:
                continue
            if not _is_text(values):
                if not header:
                    raise DataError(f"{origin}: the header is not UTF-8", hint="save the file as UTF-8")
                yield BadRow(origin, "not UTF-8")
            elif not header:
                header = values
            elif len(values) != len(header):
                yield BadRow(origin, f"has {len(values)} fields; expected {len(header)}, as in the header")
            else:
                yield Row(origin, {name: _cell(value) for name, value in zip(header, values, strict=True)})


def _is_text(values: Sequence[str]) -> bool:
    """Whether no value holds a lone surrogate, which stands for a byte that is no UTF-8."""
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True


def _cell(value: str) -> Any:
    """Return a cell: nothing where it is empty, a list where it is written as one."""
    if value.startswith("["):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value or None


def _parquet(path: Path) -> Iterator[Row | BadRow]:
    from pyarrow import ArrowInvalid  # pyright: ignore
    from pyarrow.parquet import ParquetFile  # pyright: ignore

    try:
        with ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1024):  # pyright: ignore
                for values in cast("list[Any]", batch.to_pylist()):  # pyright: ignore
                    number += 1
                    yield _row(values, Origin(path.name, number, "row"))
    except (ArrowInvalid, OSError) as error:  # pyright: ignore
        raise DataError(f"{path} is not Parquet: {str(error).splitlines()[0]}") from error  # pyright: ignore


def _row(values: Any, origin: Origin) -> Row | BadRow:
    if isinstance(values, dict):
        return Row(origin, cast("dict[str, Any]", values))
    if isinstance(values, list):
        kind = "a list"
    else:
        kind = "null" if values is None else "a text" if isinstance(values, str) else "a number"
    return BadRow(origin, f'is {kind}; expected an object, as in {{"question": ..., "answer": ...}}')


def _without_mark(content: bytes, path: Path) -> bytes:
    """Take the byte order mark off the beginning of a file."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise DataError(f"{path} is UTF-16; expected UTF-8", hint="save it as UTF-8")
    return content.removeprefix(b"\xef\xbb\xbf")


def _from_first(file: IO[bytes], path: Path) -> Iterator[bytes]:
    for number, line in enumerate(file):
        yield _without_mark(line, path) if number == 0 else line


def _json_fault(content: bytes, error: orjson.JSONDecodeError) -> str:
    """Say what is wrong with a JSON text: its encoding, or its form and where."""
    try:
        content.decode()
    except UnicodeDecodeError as fault:
        return f"not UTF-8 (byte 0x{content[fault.start]:02x} at {fault.start + 1})"
    return f"not JSON: {error.msg}, column {error.colno}"
