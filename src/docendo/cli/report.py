"""``docendo report NAME``: show a run."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from docendo.cli.workspaces import WorkspaceFlag, existing
from docendo.report.html import write_report
from docendo.report.terminal import report_json, reports_text


def main(
    name: str,
    *others: str,
    format: Annotated[Literal["text", "html", "json"], Parameter(help="How it is shown.")] = "text",
    workspace: WorkspaceFlag = None,
) -> None:
    """Show a run, or several side by side: as text, as JSON, or as HTML pages whose paths are printed.

    Args:
        name: The run's name; `docendo list runs` names them.
        others: More runs, to be shown beside it.
        format: text, html or json.
        workspace: The workspace.
    """
    opened = existing(workspace)
    names = [name, *others]
    if format == "html":
        for one in names:
            print(write_report(opened, one))
    elif format == "json":
        print("\n".join(report_json(opened, one) for one in names))
    else:
        print(reports_text(opened, names))
