"""Published zero-shot transcripts of the 12 tasks, graded by ``docendo grade``, beside what is published.

The table in ``docs/tasks.md`` is made here; a test compares them. To write it anew::

    python -m tests.tasks.cot.golden FOLDER_WITH_THE_DATA
"""

from __future__ import annotations

import gzip
import io
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docendo.tasks.cot.catalogue import TASKS
from docendo.tasks.grading import grade
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task

FORMATS = {"zero_shot": "zs", "zero_shot_cot": "zs_cot"}


@dataclass(frozen=True, slots=True)
class Graded:
    """One transcript: what its authors found, and what we do."""

    task: str
    official: dict[str, Any]
    ours: dict[str, Any]

    @property
    def reads_the_same(self) -> bool:
        return self.ours["answer"] == self.official["pred"]

    @property
    def judges_the_same(self) -> bool:
        return (self.ours["verdict"] == "correct") is self.official["correct"]

    @property
    def explanation(self) -> str:
        """Say why the verdicts differ."""
        answer, gold = self.ours["answer"], self.official["answer"]
        if "," in gold and answer == gold.replace(",", ""):
            return "a comma in the gold answer; the logs compare texts"
        if abs(float(answer) - float(gold)) <= 1e-6:
            return "another last digit; the logs compare texts, Fine-tune-CoT numbers"
        return "unexplained"


def graded(rows: Iterable[dict[str, Any]]) -> Iterator[Graded]:
    """Grade the tail of each transcript, from which its authors read."""
    by_task: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        by_task.setdefault((row["task"], row["method"]), []).append(row)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "logs.jsonl"
        for name, task in TASKS.items():
            for method, shape in FORMATS.items():
                mine = by_task.get((task.key, method), [])
                path.write_text("".join(json.dumps(row) + "\n" for row in mine))
                output = io.StringIO()
                opened = open_task(name, TaskOptions(equality="published"))
                grade(opened, path, output, completion_column="tail", format=shape)
                verdicts = map(json.loads, output.getvalue().splitlines())
                yield from (Graded(name, row, one) for row, one in zip(mine, verdicts, strict=True))


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Return the tables of the documentation."""
    found = list(graded(rows))
    lines = ["| task | transcripts | same answer read | same verdict |", "|---|---|---|---|"]
    for name in [*TASKS, "all"]:
        mine = [one for one in found if name in (one.task, "all")]
        n_read, n_judged = (
            sum(same) for same in zip(*((o.reads_the_same, o.judges_the_same) for o in mine), strict=True)
        )
        lines.append(f"| {name} | {len(mine):,} | {n_read:,} | {n_judged:,} |")
    lines += ["", "| transcript | answer | gold | logs | ours | why |", "|---|---|---|---|---|---|"]
    for one in found:
        if not one.judges_the_same or not one.reads_the_same:
            official = "correct" if one.official["correct"] else "incorrect"
            cells = (f"`{one.official['id']}`", f"`{one.ours['answer']}`", f"`{one.official['answer']}`")
            lines.append(f"| {' | '.join(cells)} | {official} | {one.ours['verdict']} | {one.explanation} |")
    return "\n".join(lines)


BEGIN, END = "<!-- made by tests/tasks/cot/golden.py -->", "<!-- end -->"


def main() -> None:
    with gzip.open(Path(sys.argv[1]) / "gold_zero_shot_cot_logs.jsonl.gz", "rb") as lines:
        made = table(map(json.loads, lines))
    page = Path(__file__).parents[3] / "docs" / "tasks.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
