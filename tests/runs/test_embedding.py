"""Embeddings as a stage: stored once, found again, killed and continued, planned."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import orjson
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.errors import ModelError, StageError
from docendo.core.protocols import Chunk
from docendo.core.table import Table, Unknown
from docendo.engines.recorded import RecordedEngine, recorded_checkpoint
from docendo.runs.plan import Plan
from docendo.runs.run import Run
from tests.fakes import GuessingEngine, House
from tests.runs.test_resume import Killed, killed_at, rows_of


def embed(house: House, *, split: str = "train", run: Run | None = None) -> Path:
    """Do one embed stage and return its folder."""
    run = run or house.run()
    before = set(house.workspace.stages.glob("embed-*"))
    run.embed(run.base, run.problems(split))
    (made,) = set(house.workspace.stages.glob("embed-*")) - before
    return made


def test_a_vector_stands_beside_each_problem_in_single_precision(tmp_path: Path) -> None:
    house = House(tmp_path)
    run = house.run()
    problems = run.problems("train")
    found = run.embed(run.base, problems)
    assert [problem for problem, _ in found] == list(problems)
    assert all(own.vector[2] == np.float32(1 / 3) and own.tokens == 5 for _, own in found)
    stage = next(house.workspace.stages.glob("embed-*"))
    table = pq.read_table(stage / "rows.parquet")
    assert table.schema.names == ["id", "vector", "tokens", "reason"]
    assert str(table.schema.field("vector").type) == "list<element: float>"
    assert orjson.loads((stage / "stage.json").read_bytes())["cost"]["prompt_tokens"] == 5 * len(problems)
    assert "self" in {source.value for source in found.sources}


def test_vectors_are_stored_once_and_found_by_model_problems_and_prefix(tmp_path: Path) -> None:
    house = House(tmp_path)
    run = house.run()
    embed(house, run=run)
    asked = len(house.engine.asked)
    run.embed(run.base, run.problems("train"), name="again")
    house.run("other").embed(run.base, run.problems("train"))
    assert len(house.engine.asked) == asked
    run.embed(run.base.using(format="direct"), run.problems("train"))  # no part of what is embedded
    assert len(house.engine.asked) == asked
    run.embed(run.base.using(system="query: "), run.problems("train"))
    run.embed(run.model("teacher"), run.problems("train"))
    run.embed(run.base, run.problems("test"))
    assert len(list(house.workspace.stages.glob("embed-*"))) == 4


@settings(max_examples=15)
@given(kills=st.sets(st.integers(1, 8), max_size=4))
def test_killed_at_any_chunks_equals_unbroken(kills: set[int]) -> None:
    with TemporaryDirectory() as folder:
        whole = embed(House(Path(folder, "a"), engine=GuessingEngine(rows_per_chunk=8)))
        hook = killed_at(kills)
        engines: list[GuessingEngine] = []
        for _ in range(len(kills) + 1):
            engines.append(GuessingEngine(rows_per_chunk=8, before_chunk=hook))
            try:
                broken = embed(House(Path(folder, "b"), engine=engines[-1]))
                break
            except Killed:
                continue
        else:
            pytest.fail("it was not finished")
        assert rows_of(broken) == rows_of(whole)
        assert broken.name == whole.name
        done = [chunk for engine in engines for chunk in engine.asked]
        assert len(done) == len(set(done)) == 5


def test_texts_that_fail_within_the_budget_are_rows_with_a_reason(tmp_path: Path) -> None:
    engine = GuessingEngine(fails=lambda request: "What is 3 " in request.messages[0].content)
    run = House(tmp_path, engine=engine).run()
    found = [own for _, own in run.embed(run.base, run.problems("train"))]
    assert [own.reason for own in found if not own.vector] == ["no connection"]
    nothing = House(tmp_path / "b", engine=GuessingEngine(fails=lambda request: True)).run()
    with pytest.raises(StageError, match="requests failed, the last with: no connection"):
        nothing.embed(nothing.base, nothing.problems("train"))


def test_a_plan_lists_it_with_its_rows_and_starts_nothing(tmp_path: Path) -> None:
    def hook(chunk: Chunk) -> None:
        raise AssertionError("a plan asks nobody")

    house = House(tmp_path, engine=GuessingEngine(before_chunk=hook))
    planned = Plan()
    run = house.run(plan=planned)
    found = run.embed(run.base, run.problems("train"))
    assert not found.is_known
    later: Table[object] = Unknown(7, asked="x", sources=(), stages=())
    run.embed(run.base, later, name="later")  # type: ignore[arg-type]
    told = [(one.label, one.kind, one.rows, one.is_exact) for one in planned.stages]
    assert told == [("method/embeddings", "embed", 40, True), ("method/later", "embed", 7, False)]
    house.engine = GuessingEngine()
    embed(house)
    again = Plan()
    assert house.run(plan=again).embed(run.base, run.problems("train")).is_known
    assert again.stages[0].is_there


def test_a_recording_gives_no_embeddings(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"question": "q?", "completion": "a"}\n', "utf-8")
    checkpoint = recorded_checkpoint(f"recorded:{log}")
    with pytest.raises(ModelError, match="holds recorded completions and gives no embeddings"):
        list(RecordedEngine().chunks(checkpoint, (), "embed"))
    with pytest.raises(ModelError, match="gives no embeddings"):
        RecordedEngine().embed(checkpoint, ())
