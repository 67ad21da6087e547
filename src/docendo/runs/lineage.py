"""Lineage: from a checkpoint or a sample back to where it came from, and forwards to what came of it.

The data is what the stages hold: a checkpoint's stage has its training rows, each with the ids of the samples
it was made of; a sample's stage names the checkpoint that wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from docendo.core.errors import UnknownNameError
from docendo.runs.stored import column_values
from docendo.runs.workspace import Sealed, Workspace


@dataclass(frozen=True, slots=True)
class Origin:
    """One step of a walk."""

    kind: str
    """``checkpoint``, ``rows``, ``stage``, ``sample``, ``model``."""
    name: str
    says: str
    before: tuple[Origin, ...] = ()
    """Where it came from; for a forward walk: what came of it."""


@dataclass(slots=True)
class Lineage:
    """All stages of a workspace, by name and by the checkpoint they made."""

    workspace: Workspace
    stages: dict[str, Sealed] = field(default_factory=dict[str, Sealed])
    trained: dict[str, Sealed] = field(default_factory=dict[str, Sealed])
    """Checkpoint digest -> the train stage that made it, as its chosen or any other epoch."""
    inputs: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    """Stage -> the stages it was made of, in any run."""

    @classmethod
    def of(cls, workspace: Workspace) -> Lineage:
        """Read the records of all stages and runs."""
        lineage = cls(workspace)
        for sealed in workspace.all_sealed():
            lineage.stages[sealed.name] = sealed
            lineage.inputs[sealed.name] = set(sealed.record["inputs"])
            if sealed.kind == "train":
                for epoch in sealed.record["epochs"]:
                    lineage.trained[epoch["digest"]] = sealed
        for listing in sorted(workspace.runs.glob("*/stages.jsonl")):
            for line in listing.read_bytes().splitlines():
                try:
                    entry = orjson.loads(line)
                    stage, inputs = entry["stage"], set(entry["inputs"])
                except (ValueError, KeyError, TypeError):
                    continue  # the last line of a run that was killed
                if stage in lineage.inputs:
                    lineage.inputs[stage].update(inputs)
        return lineage

    def find(self, name: str) -> tuple[str, Any]:
        """Return what a name means: ``("stage", Sealed)``, ``("checkpoint", digest)`` or ``("sample", row)``.

        A name is a run's (meaning the checkpoint that it returned), a stage's, a fingerprint or checkpoint
        folder, a checkpoint's digest, a sample's id, or an unambiguous beginning of one of these but the
        first (six characters at least).

        Raises:
            UnknownNameError: Nothing has that name, or several have.
        """
        name = name.strip("/")
        if (self.workspace.runs / name / "result.json").is_file():
            return self._returned(name)
        epoch = ""
        for prefix in ("checkpoints/", "stages/"):
            if prefix in name:
                name, _, epoch = name[name.rindex(prefix) + len(prefix) :].partition("/")
        found: list[tuple[str, Any]] = []
        for sealed in self.stages.values():
            fingerprint = sealed.record["fingerprint"]
            if _begins(sealed.name, name):
                found.append(("stage", sealed))
            elif _begins(fingerprint, name):
                is_checkpoint = sealed.kind == "train"
                found.append(("checkpoint", _digest(sealed, epoch)) if is_checkpoint else ("stage", sealed))
        found += [("checkpoint", digest) for digest in self.trained if _begins(digest, name)]
        if not found:
            found = [("sample", row) for row in self._samples(name)]
        if len({str(meant) for _, meant in found}) > 1:
            raise UnknownNameError(
                f"{name!r} could be {len(found)} things", hint="give more characters of its name"
            )
        if not found:
            known = [*self.stages, *self.trained]
            raise UnknownNameError.of("run, stage, checkpoint or sample", name, known[:40])
        return found[0]

    def _returned(self, run: str) -> tuple[str, Any]:
        """Return the checkpoint that a run returned."""
        chosen = orjson.loads((self.workspace.runs / run / "result.json").read_bytes())["chosen"]
        if isinstance(chosen, list):
            raise UnknownNameError(
                f"run {run!r} has several seeds, each with a model of its own",
                hint=f"name one of its runs, such as {run}-seed0",
            )
        if chosen.get("checkpoint") is None:
            raise UnknownNameError(f"run {run!r} returned answers, and no checkpoint")
        return "checkpoint", chosen["checkpoint"]

    def _samples(self, name: str) -> Iterator[Mapping[str, Any]]:
        for sealed in self.stages.values():
            if sealed.kind == "sample":
                for place, row_id in _column(sealed, "id"):
                    if _begins(row_id, name):
                        yield {"id": row_id, "stage": sealed.name, "place": place}

    def backwards(self, kind: str, meant: Any, *, depth: int = 12) -> Origin:
        """Walk from a stage, checkpoint or sample to where it came from."""
        if depth == 0:
            return Origin(kind, "...", "the walk ends here; ask for its name to go on")
        if kind == "sample":
            sealed = self.stages[meant["stage"]]
            writer = self._writer(sealed, depth)
            return Origin("sample", meant["id"], f"row {meant['place']} of {sealed.name}", writer)
        if kind == "checkpoint":
            return self._checkpoint(meant, depth)
        sealed: Sealed = meant
        if sealed.kind == "train":
            return self._checkpoint(sealed.record["checkpoint"]["digest"], depth)
        before = self._writer(sealed, depth) if "checkpoint" in sealed.record else ()
        inputs = sorted(self.inputs[sealed.name])
        nearest = [name for name in inputs if name in self.stages and not self._is_implied(name, inputs)]
        before += tuple(self.backwards("stage", self.stages[name], depth=depth - 1) for name in nearest)
        return Origin("stage", sealed.name, _says(sealed), before)

    def _is_implied(self, name: str, among: list[str]) -> bool:
        return any(name in self.inputs.get(other, ()) for other in among if other != name)

    def _writer(self, sealed: Sealed, depth: int) -> tuple[Origin, ...]:
        digest = sealed.record["checkpoint"]
        if digest in self.trained:
            return (self._checkpoint(digest, depth - 1),)
        return (Origin("model", sealed.record["model"], f"base, digest {digest}"),)

    def _checkpoint(self, digest: str, depth: int) -> Origin:
        sealed = self.trained.get(digest)
        if sealed is None:
            return Origin("model", digest, "base")
        epoch = next(one for one in sealed.record["epochs"] if one["digest"] == digest)
        start = sealed.record["asked"]["start"]
        if depth <= 1:
            return Origin("checkpoint", digest, "the walk ends here; ask for its name to go on")
        parent = (
            self._checkpoint(start, depth - 1) if start in self.trained else Origin("model", start, "base")
        )
        by_stage = self._parents(sealed)
        samples = tuple(self.backwards("stage", self.stages[name], depth=depth - 1) for name in by_stage)
        counted = ", ".join(f"{count:,} from {name}" for name, count in by_stage.items())
        rows = Origin("rows", sealed.name, f"{sealed.rows:,} training rows: {counted or 'gold'}", samples)
        says = f"epoch {epoch['epoch']}, loss {epoch['train_loss']:.4f}, made by {sealed.name}"
        return Origin("checkpoint", digest, says, (parent, rows))

    def _parents(self, sealed: Sealed) -> dict[str, int]:
        """Return how many training rows were made of the samples of each sample stage."""
        wanted: dict[str, int] = {}
        for _, parents in _column(sealed, "parents"):
            for parent in parents:
                wanted[parent] = wanted.get(parent, 0) + 1
        counts: dict[str, int] = {}
        for name in sorted(self.inputs[sealed.name]):
            stage = self.stages.get(name)
            if stage is not None and stage.kind == "sample":
                count = sum(wanted.get(row_id, 0) for _, row_id in _column(stage, "id"))
                if count:
                    counts[name] = count
        return counts

    def forwards(self, kind: str, meant: Any, *, depth: int = 12) -> Origin:
        """Walk from a stage, checkpoint or sample to what came of it."""
        if kind == "sample":
            after = [
                (sealed, place)
                for sealed in self.stages.values()
                if sealed.kind == "train" and meant["stage"] in self.inputs[sealed.name]
                for place, parents in _column(sealed, "parents")
                if meant["id"] in parents
            ]
            origins = tuple(
                Origin("rows", sealed.name, f"training row {place}", (self._after_training(sealed, depth),))
                for sealed, place in after
            )
            return Origin("sample", meant["id"], f"in {meant['stage']}", origins)
        if kind == "checkpoint":
            made = self.trained.get(meant)
            return self._after_checkpoint(meant, made, depth)
        sealed: Sealed = meant
        if depth == 0:
            return Origin("stage", sealed.name, "...")
        if sealed.kind == "train":
            return self._after_training(sealed, depth)
        users = [name for name, inputs in sorted(self.inputs.items()) if sealed.name in inputs]
        direct = [
            name for name in users if not any(name != other and other in self.inputs[name] for other in users)
        ]
        later = tuple(self.forwards("stage", self.stages[name], depth=depth - 1) for name in direct)
        return Origin("stage", sealed.name, _says(sealed), later)

    def _after_training(self, sealed: Sealed, depth: int) -> Origin:
        return self._after_checkpoint(sealed.record["checkpoint"]["digest"], sealed, depth)

    def _after_checkpoint(self, digest: str, made: Sealed | None, depth: int) -> Origin:
        says = f"made by {made.name}" if made is not None else "base"
        if depth <= 1:
            return Origin("checkpoint", digest, says)
        users = tuple(
            self.forwards("stage", sealed, depth=1)
            if sealed.kind != "train"
            else Origin("stage", sealed.name, "trained from it")
            for sealed in self.stages.values()
            if sealed.record.get("checkpoint") == digest or sealed.record["asked"].get("start") == digest
        )
        return Origin("checkpoint", digest, says, users)


def _digest(sealed: Sealed, folder: str) -> str:
    """Return the digest of the checkpoint in a folder of a train stage's; of the chosen one by default."""
    digests: dict[str, str] = {epoch["folder"]: epoch["digest"] for epoch in sealed.record["epochs"]}
    return digests.get(folder, digests["."])


def _begins(whole: str, name: str) -> bool:
    return whole == name or (len(name) >= 6 and whole.startswith(name))


def _says(sealed: Sealed) -> str:
    label = sealed.record["first_made"]["label"]
    if sealed.kind == "select":
        return f"{sealed.record['kept']:,} of {sealed.rows:,} rows kept; first made as {label}"
    return f"{sealed.rows:,} rows; first made as {label}"


def _column(sealed: Sealed, name: str) -> Iterator[tuple[int, Any]]:
    return enumerate(column_values(sealed, name))
