"""Killed and continued equals uninterrupted, byte for byte; the journal's plan is followed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.errors import StageError
from docendo.core.protocols import Chunk, Finished, Request, Sampling
from docendo.core.records import Checkpoint, Completion
from docendo.core.seeds import digest_of
from docendo.evidence.experiment import experiment
from docendo.runs.settings import RunSettings
from tests.fakes import GuessingEngine, House
from tests.runs.experiments import asked, lasting


class Killed(BaseException):
    """What no handler in the library may swallow."""


class BatchedEngine(GuessingEngine):
    """Answers that depend on the chunk they were computed in, as the last bits of floats do."""

    def sample(self, checkpoint: Checkpoint, chunks: Iterable[Chunk], sampling: Sampling) -> Iterator[Any]:
        for event in super().sample(checkpoint, chunks, sampling):
            if not isinstance(event, Finished):
                yield event
                continue
            shape = digest_of([event.chunk.id, [request.position for request in event.chunk.requests]])[:4]
            yield Finished(
                event.chunk,
                [
                    Completion(f"{one.text} [{shape}]", one.finish, one.token_ids, generated_tokens=3)
                    for one in event.results
                ],
            )


class CuttingEngine(BatchedEngine):
    """Cuts the samples of one request apart, as an engine must whose chunks are smaller than that."""

    def chunks(
        self,
        checkpoint: Checkpoint,
        requests: Iterable[Request],
        sampling: Sampling | Literal["embed"] | None,
    ) -> Iterator[Chunk]:
        parts = (
            Request(request.position + first, request.messages, request.seeds[first : first + 3])
            for request in requests
            for first in range(0, len(request.seeds), 3)
        )
        return super().chunks(checkpoint, parts, sampling)


def stage_of(folder: Path, engine: GuessingEngine, *, problems: int = 12, n: int = 4) -> Path:
    """Do one sample stage and return its folder."""
    house = House(folder, engine=engine, settings=RunSettings(train_problems=problems))
    run = house.run()
    run.sample(run.base, run.problems("train"), n, temperature=1.0)
    return next(house.workspace.stages.glob("sample-*"))


def rows_of(folder: Path) -> bytes:
    return (folder / "rows.parquet").read_bytes()


def killed_at(kills: set[int]) -> Callable[[Chunk], None]:
    """Return a hook that kills before the n-th chunk of all that are begun, counted over all tries."""
    count = 0

    def hook(chunk: Chunk) -> None:
        nonlocal count
        count += 1
        if count in kills:
            raise Killed

    return hook


@settings(max_examples=25)
@given(
    kills=st.sets(st.integers(1, 20), max_size=8),
    halve=st.sets(st.sampled_from(["0", "1", "3", "1.0", "3.1", "5"])),
    sizes=st.lists(st.integers(4, 16), min_size=1, max_size=3),
    kind=st.sampled_from([BatchedEngine, CuttingEngine]),
)
def test_a_stage_killed_at_any_chunks_equals_an_unbroken_one(
    kills: set[int], halve: set[str], sizes: list[int], kind: type[BatchedEngine]
) -> None:
    with TemporaryDirectory() as folder:
        whole = stage_of(Path(folder, "a"), kind(rows_per_chunk=8, halve=frozenset(halve & _halvable(kind))))
        hook = killed_at(kills)
        engines: list[GuessingEngine] = []
        for attempt in range(len(kills) + 1):
            # An engine that would cut otherwise by now (sizes) must not: the plan is in the journal.
            size = 8 if attempt == 0 else sizes[attempt % len(sizes)]
            engine = kind(rows_per_chunk=size, halve=frozenset(halve & _halvable(kind)), before_chunk=hook)
            engines.append(engine)
            try:
                broken = stage_of(Path(folder, "b"), engine)
                break
            except Killed:
                continue
        else:
            pytest.fail("it was not finished")
        assert rows_of(broken) == rows_of(whole)
        records = [orjson.loads((one / "stage.json").read_bytes()) for one in (whole, broken)]
        assert records[0]["digest"] == records[1]["digest"]
        assert records[0].get("halved") == records[1].get("halved")
        assert sorted(path.name for path in broken.iterdir()) == ["rows.parquet", "stage.json"]
        done = [chunk for engine in engines for chunk in engine.asked]
        assert len(done) == len(set(done))  # no chunk was paid for twice


def _halvable(kind: type[BatchedEngine]) -> set[str]:
    return {"0", "1", "3", "5", "1.0", "3.1"} if kind is CuttingEngine else {"0", "1", "3", "5"}


def test_an_engine_that_cuts_otherwise_on_resume_follows_the_journaled_plan(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        stage_of(tmp_path, BatchedEngine(rows_per_chunk=8, before_chunk=killed_at({3})))
    second = BatchedEngine(rows_per_chunk=48)
    stage_of(tmp_path, second)
    assert second.asked == ["2", "3", "4", "5"]  # 48 rows in chunks of 8, two of them done


def test_the_halves_of_a_chunk_are_journaled_and_not_tried_whole_again(tmp_path: Path) -> None:
    halve = frozenset({"1"})
    with pytest.raises(Killed):
        stage_of(tmp_path, BatchedEngine(rows_per_chunk=8, halve=halve, before_chunk=killed_at({4})))
    second = BatchedEngine(rows_per_chunk=8)
    begun: list[str] = []
    second.before_chunk = lambda chunk: begun.append(chunk.id)
    stage = stage_of(tmp_path, second)
    assert begun == ["2", "3", "4", "5", "1.1"]
    assert orjson.loads((stage / "stage.json").read_bytes())["halved"] == ["1"]


def test_failed_samples_count_against_the_budget_over_all_tries(tmp_path: Path) -> None:
    """5 of 12 fail before the kill and 5 after it: 10 of 12 is past a budget of half, as if unbroken."""
    numbers = {0, 1, 2, 3, 4, 7, 8, 9, 10, 11}

    def fails(request: Request) -> bool:
        return request.position in numbers

    settings_ = RunSettings(train_problems=12)

    def attempt(folder: Path, hook: Callable[[Chunk], None]) -> None:
        engine = GuessingEngine(rows_per_chunk=1, before_chunk=hook, fails=fails)
        run = House(folder, engine=engine, settings=settings_).run()
        run.sample(run.base, run.problems("train"))

    with pytest.raises(StageError, match="7 of 12 requests failed") as unbroken:
        attempt(tmp_path / "a", lambda chunk: None)
    with pytest.raises(Killed):
        attempt(tmp_path / "b", killed_at({6}))
    with pytest.raises(StageError, match="7 of 12 requests failed") as continued:
        attempt(tmp_path / "b", lambda chunk: None)
    assert str(continued.value) == str(unbroken.value)


def test_what_failed_past_the_budget_is_asked_again_and_nothing_else(tmp_path: Path) -> None:
    house = House(tmp_path, settings=RunSettings(train_problems=12))
    begun: list[list[int]] = [[], []]

    def engine(attempt: int, *, failing: bool) -> GuessingEngine:
        return GuessingEngine(
            rows_per_chunk=1,
            before_chunk=lambda chunk: begun[attempt].append(chunk.requests[0].position),
            fails=lambda request: failing and request.position >= 4,
        )

    house.engine = engine(0, failing=True)
    run = house.run()
    with pytest.raises(StageError, match="7 of 12 requests failed, the last with: no connection"):
        run.sample(run.base, run.problems("train"))
    house.engine = engine(1, failing=False)
    rows = list(house.run().sample(run.base, run.problems("train")))
    assert len(rows) == 12
    assert {row.status for row in rows} == {"ok"}
    succeeded = {position for position in begun[0] if position < 4}
    assert sorted(begun[1]) == sorted(set(range(12)) - succeeded)


def test_failed_samples_within_the_budget_are_rows_with_a_reason(tmp_path: Path) -> None:
    house = House(tmp_path, settings=RunSettings(train_problems=10))
    house.engine = GuessingEngine(rows_per_chunk=3, fails=lambda request: request.position < 5)
    run = house.run()
    rows = run.verify(run.sample(run.base, run.problems("train")))
    failed = [row for row in rows if row.status == "failed"]
    assert len(failed) == 5
    assert {(row.reason, row.finish, row.verdict.outcome) for row in failed} == {
        ("no connection", "failed", "failed")
    }


SMALL = RunSettings(train_problems=8, validation_problems=6, test_problems=6, evaluation_samples=2)


@settings(max_examples=4)
@given(kills=st.sets(st.integers(1, 25), min_size=1, max_size=5), size=st.integers(4, 40))
def test_a_whole_run_killed_at_any_chunks_equals_an_unbroken_one(kills: set[int], size: int) -> None:
    with TemporaryDirectory() as folder:
        whole, broken = (
            House(Path(folder, name), settings=SMALL, engine=GuessingEngine(rows_per_chunk=16))
            for name in ("a", "b")
        )
        result = experiment(asked(whole))
        hook = killed_at(kills)
        for attempt in range(len(kills) + 1):
            broken.engine = GuessingEngine(rows_per_chunk=16, before_chunk=hook)
            try:
                continued = experiment(asked(broken))
                break
            except Killed:
                assert attempt < len(kills)
        assert lasting(broken.workspace.path) == lasting(whole.workspace.path)
        assert continued["chosen"] == result["chosen"]
