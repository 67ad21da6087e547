"""The sample browser: what the base and the method wrote, and what was learned from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docendo.report.escaping import cut, escaped
from docendo.report.html.parts import folded, note
from docendo.report.results import Result, finals
from docendo.report.samples import KINDS, Judged, Pair, Row, Shown, picked_pairs, picked_rows
from docendo.runs.workspace import Workspace

PAIRS: Mapping[str, int] = dict(zip(KINDS, (4, 4, 2, 2), strict=True))
"""How many problems of each kind are shown."""
BESIDE = ("teacher",)
"""Arms whose answers to the same problems are shown beside those of base and method."""


def samples_section(workspace: Workspace, result: Result) -> str:
    """Show some problems with two answers each, and some training rows, of one seed."""
    arms = finals(result)
    out: list[str] = []
    if "base" in arms and "method" in arms:
        there = {
            arm: arms[arm][0]["stages"].get("greedy", ())
            for arm in ("base", "method", *BESIDE)
            if arm in arms
        }
        beside = {arm: there[arm] for arm in BESIDE if arm in there}
        pairs = picked_pairs(workspace, there["base"], there["method"], counts=PAIRS, beside=beside)
        if pairs:
            cards = "".join(_pair_card(pair) for pair in pairs)
            others = "".join(f", and of the {arm}" for arm in beside)
            out.append(
                note(
                    "Problems of the test split, drawn by a hash of their ids, not by hand; greedy answers "
                    f"of the base and of what the method returned{others}."
                )
                + f"<div data-browser>{cards}</div>"
            )
    out += _row_cards(workspace, result)
    return "".join(out)


def _pair_card(pair: Pair) -> str:
    tone = {"wrong to right": "good", "right to wrong": "bad"}.get(pair.kind, "")
    others = "".join(_side(arm, judged) for arm, judged in pair.beside.items())
    return (
        f'<article class="card" data-kind="{escaped(pair.kind)}">'
        f'<h4><span class="chip {tone}">{escaped(pair.kind)}</span>{escaped(cut(pair.problem_id, 120))}</h4>'
        f"{_question(pair.after.sample)}"
        f'<div class="sides">{_side("base", pair.before)}{_side("method", pair.after)}{others}</div>'
        f"{_prompts(pair)}</article>"
    )


def _question(sample: Shown) -> str:
    choices = "".join(f"\n({chr(65 + place)}) {choice}" for place, choice in enumerate(sample.choices[:26]))
    return f'<p class="question" dir="auto">{escaped(cut(sample.question + choices))}</p>'


def _side(who: str, judged: Judged) -> str:
    tone = "right" if judged.verdict == "correct" else "wrong"
    answer = f", read as <b>{escaped(cut(judged.answer, 80))}</b>" if judged.answer else ", no answer read"
    reason = f" ({escaped(cut(judged.reason, 200))})" if judged.reason else ""
    return (
        f'<div class="side {tone}"><p class="who">{escaped(who)}: '
        f"<b>{escaped(judged.verdict)}</b>{reason}{answer}"
        f"{_finish(judged.sample)}</p>{_text(judged.sample)}</div>"
    )


def _finish(sample: Shown) -> str:
    if sample.fault:
        return f", failed: {escaped(cut(sample.fault, 200))}"
    return ", cut off at the token limit" if sample.finish == "length" else ""


def _text(sample: Shown) -> str:
    return f'<pre dir="auto">{escaped(cut((_begun(sample) + sample.text).strip()))}</pre>'


def _begun(sample: Shown) -> str:
    """Return what stood before the text in the same turn; in a second call that is the first one's text."""
    role, content = sample.prompt[-1] if sample.prompt else ("", "")
    if role == "text":
        return content.partition(sample.question)[2] if sample.goes_on else ""
    return content if role == "assistant" else ""


def _prompts(pair: Pair) -> str:
    first, second = (_prompt(judged.sample) for judged in (pair.before, pair.after))
    if first == second:
        return folded("Prompt as it was sent", first)
    return folded("Prompts as they were sent", f"<p>To the base:</p>{first}<p>To the method:</p>{second}")


def _prompt(sample: Shown) -> str:
    whole = "\n".join(f"[{role}] {content}" for role, content in sample.prompt)
    return f'<pre dir="auto">{escaped(cut(whole, 2400))}</pre>'


def _row_cards(workspace: Workspace, result: Result) -> list[str]:
    """Return cards of training rows of the first and the last round that selected any."""
    selections = [
        entry
        for entry in result["stages"]
        if entry["arm"] == "method" and entry["kind"] == "select" and _of_samples(entry)
    ]
    chosen = {entry["place"]: entry for entry in (*selections[:1], *selections[-1:])}
    out: list[str] = []
    for place, entry in chosen.items():
        rows = picked_rows(workspace, entry["stage"], entry["inputs"])
        if rows:
            cards = "".join(_row_card(row) for row in rows)
            title = f"Kept and dropped by {place}"
            out.append(f'<h3>{escaped(title)}</h3><div class="tiles" data-browser>{cards}</div>')
    return out


def _of_samples(entry: Mapping[str, Any]) -> bool:
    """Whether a selection chose among samples themselves: its rows have their ids."""
    return any(name.startswith("sample-") for name in entry["inputs"]) and not any(
        name.startswith("select-") for name in entry["inputs"]
    )


def _row_card(row: Row) -> str:
    kind = "kept" if not row.reason else f"dropped: {row.reason}"
    tone = "good" if not row.reason else "bad"
    side = "right" if not row.reason else "wrong"
    return (
        f'<article class="card" data-kind="{escaped(kind)}">'
        f'<h4><span class="chip {tone}">{escaped(kind)}</span>{escaped(cut(row.problem_id, 120))}</h4>'
        f'{_question(row.sample)}<div class="side {side}">{_text(row.sample)}</div></article>'
    )
