"""How many verdicts a second, and how much faster than asking math-verify about every pair?

    python -m benchmarks.verifiers

The pairs are the golden numeric answers (``gold_gsm8k_model_solutions``, ``gold_tora_gsm8k``, the numeric
tasks of ``gold_zero_shot_cot_logs``) in DOCENDO_DATA_DIR, or in the folder ``shared/data`` beside the
repository; where there are none, made-up answers of the same kinds. Everything runs in this process on one
core. Before each pass all that was read is forgotten, so nothing is answered from memory, other than what
repeats within the pass.

A second set holds no text twice and no answer in the spelling of its gold: the slowest that numbers can be.

math-verify is called as its documentation says, on a fixed random part of the same pairs, with its own time
limits. Both wall-clock and processor time are measured: on an idle machine they are the same.
"""

from __future__ import annotations

import json
import logging
import os
import random
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from docendo.core.records import Label, Outcome, Problem, Prompt, Sample
from docendo.verifiers.math import Math
from docendo.verifiers.numbers import read_number
from docendo.verifiers.numeric import Numeric

ROOT = Path(__file__).parents[1]
Pair = tuple[Sample, Label | None]


def pair(number: int, answer: str, gold: str) -> Pair:
    problem = Problem(str(number), "", "test")
    sample = Sample(
        str(number), Prompt(problem, ()), 0, answer, "stop", answer=answer, is_parsed=bool(answer)
    )
    return sample, Label(problem.id, gold)


def golden_pairs() -> tuple[str, list[tuple[str, str]]]:
    """Return where the answers come from, and answers with their gold."""
    folder = Path(os.environ.get("DOCENDO_DATA_DIR") or ROOT.parent / "shared" / "data")
    try:
        from tests.verifiers import golden  # the rules by which the golden files are read
    except ImportError:
        return "made up", made_up(7_500)
    if not (folder / "gold_gsm8k_model_solutions.jsonl.gz").exists():
        return "made up", made_up(7_500)

    def rows(name: str) -> Iterable[dict[str, Any]]:
        return golden.packed_rows(folder, name)

    numeric = golden.zero_shot_logs(rows, golden.NUMERIC_TASKS)
    found = [*golden.gsm8k_solutions(rows), *golden.tora(rows), *numeric]
    return "golden files", [(row.answer, row.gold) for row in found if row.answer]


def made_up(count: int) -> list[tuple[str, str]]:
    """Return answers like a model's: half of them right, one in four not spelled as the gold is."""
    rng = random.Random(0)
    spellings: list[Callable[[int], str]] = [
        str,
        str,
        str,
        lambda value: rng.choice([f"${value:,}", f"{value}.00"]),
    ]
    pairs: list[tuple[str, str]] = []
    for _ in range(count):
        gold = rng.randrange(1, 5_000)
        value = gold if rng.random() < 0.5 else rng.randrange(1, 5_000)
        pairs.append((rng.choice(spellings)(value), str(gold)))
    return pairs


def distinct_pairs(count: int) -> list[tuple[str, str]]:
    """Return answers that are all different and never spelled as their gold."""
    spellings: list[Callable[[int], str]] = [
        lambda value: f"{value}.0",
        lambda value: f"${value:,}",
        lambda value: f"{value} dollars",
        lambda value: rf"\frac{{{2 * value}}}{{2}}",
    ]
    return [
        (spellings[number % 4](10**6 + 7 * number), str(10**6 + 7 * number + number % 2))
        for number in range(count)
    ]


def ask_math_verify(pairs: Sequence[tuple[str, str]]) -> None:
    import math_verify

    for answer, gold in pairs:
        math_verify.verify(math_verify.parse(gold), math_verify.parse(answer))


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall-clock and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 1),
        "lowest": round(min(values), 1),
        "highest": round(max(values), 1),
    }


def rates(times: Sequence[tuple[float, float]], count: int) -> dict[str, dict[str, float]]:
    return {
        "by_wall": spread([count / wall for wall, _ in times]),
        "by_processor": spread([count / processor for _, processor in times]),
    }


def run(*, repeats: int = 5, asked: int = 400) -> dict[str, Any]:
    """Measure.

    Returns:
        ``numeric_per_s``, ``numeric_distinct_per_s``, ``math_per_s``, ``math_verify_per_s``: verdicts a
        second on one core, with the spread over repeats; ``times_math_verify``: how many times the rate of
        math-verify on every pair `Math` reaches on the same pairs; ``asked_share``: of the golden pairs,
        those that `Math` left to math-verify.
    """
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    source, texts = golden_pairs()
    pairs = [pair(number, *text) for number, text in enumerate(texts)]
    distinct = [pair(number, *text) for number, text in enumerate(distinct_pairs(20_000))]
    part = random.Random(0).sample(texts, min(asked, len(texts)))
    ask_math_verify(part[:20])  # the first calls load it
    times: dict[str, list[tuple[float, float]]] = {
        "numeric": [],
        "distinct": [],
        "math": [],
        "math_verify": [],
    }
    # One after the other and again, so that a change in the machine's load meets all of them.
    for _ in range(repeats):
        for name, verifier, rows in (
            ("numeric", Numeric(), pairs),
            ("distinct", Numeric(), distinct),
            ("math", Math(), pairs),
        ):
            read_number.cache_clear()
            times[name].append(timed(lambda verifier=verifier, rows=rows: list(verifier.verdicts(rows))))
        times["math_verify"].append(timed(lambda: ask_math_verify(part)))
    verdicts = list(Math().verdicts(pairs))
    left = sum(
        "math-verify" in verdict.reason or verdict.outcome is Outcome.UNDECIDED for verdict in verdicts
    )
    ratios: dict[str, dict[str, float]] = {}
    for place, clock in enumerate(("by_wall", "by_processor")):
        ratios[clock] = spread(
            [
                (len(pairs) / ours[place]) / (len(part) / theirs[place])
                for ours, theirs in zip(times["math"], times["math_verify"], strict=True)
            ]
        )
    return {
        "pairs": len(pairs),
        "pairs_from": source,
        "repeats": repeats,
        "numeric_per_s": rates(times["numeric"], len(pairs)),
        "numeric_distinct_per_s": rates(times["distinct"], len(distinct)),
        "math_per_s": rates(times["math"], len(pairs)),
        "math_verify_per_s": rates(times["math_verify"], len(part)),
        "times_math_verify": ratios,
        "asked_share": round(left / len(pairs), 5),
    }


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
