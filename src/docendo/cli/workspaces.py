"""Which workspace a command works on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from docendo.core.errors import WorkspaceError
from docendo.core.protocols import Watcher
from docendo.runs.workspace import Workspace

WorkspaceFlag = Annotated[
    Path | None,
    Parameter(
        name="--workspace",
        help="Directory of runs, stages and checkpoints. Default: DOCENDO_WORKSPACE, or ./docendo-runs.",
    ),
]


def path_of(workspace: Path | None) -> Path:
    """Return the directory that was named, by flag, by environment, or by default."""
    return workspace or Path(os.environ.get("DOCENDO_WORKSPACE") or "docendo-runs")


def existing(workspace: Path | None, watcher: Watcher | None = None) -> Workspace:
    """Open a workspace that must be there already.

    Raises:
        WorkspaceError: There is none.
    """
    path = path_of(workspace)
    if not (path / "workspace.json").is_file():
        raise WorkspaceError(
            f"there is no workspace at {str(path)!r}", hint="name one with --workspace or DOCENDO_WORKSPACE"
        )
    return Workspace(path, watcher=watcher)
