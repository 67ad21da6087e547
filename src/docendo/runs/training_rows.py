# pyright: basic
# pyarrow ships no types.
"""Training rows: what Samples, Problems and Examples become, and the Parquet file that a trainer reads.

The columns depend on what the loss reads (`docendo.core.losses.Reads`):

    every row       prompt, prefix, weight, problem_id, parents
    completions     completion, token_ids
    pairs           chosen, rejected, chosen_token_ids, rejected_token_ids
    choices         choices, probabilities
    choice pairs    chosen, rejected (each the last turn of the prompt), choices
    where needed    numbers of a row or of its learned tokens; log-probabilities under the reference
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from docendo.core.errors import DataError
from docendo.core.losses import REFERENCE_SUMS, REFERENCE_TOKENS, Loss, Reads, ids_column
from docendo.core.protocols import Format
from docendo.core.records import Example, Label, Logprobs, Message, Model, Problem, Sample
from docendo.core.table import Table
from docendo.engines.tokenizer import Tokenizer
from docendo.runs.stored import MESSAGES, STRINGS, RowsWriter


def as_example(loss: Loss, shape: Format, start: Model) -> Callable[..., Example]:
    """Return what makes an Example of a Sample, of a Problem and its Label, or of an Example.

    Ids of another tokenizer than the start's are left out, so that its texts are tokenised anew. The function
    raises `DataError` for a row that lacks what the loss reads.
    """

    def example(row: Sample | Problem | Example, label: Label | None = None) -> Example:
        made = _example(row, label)
        if fault := lacking(made, loss.reads):
            raise DataError(
                f"a training row{f' of problem {made.problem_id}' if made.problem_id else ''} has no {fault}",
                hint=f"loss {loss.name} learns from Examples with {' and '.join(_wanted(loss.reads))}",
            )
        return made

    def _example(row: Sample | Problem | Example, label: Label | None) -> Example:
        if isinstance(row, Example):
            if row.tokenizer in ("", start.checkpoint.tokenizer):
                return row
            return replace(row, token_ids=(), chosen_token_ids=(), rejected_token_ids=())
        if isinstance(row, Sample):
            shared = row.tokenizer == start.checkpoint.tokenizer
            return Example(
                row.prompt.messages,
                completion=row.text,
                token_ids=row.token_ids if shared else (),
                tokenizer=row.tokenizer if shared else "",
                problem_id=row.problem.id,
                parents=(row.id,),
                is_ended=row.finish == "stop",
            )
        if label is None:
            raise TypeError("a Problem can be learned from only with its Label: join the labels first")
        prompt = shape.prompt(row, start.context)
        return Example(
            prompt.messages, completion=shape.target(label.solution, label.answer), problem_id=row.id
        )

    return example


def _wanted(reads: Reads) -> list[str]:
    own = [name for name in (*reads.numbers, *reads.per_token) if name not in reads.reference]
    return [*reads.texts, *(["choices"] if reads.choices else []), *own]


def lacking(row: Example, reads: Reads) -> str:
    """Return the name of what a loss reads and a row lacks; empty where it has everything."""
    for name in _wanted(reads):
        found = row.per_token.get(name) if name in reads.per_token else getattr(row, name)
        if found is None or (name in (*reads.numbers, *reads.per_token, "choices") and not found):
            return name
    return ""


def learned_ids(row: Example, tokenizer: Tokenizer) -> tuple[tuple[int, ...], ...]:
    """Return the ids of a row's texts just as a trainer learns them; of choices, as they follow the prompt.

    Raises:
        DataError: The row is a pair with choices: these follow two prompts.
    """
    if row.choices and row.chosen is not None:
        raise DataError(
            "a pair with choices has two prompts, and no log-probabilities of its own",
            hint="put the prompt of each text, and give the choices as continuations",
        )
    if row.choices:
        made = tokenizer.continuations_ids([(row.prompt, choice) for choice in row.choices])
    else:
        names = [name for name in ("completion", "chosen", "rejected") if getattr(row, name) is not None]
        said = [(row.prompt, _said(row, getattr(row, name))) for name in names]
        made = tokenizer.learned_ids(said, [getattr(row, ids_column(name)) for name in names])
    return tuple(map(tuple, made))


def _said(row: Example, text: str) -> str:
    """Return a text as it is written: the model's turn begins with no white space of its own."""
    is_start = row.prompt[0].role != "text" and not _prefix(row)
    return text.lstrip() if is_start else text


def _prefix(row: Example) -> str:
    return row.prompt[-1].content if row.prompt[-1].role == "assistant" else ""


def write_rows(rows: Table[Any], reads: Reads, path: Path) -> tuple[int, str]:
    """Write the rows that a trainer reads; return their number and the digest of their values.

    Args:
        rows: Examples; where the loss reads columns of a reference, pairs of Example and `Logprobs`.
        reads: What the loss reads.
        path: The Parquet file. ``prompt`` and texts are messages; plain text where all prompts are.
    """
    is_plain = all(message.role == "text" for row, _ in _each(rows) for message in row.prompt)
    writer = RowsWriter(schema_of(reads, is_plain=is_plain), path)
    for row, reference in _each(rows):
        writer.write(list(_values(row, reference, reads, is_plain=is_plain)))
    return writer.rows, writer.close()


def _each(rows: Table[Any]) -> Iterator[tuple[Example, Logprobs | None]]:
    for row in rows:
        yield row if isinstance(row, tuple) else (row, None)


_INTS = pa.list_(pa.int32())
_NUMBERS = pa.list_(pa.float64())


def schema_of(reads: Reads, *, is_plain: bool) -> pa.Schema:
    """Return the columns of training rows, in order; plain: prompts and texts are strings."""
    said = pa.string() if is_plain else MESSAGES
    columns = [("prompt", said), *((text, said) for text in reads.texts)]
    if reads.choices:
        columns.append(("choices", STRINGS))
    columns += [("prefix", pa.string()), ("weight", pa.float64())]
    if not reads.choices:
        columns += [(ids_column(text), _INTS) for text in reads.texts]
    columns += [(name, pa.float64() if name in REFERENCE_SUMS else _NUMBERS) for name in reads.numbers]
    columns += [(name, _NUMBERS) for name in reads.per_token]
    return pa.schema([*columns, ("problem_id", pa.string()), ("parents", STRINGS)])


def _values(row: Example, reference: Logprobs | None, reads: Reads, *, is_plain: bool) -> Iterator[Any]:
    put = _plain if is_plain else _chat
    before, prefix, *texts = put(row, reads)
    yield before
    yield from texts
    if reads.choices:
        yield row.choices
    yield prefix
    yield row.weight
    if not reads.choices:
        yield from (getattr(row, ids_column(text)) for text in reads.texts)
    for name in reads.numbers:
        if name in REFERENCE_SUMS:
            yield _sum_of(reference, REFERENCE_SUMS.index(name))
        else:
            yield getattr(row, name)
    for name in reads.per_token:
        yield _tokens_of(reference) if name == REFERENCE_TOKENS else row.per_token[name]
    yield row.problem_id
    yield row.parents


def _sum_of(reference: Logprobs | None, place: int) -> float | None:
    """Return the reference's number; None for a text that does not fit into its context."""
    return reference.values[place] if reference is not None and reference.values else None


def _tokens_of(reference: Logprobs | None) -> tuple[float, ...] | None:
    return reference.by_token[0] if reference is not None and reference.by_token else None


def _plain(row: Example, reads: Reads) -> list[Any]:
    before = "".join(message.content for message in row.prompt)
    return [before, "", *(getattr(row, text) for text in reads.texts)]


def _chat(row: Example, reads: Reads) -> list[Any]:
    last = row.prompt[-1]
    if reads.choices and reads.texts:  # the texts end the prompt's last turn
        turns = [Message(last.role, last.content + getattr(row, text)) for text in reads.texts]
        return [_messages(row.prompt[:-1]), "", *(_messages([turn]) for turn in turns)]
    prefix = _prefix(row)
    before = row.prompt[:-1] if prefix else row.prompt
    said = [prefix + _said(row, getattr(row, text)) for text in reads.texts]
    return [_messages(before), prefix, *(_messages([Message("assistant", text)]) for text in said)]


def _messages(messages: Sequence[Message]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]
