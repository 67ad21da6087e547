"""The train verb: rows become Examples, are held against the evaluation splits, and become a checkpoint."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from docendo.core.errors import SettingError, StageError
from docendo.core.losses import REFERENCE_TOKENS, Loss, Optimizer
from docendo.core.parts import identity_of
from docendo.core.protocols import Format, TrainedEpoch, TrainingStep
from docendo.core.records import Checkpoint, Example, Model, Source
from docendo.core.seeds import digest_of
from docendo.core.table import Table, Unknown
from docendo.runs.contamination import cleaned
from docendo.runs.plan import PlannedStage
from docendo.runs.stages import Cost, Place, sealed_record, storage_faults
from docendo.runs.stored import Selected, WithLogprobs
from docendo.runs.training_rows import as_example, write_rows
from docendo.runs.workspace import Sealed, StageKey, Workspace, write_durably

if TYPE_CHECKING:
    from docendo.runs.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRequest:
    """What `Run.train` was asked."""

    start: Model
    rows: Table[Any]
    loss: Loss
    optimizer: Optimizer
    epochs: int
    held_out: Table[Any] | None
    reference: Model | None
    name: str


def train_stage(run: Run, request: TrainRequest) -> Model:
    """Do what `Run.train` says."""
    if request.epochs < 1:
        raise SettingError(f"cannot train for {request.epochs} epochs; expected at least 1")
    start, reference = request.start, _reference(request)
    sources = request.rows.sources | start.sources
    if reference is not None:
        sources |= reference.sources
    clean, rows, held_out = _gathered(run, request, reference, sources)
    asked = {
        "version": 1,
        "start": start.checkpoint.digest,
        "loss": identity_of(request.loss),
        "optimizer": identity_of(request.optimizer),
        "epochs": request.epochs,
        "seed": run.seed,
    }
    if reference is not None:
        asked["reference"] = _digest_of_reference(rows) if rows.is_known else rows.plan_key
    if not (rows.is_known and (held_out is None or held_out.is_known)):
        key = StageKey("train", {**asked, "rows": clean.plan_key})
        run.unknown(key, request.name, clean.bound, sources, rows)
        return _unknown(key, request, sources)
    assert isinstance(clean, Selected)
    trainer = run.trainer()
    key = StageKey(
        "train",
        {
            **asked,
            "trainer": dict(trainer.signature),
            # By value: other problems to check against, with nothing more found, train nothing anew.
            "rows": clean.sealed.record["rows_digest"],
            "held_out": None if held_out is None else held_out.digest,
        },
    )
    if run.plan is not None:
        found = run.workspace.sealed(key.name)
        planned = PlannedStage(run.label(request.name), "train", len(clean), True, found is not None)
        run.plan.note(planned, key.name)
        return _unknown(key, request, sources) if found is None else _model(run, request, sources, found)
    place = Place(run.name, run.label(request.name), sorted(rows.stages), sorted(s.value for s in sources))

    def train(work: Path) -> dict[str, Any]:
        run.be_there(start.checkpoint)
        return _trained(run, key, request, rows, held_out, work, place)

    found = run.workspace.sealed(key.name)
    reused = found is not None
    if found is None:
        with storage_faults(f"stage {key.name}"), run.workspace.working_on(key) as work:
            if work is not None:
                found = run.workspace.seal(key, work, train(work))
            else:
                found = run.workspace.sealed(key.name)
    if found is None:
        raise StageError(f"stage {key.name} vanished while this process waited for it")
    run.record(found, place, reused)
    remake = _remake(run.workspace, key, found, train)
    run.remakes.update({epoch["digest"]: remake for epoch in found.record["epochs"]})
    return _model(run, request, sources, found)


def _gathered(
    run: Run, request: TrainRequest, reference: Model | None, sources: frozenset[Source]
) -> tuple[Table[Example], Table[Any], Table[Any] | None]:
    """Return the rows that are left to learn from, the same beside their reference, and the held-out ones."""
    start = request.start
    shape = run.format_of(start)
    to_example, key = as_example(request.loss, shape, start), _example_key(shape, start)
    examples = request.rows.map(to_example, key=key)
    if run.plan is not None and not (request.rows.is_known and start.checkpoint.is_known):
        examples = Unknown(
            request.rows.bound, asked=request.rows.plan_key, sources=sources, stages=request.rows.stages
        )
    clean = cleaned(run, examples, request.name)
    held_out = None if request.held_out is None else request.held_out.map(to_example, key=key)
    if reference is None:
        return clean, clean, held_out
    by_token = REFERENCE_TOKENS in request.loss.reads.reference
    beside = run.logprobs(reference, clean, by_token=by_token, name=f"{request.name}-reference")
    if held_out is not None:
        name = f"{request.name}-held-out-reference"
        held_out = run.logprobs(reference, held_out, by_token=by_token, name=name)
    return clean, beside, held_out


def _reference(request: TrainRequest) -> Model | None:
    """Return the Model whose log-probabilities the loss needs; None where it needs none."""
    if not request.loss.reads.reference:
        if request.reference is not None:
            raise SettingError(
                f"loss {request.loss.name} has no reference", hint="leave `reference` out of `run.train`"
            )
        return None
    reference = request.reference or request.start
    if reference.checkpoint.tokenizer != request.start.checkpoint.tokenizer:
        raise SettingError(
            f"the reference {reference.checkpoint.name} has another tokenizer than the model that is trained",
            hint="a reference gives log-probabilities of the very tokens that are learned",
        )
    return reference


def _digest_of_reference(rows: Table[Any]) -> str:
    """Return what came out of the logprobs stage: how its rows were come by trains nothing anew."""
    assert isinstance(rows, WithLogprobs)
    return rows.sealed.digest


def _example_key(shape: Format, start: Model) -> Any:
    """Return what decides, beside the row, which Example becomes of it."""
    return ["example", identity_of(shape), identity_of(start.context), start.checkpoint.tokenizer]


def _trained(
    run: Run,
    key: StageKey,
    request: TrainRequest,
    rows: Table[Any],
    held_out: Table[Any] | None,
    work: Path,
    place: Place,
) -> dict[str, Any]:
    started = time.time()
    count, digest = write_rows(rows, request.loss.reads, work / "rows.parquet")
    if held_out is not None:
        write_rows(held_out, request.loss.reads, work / "held_out.parquet")
    watcher = run.watcher
    final = run.workspace.checkpoints / key.fingerprint
    growing = final.with_name(f"{final.name}.work")
    begun = False
    last = TrainingStep(0, 0, 0.0, 0)

    def report(step: TrainingStep) -> None:
        nonlocal begun, last
        if not begun:
            watcher.stage_begins(place.label, rows=step.steps, done=step.step - 1, unit="steps")
            begun = True
        watcher.stage_advances(rows=1, tokens=step.tokens - last.tokens, note=f"loss {step.loss:.3f}")
        last = step

    if not (final / "train.json").exists():
        if final.exists():
            run.workspace.set_aside(final, "train.json is missing")
        epochs = list(
            run.trainer().train(
                Path(request.start.checkpoint.location),
                work / "rows.parquet",
                request.loss,
                request.optimizer,
                epochs=request.epochs,
                seed=run.seed,
                folder=growing,
                held_out=work / "held_out.parquet" if held_out is not None else None,
                report=report,
            )
        )
        _publish(epochs, final)
    shutil.rmtree(growing, ignore_errors=True)  # here: a kill between the two lines must not leave it
    made = orjson.loads((final / "train.json").read_bytes())
    return sealed_record(
        place,
        digest=digest_of([digest, made["epochs"]]),
        rows=count,
        cost=Cost(trained_tokens=sum(epoch["learned_tokens"] for epoch in made["epochs"])),
        started=started,
        **made,
    )


def _publish(epochs: Sequence[TrainedEpoch], final: Path) -> None:
    """Lay out the finished checkpoint: the chosen epoch on top, the others in ``epoch-K``; then rename."""
    from docendo.engines.checkpoints import open_checkpoint

    losses = [epoch.held_out_loss for epoch in epochs]
    if None in losses:
        chosen = len(epochs) - 1
    else:
        chosen = min(range(len(epochs)), key=lambda index: losses[index] or 0.0)
    sealing = final.with_name(f"{final.name}.sealing")
    shutil.rmtree(sealing, ignore_errors=True)
    sealing.mkdir(parents=True)
    listed: list[dict[str, Any]] = []
    for index, epoch in enumerate(epochs):
        place = sealing if index == chosen else sealing / f"epoch-{epoch.epoch}"
        place.mkdir(exist_ok=True)
        for file in sorted(epoch.folder.iterdir()):
            os.link(file, place / file.name)
        made = open_checkpoint(str(place))
        listed.append(
            {
                "epoch": epoch.epoch,
                "folder": "." if index == chosen else place.name,
                "digest": made.digest,
                "tokenizer": made.tokenizer,
                "steps": epoch.steps,
                "learned_tokens": epoch.learned_tokens,
                "train_loss": epoch.train_loss,
                "held_out_loss": epoch.held_out_loss,
                "rows": epoch.rows,
                "dropped": dict(epoch.dropped),
                "measures": dict(epoch.measures),
            }
        )
    files = {
        str(file.relative_to(sealing)): file.stat().st_size
        for file in sorted(sealing.rglob("*"))
        if file.is_file()
    }
    digest = listed[chosen]["digest"]
    record = {"checkpoint": {"digest": digest, "folder": final.name, "files": files}, "epochs": listed}
    write_durably(sealing / "train.json", orjson.dumps(record, option=orjson.OPT_INDENT_2))
    sealing.rename(final)


def _remake(
    workspace: Workspace, key: StageKey, sealed: Sealed, train: Callable[[Path], dict[str, Any]]
) -> Callable[[], None]:
    """Return what trains again where the checkpoint's folder is gone, and compares with what was recorded."""

    def remake() -> None:
        final = workspace.checkpoints / key.fingerprint
        why = checkpoint_fault(workspace, sealed.record)
        if not why:
            return
        workspace.watcher.says(f"checkpoint {final.name} {why}: it is trained again")
        if final.exists():
            workspace.set_aside(final, why)
        work = workspace.stages / f"{key.name}.remake"
        work.mkdir(exist_ok=True)
        try:
            record = train(work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        made, before = ([one["digest"] for one in each["epochs"]] for each in (record, sealed.record))
        if made != before:
            workspace.set_aside(sealed.folder, "its checkpoint was made again and came out different")
            raise StageError(
                f"checkpoint {final.name} was made again and came out different from the one recorded",
                hint="other library versions or another machine; run the same command again: "
                "what depends on it is computed anew",
            )

    return remake


def checkpoint_fault(workspace: Workspace, record: Mapping[str, Any]) -> str:
    """Return what is wrong with a train stage's checkpoint on disk; empty where nothing is."""
    made = record["checkpoint"]
    folder = workspace.checkpoints / made["folder"]
    if not folder.is_dir():
        return "is gone"
    for name, size in made["files"].items():
        file = folder / name
        if not file.is_file():
            return f"lacks {name}"
        if file.stat().st_size != size:
            return f"has {name} with {file.stat().st_size} bytes, expected {size}"
    return ""


def _unknown(key: StageKey, request: TrainRequest, sources: frozenset[Source]) -> Model:
    """Return what stands in a plan for the Model, with a snapshot for each epoch."""
    start = request.start
    snapshots = tuple(
        Model(
            replace(start.checkpoint, digest=f"?{key.fingerprint}-{epoch}", name="", location=""),
            start.context,
            (),
            sources,
        )
        for epoch in range(1, request.epochs + 1)
    )
    return replace(snapshots[-1], snapshots=snapshots)


def _model(run: Run, request: TrainRequest, sources: frozenset[Source], sealed: Sealed) -> Model:
    start = request.start
    record = sealed.record
    folder = run.workspace.checkpoints / record["checkpoint"]["folder"]

    def of(epoch: Mapping[str, Any]) -> Model:
        place = folder if epoch["folder"] == "." else folder / epoch["folder"]
        label = run.label(request.name)
        checkpoint = Checkpoint(
            digest=epoch["digest"],
            tokenizer=epoch["tokenizer"],
            root=start.checkpoint.root,
            engine=start.checkpoint.engine,
            name=label if epoch["folder"] == "." else f"{label} epoch {epoch['epoch']}",
            location=str(place),
        )
        return Model(checkpoint, start.context, (), sources, epoch["measures"])

    snapshots = tuple(of(epoch) for epoch in record["epochs"])
    chosen = next(
        model for model, epoch in zip(snapshots, record["epochs"], strict=True) if epoch["folder"] == "."
    )
    return replace(chosen, snapshots=snapshots)
