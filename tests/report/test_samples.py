from __future__ import annotations

import random
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.report.results import finals, result_of
from docendo.report.samples import KINDS, picked_pairs, picked_rows
from docendo.report.samples import drawn_ids as drawn
from docendo.runs.stages import Place, written_stage
from docendo.runs.workspace import Sealed, StageKey, Workspace
from tests.report.conftest import Ran


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50).map(str)), unique=True, max_size=60),
    st.integers(0, 5),
    st.randoms(use_true_random=False),
)
def test_a_draw_depends_on_the_ids_alone(
    rows: list[tuple[str, str]], most: int, shuffler: random.Random
) -> None:
    counts = {"a": most, "b": 2}
    first = drawn(rows, counts)
    shuffled = list(rows)
    shuffler.shuffle(shuffled)
    assert drawn(shuffled, counts) == first
    for kind, number in counts.items():
        there = [key for one, key in rows if one == kind]
        assert len(first.get(kind, [])) == min(number, len(there))
        assert set(first.get(kind, [])) <= set(there)
    assert "c" not in first


def test_pairs_show_the_same_problem_twice_with_the_verdicts_their_kind_says(ran: Ran) -> None:
    arms = finals(result_of(ran.workspace, "one"))
    before, after = (arms[arm][0]["stages"]["greedy"] for arm in ("base", "method"))
    pairs = picked_pairs(ran.workspace, before, after, counts=dict.fromkeys(KINDS, 100), beside={})
    assert len(pairs) == 16
    assert len({pair.problem_id for pair in pairs}) == 16
    assert [KINDS.index(pair.kind) for pair in pairs] == sorted(KINDS.index(pair.kind) for pair in pairs)
    for pair in pairs:
        was, _, became = pair.kind.partition(" to ")
        assert (pair.before.verdict == "correct") is (was == "right")
        assert (pair.after.verdict == "correct") is (became == "right")
        assert pair.before.sample.question == pair.after.sample.question
        assert pair.after.answer in pair.after.sample.text
    transitions = next(one for one in result_of(ran.workspace, "one")["transitions"] if one["to"] == "method")
    for kind in KINDS:
        assert sum(pair.kind == kind for pair in pairs) == transitions[kind.replace(" to ", "_")]


def test_rows_of_a_selection_stand_with_the_reason_they_were_dropped_for(ran: Ran) -> None:
    result = result_of(ran.workspace, "one")
    entry = next(one for one in result["stages"] if one["place"] == "method/round-1/select")
    rows = picked_rows(ran.workspace, entry["stage"], entry["inputs"], each=3)
    assert {row.reason for row in rows} >= {"", "incorrect"}
    assert rows[0].reason == ""
    for row in rows:
        a, b, total = (int(word.strip("+?.is ")) for word in _numbers(row.sample.text))
        assert (a + b == total) is (row.reason != "incorrect")


def _numbers(text: str) -> list[str]:
    words = text.split()
    return [words[0], words[2], words[4]]


def sample_rows(count: int) -> Any:
    for number in range(count):
        problem = {
            "id": f"p{number}",
            "question": "q" * 200,
            "split": "test",
            "choices": [],
            "group": "",
            "parents": [],
        }
        sent = (problem, [{"role": "user", "content": "q" * 200}], [], 0, 0)
        yield f"s{number}", *sent, "ok", "", f"text {number} " * 30, "stop", [], None, 5, 5, "", None


def big_evaluation(workspace: Workspace, count: int) -> list[str]:
    def stage(kind: str, asked: dict[str, Any], rows: Any) -> Sealed:
        return written_stage(workspace, StageKey(kind, asked), Place("big", kind), rows, total=count)[0]

    sample = stage("sample", {"n": count}, lambda: sample_rows(count))

    def verdicts() -> Any:
        for number in range(count):
            yield f"s{number}", f"p{number}", str(number), "correct" if number % 3 else "incorrect", ""

    judged = stage("evaluate", {"n": count, "samples": sample.digest, "labels": ""}, verdicts)
    return [sample.name, judged.name]


def test_memory_for_a_few_samples_does_not_grow_with_the_texts(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    peaks: list[float] = []
    for count in (5_000, 20_000):
        names = big_evaluation(workspace, count)
        tracemalloc.start()
        pairs = picked_pairs(workspace, names, names, counts=dict.fromkeys(KINDS, 3), beside={})
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert len(pairs) == 6
    # Ids are held (some 200 bytes a problem); texts (about 700 bytes a row) and prompts are not.
    assert peaks[1] - peaks[0] < 15_000 * 400


def test_nothing_is_shown_of_stages_that_are_gone(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert (
        picked_pairs(workspace, ["evaluate-x"], ["evaluate-y"], counts={"wrong to right": 1}, beside={}) == []
    )
    assert picked_rows(workspace, "select-x", []) == []


MILLION = """
import resource, sys, time
import pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
from docendo.report.samples import KINDS, picked_pairs
from docendo.runs.stored import SCHEMAS
from docendo.runs.workspace import StageKey, Workspace

workspace, count, block = Workspace(Path(sys.argv[1])), int(sys.argv[2]), 50_000
SAME = {"status": "ok", "finish": "stop", "reason": "", "number": 0, "turn": 0, "answer": "7"}
SAME |= {"text": "one word after another " * 30, "prompt": [{"role": "user", "content": "q" * 200}]}
PROBLEM = SCHEMAS["sample"].field("problem").type
REST = [pa.array(["q" * 200] * block), pa.array(["test"] * block), pa.array([[]] * block, PROBLEM[3].type),
        pa.array([""] * block), pa.array([[]] * block, PROBLEM[5].type)]

def column(field, first):  # quicker than row by row, which is not what is tested
    numbers = range(first, first + block)
    if field.name == "verdict":
        return pa.array(["correct" if n % 3 else "incorrect" for n in numbers])
    if field.name == "id":
        return pa.array([f"s{n}" for n in numbers])
    problems = pa.array([f"p{n}" for n in numbers])
    if field.name == "problem_id":
        return problems
    if field.name == "problem":
        return pa.StructArray.from_arrays([problems, *REST], fields=list(PROBLEM))
    return pa.array([SAME.get(field.name)] * block, type=field.type)

def stage(kind):
    key = StageKey(kind, {"n": count})
    with workspace.working_on(key) as work:
        schema = SCHEMAS[kind]
        with pq.ParquetWriter(work / "rows.parquet", schema, write_page_checksum=True) as writer:
            for first in range(0, count, block):
                columns = [column(field, first) for field in schema]
                writer.write_batch(pa.record_batch(columns, schema=schema))
        workspace.seal(key, work, {"digest": kind, "rows": count, "sources": [], "inputs": []})
    return key.name

names = [stage("sample"), stage("evaluate")]
started = time.process_time()
pairs = picked_pairs(workspace, names, names, counts=dict.fromkeys(KINDS, 3), beside={})
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(len(pairs), peak, round(time.process_time() - started, 1))
"""


@pytest.mark.slow
def test_of_a_million_answers_a_few_are_shown_in_bounded_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MILLION, str(tmp_path), "1000000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    pairs, peak_megabytes, _ = done.stdout.split()
    assert int(pairs) == 6
    assert int(peak_megabytes) < 2048
