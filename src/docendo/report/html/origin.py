"""Where the result came from: its lineage, and the settings and versions it was made with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import yaml

from docendo.report.descent import Ancestor, Generation, descent
from docendo.report.escaping import cut, escaped, without_folders
from docendo.report.figures import count
from docendo.report.html.parts import folded, note, shown_name, table
from docendo.report.results import Result
from docendo.runs.workspace import Workspace


def lineage_section(workspace: Workspace, result: Result) -> str:
    """Show the line of descent of what one seed's run returned, and list its stages."""
    generations = descent(workspace, result)
    names = {one.checkpoint: shown_name(one.name) or one.checkpoint[:12] for one in generations}
    items = "".join(_generation(one, names) for one in generations)
    seen: set[str] = set()
    rows: list[tuple[str, ...]] = []
    for entry in result["stages"]:
        if entry["stage"] not in seen:
            seen.add(entry["stage"])
            rows.append(
                (
                    escaped(entry["place"]),
                    escaped(entry["kind"]),
                    f"<code>{escaped(entry['stage'])}</code>",
                    f"<code>{escaped(entry['digest'][:12])}</code>",
                    escaped(", ".join(entry["sources"]) or "-"),
                    count(entry["rows"]),
                )
            )
    heads = ("first asked as", "kind", "folder in stages/", "digest", "information", "rows")
    shown = table(heads, rows, words=5)
    about = (
        "From what the method returned back to the base. A stage is found by what was asked (its folder's "
        "name) and known by what came out (its digest)."
    )
    folder = result["chosen"].get("folder", "")
    where = (
        f"<p>The returned checkpoint lies in <code>{escaped(folder)}</code> of the workspace.</p>"
        if folder
        else ""
    )
    return (
        f'{note(about)}{where}<ol class="descent">{items}</ol>'
        f"{folded(f'All {len(rows)} stages of the run', shown)}"
    )


def _generation(one: Generation, names: Mapping[str, str]) -> str:
    digest = f" <code>{escaped(one.checkpoint[:12])}</code>" if one.checkpoint else ""
    name = escaped(names[one.checkpoint])
    if not one.checkpoint:
        lines = [f"made of {_stages_in_words(one.rows)}"] if one.rows else []
        title = "Answers"
    elif one.training is None:
        return f'<li class="root"><span class="what">{name}</span>{digest}<ul><li>the start</li></ul></li>'
    else:
        title = f"{name}{digest}"
        loss = next((epoch["train_loss"] for epoch in one.epochs if epoch["epoch"] == one.epoch), None)
        start = escaped(names.get(one.start, one.start[:12]))
        tail = "" if loss is None else f", train loss {loss:.4f}"
        lines = [
            f"trained on {count(one.training.rows)} rows from {start}, "
            f"epoch {one.epoch} of {len(one.epochs)}{tail} "
            f"<code>{escaped(one.training.stage)}</code>"
        ]
        lines += [f"rows: {_stages_in_words(one.rows)}"] if one.rows else []
    if one.writers:
        writers = ", ".join(escaped(names.get(writer, writer[:12])) for writer in one.writers)
        lines.append(f"samples written by {writers}")
    body = "".join(f"<li>{line}</li>" for line in lines)
    return f'<li><span class="what">{title}</span><ul>{body}</ul></li>'


def _stages_in_words(stages: Sequence[Ancestor]) -> str:
    return " &larr; ".join(_stage_in_words(stage) for stage in stages)


def _stage_in_words(stage: Ancestor) -> str:
    if stage.kept is not None:
        what = f"kept {count(stage.kept)} of {count(stage.rows)}"
    elif stage.outcomes is not None:
        what = f"{count(stage.outcomes.get('correct', 0))} of {count(stage.rows)} correct"
    else:
        what = f"{count(stage.rows)} rows"
    return (
        f'<span title="{escaped(stage.place)}: {escaped(stage.stage)}">{escaped(stage.kind)} ({what})</span>'
    )


def settings_section(workspace: Workspace, result: Result) -> str:
    """Show the command, notes, settings and versions."""
    described = _described(workspace, str(result["name"]))
    command = described.get("command", "")
    out: list[str] = []
    if command:
        out.append(f"<h3>Command</h3><pre>{escaped(cut(without_folders(str(command)), 4000))}</pre>")
    if result["notes"]:
        notes = "".join(f"<li>{escaped(cut(str(note)))}</li>" for note in result["notes"])
        out.append(f"<h3>Notes</h3><ul>{notes}</ul>")
    shown = {"recipe", "task", "models", "seeds", "controls", "settings", "config", "versions", "command"}
    blocks = {
        f"Recipe {result['recipe']}": result["config"],
        "Run": result["settings"],
        "Further settings": {name: value for name, value in described.items() if name not in shown},
        "Versions": result["versions"],
    }
    tables = "".join(
        f"<div><h3>{escaped(title)}</h3>{table(('setting', 'value'), rows, words=2)}</div>"
        for title, values in blocks.items()
        if (rows := [(escaped(name), f"<code>{value}</code>") for name, value in _flat(values)])
    )
    return f'{"".join(out)}<div class="blocks">{tables}</div>'


def _described(workspace: Workspace, name: str) -> Mapping[str, Any]:
    try:
        found: Any = yaml.safe_load((workspace.runs / name / "run.yaml").read_bytes())
    except (OSError, yaml.YAMLError):
        return {}  # the page is about the result; what it was asked with is a help, not a need
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield settings as (dotted name, escaped value), without what only a fingerprint needs."""
    for name, value in values.items():
        if name in ("part", "version"):
            continue
        if isinstance(value, Mapping):
            yield from _flat(cast("Mapping[str, Any]", value), f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", escaped(cut(without_folders(str(value)), 400))
