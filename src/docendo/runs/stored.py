# pyright: basic
# pyarrow ships no types.
"""Tables whose rows lie in sealed stages.

A stage's file holds its own columns only, in its input's row order, so texts are stored once and everything
that is found out later stands beside them by position.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from docendo.core.errors import WorkspaceError
from docendo.core.protocols import Columns
from docendo.core.records import (
    Embedding,
    Logprobs,
    Message,
    Outcome,
    Problem,
    Prompt,
    Sample,
    Score,
    Source,
    Verdict,
)
from docendo.core.seeds import canonical, digest_of
from docendo.core.table import Chained, Table
from docendo.runs.workspace import Sealed, file_sha256, renamed_as_damaged

BATCH = 4096
"""Rows in memory at once when a stage is written or streamed."""

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
STRINGS = pa.list_(pa.string())
_PROBLEM = pa.struct(
    [
        ("id", pa.string()),
        ("question", pa.string()),
        ("split", pa.string()),
        ("choices", STRINGS),
        ("group", pa.string()),
        ("parents", STRINGS),
    ]
)

SCHEMAS: Mapping[str, Any] = {
    "sample": pa.schema(
        [
            ("id", pa.string()),
            ("problem", _PROBLEM),
            ("prompt", MESSAGES),
            ("parents", STRINGS),
            ("turn", pa.int32()),
            ("number", pa.int32()),
            ("status", pa.string()),
            ("reason", pa.string()),
            ("text", pa.string()),
            ("finish", pa.string()),
            ("token_ids", pa.list_(pa.int32())),
            ("token_logprobs", pa.list_(pa.float64())),
            ("prompt_tokens", pa.int32()),
            ("generated_tokens", pa.int32()),
            ("tokenizer", pa.string()),
            ("cost_usd", pa.float64()),
        ]
    ),
    "read": pa.schema(
        [("id", pa.string()), ("rationale", pa.string()), ("answer", pa.string()), ("is_parsed", pa.bool_())]
    ),
    "verify": pa.schema([("id", pa.string()), ("verdict", pa.string()), ("reason", pa.string())]),
    "evaluate": pa.schema(
        [
            ("id", pa.string()),
            ("problem_id", pa.string()),
            ("answer", pa.string()),
            ("verdict", pa.string()),
            ("reason", pa.string()),
        ]
    ),
    "score": pa.schema([("id", pa.string()), ("score", pa.float64()), ("reason", pa.string())]),
    "logprobs": pa.schema(
        [
            ("id", pa.string()),
            ("logprobs", pa.list_(pa.float64())),
            ("tokens", pa.list_(pa.int32())),
            ("token_logprobs", pa.list_(pa.list_(pa.float64()))),
        ]
    ),
    "embed": pa.schema(
        [
            ("id", pa.string()),
            ("vector", pa.list_(pa.float32())),
            ("tokens", pa.int32()),
            ("reason", pa.string()),
        ]
    ),
    "select": pa.schema([("id", pa.string()), ("kept", pa.bool_()), ("reason", pa.string())]),
}
"""The columns of each kind of stage; those of train stages are in `docendo.runs.training_rows`."""


class RowsWriter:
    """Write rows (lists of values in the schema's order) to Parquet in blocks, and digest their values."""

    def __init__(self, schema: Any, path: Path) -> None:
        self._schema = schema
        self._path = path
        self._state = hashlib.blake2b(digest_size=16)
        self._pending: list[Sequence[Any]] = []
        self._writer = pq.ParquetWriter(
            path, self._schema, compression="zstd", compression_level=3, write_page_checksum=True
        )
        self.rows = 0

    def write(self, values: Sequence[Any]) -> None:
        """Add a row."""
        self._state.update(canonical(values))
        self._state.update(b"\n")
        self._pending.append(values)
        self.rows += 1
        if len(self._pending) == BATCH:
            self._flush()

    def _flush(self) -> None:
        if not self._pending:
            return
        columns = [
            pa.array(values, type=field.type)
            for values, field in zip(zip(*self._pending, strict=True), self._schema, strict=True)
        ]
        self._writer.write_batch(pa.record_batch(columns, schema=self._schema))
        self._pending = []

    def close(self) -> str:
        """Finish the file and return the digest of all values in row order."""
        self._flush()
        self._writer.close()
        return self._state.hexdigest()

    def abandon(self) -> None:
        """Close and delete the file."""
        self._writer.close()
        self._path.unlink(missing_ok=True)


def stream(sealed: Sealed, columns: Sequence[str] | None = None) -> Iterator[Any]:
    """Yield a stage's rows in blocks, of the named columns where given.

    Raises:
        WorkspaceError: The file is not what was sealed. The stage has been set aside then.
    """
    try:
        if file_sha256(sealed.rows_path) != sealed.record["rows_sha256"]:
            raise pa.ArrowInvalid(f"{sealed.rows_path.name} is not what was written")
        with pq.ParquetFile(sealed.rows_path, page_checksum_verification=True) as file:
            yield from file.iter_batches(
                batch_size=BATCH, columns=list(columns) if columns is not None else None, use_threads=False
            )
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise WorkspaceError(f"stage {sealed.name} cannot be read: {error.strerror}") from error
        aside = renamed_as_damaged(sealed.folder)
        raise WorkspaceError(
            f"stage {sealed.name} is damaged and was set aside as {aside.name}: {error}",
            hint="run the same command again: it is made anew",
        ) from error


def _filtered(sealed: Sealed, flags: Sequence[bool]) -> Iterator[Any]:
    """Yield the blocks of a stage with those rows alone whose flag holds."""
    start = 0
    for batch in stream(sealed):
        mine = flags[start : start + batch.num_rows]
        start += batch.num_rows
        if any(mine):
            yield batch.filter(_mask(mine))


def _mask(flags: Sequence[bool]) -> pa.BooleanArray:
    """Return flags as an Arrow array; `pa.array` would import pandas first, where it is installed."""
    bits = np.packbits(np.asarray(flags, dtype=bool), bitorder="little")
    return pa.BooleanArray.from_buffers(pa.bool_(), len(flags), [None, pa.py_buffer(bits.tobytes())])


def _tuples(batches: Iterable[Any]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def column_values(sealed: Sealed, name: str) -> Iterator[Any]:
    """Yield one column's values, row by row."""
    for batch in stream(sealed, [name]):
        yield from batch.column(name).to_pylist()


class Stored(Table[Sample]):
    """The samples of a sample stage."""

    def __init__(self, sealed: Sealed, *, sources: Iterable[Source], stages: Iterable[str]) -> None:
        self.sealed = sealed
        self.sources = frozenset(sources)
        self.stages = frozenset((*stages, sealed.name))
        self.bound = sealed.rows

    def __len__(self) -> int:
        return self.sealed.rows

    def _compute_digest(self) -> str:
        return self.sealed.digest

    def __iter__(self) -> Iterator[Sample]:
        return self._rows(stream(self.sealed))

    def picked(self, flags: Sequence[bool]) -> Iterator[Sample]:
        """Yield the rows whose flag holds."""
        return self._rows(_filtered(self.sealed, flags))

    def _rows(self, batches: Iterable[Any]) -> Iterator[Sample]:
        last: tuple[Any, ...] | None = None
        prompt: Prompt | None = None
        for values in _tuples(batches):
            row_id, problem, messages, parents, turn, number, status, reason, text, finish, *came = values
            token_ids, logprobs, prompt_tokens, generated_tokens, tokenizer, cost_usd = came
            sent = (problem, messages, parents, turn)
            if prompt is None or sent != last:
                last, prompt = sent, _prompt(*sent)
            yield Sample(
                id=row_id,
                prompt=prompt,
                number=number,
                text=text,
                finish=finish,
                status=status,
                reason=reason,
                token_ids=tuple(token_ids),
                token_logprobs=None if logprobs is None else tuple(logprobs),
                prompt_tokens=prompt_tokens,
                generated_tokens=generated_tokens,
                tokenizer=tokenizer,
                cost_usd=cost_usd,
            )

    def columns(self, names: Sequence[str]) -> Columns:
        """Return the named columns, reading no others where the names are columns of the file."""
        paths = {name: _PATHS.get(name) for name in names}
        if None in paths.values():
            return super().columns(names)
        out: dict[str, list[Any]] = {name: [] for name in names}
        for batch in stream(self.sealed, sorted({path or "" for path in paths.values()})):
            for name, path in paths.items():
                out[name].extend(_leaf(batch, path or "").to_pylist())
        return out


_PATHS = {
    **{
        name: name
        for name in ("id", "number", "status", "reason", "text", "finish", "token_ids", "generated_tokens")
    },
    "prompt_tokens": "prompt_tokens",
    "tokenizer": "tokenizer",
    "problem_id": "problem.id",
    "problem.id": "problem.id",
    "problem.split": "problem.split",
    "problem.group": "problem.group",
    "question": "problem.question",
}


def _leaf(batch: pa.RecordBatch, path: str) -> pa.Array:
    head, *rest = path.split(".")
    array = batch.column(head)
    for step in rest:
        array = array.field(step)
    return array


def _prompt(problem: dict[str, Any], messages: list[dict[str, Any]], parents: list[str], turn: int) -> Prompt:
    about = Problem(
        problem["id"],
        problem["question"],
        problem["split"],
        tuple(problem["choices"]),
        problem["group"],
        tuple(problem["parents"]),
    )
    return Prompt(about, tuple(Message(m["role"], m["content"]) for m in messages), tuple(parents), turn)


def are_samples(table: Table[Any]) -> bool:
    """Whether the rows are samples as stages keep them, which each iteration makes anew for itself."""
    if isinstance(table, Chained):
        return all(are_samples(part) for part in table.parts)
    return isinstance(table, Stored) or (isinstance(table, (Beside, Selected)) and are_samples(table.rows))


def _put_into(row: Any, **fields: Any) -> Any:
    """Write fields into a row that was just made: a copy of twenty fields for each further stage is slow."""
    for name, value in fields.items():
        object.__setattr__(row, name, value)
    return row


class Beside(Table[Any]):
    """A table with the columns of a further stage beside it."""

    def __init__(self, rows: Table[Any], sealed: Sealed, *, sources: Iterable[Source] = ()) -> None:
        self.rows = rows
        self.sealed = sealed
        self.sources = rows.sources | frozenset(sources)
        self.stages = rows.stages | {sealed.name}
        self.bound = sealed.rows

    def __len__(self) -> int:
        return self.sealed.rows

    def _compute_digest(self) -> str:
        # The name and source stand in the rows too: two verdicts under exchanged names are other rows.
        told = [getattr(self, "name", ""), getattr(self, "source", "")]
        return digest_of([self.sealed.kind, *told, self.rows.digest, self.sealed.digest])

    def __iter__(self) -> Iterator[Any]:
        return self._beside(self.rows, _tuples(stream(self.sealed)))

    def picked(self, flags: Sequence[bool]) -> Iterator[Any]:
        """Yield the rows whose flag holds."""
        return self._beside(self.rows.picked(flags), _tuples(_filtered(self.sealed, flags)))

    def _beside(self, rows: Iterable[Any], own: Iterable[tuple[Any, ...]]) -> Iterator[Any]:
        put = _put_into if are_samples(self.rows) else replace
        for row, values in zip(rows, own, strict=True):
            yield self._attach(put, row, values)

    @abstractmethod
    def _attach(self, put: Callable[..., Any], row: Any, values: tuple[Any, ...]) -> Any:
        """Return the row with this stage's values; ``put(row, field=value)`` gives the row with a field."""

    own: Mapping[str, str] = {}
    """Column names of the table that are columns of this stage's file, under which name."""

    def columns(self, names: Sequence[str]) -> Columns:
        """Return the named columns, each from the stage that has it."""
        mine = [name for name in names if name in self.own]
        others = [name for name in names if name not in self.own]
        out: dict[str, Sequence[Any]] = dict(self.rows.columns(others)) if others else {}
        if mine:
            read: dict[str, list[Any]] = {name: [] for name in mine}
            for batch in stream(self.sealed, sorted({self.own[name] for name in mine})):
                for name in mine:
                    read[name].extend(batch.column(self.own[name]).to_pylist())
            out.update(read)
        return out


class Read(Beside):
    """Samples with what a Format read off them."""

    own: ClassVar[Mapping[str, str]] = {name: name for name in ("rationale", "answer", "is_parsed")}

    def _attach(self, put: Callable[..., Any], row: Sample, values: tuple[Any, ...]) -> Sample:
        _, rationale, answer, is_parsed = values
        return put(row, rationale=rationale, answer=answer, is_parsed=is_parsed)


class Verified(Beside):
    """Samples with verdicts under a name."""

    def __init__(self, rows: Table[Any], sealed: Sealed, *, name: str, source: Source) -> None:
        super().__init__(rows, sealed, sources=[source])
        self.name = name
        self.source = source
        self.own = {f"verdict:{name}": "verdict"} | ({"verdict": "verdict"} if name == "verdict" else {})

    def _attach(self, put: Callable[..., Any], row: Sample, values: tuple[Any, ...]) -> Sample:
        *_, outcome, reason = values
        verdict = Verdict(Outcome(outcome), reason, self.source)
        return put(row, verdicts={**row.verdicts, self.name: verdict})


class Scored(Beside):
    """Samples with scores under a name; ``sources``: of all that these rest on."""

    def __init__(
        self, rows: Table[Any], sealed: Sealed, *, name: str, source: Source, sources: Iterable[Source] = ()
    ) -> None:
        super().__init__(rows, sealed, sources=[source, *sources])
        self.name = name
        self.source = source
        self.own = {f"score:{name}": "score"}

    def _attach(self, put: Callable[..., Any], row: Sample, values: tuple[Any, ...]) -> Sample:
        _, value, reason = values
        return put(row, scores={**row.scores, self.name: Score(value, reason, self.source)})


class WithLogprobs(Beside):
    """Rows with log-probabilities: of a Sample's own text or of continuations, under a name."""

    def __init__(self, rows: Table[Any], sealed: Sealed, *, name: str, sources: Iterable[Source]) -> None:
        super().__init__(rows, sealed, sources=sources)
        self.name = name

    def _attach(self, put: Callable[..., Any], row: Any, values: tuple[Any, ...]) -> Any:
        _, sums, tokens, by_token = values
        found = Logprobs(
            tuple(sums),
            tuple(tokens),
            None if by_token is None else tuple(tuple(one) for one in by_token),
        )
        return (
            put(row, logprobs={**row.logprobs, self.name: found}) if isinstance(row, Sample) else (row, found)
        )


class Embedded(Beside):
    """Pairs of a row and its `Embedding`."""

    def _attach(self, put: Callable[..., Any], row: Any, values: tuple[Any, ...]) -> Any:
        _, vector, tokens, reason = values
        return row, Embedding(tuple(vector), tokens, reason)


class Selected(Table[Any]):
    """The kept rows of a select stage, or the dropped ones."""

    def __init__(self, rows: Table[Any], sealed: Sealed, *, kept: bool = True) -> None:
        self.rows = rows
        self.sealed = sealed
        self.kept = kept
        self.sources = rows.sources
        self.stages = rows.stages | {sealed.name}
        self.bound = len(self)

    def __len__(self) -> int:
        kept = self.sealed.record["kept"]
        return kept if self.kept else self.sealed.rows - kept

    def _flags(self) -> list[bool]:
        return [flag is self.kept for flag in column_values(self.sealed, "kept")]

    def __iter__(self) -> Iterator[Any]:
        return self.rows.picked(self._flags())

    def picked(self, flags: Sequence[bool]) -> Iterator[Any]:
        """Yield those of these rows whose flag holds."""
        mine = iter(flags)
        return self.rows.picked([flag and next(mine) for flag in self._flags()])

    def _compute_digest(self) -> str:
        return digest_of(["select", self.kept, self.rows.digest, self.sealed.digest])

    def columns(self, names: Sequence[str]) -> Columns:
        """Return the named columns of these rows."""
        flags = self._flags()
        return {name: list(compress(values, flags)) for name, values in self.rows.columns(names).items()}

    @property
    def dropped(self) -> Selected:
        """The rows that were not kept."""
        return Selected(self.rows, self.sealed, kept=not self.kept)

    def reasons(self) -> Mapping[str, int]:
        """Return how many rows were dropped for each reason, the most frequent first."""
        return self.sealed.record["reasons"]


def row_ids(table: Table[Any]) -> Callable[[], Iterator[str]]:
    """Return what yields an id for each row: the row's own where it has one, else its place."""

    def ids() -> Iterator[str]:
        start = 0
        for part in table.parts if isinstance(table, Chained) else (table,):
            count = len(part)
            if isinstance(getattr(next(iter(part), None), "id", None), str):
                yield from part.columns(["id"])["id"]
            else:
                yield from map(str, range(start, start + count))
            start += count

    return ids
