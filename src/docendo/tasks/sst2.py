"""SST-2: is a sentence or phrase of a film review negative or positive?

Socher et al. (2013), EMNLP; the two-way form of GLUE (Wang et al. 2018, arXiv:1804.07461). GLUE's dev set is
the test split, because its test answers were never published; validation is cut off train. Train holds
phrases, and no row says which sentence a phrase was cut out of: rows belong together by their text alone.
"""

from __future__ import annotations

from collections.abc import Iterator

from docendo.tasks.gold import GoldRow
from docendo.tasks.hub import HubId
from docendo.tasks.judgements import JUDGEMENT_OPTIONS, judgement_task
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.tasks.published import Published, text_of, word_of
from docendo.tasks.rows import RowsTask

NEGATIVE_OR_POSITIVE = ("negative", "positive")
SOURCE = Published(
    key="sst2",
    files={"train": ("train.tsv",), "test": ("dev.tsv", "test.tsv")},
    folder="SST-2",
    hub=HubId("stanfordnlp/sst2"),
    hub_splits={"train": "train", "validation": "test"},
)


def sst2(options: TaskOptions = DEFAULTS) -> RowsTask:
    """Return the task, from ``options.data_dir`` or from the hub.

    Raises:
        SettingError: A setting that the task has no use for.
    """
    options.only("sst2", *JUDGEMENT_OPTIONS)
    return judgement_task("sst2", lambda: _rows(options), options, NEGATIVE_OR_POSITIVE)


def _rows(options: TaskOptions) -> Iterator[GoldRow]:
    for row in SOURCE.rows(options.data_dir):
        yield GoldRow(
            row.origin,
            f"Review: {text_of(row, 'question', 'sentence')} Is it negative or positive?",
            word_of(row, NEGATIVE_OR_POSITIVE, "answer", "label"),
            id=str(row.values.get("id") or f"sst2-{row.split}-{row.number}"),
            split=row.split,
        )
