"""Verified samples, put together again from the stages that ``result.json`` names.

For reports and for people. Recipes may not import it: it opens test evaluations as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from docendo.core.errors import DataError, WorkspaceError
from docendo.core.records import Sample, Source
from docendo.core.seeds import digest_of
from docendo.core.table import Table
from docendo.runs.stored import Read, Scored, Stored, Verified, column_values
from docendo.runs.workspace import Sealed, Workspace


def reopened(workspace: Workspace, stage_names: Sequence[str]) -> Table[Sample]:
    """Return the samples of an evaluation, or of a verify stage, with their readings and verdicts.

    Args:
        workspace: Where the stages lie.
        stage_names: As in ``evaluations[].stages.greedy`` or ``.sampled``: one stage of verdicts, and the
            sample and read stages that it was made of, in any order; others among them are passed over.

    Returns:
        The samples in the order in which they were judged, streamed from the files. Where the judged rows
        were Answers (chosen out of one or several sample stages), they are found by their ids and held in
        memory while the table is iterated.

    Raises:
        WorkspaceError: A stage is not there any more.
        DataError: The names hold no stage of verdicts, or several.
    """
    found = {name: sealed_or_error(workspace, name) for name in stage_names}
    judged = [sealed for sealed in found.values() if sealed.kind in ("evaluate", "verify")]
    if len(judged) != 1:
        raise DataError(
            f"{len(judged)} stages of verdicts among {', '.join(stage_names) or 'no stages'}; expected one",
            hint="name the stages of one evaluation, as result.json lists them",
        )
    verdicts = judged[0]
    tables = _tables(list(found.values()), [Source(name) for name in verdicts.record["sources"]])
    whole = next((table for table in tables if table.digest == verdicts.record["asked"]["samples"]), None)
    return Verified(whole or ByIds(tables, verdicts), verdicts, name="verdict", source=_source(verdicts))


def scored(workspace: Workspace, stage_name: str) -> Table[Sample]:
    """Return the samples of a score stage with their readings and their score, under ``score``.

    Raises:
        WorkspaceError: It, or a stage that it was made of, is not there any more.
        DataError: It is no score stage.
    """
    sealed = sealed_or_error(workspace, stage_name)
    if sealed.kind != "score":
        raise DataError(f"{stage_name} is a {sealed.kind} stage; expected a score stage")
    before = [sealed_or_error(workspace, name) for name in sealed.record["inputs"]]
    tables = _tables(before, [Source(name) for name in sealed.record["sources"]])
    whole = next((table for table in tables if table.digest == sealed.record["asked"]["samples"]), None)
    return Scored(whole or ByIds(tables, sealed), sealed, name="score", source=Source.NONE)


def sealed_or_error(workspace: Workspace, name: str) -> Sealed:
    """Return a sealed stage.

    Raises:
        WorkspaceError: It is not there.
    """
    sealed = workspace.sealed(name)
    if sealed is None:
        raise WorkspaceError(
            f"stage {name} is not there", hint="run the same command again: what is missing is made anew"
        )
    return sealed


def _tables(stages: Sequence[Sealed], sources: Sequence[Source]) -> list[Table[Sample]]:
    """Return every sample stage under each of its readings, and those without one as they are."""
    tables: list[Table[Sample]] = []
    for sealed in stages:
        if sealed.kind == "sample":
            stored = Stored(sealed, sources=sources, stages=sealed.record["inputs"])
            asked = [one for one in stages if one.kind == "read"]
            readings = [one for one in asked if one.record["asked"]["samples"] == sealed.digest]
            tables += [Read(stored, reading) for reading in readings] or [stored]
    return tables


def _source(verdicts: Sealed) -> Source:
    """Return the verifier's source: its stage does not name it, but says whether gold answers were read."""
    read_none = verdicts.record["asked"]["labels"] == digest_of([])
    return Source.NONE if read_none else Source.GOLD


class ByIds(Table[Sample]):
    """The samples that a stage of verdicts or scores names, in its order, out of several tables."""

    def __init__(self, tables: Sequence[Table[Sample]], judged: Sealed) -> None:
        self._tables = tables
        self._judged = judged
        self.sources = frozenset[Source]().union(*(table.sources for table in tables))
        self.stages = frozenset[str]().union(*(table.stages for table in tables))
        self.bound = judged.rows

    def __len__(self) -> int:
        return self._judged.rows

    def _rows(self) -> Iterator[tuple[str, str | None]]:
        ids = column_values(self._judged, "id")
        if self._judged.kind == "evaluate":
            return zip(ids, column_values(self._judged, "answer"), strict=True)
        return ((sample_id, None) for sample_id in ids)

    def __iter__(self) -> Iterator[Sample]:
        wanted = {sample_id for sample_id, _ in self._rows()}
        samples: dict[str, Sample] = {}
        for table in self._tables:
            samples |= {sample.id: sample for sample in table if sample.id in wanted}
        for sample_id, answer in self._rows():
            if sample_id not in samples:
                raise DataError(
                    f"sample {sample_id} of {self._judged.name} is in none of the stages that were named"
                )
            sample = samples[sample_id]
            yield sample if answer is None else replace(sample, answer=answer)
