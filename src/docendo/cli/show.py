"""``docendo show X``: one stage, sample, checkpoint or model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import orjson
from cyclopts import Parameter

from docendo.cli.workspaces import WorkspaceFlag, existing
from docendo.core.errors import SettingError
from docendo.runs.lineage import Lineage
from docendo.runs.reopened import scored
from docendo.runs.stored import stream
from docendo.runs.workspace import Sealed, Workspace


def main(
    name: Annotated[
        str, Parameter(help="A stage, a sample's id, a checkpoint, or a model such as lab/base.")
    ],
    *,
    rows: Annotated[int, Parameter(help="So many of a stage's rows.")] = 3,
    output: Annotated[
        Path | None,
        Parameter(
            name=("--output", "--out"), help="Write the samples of a score stage here, for docendo vote."
        ),
    ] = None,
    workspace: WorkspaceFlag = None,
) -> None:
    """Show what is known of a stage (with its first rows), a sample, a checkpoint or a built-in model."""
    from docendo.lab import models

    if name in models.NAMES:
        print((models.path(name) / "README.md").read_text("utf-8"))
        return
    opened = existing(workspace)
    lineage = Lineage.of(opened)
    kind, meant = lineage.find(name)
    if output is not None:
        if kind != "stage" or meant.kind != "score":
            raise SettingError(
                f"--output writes the samples of a score stage, and {name} is none",
                hint="result.json lists a run's stages; those of scores begin with score-",
            )
        _write(opened, meant.name, output)
        return
    if kind == "sample":
        sealed = lineage.stages[meant["stage"]]
        _print({"stage": sealed.name, **next(_rows(sealed, meant["place"], 1))})
    elif kind == "checkpoint":
        made = lineage.trained[meant]
        epoch = next(one for one in made.record["epochs"] if one["digest"] == meant)
        folder = opened.checkpoints / made.record["checkpoint"]["folder"]
        place = folder if epoch["folder"] == "." else folder / epoch["folder"]
        _print({"checkpoint": meant, "directory": str(place), "stage": made.name, **epoch})
    else:
        _print(dict(meant.record))
        for row in _rows(meant, 0, rows):
            _print(row)


def _write(workspace: Workspace, name: str, output: Path) -> None:
    """Write one line a sample: its problem, completion, answer (null where none could be read) and score."""
    count = 0
    with output.open("wb") as file:
        for sample in scored(workspace, name):
            row = {
                "problem_id": sample.problem.id,
                "question": sample.problem.question,
                "completion": sample.full_text,
                "prediction": sample.answer if sample.is_parsed else None,
                "score": sample.scores["score"].value,
            }
            file.write(orjson.dumps(row) + b"\n")
            count += 1
    print(
        f"{count:,} samples in {output}; go on with:\n"
        f"docendo vote {output} --score score --prediction-column prediction --task NAME"
    )


def _rows(sealed: Sealed, first: int, count: int) -> Any:
    place = 0
    for batch in stream(sealed):
        for row in batch.to_pylist():
            if first <= place < first + count:
                yield row
            place += 1
        if place >= first + count:
            return


def _print(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
