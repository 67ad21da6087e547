"""Turn published zero-shot-CoT transcripts into recorded completions: one row a question, both calls.

    python benchmarks/zero_shot_cot_logs.py gold_zero_shot_cot_logs.jsonl.gz OUT

writes ``OUT/TASK.jsonl`` with the columns question, completion (of the first call) and tail (of the second).
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

OPENING = "Let's think step by step."
TRIGGER = re.compile(r"\nTherefore, (?:the answer|among A through)[^\n]*? is")


def recorded(row: dict[str, Any]) -> dict[str, Any]:
    """Return the two calls of a transcript: it holds opening, rationale, trigger and answer as one text.

    Options stand in its question; they become a column, for they must be shown in the same order.
    """
    opening, text = row["completion"].split(OPENING, 1)
    if opening.strip():
        raise ValueError(f"{row['id']} does not begin with {OPENING!r}")
    (*_, last) = TRIGGER.finditer(text)
    question, _, options = row["question"].partition("Answer Choices:")
    choices = [option.strip() for option in re.split(r"\([A-F]\)", options)[1:]]
    shown = {"choices": choices} if choices else {}
    question = question.replace("Which choice is true ?", "Which choice is true?").strip()
    return {"question": question, **shown, "completion": text[: last.start()], "tail": row["tail"]}


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the zero-shot-CoT transcripts of a file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if row["method"] == "zero_shot_cot":
                yield row


def main() -> None:
    """Write one file a task."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    texts: dict[str, list[str]] = {}
    for row in rows_of(source):
        texts.setdefault(row["task"], []).append(json.dumps(recorded(row), ensure_ascii=False) + "\n")
    for task, lines in texts.items():
        (out / f"{task}.jsonl").write_text("".join(lines), "utf-8")
        print(f"{task}: {len(lines):,} rows")


if __name__ == "__main__":
    main()
