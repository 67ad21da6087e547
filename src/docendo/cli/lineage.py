"""``docendo lineage X``: where something came from, or what came of it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from docendo.cli.workspaces import WorkspaceFlag, existing
from docendo.runs.lineage import Lineage, Origin


def main(
    name: Annotated[
        str, Parameter(help="A run, a checkpoint's folder or digest, a stage, or a sample's id.")
    ],
    *,
    forwards: Annotated[bool, Parameter(help="What came of it, instead of where it came from.")] = False,
    depth: Annotated[int, Parameter(help="Steps to walk at most.")] = 12,
    workspace: WorkspaceFlag = None,
) -> None:
    """Walk from a checkpoint, stage or sample to where it came from, or (--forwards) to what came of it."""
    lineage = Lineage.of(existing(workspace))
    kind, meant = lineage.find(name)
    walk = lineage.forwards if forwards else lineage.backwards
    _show(walk(kind, meant, depth=depth), "", "", set())


def _show(origin: Origin, lead: str, branch: str, shown: set[str]) -> None:
    again = origin.name in shown and bool(origin.before)
    print(f"{lead}{branch}{origin.kind} {origin.name}: {origin.says}{' (see above)' if again else ''}")
    if again:
        return
    shown.add(origin.name)
    inner = lead + {"": "", "|- ": "|  ", "`- ": "   "}[branch]
    for place, part in enumerate(origin.before):
        _show(part, inner, "`- " if place == len(origin.before) - 1 else "|- ", shown)
