"""``docendo report NAME``: show a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from docendo.cli.workspaces import WorkspaceFlag, existing
from docendo.report.html import write_report
from docendo.report.terminal import report_json, report_text


def main(
    name: str,
    *,
    format: Annotated[Literal["text", "html", "json"], Parameter(help="How it is shown.")] = "text",
    workspace: WorkspaceFlag = None,
) -> None:
    """Show a run: as text, as JSON, or as a self-contained HTML page whose path is printed.

    Args:
        name: The run's name; `docendo list runs` names them.
        format: text, html or json.
        workspace: The workspace.
    """
    opened = existing(workspace)
    if format == "html":
        page: Path = write_report(opened, name)
        print(page)
    elif format == "json":
        print(report_json(opened, name))
    else:
        print(report_text(opened, name))
