"""Training rows: from a Parquet file to flat arrays of token ids, and from these to batches.

Rows are read a thousand at a time and kept as arrays of 4 bytes a token, so that a million rows fit.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from docendo.core.errors import DataError, ModelError
from docendo.core.losses import Reads, ids_column
from docendo.core.records import Message
from docendo.engines.tokenizer import Messages, Tokenizer
from docendo.trainers.batch import Batch

TOO_LONG = "too long"
WEIGHTLESS = "weight 0"

_READ_ROWS = 1024
_SCORE = ("reward",)
"""What the only class of a head of scores is called."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a model can take."""

    vocabulary: int
    """Token ids are below it."""
    length: int
    """Tokens of a sequence, at most."""
    classes: int = 0
    """Of its classification head; 1: it gives a score, as reward models do; 0: there is none."""

    @classmethod
    def of(cls, start: Path, tokenizer: Tokenizer, max_length: int, classes: int = 0) -> Limits:
        """Read the vocabulary and the context length of a checkpoint directory.

        Raises:
            ModelError: There is no readable ``config.json``.
        """
        path = start / "config.json"
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            config = config.get("text_config", config)
        except (OSError, ValueError, AttributeError) as error:
            raise ModelError(
                f"cannot read {path}: {error}", hint="expected a checkpoint directory in Hugging Face format"
            ) from error
        context = config.get("max_position_embeddings") or config.get("n_positions") or max_length
        return cls(config.get("vocab_size") or tokenizer.vocabulary, min(max_length, context), classes)


@dataclass(frozen=True)
class Rows:
    """Token ids and numbers of training rows, in a few flat arrays.

    Row r has the sequences ``r * texts`` to ``(r + 1) * texts - 1``: its texts, or its choices (of a pair,
    first those after the chosen text). Sequence s is
    ``tokens[bounds[s]:bounds[s + 1]]``, and the tokens from ``prompts[s]`` on are learned. Where a head is
    trained no token is: of classes, a row is one sequence, its prompt as it is sent; of a score, its
    sequences are the prompt with each of its texts, up to the end token.
    """

    tokens: NDArray[np.int32]
    bounds: NDArray[np.int64]
    prompts: NDArray[np.int32]
    weights: NDArray[np.float64]
    numbers: Mapping[str, NDArray[np.float64]]
    """[row, place], by column."""
    per_token: Mapping[str, NDArray[np.float64]]
    """[learned token], all rows end to end, by column."""
    texts: int
    pad_id: int
    dropped: Mapping[str, int]
    """Rows that were left out, by reason."""
    classes: tuple[str, ...] = ()
    """What the classes of the head are called, class 0 first, or its score; empty where none is trained."""

    def __len__(self) -> int:
        return len(self.weights)

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of the longest sequence of each row."""
        return np.diff(self.bounds).reshape(-1, self.texts).max(axis=1)

    @cached_property
    def learned(self) -> NDArray[np.int64]:
        """Learned tokens of each row; what a head is taught of one counts as one."""
        if self.classes:
            return np.ones(len(self), dtype=np.int64)
        return (np.diff(self.bounds) - self.prompts).reshape(-1, self.texts).sum(axis=1)

    @cached_property
    def _learned_ends(self) -> NDArray[np.int64]:
        return np.cumsum(self.learned)

    @cached_property
    def digest(self) -> str:
        """Digest of everything that training looks at."""
        state = hashlib.blake2b(digest_size=16)
        columns = (*self.numbers.values(), *self.per_token.values())
        for values in (self.tokens, self.bounds, self.prompts, self.weights, *columns):
            state.update(np.ascontiguousarray(values).data)
        return state.hexdigest()

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """Return some rows as tensors, padded on the right to the longest of them."""
        sequences = (rows[:, None] * self.texts + np.arange(self.texts)).ravel()
        begins, ends = self.bounds[sequences], self.bounds[sequences + 1]
        shape = (len(sequences), int((ends - begins).max()))
        ids = np.full(shape, self.pad_id, dtype=np.int64)
        learned = np.zeros(shape, dtype=np.bool_)
        for place, (begin, end, prompt) in enumerate(zip(begins, ends, self.prompts[sequences], strict=True)):
            ids[place, : end - begin] = self.tokens[begin:end]
            learned[place, prompt : end - begin] = True
        return Batch(
            ids=torch.from_numpy(ids),
            learned=torch.from_numpy(learned),
            weights=torch.from_numpy(self.weights[rows].astype(np.float32)),
            numbers={
                name: torch.from_numpy(column[rows].astype(np.float32))
                for name, column in self.numbers.items()
            },
            per_token={name: self._per_token(column, rows) for name, column in self.per_token.items()},
            lengths=torch.from_numpy(ends - begins) if self.classes else None,
        )

    def _per_token(self, column: NDArray[np.float64], rows: NDArray[np.int64]) -> torch.Tensor:
        ends, counts = self._learned_ends[rows], self.learned[rows]
        parts = [column[end - count : end] for end, count in zip(ends, counts, strict=True)]
        return torch.from_numpy(np.concatenate(parts).astype(np.float32))

    def sequence(self, row: int) -> NDArray[np.int32]:
        """Return the token ids of the first sequence of a row."""
        place = row * self.texts
        return self.tokens[self.bounds[place] : self.bounds[place + 1]]

    def prompt(self, row: int) -> NDArray[np.int32]:
        """Return the token ids before the learned ones of the first sequence of a row."""
        return self.sequence(row)[: self.prompts[row * self.texts]]


def read_rows(path: Path, reads: Reads, tokenizer: Tokenizer, limits: Limits) -> Rows:
    """Read, check and tokenise the training rows of a Parquet file.

    Columns:

    - ``prompt``: a list of ``{role, content}``, or a string, which is put without chat template.
    - The loss's texts, ``completion`` for most: a list with one assistant message that holds the whole of the
      model's turn, or a string.
    - ``prefix`` (optional): the part of the model's turn that was given to it: not learned.
    - ``weight`` (optional): multiplies the row's loss. 1 where there is no such column.
    - ``token_ids`` (optional; ``chosen_token_ids`` for a text ``chosen``): ids after the prefix as they were
      sampled, with the end token. Where the list is there and not empty, exactly these are learned; otherwise
      the text is tokenised and ended.
    - ``choices``, where the loss reads them: texts, equally many in all rows. They are tokenised as they
      stand after the prompt, without an end. Where there are texts too, each is the last turn of the prompt:
      a list with one message of any role, or a string. For a model with a classification head they are the
      names of its classes, the same in all rows, and nothing stands behind the prompt.
    - The loss's numbers and per-token numbers.

    Rows that are longer than the limit, and rows of weight 0, are left out and counted.

    Args:
        path: The Parquet file.
        reads: Says which columns are read.
        tokenizer: The tokenizer of the checkpoint that training starts from.
        limits: Its vocabulary and greatest length, and the classes of its head, or of the one that it gets.

    Raises:
        DataError: The file or a column is missing, or a row cannot be learned from; names row and reason.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"cannot read training rows {path}: {error}", hint="expected a Parquet file"
        ) from error
    with file:
        there = set(file.schema_arrow.names)
        needed = ["prompt", *reads.texts, *reads.numbers, *reads.per_token]
        if reads.choices:
            needed.append("choices")
        if missing := [name for name in needed if name not in there]:
            raise DataError(
                f"training rows {path.name} have no column {', '.join(missing)}",
                hint=f"the columns are {', '.join(sorted(there))}",
            )
        optional = ("prefix", "weight", "problem_id", *(ids_column(text) for text in reads.texts))
        columns = [*needed, *(name for name in optional if name in there)]
        collector = _Collector(reads, tokenizer, limits, path.name)
        for batch in file.iter_batches(batch_size=_READ_ROWS, columns=columns):
            collector.add(batch.to_pylist())
    return collector.rows()


_Sequence = tuple[list[int], list[int]]
"""Ids that are given, and ids that are learned after them."""


class _Collector:
    """Takes rows and grows the arrays."""

    def __init__(self, reads: Reads, tokenizer: Tokenizer, limits: Limits, source: str) -> None:
        self.reads = reads
        self.tokenizer = tokenizer
        self.limits = limits
        self.source = source
        self.seen = 0
        self.tokens = array("i")
        self.bounds = array("q", [0])
        self.prompts = array("i")
        self.weights = array("d")
        self.numbers = {name: array("d") for name in reads.numbers}
        self.per_token = {name: array("d") for name in reads.per_token}
        self.widths: dict[str, int] = {}
        self.classes = _SCORE if limits.classes == 1 else ()
        self.dropped = {TOO_LONG: 0, WEIGHTLESS: 0}

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        if not self.reads.choices:
            sequences = self._texts(rows)
        else:
            sequences = self._classed(rows) if self.limits.classes else self._choices(rows)
        for place, (row, own) in enumerate(zip(rows, sequences, strict=True), start=self.seen):
            self._add(place, row, own)
        self.seen += len(rows)

    def rows(self) -> Rows:
        count = len(self.weights)
        return Rows(
            tokens=np.frombuffer(self.tokens, dtype=np.int32),
            bounds=np.frombuffer(self.bounds, dtype=np.int64),
            prompts=np.frombuffer(self.prompts, dtype=np.int32),
            weights=np.frombuffer(self.weights, dtype=np.float64),
            numbers={
                name: np.frombuffer(values, dtype=np.float64).reshape(count, -1 if count else 1)
                for name, values in self.numbers.items()
            },
            per_token={
                name: np.frombuffer(values, dtype=np.float64) for name, values in self.per_token.items()
            },
            texts=max(1, len(self.reads.texts)) * self.widths.get("choices", 1),
            pad_id=self.tokenizer.pad_id,
            dropped={reason: count for reason, count in self.dropped.items() if count},
            classes=self.classes,
        )

    def _classed(self, rows: Sequence[dict[str, Any]]) -> Iterator[list[_Sequence]]:
        """Yield the prompts of rows alone: what a head reads when it is asked."""
        for place, row in enumerate(rows, start=self.seen):
            names = tuple(choice.strip() for choice in row["choices"] or ())
            self.classes = self.classes or names
            if names != self.classes or len(names) != self.limits.classes or not all(names):
                raise self._fault(
                    place,
                    row,
                    f"its choices are {_short(row['choices'])}; expected the names of the head's "
                    f"{self.limits.classes} classes, the same in all rows",
                )
        prompts = [self._messages(row, place) for place, row in enumerate(rows, start=self.seen)]
        for ids in self.tokenizer.prompts_ids(prompts):
            yield [(ids, [])]

    def _texts(self, rows: Sequence[dict[str, Any]]) -> Iterator[list[_Sequence]]:
        """Yield the sequences of rows whose texts follow the prompt: ids as sampled where they are there."""
        prompts = [self._messages(row, place) for place, row in enumerate(rows, start=self.seen)]
        learned = [
            self.tokenizer.learned_ids(
                [
                    (prompt, self._said(row, place, text))
                    for place, (prompt, row) in enumerate(zip(prompts, rows, strict=True), start=self.seen)
                ],
                [row.get(ids_column(text)) for row in rows],
            )
            for text in self.reads.texts
        ]
        given = self.tokenizer.prompts_ids(prompts)
        for before, *after in zip(given, *learned, strict=True):
            yield [(before, ids) for ids in after]

    def _choices(self, rows: Sequence[dict[str, Any]]) -> Iterator[list[_Sequence]]:
        """Yield the sequences of rows with choices: each choice after the prompt, or after each text."""
        asked: list[tuple[Messages, str]] = []
        for place, row in enumerate(rows, start=self.seen):
            choices = row["choices"] or []
            count = self.widths.setdefault("choices", len(choices))
            if count < 2 or len(choices) != count or not all(choices):
                raise self._fault(
                    place, row, f"its choices are {_short(choices)}; expected {max(count, 2)} texts"
                )
            turns = [self._turn(row, place, text) for text in self.reads.texts] or [()]
            prompt = self._messages(row, place, may_be_empty=bool(self.reads.texts))
            asked += [((*prompt, *turn), choice) for turn in turns for choice in choices]
        given = self.tokenizer.prompts_ids([messages for messages, _ in asked])
        learned = self.tokenizer.continuations_ids(asked)
        pairs = iter(zip(given, learned, strict=True))
        count = max(1, len(self.reads.texts)) * self.widths.get("choices", 1)
        for _ in rows:
            yield list(itertools.islice(pairs, count))

    def _messages(self, row: dict[str, Any], place: int, *, may_be_empty: bool = False) -> Messages:
        prompt, prefix = row["prompt"], row.get("prefix") or ""
        if isinstance(prompt, str):
            return (Message("text", prompt + prefix),)
        turns: list[dict[str, Any]] = prompt or []
        is_whole = all(turn.get("role") and turn.get("content") is not None for turn in turns)
        if not is_whole or not (turns or may_be_empty):
            raise self._fault(place, row, f"its prompt is {_short(prompt)}; expected messages or a text")
        messages = tuple(Message(turn["role"], turn["content"]) for turn in turns)
        return (*messages, Message("assistant", prefix)) if prefix else messages

    def _turn(self, row: dict[str, Any], place: int, text: str) -> Messages:
        """Return the last turn of a prompt that choices follow."""
        value = row[text]
        if isinstance(value, str) and value:
            return (Message("text", value),)
        if isinstance(value, list) and len(value) == 1 and value[0].get("role") and value[0].get("content"):
            return (Message(value[0]["role"], value[0]["content"]),)
        raise self._fault(place, row, f"its {text} is {_short(value)}; expected one message, or a text")

    def _said(self, row: dict[str, Any], place: int, text: str) -> str:
        """Return what the model is to say after the prefix."""
        value, prefix = row[text], row.get("prefix") or ""
        if not isinstance(value, str):
            if not value or len(value) != 1 or value[0].get("role") != "assistant":
                raise self._fault(
                    place, row, f"its {text} is {_short(value)}; expected one assistant message"
                )
            value = value[0].get("content") or ""
        if not value.startswith(prefix):
            raise self._fault(
                place, row, f"its {text} {_short(value)} does not begin with its prefix {_short(prefix)}"
            )
        if len(value) == len(prefix):
            raise self._fault(place, row, f"its {text} is empty" + (" after the prefix" if prefix else ""))
        return value[len(prefix) :]

    def _add(self, place: int, row: dict[str, Any], sequences: list[_Sequence]) -> None:
        weight = row.get("weight", 1.0)
        if weight is None or not math.isfinite(weight) or weight < 0:
            raise self._fault(place, row, f"its weight is {weight}; expected a finite number of at least 0")
        for number, (before, ids) in enumerate(sequences):
            text = self.reads.texts[number] if not self.reads.choices else "choices"
            self._check(place, row, text, before, ids)
        if weight == 0:
            self.dropped[WEIGHTLESS] += 1
            return
        if max(len(before) + len(ids) for before, ids in sequences) > self.limits.length:
            self.dropped[TOO_LONG] += 1
            return
        for name in self.reads.numbers:
            self.numbers[name].extend(self._numbers(place, row, name))
        for name in self.reads.per_token:
            self.per_token[name].extend(self._per_token(place, row, name, len(sequences[0][1])))
        for before, ids in sequences:
            self.tokens.extend(itertools.chain(before, ids))
            self.bounds.append(len(self.tokens))
            given = len(before) + len(ids) if self.limits.classes else len(before)  # a head predicts no token
            self.prompts.append(given)
        self.weights.append(weight)

    def _check(self, place: int, row: dict[str, Any], text: str, before: list[int], ids: list[int]) -> None:
        if not before:
            raise self._fault(place, row, "its prompt has no token, so nothing stands before the first one")
        if text != "choices" and ids[-1] not in self.tokenizer.end_ids:
            raise self._fault(
                place,
                row,
                f"its {text} ends with token {ids[-1]}, which is not an end token "
                f"({', '.join(map(str, sorted(self.tokenizer.end_ids)))}): it would not teach to stop",
                hint="drop samples that did not finish with 'stop'",
            )
        if not ids and not self.limits.classes:
            raise self._fault(place, row, "one of its choices has no token")
        said = ids or before
        low, high = min(said), max(said)
        if low < 0 or high >= self.limits.vocabulary:
            raise self._fault(
                place,
                row,
                f"its {text} has token id {low if low < 0 else high}; the model's vocabulary is "
                f"0 to {self.limits.vocabulary - 1}",
                hint="were the samples drawn from a model with another tokenizer?",
            )

    def _numbers(self, place: int, row: dict[str, Any], name: str) -> list[float]:
        values = row[name] if isinstance(row[name], list) else [row[name]]
        width = self.widths.setdefault(name, len(values))
        if len(values) != width or not all(value is not None and math.isfinite(value) for value in values):
            raise self._fault(
                place, row, f"its {name} is {_short(row[name])}; expected finite numbers, {width} of them"
            )
        choices = self.limits.classes or self.widths.get("choices")
        if name == "probabilities" and (width != choices or min(values) < 0 or abs(sum(values) - 1) > 1e-6):
            raise self._fault(
                place, row, f"its probabilities are {_short(values)}; expected one a choice, with sum 1"
            )
        return values

    def _per_token(self, place: int, row: dict[str, Any], name: str, count: int) -> list[float]:
        values = row[name]
        if values is None or len(values) != count or not all(map(math.isfinite, values)):
            raise self._fault(
                place,
                row,
                f"its {name} is {_short(values)}; expected {count} finite numbers, one a learned token",
            )
        return values

    def _fault(self, place: int, row: dict[str, Any], reason: str, *, hint: str = "") -> DataError:
        problem = f" (problem {row['problem_id']})" if row.get("problem_id") else ""
        return DataError(f"row {place} of {self.source}{problem}: {reason}", hint=hint)


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
