"""The HTML report: one file that works without a network, with everything that a model wrote escaped."""

from __future__ import annotations

from pathlib import Path

from docendo.report.escaping import escaped
from docendo.report.html.choosing import choosing_section
from docendo.report.html.exams import exams_section
from docendo.report.html.learned import learned_section
from docendo.report.html.numbers import (
    arms_section,
    contamination_section,
    cost_section,
    curves_section,
    drift_section,
    facts_section,
    information_section,
    rounds_section,
    transitions_section,
    verdict_section,
)
from docendo.report.html.origin import lineage_section, settings_section
from docendo.report.html.page import page
from docendo.report.html.parts import shown_name
from docendo.report.html.recovered import recovered_section
from docendo.report.html.texts import samples_section
from docendo.report.results import Result, is_over_seeds, result_of, seeds_in_words
from docendo.runs.workspace import Workspace, write_durably

__all__ = ["report_html", "write_report"]


def write_report(workspace: Workspace, name: str) -> Path:
    """Write ``runs/NAME/report.html``, and those of its seeds' runs, and return its path.

    The bytes depend on the workspace alone: the page holds no clock but what is labelled as time, and no
    folder of the machine.

    Raises:
        UserError: As for `docendo.report.results.result_of`.
    """
    result = result_of(workspace, name)
    for run in _runs_there(workspace, result):
        write_report(workspace, run)
    path = workspace.runs / name / "report.html"
    write_durably(path, report_html(workspace, result).encode())
    return path


def report_html(workspace: Workspace, result: Result) -> str:
    """Return the page of a result."""
    runs = _runs_there(workspace, result)
    # Over several seeds, texts and lineage are those of the first; each seed has a page of its own as well.
    single = result if not is_over_seeds(result) else result_of(workspace, runs[0]) if runs else None
    sections = [
        ("arms", "Arms", arms_section(result)),
        ("recovered", "Gap recovered", recovered_section(result)),
        ("rounds", "Rounds", rounds_section(result)),
        ("curves", "More than one sample", curves_section(result)),
        ("choosing", "Choosing among samples", choosing_section(result)),
        ("transitions", "What became of each problem", transitions_section(result)),
        ("learned", "What each round learned", learned_section(workspace, result)),
        ("facts", "Numbers of the recipe", facts_section(result)),
        ("exams", "Lessons and their exams", exams_section(workspace, single) if single else ""),
        ("samples", "Samples", samples_section(workspace, single) if single else ""),
        ("drift", "Drift", drift_section(result)),
        ("information", "Information", information_section(result)),
        ("contamination", "Contamination", contamination_section(result)),
        ("lineage", "Lineage", lineage_section(workspace, single) if single else ""),
        ("cost", "Cost", cost_section(result)),
        ("settings", "Settings and versions", settings_section(workspace, result)),
    ]
    filled = [(anchor, title, inner) for anchor, title, inner in sections if inner]
    links = "".join(f'<a href="#{anchor}">{escaped(title)}</a>' for anchor, title, _ in filled)
    model = shown_name(result["model"])
    about = f"{result['recipe']} on {result['task']}, from {model}, {seeds_in_words(result)}"
    body = [
        f'<header><p class="brand">Docendo report</p><h1>{escaped(result["name"])}</h1>',
        f'<p class="about">{escaped(about)}</p>{_links(runs)}',
        f"{verdict_section(result)}<nav>{links}</nav></header>",
        "<main>",
        *(f'<section id="{at}"><h2>{escaped(title)}</h2>{inner}</section>' for at, title, inner in filled),
        "</main>",
        "<footer>Accuracy is that of one greedy answer a problem, on problems of the test split; undecided "
        "and failed answers count as wrong. Everything on this page was read from the workspace of the run."
        "</footer>",
    ]
    return page(f"{result['name']}: {result['recipe']} on {result['task']}", "\n".join(body))


def _runs_there(workspace: Workspace, result: Result) -> list[str]:
    """Return the runs of the single seeds that have a result, of a result over several."""
    return [run for run in result.get("runs", ()) if (workspace.runs / run / "result.json").exists()]


def _links(runs: list[str]) -> str:
    links = ", ".join(f'<a href="../{escaped(run)}/report.html">{escaped(run)}</a>' for run in runs)
    return f'<p class="about">One report a seed: {links}</p>' if links else ""
