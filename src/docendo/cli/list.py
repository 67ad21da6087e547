"""``docendo list runs|stages|recipes|tasks|models``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import orjson
from cyclopts import Parameter

from docendo.cli.workspaces import WorkspaceFlag, existing
from docendo.runs.cleaning import used_stages
from docendo.runs.registry import registered
from docendo.runs.workspace import Workspace

Kind = Literal["runs", "stages", "recipes", "tasks", "engines", "models"]


def main(
    kind: Annotated[Kind, Parameter(help="What to list.")] = "runs", *, workspace: WorkspaceFlag = None
) -> None:
    """List what there is, one a line, columns aligned."""
    if kind in ("recipes", "tasks", "engines"):
        rows = [(name, point.value) for name, point in registered(kind).items()]
        _print(("name", "defined by"), rows)
    elif kind == "models":
        from docendo.lab import models

        _print(("name", "directory"), [(name, str(models.path(name))) for name in models.NAMES])
    elif kind == "runs":
        _print(("name", "recipe", "task", "model", "seeds", "verdict"), _runs(existing(workspace)))
    else:
        opened = existing(workspace)
        used = used_stages(opened)
        _print(
            ("stage", "rows", "seconds", "first made as", "runs"),
            [
                (
                    sealed.name,
                    f"{sealed.rows:,}",
                    f"{sealed.record['cost']['seconds']:.1f}",
                    f"{sealed.record['first_made']['run']}: {sealed.record['first_made']['label']}",
                    ", ".join(sorted(used.get(sealed.name, ()))) or "none",
                )
                for sealed in opened.all_sealed()
            ],
        )


def _runs(workspace: Workspace) -> Iterable[Sequence[str]]:
    for folder in sorted(workspace.runs.iterdir()):
        try:
            result = orjson.loads((folder / "result.json").read_bytes())
        except (FileNotFoundError, ValueError):
            yield folder.name, "", "", "", "", "unfinished"
            continue
        seeds = ", ".join(str(seed) for seed in result["seeds"])
        yield folder.name, result["recipe"], result["task"], result["model"], seeds, result["verdict"]


def _print(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [head, *rows]
    widths = [max(len(row[place]) for row in table) for place in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
