"""``docendo gc``: delete what no run uses."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from docendo.cli.workspaces import WorkspaceFlag, existing
from docendo.runs.cleaning import delete, forget_stage, garbage


def main(
    *,
    dry_run: Annotated[bool, Parameter(help="Say what would go, and delete nothing.")] = False,
    stage: Annotated[str | None, Parameter(help="Delete this stage, used or not; it is made anew.")] = None,
    workspace: WorkspaceFlag = None,
) -> None:
    """Delete stages and checkpoints that no run lists, leftovers of stopped runs, and damaged folders.

    Delete a run's folder to make its stages garbage. What another process works on stays.
    """
    opened = existing(workspace)
    found = [forget_stage(opened, stage)] if stage is not None else list(garbage(opened))
    for one in found:
        print(f"{one.size / 1e6:10.2f} MB  {one.folder.relative_to(opened.path)}  ({one.why})")
        if not dry_run:
            delete(one)
    total = sum(one.size for one in found) / 1e6
    print(f"{'would free' if dry_run else 'freed'} {total:.2f} MB in {len(found)} folders")
