"""Pieces of HTML that the sections are made of. What they take is text, except where it says HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from docendo.report.escaping import escaped, without_folders
from docendo.report.results import ARMS


def shown_name(name: str) -> str:
    """Return the name of a model as text, without folders of this machine."""
    return without_folders(str(name))


def colour_of(arm: str) -> str:
    """Return the colour class of an arm."""
    return arm if arm in ARMS else "other"


def dot(arm: str) -> str:
    """Return an arm's name as HTML, with a dot in its colour."""
    return f'<span class="arm c-{colour_of(arm)}">{escaped(arm)}</span>'


def table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, words: int | Sequence[int] = 1, lead: int = -1
) -> str:
    """Return a table.

    Args:
        heads: Text of the head cells.
        rows: Cells as HTML.
        words: How many of the first columns hold words, or which columns do; the others hold numbers.
        lead: The row that stands out.
    """
    wordy = set(range(words)) if isinstance(words, int) else set(words)
    head = "".join(f"<th{_kind(place, wordy)}>{escaped(name)}</th>" for place, name in enumerate(heads))
    body = "".join(
        f"<tr{' class=lead' if index == lead else ''}>"
        + "".join(f"<td{_kind(place, wordy)}>{cell}</td>" for place, cell in enumerate(row))
        + "</tr>"
        for index, row in enumerate(rows)
    )
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _kind(place: int, wordy: set[int]) -> str:
    return "" if place in wordy else " class=n"


def figure(chart: str, caption: str) -> str:
    """Return a chart (HTML) with its caption; nothing without a chart."""
    return f"<figure>{chart}<figcaption>{escaped(caption)}</figcaption></figure>" if chart else ""


def note(text: str) -> str:
    """Return a remark."""
    return f'<p class="note">{escaped(text)}</p>'


def folded(summary: str, body: str) -> str:
    """Return HTML that is shown when its summary is clicked."""
    return f"<details><summary>{escaped(summary)}</summary>{body}</details>"


def tone(word: str) -> str:
    """Return the class of a verdict."""
    return word.replace(" ", "-") if word in ("improved", "worse") else "no-evidence"


def verdict_cell(word: str) -> str:
    """Return a verdict as HTML in its colour."""
    return f'<span class="tone-{tone(word)}">{escaped(word)}</span>'
