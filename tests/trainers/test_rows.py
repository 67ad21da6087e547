from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.errors import DataError, ModelError
from docendo.core.losses import Reads
from docendo.engines.tokenizer import Tokenizer
from docendo.trainers.rows import Limits, Rows, read_rows
from tests.trainers.tiny import BOS, EOS, PAD, Row, row, sums, write_rows

SUPERVISED = Reads()
PAIRS = Reads(texts=("chosen", "rejected"), numbers=("reference",))
PER_TOKEN = Reads(per_token=("advantages",))


@pytest.fixture
def read(tmp_path: Path, tokenizer: Tokenizer) -> Any:
    def read(rows: list[Row], reads: Reads = SUPERVISED, length: int = 256) -> Rows:
        path = write_rows(tmp_path / "rows.parquet", rows)
        return read_rows(path, reads, tokenizer, Limits(vocabulary=259, length=length))

    return read


def ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return [token for token in tokenizer._backend.encode(text, add_special_tokens=False).ids]


def test_the_prompt_is_not_learned_and_the_end_token_is(read: Any, tokenizer: Tokenizer) -> None:
    rows = read([row("1 + 1", "2.")])
    assert list(rows.prompt(0)) == [BOS, *ids(tokenizer, "Q: 1 + 1\nA:")]
    assert list(rows.sequence(0)) == [BOS, *ids(tokenizer, "Q: 1 + 1\nA: 2."), EOS]
    batch = rows.batch(np.array([0]))
    assert batch.targets.tolist() == [*ids(tokenizer, " 2."), EOS]


def test_sampled_ids_are_learned_as_they_are(read: Any, tokenizer: Tokenizer) -> None:
    sampled = [7, 7, 7, EOS]  # not how "2." is tokenised
    rows = read([row("1 + 1", "2.", token_ids=sampled)])
    assert rows.batch(np.array([0])).targets.tolist() == sampled


def test_a_prefix_stands_in_the_prompt_and_is_not_learned(read: Any, tokenizer: Tokenizer) -> None:
    rows = read([row("1 + 1", "Let's see. 2.", prefix="Let's see.")])
    assert list(rows.prompt(0)) == [BOS, *ids(tokenizer, "Q: 1 + 1\nA: Let's see.")]
    assert rows.batch(np.array([0])).targets.tolist() == [*ids(tokenizer, " 2."), EOS]


def test_plain_text_is_put_without_chat_template(read: Any, tokenizer: Tokenizer) -> None:
    rows = read([row("", "") | {"prompt": "1 + 1 =", "completion": " 2"}])
    assert list(rows.prompt(0)) == [BOS, *ids(tokenizer, "1 + 1 =")]
    assert rows.batch(np.array([0])).targets.tolist() == [*ids(tokenizer, " 2"), EOS]


def test_the_columns_that_a_data_set_has_are_enough(read: Any) -> None:
    rows = read([{name: row("1 + 1", "2.")[name] for name in ("prompt", "completion")}])
    assert rows.weights.tolist() == [1.0]


def test_batches_are_padded_on_the_right_and_keep_weights(read: Any) -> None:
    rows = read([row("1", "2.", weight=0.5), row("12345678", "2, and that is all.", weight=2.0)])
    batch = rows.batch(np.array([1, 0]))
    assert batch.ids.shape[1] == rows.lengths[1] > rows.lengths[0]
    assert set(batch.ids[1, rows.lengths[0] :].tolist()) == {PAD}
    assert not batch.learned[1, rows.lengths[0] :].any()
    assert batch.learned.sum(dim=1).tolist() == [rows.learned[1], rows.learned[0]]
    assert batch.token_weights.tolist() == [2.0] * rows.learned[1] + [0.5] * rows.learned[0]


def test_more_rows_than_are_read_at_once_stay_in_order(read: Any) -> None:
    rows = read(sums(20) * 120)
    assert len(rows) == 2400
    assert (rows.lengths == np.tile(rows.lengths[:20], 120)).all()


@settings(max_examples=20)
@given(
    st.lists(
        st.tuples(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=8)), min_size=1, max_size=5
    )
)
def test_what_is_learned_decodes_to_the_completion(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer, texts: list[tuple[str, str]]
) -> None:
    path = write_rows(tmp_path_factory.mktemp("rows") / "rows.parquet", [row(*pair) for pair in texts])
    rows = read_rows(path, SUPERVISED, tokenizer, Limits(vocabulary=259, length=256))
    for place, (_, answer) in enumerate(texts):
        learned = rows.batch(np.array([place])).targets.tolist()
        assert learned[-1] == EOS
        assert tokenizer.decode(learned) in (answer, f" {answer}")  # the template's space is not doubled


def test_long_rows_and_rows_without_weight_are_left_out_and_counted(read: Any) -> None:
    kept = row("1 + 1", "2.")
    rows = read([kept, row("1 + 1", "2" * 100), kept | {"weight": 0.0}, kept], length=60)
    assert len(rows) == 2
    assert rows.dropped == {"too long": 1, "weight 0": 1}


def test_a_row_of_just_the_greatest_length_is_kept(read: Any) -> None:
    length = int(read([row("1 + 1", "2.")]).lengths[0])
    assert len(read([row("1 + 1", "2.")], length=length)) == 1
    assert len(read([row("1 + 1", "2.")], length=length - 1)) == 0


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"token_ids": [7, 8, 9]}, r"ends with token 9, which is not an end token \(1\)"),
        ({"token_ids": [7, 259, EOS]}, "token id 259; the model's vocabulary is 0 to 258"),
        ({"token_ids": [7, -3, EOS]}, "token id -3"),
        ({"completion": [{"role": "assistant", "content": ""}]}, "its completion is empty"),
        ({"completion": []}, "expected one assistant message"),
        ({"completion": [{"role": "user", "content": "2."}]}, "expected one assistant message"),
        ({"prefix": "2."}, "its completion is empty after the prefix"),
        ({"prefix": "3"}, "'2.' does not begin with its prefix '3'"),
        ({"weight": -1.0}, "its weight is -1.0; expected a finite number of at least 0"),
        ({"weight": math.nan}, "its weight is nan"),
        ({"weight": math.inf}, "its weight is inf"),
        ({"weight": None}, "its weight is None"),
        ({"prompt": []}, "expected messages or a text"),
    ],
)
def test_a_row_that_cannot_be_learned_is_refused_by_number_and_reason(
    read: Any, columns: Row, reason: str
) -> None:
    good = row("1 + 1", "2.")
    with pytest.raises(DataError, match=r"row 1 of rows\.parquet \(problem 1 \+ 1\)") as caught:
        read([good, good | columns, good])
    assert caught.match(reason)


def test_a_missing_column_is_named(read: Any) -> None:
    with pytest.raises(DataError, match="have no column completion\nhint: the columns are prompt"):
        read([{"prompt": "1 + 1"}])


def test_a_missing_file_is_named(tmp_path: Path, tokenizer: Tokenizer) -> None:
    with pytest.raises(DataError, match=r"none\.parquet"):
        read_rows(tmp_path / "none.parquet", SUPERVISED, tokenizer, Limits(259, 256))
    (tmp_path / "text.parquet").write_text("no parquet")
    with pytest.raises(DataError, match="expected a Parquet file"):
        read_rows(tmp_path / "text.parquet", SUPERVISED, tokenizer, Limits(259, 256))


def test_a_pair_is_two_sequences_with_the_same_prompt(read: Any, tokenizer: Tokenizer) -> None:
    pair = {
        "prompt": row("1 + 1", "")["prompt"],
        "chosen": "2.",
        "rejected": "three.",
        "reference": [-1.5, -2.5],
    }
    rows = read([pair, pair | {"weight": 1.0}][:1] * 2, PAIRS)
    batch = rows.batch(np.array([0, 1]))
    assert batch.ids.shape[0] == 4
    assert batch.numbers["reference"].tolist() == [[-1.5, -2.5]] * 2
    assert tokenizer.decode(batch.ids[1][batch.learned[1]].tolist()) == " three."
    assert (batch.ids[0, : len(rows.prompt(0))] == batch.ids[1, : len(rows.prompt(0))]).all()
    assert rows.lengths[0] == len(rows.prompt(0)) + len(" three.") + 1


@pytest.mark.parametrize("values", [[1.0], [1.0, math.nan], [1.0, 2.0, 3.0], None])
def test_numbers_of_a_row_are_finite_and_equally_many(read: Any, values: list[float] | None) -> None:
    pair = {"prompt": "1 + 1", "chosen": " 2", "rejected": " 3", "reference": [-1.5, -2.5]}
    with pytest.raises(DataError, match=r"its reference is .*; expected finite numbers, 2 of them"):
        read([pair, pair | {"reference": values}], PAIRS)


def test_numbers_of_tokens_stand_beside_the_learned_tokens(read: Any) -> None:
    first = row("1", "2.", token_ids=[5, 6, EOS], advantages=[0.1, 0.2, 0.3])
    second = row("1", "2.", token_ids=[7, EOS], advantages=[0.4, 0.5])
    batch = read([first, second], PER_TOKEN).batch(np.array([1, 0]))
    assert batch.per_token["advantages"].tolist() == pytest.approx([0.4, 0.5, 0.1, 0.2, 0.3])
    assert batch.targets.tolist() == [7, EOS, 5, 6, EOS]
    with pytest.raises(DataError, match="expected 3 finite numbers, one a learned token"):
        read([first | {"advantages": [0.1]}], PER_TOKEN)


def test_the_digest_sees_tokens_weights_and_order(read: Any) -> None:
    one, two = row("1", "2."), row("2", "3.")
    digests = [
        read(rows).digest for rows in ([one, two], [two, one], [one, two | {"weight": 2.0}], [one, two])
    ]
    assert digests[0] == digests[3]
    assert len(set(digests)) == 3


def test_a_model_s_context_bounds_the_length(start: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    assert Limits.of(start, tokenizer, 100) == Limits(vocabulary=259, length=100)
    assert Limits.of(start, tokenizer, 10_000) == Limits(vocabulary=259, length=256)
    with pytest.raises(ModelError, match=r"config\.json"):
        Limits.of(tmp_path, tokenizer, 100)
