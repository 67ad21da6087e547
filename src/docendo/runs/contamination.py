"""What is taken out of training rows before they are learned from, and what is counted of the rest."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from docendo.core.errors import NothingToLearn
from docendo.core.table import Table
from docendo.runs.stored import Selected
from docendo.selectors.learnable import Learnable
from docendo.selectors.overlap import GRAM, Overlap

if TYPE_CHECKING:
    from docendo.runs.run import Run

EVALUATION_SPLITS = ("validation", "test")


def cleaned(run: Run, examples: Table[Any], name: str) -> Table[Any]:
    """Return the Examples that can be learned from.

    They have an end and, as the run's setting has it, are not found in an evaluation split. What was dropped
    and what was found is told in ``run.contamination``.

    Raises:
        NothingToLearn: None is left.
    """
    clean = run.selected(examples, [Learnable(), *_filters(run)], f"{name}-contamination", is_own=False)
    if isinstance(clean, Selected):
        dropped, learned = dict(clean.reasons()), _found_but_learned(run, clean, name)
        checked = {"stage": run.label(name), "rows": len(examples), "dropped": dropped}
        run.contamination.append({**checked, "found_but_learned": learned})
        if len(clean) == 0:
            raise NothingToLearn(f"{run.label(name)}: no row is left to learn from", hint=_why_none(dropped))
    return clean


def _filters(run: Run) -> list[Overlap]:
    """Return what drops contaminated rows, as the settings say."""
    match run.settings.contamination:
        case "drop":
            return [_overlap(run, GRAM)]
        case "exact":
            return [_overlap(run, 0)]
        case "report":
            return []


def _found_but_learned(run: Run, clean: Selected, name: str) -> dict[str, int]:
    """Count what the check finds among rows that are learned from all the same, by reason."""
    if run.settings.contamination == "drop" or not len(clean):
        return {}
    found = run.selected(clean, [_overlap(run, GRAM)], f"{name}-overlap", is_own=False)
    if not isinstance(found, Selected):
        return {}
    if counts := dict(found.reasons()):
        told = ", ".join(f"{count:,} {reason}" for reason, count in counts.items())
        run.note(f"{run.label(name)} learned from rows that the contamination check found: {told}")
    return counts


def _why_none(dropped: Mapping[str, int]) -> str:
    shared = sum(count for reason, count in dropped.items() if reason.startswith(f"{GRAM}-gram"))
    if shared:
        return (
            f"{shared:,} rows share {GRAM} words in a row with an evaluation question; "
            "where that is the problems' template, learn them with --contamination exact"
        )
    return "nothing was kept; draw more samples, raise the temperature, or start from a better model"


def _overlap(run: Run, size: int) -> Overlap:
    splits = [split for split in EVALUATION_SPLITS if split in run.task.splits]
    return _against(tuple((name, tuple(one.question for one in run.problems(name))) for name in splits), size)


@lru_cache(maxsize=4)
def _against(questions: tuple[tuple[str, tuple[str, ...]], ...], size: int) -> Overlap:
    """Index the questions once for all rounds and arms."""
    return Overlap.of(dict(questions), size=size)
