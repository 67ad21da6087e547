"""Tables over sealed stages: columns equal attributes, digests tell rows apart, everything is streamed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.records import Label, Outcome, Sample, Source, Verdict
from docendo.core.table import Rows, Table
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.stages import Place, written_stage
from docendo.runs.stored import BATCH, SCHEMAS, RowsWriter, Selected, column_values, stream
from docendo.runs.workspace import StageKey, Workspace
from docendo.selectors.cap import Cap
from docendo.selectors.distinct import distinct
from docendo.selectors.verdict import HasVerdict, correct
from tests.fakes import Equality, House

SMALL = RunSettings(train_problems=10)
NAMES = [
    "id",
    "number",
    "text",
    "finish",
    "status",
    "token_ids",
    "prompt_tokens",
    "generated_tokens",
    "tokenizer",
    "problem_id",
    "problem.id",
    "problem.split",
    "problem.group",
    "question",
    "rationale",
    "answer",
    "is_parsed",
    "verdict",
    "verdict:other",
    "reason",
]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return House(tmp_path_factory.mktemp("house"), settings=SMALL)


@pytest.fixture(scope="module")
def tables(house: House) -> dict[str, Table[Any]]:
    run = house.run()
    samples = run.sample(run.base, run.problems("train"), 4, temperature=1.0)
    verified = run.verify(run.verify(samples), Equality(Source.NONE), name="other")
    selected = run.select(verified, correct, distinct, Cap(2))
    assert isinstance(selected, Selected)
    return {
        "verified": verified,
        "selected": selected,
        "dropped": selected.dropped,
        "both": selected + selected.dropped,
        "where": verified.where(lambda row: row.is_correct),
    }


def plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize("name", ["verified", "selected", "dropped", "both", "where"])
def test_columns_of_a_stored_table_equal_the_attributes_of_its_rows(
    tables: dict[str, Table[Any]], name: str
) -> None:
    table = tables[name]
    rows = Rows(table)
    assert len(table) == len(rows) > 0
    for column in NAMES:
        read = [plain(value) for value in table.columns([column])[column]]
        assert read == [plain(value) for value in rows.columns([column])[column]], column
    together = table.columns(NAMES)
    assert list(together) == NAMES or set(together) == set(NAMES)
    assert {len(values) for values in together.values()} == {len(rows)}


def test_kept_and_dropped_are_all_rows_in_their_order(tables: dict[str, Table[Any]]) -> None:
    ids = [row.id for row in tables["verified"]]
    kept = [row.id for row in tables["selected"]]
    dropped = [row.id for row in tables["dropped"]]
    assert sorted(kept + dropped) == sorted(ids)
    assert kept == [one for one in ids if one in set(kept)]
    selected = tables["selected"]
    assert isinstance(selected, Selected)
    assert sum(selected.reasons().values()) == len(dropped)
    assert [row.id for row in selected.dropped.dropped] == kept


def test_digests_of_tables_with_other_rows_are_different(tables: dict[str, Table[Any]], house: House) -> None:
    digests = [table.digest for table in tables.values()]
    assert len(set(digests)) == len(digests)
    again = house.run()
    samples = again.sample(again.base, again.problems("train"), 4, temperature=1.0)
    assert again.verify(again.verify(samples), Equality(Source.NONE), name="other").digest == digests[0]


class Backwards(Equality):
    """Calls right what is wrong."""

    def verdicts(self, pairs: Any) -> Any:
        for sample, label in pairs:
            wrong = label is None or sample.answer != label.answer
            yield Verdict(Outcome.CORRECT if wrong else Outcome.INCORRECT, "", self.source)


def test_verdicts_under_exchanged_names_are_other_rows(house: House) -> None:
    """The same two verify stages, their names exchanged: a selection by name must not be shared."""
    run = house.run()
    samples = run.sample(run.base, run.problems("train"), 4, temperature=1.0)
    one = run.verify(run.verify(samples, name="a"), Backwards(), name="b")
    other = run.verify(run.verify(samples, name="b"), Backwards(), name="a")
    assert one.digest != other.digest
    by_a = [run.select(table, HasVerdict(name="a")) for table in (one, other)]
    assert {row.id for row in by_a[0]} | {row.id for row in by_a[1]} == {row.id for row in samples}
    assert not {row.id for row in by_a[0]} & {row.id for row in by_a[1]}


def test_selecting_from_joined_rows_goes_by_their_first_part(house: House) -> None:
    run = house.run()
    rows = run.verify(run.sample(run.base, run.problems("train"), 4, temperature=1.0))
    joined = rows.join(run.labels("train"))
    kept = run.select(joined, correct, Cap(1))
    assert [sample.id for sample, _ in kept] == [row.id for row in run.select(rows, correct, Cap(1))]
    assert all(isinstance(label, Label) and sample.answer == label.answer for sample, label in kept)


def test_log_probabilities_stand_beside_samples_and_beside_problems(house: House) -> None:
    run = house.run()
    samples = run.sample(run.base, run.problems("train"))
    mine = list(run.logprobs(run.base, samples))
    assert [row.logprobs["logprobs"].values for row in mine] == [(-float(len(row.text)),) for row in samples]
    pairs = list(run.logprobs(run.base, run.problems("train"), [" yes", " no!"]))
    assert [(problem.id, found.values, found.tokens) for problem, found in pairs][:1] == [
        ("train-0", (-4.0, -4.0), (4, 4))
    ]


rows = st.lists(
    st.tuples(st.text(max_size=4), st.sampled_from(list(Outcome)), st.text(max_size=4)), max_size=20
)


def written(path: Path, values: list[tuple[Any, ...]], kind: str = "verify") -> tuple[str, list[Any]]:
    writer = RowsWriter(SCHEMAS[kind], path)
    for value in values:
        writer.write(value)
    digest = writer.close()
    return digest, [tuple(row.values()) for row in pq.read_table(path).to_pylist()]


@settings(max_examples=30)
@given(rows, rows)
def test_rows_read_back_as_written_and_digests_are_equal_just_when_they_are(
    tmp_path_factory: pytest.TempPathFactory, left: list[tuple[Any, ...]], right: list[tuple[Any, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    plain_left = [(one, outcome.value, reason) for one, outcome, reason in left]
    digest, read = written(folder / "left.parquet", left)
    assert read == plain_left
    other, _ = written(folder / "right.parquet", right)
    assert (digest == other) == (left == right)


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH])
def test_blocks_begin_and_end_anywhere(tmp_path: Path, count: int) -> None:
    workspace = Workspace(tmp_path)
    values = [(str(number), "correct", "") for number in range(count)]
    sealed, reused = written_stage(
        workspace, StageKey("verify", {"count": count}), Place("run", "label"), lambda: values, total=count
    )
    assert (sealed.rows, reused) == (count, False)
    assert list(column_values(sealed, "id")) == [one for one, _, _ in values]
    assert max((batch.num_rows for batch in stream(sealed)), default=0) <= BATCH

    def not_asked() -> list[tuple[str, str, str]]:
        raise AssertionError("it is there already")

    again, reused = written_stage(
        workspace, StageKey("verify", {"count": count}), Place("run", "label"), not_asked, total=count
    )
    assert (again.digest, reused) == (sealed.digest, True)


def test_a_stage_whose_rows_fail_half_way_leaves_nothing_that_could_be_believed(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    key = StageKey("verify", {})

    def broken() -> Any:
        yield "1", "correct", ""
        raise RuntimeError("the verifier fell over")

    with pytest.raises(RuntimeError, match="fell over"):
        written_stage(workspace, key, Place("run", "label"), broken, total=2)
    assert workspace.sealed(key.name) is None
    assert not list(workspace.stages.glob("*/rows.parquet"))
    sealed, _ = written_stage(workspace, key, Place("run", "label"), lambda: [("1", "correct", "")], total=1)
    assert sealed.rows == 1


def test_a_sample_stage_holds_the_columns_of_its_kind(house: House, tables: dict[str, Table[Any]]) -> None:
    assert tables
    (sealed, *_) = [one for one in house.workspace.all_sealed() if one.kind == "sample"]
    assert pq.read_schema(sealed.rows_path).names == SCHEMAS["sample"].names
    assert "at" not in SCHEMAS["sample"].names  # rows hold no clock


def test_rows_of_a_table_are_samples_with_all_that_was_found(tables: dict[str, Table[Any]]) -> None:
    row = next(iter(tables["verified"]))
    assert isinstance(row, Sample)
    assert set(row.verdicts) == {"verdict", "other"}
    assert row.verdicts["verdict"].source is Source.GOLD
    assert row.verdicts["other"].source is Source.NONE


def test_a_run_without_its_label_has_no_problem_with_places(house: House) -> None:
    run: Run = house.run()
    assert run.label("sample") == "method/sample"
    for _ in run.rounds(2):
        pass
    assert run.label("sample") == "method/sample"
    for _ in run.rounds(2):
        assert run.label("sample") == "method/round-1/sample"
        break
    assert run.label("sample") == "method/sample"
