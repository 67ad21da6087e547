"""Recorded completions as a model: old logs, bought data, other people's runs.

A file (``.jsonl``, ``.json``, ``.csv``, ``.parquet``) with a question or a problem's id in each row, and a
completion. The k-th row of a question is its sample number k, from 0. The file's digest is the model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from docendo.core.errors import DataError, ModelError
from docendo.core.protocols import Chunk, Finished, Halved, Request, Sampling
from docendo.core.records import Checkpoint, Completion, Finish, Message, Problem
from docendo.tasks.files import BadRow, Row, read_rows
from docendo.tasks.gold import CANDIDATES
from docendo.tasks.rows import normalised_question

PREFIX = "recorded:"
"""What the name of a file of completions begins with."""
ENGINE = "recorded"
NOT_RECORDED = "not recorded"
_COMPLETION = ("completion", "response", "output", "solution", "generation", "text")
_FINISH = ("finish", "finish_reason")
_PER_CHUNK = 256
_MOST_NAMED = 5
_SHORTEST_GONE_ON_AFTER = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedColumns:
    """What the columns of a file of completions are called."""

    recorded_completion_column: str | None = None
    """Column of the completion. Default: completion, response, output, solution, generation, text."""
    recorded_question_column: str | None = None
    """Column of the question. Default: question, problem, prompt, input, query."""
    recorded_id_column: str | None = None
    """Column of the problem's id, for rows without a question. Default: id, unique_id, problem_id."""
    recorded_answer_column: str | None = None
    """Column of what was said in a second call that asked for the answer, after the completion. Default: no
    such calls were recorded."""


def recorded_checkpoint(name: str) -> Checkpoint:
    """Return the record of a file of completions as a model.

    Args:
        name: ``recorded:FILE``.

    Raises:
        ModelError: There is no such file.
    """
    path = Path(name.removeprefix(PREFIX)).expanduser()
    if not name.removeprefix(PREFIX) or not path.is_file():
        raise ModelError(
            f"there is no file {str(path)!r} of recorded completions",
            hint="write recorded:FILE, with rows of question (or id) and completion",
        )
    digest = _sha256(path)
    return Checkpoint(
        digest=digest, tokenizer="", root=digest, engine=ENGINE, name=name, location=str(path.resolve())
    )


def engine(
    *, recorded: RecordedColumns | None = None, says: Callable[[str], None] = lambda text: None
) -> RecordedEngine:
    """Make the engine: what the entry point of ``docendo.engines`` is called with."""
    return RecordedEngine(recorded, says=says)


@dataclass(frozen=True, slots=True)
class Recording:
    """A row of the file."""

    first: Completion
    """What was said to the problem."""
    second: Completion | None
    """What was said when asked for the answer after that."""
    choices: tuple[str, ...] = ()
    """The options that were shown, in their order: a letter means nothing under another order."""

    def is_about(self, problem: Problem) -> bool:
        """Return whether the row's options, where it names some, are the problem's."""
        return not self.choices or _plain(self.choices) == _plain(problem.choices)


@dataclass(frozen=True, slots=True)
class Recordings:
    """A file's rows: of each question, and of each id in rows without a question, in file order."""

    by_question: Mapping[str, Sequence[Recording]]
    by_id: Mapping[str, Sequence[Recording]]

    def of(self, problem: Problem) -> Sequence[Recording]:
        """Return the rows for a problem. A row's question decides; its id only without one."""
        by_question = self.by_question.get(normalised_question(problem.question), ())
        found = by_question or self.by_id.get(problem.id, ())
        return [row for row in found if row.is_about(problem)]


class RecordedEngine:
    """Answers from files. What a file does not have is a failed row, ``not recorded``.

    Temperature, length and stop texts change nothing: a recording is what it is.

    Args:
        columns: What the columns are called.
        says: Is told what the user should read.
    """

    name = "recorded"
    can = frozenset({"sample"})

    def __init__(
        self, columns: RecordedColumns | None = None, *, says: Callable[[str], None] = lambda text: None
    ) -> None:
        self.columns = columns or RecordedColumns()
        self.says = says
        self._opened: dict[str, Recordings] = {}

    @property
    def signature(self) -> Mapping[str, str]:
        """The rule of finding, and the columns that a user named."""
        named = {
            "completion": self.columns.recorded_completion_column,
            "question": self.columns.recorded_question_column,
            "id": self.columns.recorded_id_column,
            "answer": self.columns.recorded_answer_column,
        }
        return {"engine": self.name, "rule": "2", **{key: name for key, name in named.items() if name}}

    def chunks(
        self,
        checkpoint: Checkpoint,
        requests: Iterable[Request],
        sampling: Sampling | Literal["embed"] | None,
    ) -> Iterator[Chunk]:
        """Cut requests into chunks of 256, in their order.

        Raises:
            ModelError: Log-probabilities or embeddings are asked for, or the file is not what it was.
            DataError: A row cannot be understood; the message names the line.
        """
        if sampling == "embed":
            raise _gives_no("embeddings", checkpoint)
        if sampling is None or sampling.logprobs:
            raise _gives_no("log-probabilities", checkpoint)
        self._recordings(checkpoint)
        stream = iter(requests)
        number = 0
        while cut := tuple(islice(stream, _PER_CHUNK)):
            yield Chunk(str(number), cut)
            number += 1

    def sample(
        self, checkpoint: Checkpoint, chunks: Iterable[Chunk], sampling: Sampling
    ) -> Generator[Finished | Halved]:
        """Look the samples up; afterwards tell what was not there."""
        recordings = self._recordings(checkpoint)
        unmatched: dict[str, None] = {}
        short = asked = 0
        for chunk in chunks:
            results: list[Completion] = []
            for request in chunk.requests:
                if request.problem is None:
                    raise ModelError(f"{checkpoint.name} was asked something that is about no problem")
                rows = recordings.of(request.problem)
                if not rows:
                    unmatched[request.problem.id] = None
                before = _gone_on_after(request.messages, request.problem, rows)
                for number in range(request.first, request.first + request.rows):
                    asked += 1
                    if before is not None:
                        second = before.second if number == 0 else None
                        results.append(second or _missing("the prompt goes on after a recorded completion"))
                    elif number < len(rows):
                        results.append(rows[number].first)
                    else:
                        short += bool(rows)
                        results.append(
                            _missing(f"{len(rows)} of this question, number {number} was asked for")
                        )
            yield Finished(chunk, results)
        name = checkpoint.name
        if unmatched:
            named = ", ".join(list(unmatched)[:_MOST_NAMED]) + (
                ", ..." if len(unmatched) > _MOST_NAMED else ""
            )
            self.says(f"{name} has nothing for {len(unmatched):,} problems: {named}")
        if short:
            self.says(f"{name}: of {asked:,} samples {short:,} go beyond what is recorded of their question")

    def logprobs(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Iterator[Finished | Halved]:
        """Refuse: a recording has no log-probabilities.

        Raises:
            ModelError: Always.
        """
        raise _gives_no("log-probabilities", checkpoint)

    def embed(self, checkpoint: Checkpoint, chunks: Iterable[Chunk]) -> Iterator[Finished | Halved]:
        """Refuse: a recording has no embeddings.

        Raises:
            ModelError: Always.
        """
        raise _gives_no("embeddings", checkpoint)

    def close(self) -> None:
        """Forget what was read."""
        self._opened.clear()

    def _recordings(self, checkpoint: Checkpoint) -> Recordings:
        if checkpoint.digest not in self._opened:
            path = Path(checkpoint.location)
            if not path.is_file() or _sha256(path) != checkpoint.digest:
                raise ModelError(
                    f"{checkpoint.name} is not the file that it was",
                    hint="put the old one back, or name the new one: it is another model",
                )
            self._opened[checkpoint.digest] = read_recordings(path, self.columns)
        return self._opened[checkpoint.digest]


def read_recordings(path: Path, columns: RecordedColumns) -> Recordings:
    """Read a file of completions as a whole.

    Raises:
        DataError: It cannot be read, or a row has no completion, or neither question nor id; the message
            names the line.
    """
    by_question: dict[str, list[Recording]] = {}
    by_id: dict[str, list[Recording]] = {}
    for row in read_rows(path):
        if isinstance(row, BadRow):
            raise DataError(f"{row.origin}: {row.reason}", hint="mend or delete that line")
        text = _value(row.values, columns.recorded_completion_column, _COMPLETION)
        if not isinstance(text, str):
            looked_for = columns.recorded_completion_column or ", ".join(_COMPLETION)
            raise DataError(
                f"{row.origin}: no completion in column {looked_for}; expected a text, found {text!r}",
                hint="name the column with --recorded-completion-column",
            )
        question = _value(row.values, columns.recorded_question_column, CANDIDATES["question"])
        row_id = _value(row.values, columns.recorded_id_column, CANDIDATES["id"])
        first = Completion(text, _finish(_value(row.values, None, _FINISH)))
        recording = Recording(first, _second(row, columns.recorded_answer_column), _choices(row))
        if isinstance(question, str) and question.strip():
            by_question.setdefault(normalised_question(question), []).append(recording)
        elif row_id is not None and str(row_id):
            by_id.setdefault(str(row_id), []).append(recording)
        else:
            raise DataError(
                f"{row.origin}: neither a question nor an id; it has {', '.join(map(str, row.values))}",
                hint="name the column with --recorded-question-column or --recorded-id-column",
            )
    return Recordings(by_question, by_id)


def _value(row: Mapping[str, Any], named: str | None, candidates: Sequence[str]) -> Any:
    for name in (named,) if named else candidates:
        if row.get(name) is not None:
            return row[name]
    return None


def _finish(said: Any) -> Finish:
    """Return why a recorded completion ended; one that says nothing of it has come to its end."""
    return "length" if said in ("length", "max_tokens") else "stop"


def _second(row: Row, column: str | None) -> Completion | None:
    if column is None:
        return None
    text = row.values.get(column)
    if not isinstance(text, str):
        raise DataError(
            f"{row.origin}: no answer in column {column}; expected a text, found {text!r}",
            hint="name the column of the second call's completion with --recorded-answer-column",
        )
    return Completion(text, "stop")


def _choices(row: Row) -> tuple[str, ...]:
    found: Any = row.values.get("choices")
    return tuple(map(str, found)) if isinstance(found, list) else ()  # pyright: ignore[reportUnknownArgumentType]


def _plain(choices: Sequence[str]) -> list[str]:
    return [normalised_question(choice.strip().removesuffix(".")) for choice in choices]


def _gone_on_after(
    messages: Sequence[Message], problem: Problem, rows: Sequence[Recording]
) -> Recording | None:
    """Return the row whose completion stands in the prompt, the longest such; None where there is none.

    Looked for behind the question where it stands first: worked examples stand before it, rationales may
    repeat it. Texts of a few letters are passed over: they can stand anywhere, and nobody asks a model to go
    on after a bare answer.
    """
    whole = "\n".join(message.content for message in messages if message.role != "user")
    behind = whole.partition(problem.question)[2] if messages[-1].role == "text" else whole
    found = [(len(text), row) for row in rows if (text := row.first.text.strip()) in behind]
    length, row = max(found, key=lambda one: one[0], default=(0, None))
    return row if length >= _SHORTEST_GONE_ON_AFTER else None


def _missing(why: str) -> Completion:
    return Completion("", "failed", status="failed", reason=f"{NOT_RECORDED}: {why}")


def _gives_no(what: str, checkpoint: Checkpoint) -> ModelError:
    return ModelError(
        f"{checkpoint.name} holds recorded completions and gives no {what}",
        hint="name a checkpoint that runs on this machine",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
