"""BoolQ: yes-or-no questions that people asked, each with a passage that answers it.

Clark et al. (2019), arXiv:1905.10044. The published dev set is the test split, as in the released code of
weak-to-strong generalization; test answers were never published. Validation is cut off train. Questions
about one passage belong together. Where only a part of the dev set is there, as ``boolq.jsonl``, all splits
are made of it.
"""

from __future__ import annotations

from collections.abc import Iterator

from docendo.core.seeds import digest_of
from docendo.tasks.gold import GoldRow
from docendo.tasks.hub import HubId
from docendo.tasks.judgements import JUDGEMENT_OPTIONS, RIGHT_OR_WRONG, judgement_task
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.tasks.published import Published, text_of, word_of
from docendo.tasks.rows import RowsTask

SOURCE = Published(
    key="boolq",
    files={"train": ("train.jsonl",), "test": ("dev.jsonl",)},
    folder="boolq",
    hub=HubId("google/boolq"),
    hub_splits={"train": "train", "validation": "test"},
)


def boolq(options: TaskOptions = DEFAULTS) -> RowsTask:
    """Return the task, from ``options.data_dir`` or from the hub.

    Raises:
        SettingError: A setting that the task has no use for.
    """
    options.only("boolq", *JUDGEMENT_OPTIONS)
    return judgement_task("boolq", lambda: _rows(options), options, RIGHT_OR_WRONG)


def _rows(options: TaskOptions) -> Iterator[GoldRow]:
    for row in SOURCE.rows(options.data_dir):
        passage = text_of(row, "passage")
        asked = text_of(row, "question").rstrip("?")
        yield GoldRow(
            row.origin,
            f"{passage} Question: {asked}?",
            word_of(row, RIGHT_OR_WRONG, "answer", "label"),
            id=str(row.values.get("id") or f"boolq-{row.split}-{row.number}"),
            split=row.split,
            group=digest_of(passage)[:16],
        )
