"""The digests of the published questions in their order, as the tasks know them.

A test compares them with the data. To write them anew::

    python -m tests.tasks.cot.orders FOLDER_WITH_THE_DATA
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from docendo.tasks.cot import sources
from docendo.tasks.cot.catalogue import TASKS
from docendo.tasks.cot.sources import question_digest

PATH = Path(sources.__file__).with_name("orders.json")


def orders(rows: Callable[[str], Iterable[dict[str, Any]]]) -> dict[str, str]:
    """Return the digests of each task whose rows are known by their question."""
    return {
        task.key: "".join(question_digest(row["question"]) for row in rows(task.key))
        for task in TASKS.values()
        if task.n_train is None and task.key != "svamp"
    }


def main() -> None:
    folder = Path(sys.argv[1])

    def rows(key: str) -> Iterable[dict[str, Any]]:
        with gzip.open(folder / f"{key}.jsonl.gz", "rb") as lines:
            yield from map(json.loads, lines)

    PATH.write_text(json.dumps(orders(rows), indent=0) + "\n")


if __name__ == "__main__":
    main()
