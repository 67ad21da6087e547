"""A few samples out of many, for people to read: drawn by a hash of the id, so that nobody picked them.

Stages are streamed and only the rows that are shown are decoded, so memory does not grow with the texts.
"""

# pyright: basic
# pyarrow has no complete types

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from docendo.core.seeds import digest_of
from docendo.runs.stored import column_values, stream
from docendo.runs.workspace import Sealed, Workspace

KINDS = ("wrong to right", "right to wrong", "wrong to wrong", "right to right")
"""What became of a problem from the base to the method, in the order in which they are shown."""

_SHOWN = ["id", "problem", "prompt", "parents", "number", "text", "finish", "status", "reason"]


@dataclass(frozen=True, slots=True)
class Shown:
    """One sample as it is shown."""

    question: str
    choices: tuple[str, ...]
    prompt: tuple[tuple[str, str], ...]
    """(role, content) of each message."""
    text: str
    finish: str
    fault: str
    """Why it failed; empty where it did not."""
    goes_on: bool = False
    """Whether samples stand in its prompt, as where a second call asks for the answer."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A shown sample with what was read off it and its verdict."""

    sample: Shown
    answer: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True)
class Pair:
    """One problem, as the base and as the method answered it."""

    problem_id: str
    kind: str
    before: Judged
    after: Judged
    beside: Mapping[str, Judged]
    """What other arms answered, by arm."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a selection."""

    problem_id: str
    sample: Shown
    reason: str
    """Why it was dropped; empty: kept."""


def picked_pairs(
    workspace: Workspace,
    before: Sequence[str],
    after: Sequence[str],
    *,
    counts: Mapping[str, int],
    beside: Mapping[str, Sequence[str]],
) -> list[Pair]:
    """Return some problems with the answers of two evaluations, by what became of them.

    Args:
        workspace: Where the stages lie.
        before: The stages of the base's evaluation.
        after: The stages of the method's evaluation.
        counts: How many of each of `KINDS`.
        beside: The stages of other arms' evaluations, whose answers to the same problems are shown too.

    Returns:
        The pairs, kind by kind. Empty where a stage is gone.
    """
    stages = [there(workspace, names) for names in (before, after)]
    judged = [next((one for one in found if one.kind == "evaluate"), None) for found in stages]
    first, second = judged
    if first is None or second is None:
        return []
    was_right = dict(zip(column_values(first, "problem_id"), _are_right(first), strict=True))

    def candidates() -> Iterator[tuple[str, str]]:
        problems = column_values(second, "problem_id")
        for problem_id, is_right in zip(problems, _are_right(second), strict=True):
            if problem_id in was_right:
                was = "right" if was_right[problem_id] else "wrong"
                yield f"{was} to {'right' if is_right else 'wrong'}", problem_id

    drawn = drawn_ids(candidates(), counts)
    wanted = {problem_id for problem_ids in drawn.values() for problem_id in problem_ids}
    answers = [_judged_rows(found, one, wanted) for found, one in zip(stages, (first, second), strict=True)]
    others: dict[str, dict[str, Judged]] = {}
    for arm, names in beside.items():
        found = there(workspace, names)
        for one in [stage for stage in found if stage.kind == "evaluate"][:1]:
            others[arm] = _judged_rows(found, one, wanted)
    return [
        Pair(
            problem_id,
            kind,
            answers[0][problem_id],
            answers[1][problem_id],
            {arm: told[problem_id] for arm, told in others.items() if problem_id in told},
        )
        for kind in KINDS
        for problem_id in drawn.get(kind, [])
        if problem_id in answers[0] and problem_id in answers[1]
    ]


def picked_rows(workspace: Workspace, selection: str, inputs: Sequence[str], *, each: int = 2) -> list[Row]:
    """Return some kept rows of a selection, and some dropped ones for every reason.

    Args:
        workspace: Where the stages lie.
        selection: The select stage.
        inputs: The stages it was made of; samples are found in its sample stages.
        each: How many of each reason; of the kept ones twice as many.

    Returns:
        Kept rows first, then by how often the reason was given. Empty where a stage is gone.
    """
    sealed = workspace.sealed(selection)
    if sealed is None:
        return []
    reasons = ["", *list(sealed.record["reasons"])[:6]]
    counts = {reason: each if reason else 2 * each for reason in reasons}
    rows = zip(column_values(sealed, "reason"), column_values(sealed, "id"), strict=True)
    drawn = drawn_ids(rows, counts)
    wanted = {sample_id for ids in drawn.values() for sample_id in ids}
    found = samples_of(there(workspace, inputs), wanted)
    return [
        Row(found[sample_id][0], found[sample_id][1], reason)
        for reason in reasons
        for sample_id in drawn.get(reason, [])
        if sample_id in found
    ]


def there(workspace: Workspace, names: Iterable[str]) -> list[Sealed]:
    """Return those of some stages that are there."""
    found = (workspace.sealed(name) for name in names)
    return [sealed for sealed in found if sealed is not None]


def _are_right(judged: Sealed) -> Iterator[bool]:
    return (verdict == "correct" for verdict in column_values(judged, "verdict"))


def drawn_ids(candidates: Iterable[tuple[str, str]], counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Return for each kind the ids with the smallest digests, in the order of their digests."""
    heaps: dict[str, list[tuple[int, str]]] = {}
    for kind, key in candidates:
        most = counts.get(kind, 0)
        if most:
            rank = -int(digest_of(key)[:15], 16)  # a heap gives up its smallest first
            heap = heaps.setdefault(kind, [])
            if len(heap) < most:
                heapq.heappush(heap, (rank, key))
            elif rank > heap[0][0]:
                heapq.heapreplace(heap, (rank, key))
    return {kind: [key for _, key in sorted(heap, reverse=True)] for kind, heap in heaps.items()}


def rows_where(sealed: Sealed, column: str, wanted: Collection[str], names: Sequence[str]) -> Iterator[Any]:
    """Yield the rows whose column has one of the wanted values, decoding no others."""
    values = pa.array(sorted(wanted), type=pa.string())
    left = len(wanted)
    for batch in stream(sealed, sorted({column, *names})):
        chosen = batch.filter(pc.call_function("is_in", [batch.column(column)], pc.SetLookupOptions(values)))
        yield from chosen.to_pylist()
        left -= len(chosen)
        if left <= 0:
            return


def samples_of(stages: Sequence[Sealed], ids: Collection[str]) -> dict[str, tuple[str, Shown]]:
    """Return samples by id, each with its problem's id."""
    found: dict[str, tuple[str, Shown]] = {}
    for sealed in stages:
        if sealed.kind == "sample" and (open_ids := set(ids) - found.keys()):
            for row in rows_where(sealed, "id", open_ids, _SHOWN):
                found[row["id"]] = row["problem"]["id"], _shown(row)
    return found


def _shown(row: Mapping[str, Any]) -> Shown:
    return Shown(
        question=row["problem"]["question"],
        choices=tuple(row["problem"]["choices"]),
        prompt=tuple((message["role"], message["content"]) for message in row["prompt"]),
        text=row["text"],
        finish=row["finish"],
        fault=row["reason"] if row["status"] == "failed" else "",
        goes_on=bool(row["parents"]),
    )


def _judged_rows(stages: Sequence[Sealed], judged: Sealed, problem_ids: Collection[str]) -> dict[str, Judged]:
    """Return answers by problem id."""
    names = ["id", "problem_id", "answer", "verdict", "reason"]
    rows = {row["id"]: row for row in rows_where(judged, "problem_id", problem_ids, names)}
    samples = samples_of(stages, rows.keys())
    return {
        row["problem_id"]: Judged(samples[sample_id][1], row["answer"], row["verdict"], row["reason"])
        for sample_id, row in rows.items()
        if sample_id in samples
    }
