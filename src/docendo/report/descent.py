"""Where a checkpoint came from: training rows, the samples in them, who wrote those, down to the base."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docendo.runs.workspace import Sealed, Workspace


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One stage in a line of descent."""

    stage: str
    kind: str
    place: str
    rows: int
    digest: str
    kept: int | None = None
    """Of a select stage: how many of its rows it kept."""
    outcomes: Mapping[str, int] | None = None
    """Of a stage of verdicts, where it counted them."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A checkpoint and what it was made of."""

    checkpoint: str
    """Its digest; empty for Answers, which have none."""
    name: str
    training: Ancestor | None = None
    """The train stage; None for a base, for Answers, and where the stage is gone."""
    epoch: int = 0
    epochs: Sequence[Mapping[str, Any]] = ()
    """What the train stage says of each epoch."""
    start: str = ""
    """Digest of the checkpoint that training started from."""
    rows: Sequence[Ancestor] = ()
    """The stages that its training rows were made of, the latest first."""
    writers: Sequence[str] = ()
    """Digests of the checkpoints that wrote the samples among them."""


def descent(workspace: Workspace, result: Mapping[str, Any]) -> list[Generation]:
    """Return the line of descent of what a run returned, from the end to the base.

    Args:
        workspace: Where the stages lie.
        result: The result of one seed.

    Returns:
        One Generation for each checkpoint, the returned one first, each before those it came from. A
        checkpoint that no train stage of the run made stands as a base.
    """
    entries: dict[str, Mapping[str, Any]] = {}
    for entry in result.get("stages", ()):
        entries.setdefault(entry["stage"], entry)
    order = {name: place for place, name in enumerate(entries)}
    sealed = {name: found for name in entries if (found := workspace.sealed(name)) is not None}
    makers: dict[str, tuple[Sealed, Mapping[str, Any]]] = {}
    names: dict[str, str] = {}
    for one in sealed.values():
        if one.kind == "train":
            for epoch in one.record["epochs"]:
                makers.setdefault(epoch["digest"], (one, epoch))
        elif one.kind == "sample":
            names.setdefault(one.record["checkpoint"], one.record["model"])

    def ancestors(inputs: Sequence[str]) -> list[Ancestor]:
        known = sorted((name for name in inputs if name in sealed), key=lambda name: -order[name])
        return [_ancestor(sealed[name], entries[name]["place"]) for name in known]

    def writers(inputs: Sequence[str]) -> list[str]:
        samples = (sealed[name] for name in sorted(inputs) if name in sealed)
        found = (one.record["checkpoint"] for one in samples if one.kind == "sample")
        return list(dict.fromkeys(found))

    out: list[Generation] = []
    chosen = result["chosen"]
    if chosen["kind"] == "model":
        queue = [chosen["checkpoint"]]
        names[chosen["checkpoint"]] = chosen["name"]
    else:
        inputs = _final_inputs(result)
        out.append(Generation("", "answers", rows=ancestors(inputs), writers=writers(inputs)))
        queue = list(out[0].writers)
    seen: set[str] = set()
    while queue:
        digest = queue.pop(0)
        if digest in seen:
            continue
        seen.add(digest)
        if digest not in makers:
            out.append(Generation(digest, names.get(digest) or ""))
            continue
        made, epoch = makers[digest]
        entry = entries[made.name]
        generation = Generation(
            checkpoint=digest,
            name=names.get(digest) or str(entry["place"]),
            training=_ancestor(made, entry["place"]),
            epoch=epoch["epoch"],
            epochs=made.record["epochs"],
            start=made.record["asked"]["start"],
            rows=ancestors(entry["inputs"]),
            writers=writers(entry["inputs"]),
        )
        out.append(generation)
        queue += [*generation.writers, generation.start]
    return sorted(out, key=lambda one: one.training is None and bool(one.checkpoint))


def _final_inputs(result: Mapping[str, Any]) -> list[str]:
    for entry in result["evaluations"]:
        if entry["arm"] == "method" and entry["round"] == "final":
            return list(entry["stages"]["greedy"])
    return []


def _ancestor(sealed: Sealed, place: str) -> Ancestor:
    record = sealed.record
    return Ancestor(
        sealed.name,
        sealed.kind,
        place,
        sealed.rows,
        sealed.digest,
        record.get("kept"),
        record.get("outcomes"),
    )
