"""Official verdicts on published model outputs, and what our verifiers say to the same answers.

The tables in ``docs/verifiers.md`` are made here; a test compares them. To write them anew::

    python -m tests.verifiers.golden FOLDER_WITH_THE_DATA
"""

from __future__ import annotations

import gzip
import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docendo.core.protocols import Verifier
from docendo.core.records import Label, Outcome, Sample, Verdict
from docendo.verifiers.choice import Choice
from docendo.verifiers.exact import Exact
from docendo.verifiers.math import Math
from docendo.verifiers.numeric import Numeric
from tests.verifiers.cases import pair

Rows = Callable[[str], Iterable[dict[str, Any]]]

NUMERIC_TASKS = ("addsub", "gsm8k", "multiarith", "single_eq", "svamp")
CHOICE_TASKS = ("aqua", "commonsense_qa", "date_understanding", "tracking_shuffled_objects")
TEXT_TASKS = ("coin_flip", "last_letter_concatenation", "strategy_qa")


@dataclass(frozen=True, slots=True)
class Golden:
    """One answer with its gold and the official verdict."""

    id: str
    answer: str
    gold: str
    is_correct: bool

    def pair(self) -> tuple[Sample, Label | None]:
        return pair(self.answer, self.gold, problem_id=self.id)


def gsm8k_solutions(rows: Rows) -> Iterator[Golden]:
    """Read what stands behind ``A:`` in the last line of a solution, as the data set's authors do."""
    for row in rows("gold_gsm8k_model_solutions"):
        found = re.search(r"A: *(.*)$", row["solution"].rpartition("\n")[2])
        yield Golden(row["id"], found[1].strip() if found else "", row["answer"], row["is_correct"])


def zero_shot_logs(rows: Rows, tasks: tuple[str, ...]) -> Iterator[Golden]:
    for row in rows("gold_zero_shot_cot_logs"):
        if row["task"] in tasks:
            yield Golden(row["id"], row["pred"], row["answer"], row["correct"])


def tora(rows: Rows) -> Iterator[Golden]:
    """Judge by the rule of ToRA's grader for numbers: its file holds no verdicts.

    microsoft/ToRA, src/eval/grader.py: commas taken out of both, within a relative 1e-4 of the gold, of a
    hundredth, or of a hundred times it.
    """
    for row in rows("gold_tora_gsm8k"):
        answer, gold = row["pred"], float(row["answer"].replace(",", ""))
        try:
            value = float(answer.replace(",", ""))
        except ValueError:
            is_correct = answer == row["answer"]
        else:
            is_correct = any(math.isclose(gold * scale, value, rel_tol=1e-4) for scale in (0.01, 1, 100))
        yield Golden(row["id"], answer, row["answer"], is_correct)


def rm_maj(rows: Rows) -> Iterator[Golden]:
    for row in rows("gold_qwen_math_rm_maj"):
        for number, (answer, is_correct) in enumerate(zip(row["preds"], row["correct"], strict=True)):
            yield Golden(f"{row['id']}/{number}", answer, row["answer"], is_correct)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One verifier on one golden file."""

    name: str
    verifier: Verifier
    rows: list[Golden]
    verdicts: list[Verdict]

    def disagreements(self) -> Iterator[tuple[Golden, Verdict]]:
        """Yield the rows that only one of both calls correct."""
        for row, verdict in zip(self.rows, self.verdicts, strict=True):
            if (verdict.outcome is Outcome.CORRECT) != row.is_correct:
                yield row, verdict


def comparisons(rows: Rows) -> Iterator[Comparison]:
    """Compare every golden file with the verifiers that are made for it."""
    files: list[tuple[str, list[Golden], tuple[Verifier, ...]]] = [
        ("gold_gsm8k_model_solutions", list(gsm8k_solutions(rows)), (Numeric(), Math())),
        ("gold_tora_gsm8k", list(tora(rows)), (Numeric(), Math())),
        ("gold_zero_shot_cot_logs: numbers", list(zero_shot_logs(rows, NUMERIC_TASKS)), (Numeric(), Math())),
        ("gold_zero_shot_cot_logs: letters", list(zero_shot_logs(rows, CHOICE_TASKS)), (Choice(), Exact())),
        (
            "gold_zero_shot_cot_logs: words",
            list(zero_shot_logs(rows, TEXT_TASKS)),
            (Exact(fold_case=False), Exact()),
        ),
        ("gold_qwen_math_rm_maj", list(rm_maj(rows)), (Math(timeout_seconds=60.0),)),
    ]
    for name, golden, verifiers in files:
        for verifier in verifiers:
            yield Comparison(name, verifier, golden, list(verifier.verdicts(row.pair() for row in golden)))


def explanation(row: Golden, verdict: Verdict) -> str:
    """Say why we differ from an official verdict."""
    if "{,}" in row.gold and verdict.outcome is Outcome.CORRECT:
        return "official: the comma of LaTeX, `{,}`, is not read as one"
    if "," in row.gold and verdict.outcome is Outcome.CORRECT:
        return "official: equality of texts, after the comma was taken out of the answer and not of the gold"
    try:
        ratio = float(row.answer.replace(",", "")) / float(row.gold.replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return "unexplained"
    if min(abs(ratio - 100), abs(ratio - 0.01)) < 0.01 * ratio:
        return "official: a hundredth and a hundred times the gold are accepted too, as percentages"
    if abs(ratio - 1) < 1e-4:
        return "official: a relative difference of 1e-4 is accepted"
    return "unexplained"


def tables(rows: Rows) -> str:
    """Return both tables of the documentation."""
    counts = [
        "| file and rows | verifier | rows | no answer | undecided | agree | disagree |",
        "|---|---|---|---|---|---|---|",
    ]
    cases: dict[str, list[str]] = {}
    for comparison in comparisons(rows):
        name = type(comparison.verifier).__name__
        settings = "(fold_case=False)" if comparison.verifier == Exact(fold_case=False) else ""
        failed = sum(verdict.outcome is Outcome.FAILED for verdict in comparison.verdicts)
        undecided = sum(verdict.outcome is Outcome.UNDECIDED for verdict in comparison.verdicts)
        differing = list(comparison.disagreements())
        agreeing = len(comparison.rows) - len(differing)
        counts.append(
            f"| `{comparison.name}` | `{name}{settings}` | {len(comparison.rows)} | {failed} | {undecided}"
            f" | {agreeing} | {len(differing)} |"
        )
        for row, verdict in differing:
            official = "correct" if row.is_correct else "incorrect"
            line = (
                f"| `{row.id}` | `{row.answer}` | `{row.gold}` | {official} | {verdict.outcome.value} |"
                f" {explanation(row, verdict)} |"
            )
            cases.setdefault(line, []).append(name)
    lines = [f"| {' and '.join(f'`{name}`' for name in names)} {line}" for line, names in cases.items()]
    header = ["| verifier | id | answer | gold | official | ours | why |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*counts, "", *header, *lines])


BEGIN, END = "<!-- made by tests/verifiers/golden.py -->", "<!-- end -->"


def packed_rows(folder: Path, name: str) -> Iterator[dict[str, Any]]:
    """Read the rows of ``NAME.jsonl.gz``."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rb") as lines:
        yield from map(json.loads, lines)


def main() -> None:
    folder = Path(sys.argv[1])
    page = Path(__file__).parents[2] / "docs" / "verifiers.md"
    made = tables(lambda name: packed_rows(folder, name))
    before, _, rest = page.read_text().partition(BEGIN)
    page.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
