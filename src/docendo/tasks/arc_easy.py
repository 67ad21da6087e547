"""ARC-Easy: science questions for the grades 3 to 9; of each, the right choice and a wrong one to be judged.

Clark et al. (2018), arXiv:1803.05457. Each question comes twice: with its right choice and with one of the
wrong ones, which a hash of seed and question picks (Burns et al. 2023, arXiv:2312.09390, appendix A: as many
right candidates as wrong ones of each question). Both belong together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from docendo.core.errors import DataError
from docendo.core.seeds import derived_rng, digest_of
from docendo.tasks.formats import LETTERS
from docendo.tasks.gold import Columns, GoldRow
from docendo.tasks.hub import HubId
from docendo.tasks.judgements import JUDGEMENT_OPTIONS, RIGHT_OR_WRONG, judgement_task
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.tasks.published import Published, PublishedRow
from docendo.tasks.rows import RowsTask, normalised_question

SOURCE = Published(
    key="arc_easy",
    files={
        "train": ("ARC-Easy-Train.jsonl",),
        "validation": ("ARC-Easy-Dev.jsonl",),
        "test": ("ARC-Easy-Test.jsonl",),
    },
    folder="ARC-Easy",
    hub=HubId("allenai/ai2_arc", "ARC-Easy"),
    hub_splits={"train": "train", "validation": "validation", "test": "test"},
)


def arc_easy(options: TaskOptions = DEFAULTS) -> RowsTask:
    """Return the task, from ``options.data_dir`` or from the hub.

    Raises:
        SettingError: A setting that the task has no use for.
    """
    options.only("arc-easy", *JUDGEMENT_OPTIONS)
    return judgement_task("arc-easy", lambda: _rows(options), options, RIGHT_OR_WRONG)


def _rows(options: TaskOptions) -> Iterator[GoldRow]:
    columns = Columns(TaskOptions())
    for row in SOURCE.rows(options.data_dir):
        asked = columns.gold_row(_flat(row.values), row.origin, row.split)
        if not asked.choices:
            raise DataError(f"{row.origin}: there are no choices; expected a list of texts")
        yield from _judged(row, asked, options.task_seed)


def _judged(row: PublishedRow, asked: GoldRow, seed: int) -> Iterator[GoldRow]:
    """Yield the right choice and a wrong one, the one that stands first among the choices first."""
    right = LETTERS.index(asked.answer)
    texts = asked.choices
    others = [place for place, text in enumerate(texts) if text != texts[right]]
    if not others:
        raise DataError(f"{row.origin}: all choices are {texts[right]!r}; expected a wrong one")
    wrong = derived_rng("arc-easy", seed, asked.question).choice(others)
    name = asked.id or f"arc_easy-{row.split}-{row.number}"
    for place in sorted((right, wrong)):
        yield GoldRow(
            row.origin,
            f"{asked.question} Proposed answer: {texts[place].rstrip('.')}. Is it right?",
            RIGHT_OR_WRONG[place == right],
            id=f"{name}/{LETTERS[place]}",
            split=asked.split,
            group=digest_of(normalised_question(asked.question))[:16],
        )


def _flat(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a row of ARC's own files, whose question is an object with its choices, as others have it."""
    if not isinstance(values.get("question"), Mapping):
        return values
    parts = cast("Mapping[str, Any]", values["question"])
    choices = cast("list[Mapping[str, Any]]", parts.get("choices") or [])
    return {
        **values,
        "question": parts.get("stem"),
        "choices": {
            "text": [choice.get("text") for choice in choices],
            "label": [choice.get("label") for choice in choices],
        },
    }
