"""Seeds and digests are numbers that must never change: stages on disk are named by them."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.records import Context, Message, Outcome, Shot
from docendo.core.seeds import canonical, derived_rng, derived_seed, digest_of, digest_of_rows

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def test_derived_seed_is_blake2b_of_the_json_of_its_parts() -> None:
    # Mappings are sorted by key; the fields of a record stand in the order of its definition.
    by_hand = hashlib.blake2b(b'[0,"p1",[{"role":"user","content":"hi"}],3]', digest_size=8).digest()
    assert derived_seed(0, "p1", (Message("user", "hi"),), 3) == int.from_bytes(by_hand, "big") >> 1


@pytest.mark.parametrize(
    ("parts", "seed"),
    [
        ((), 4_090_036_724_241_674_979),
        ((0,), 6_197_007_067_532_723_406),
        ((0, "select", 1, "train-3"), 8_717_217_495_111_801_240),
    ],
)
def test_derived_seed_has_its_golden_values(parts: tuple[Any, ...], seed: int) -> None:
    assert derived_seed(*parts) == seed


def test_digest_has_its_golden_value() -> None:
    assert digest_of(Context(shots=(Shot("q", "r", "a"),))) == "3d43cbc23de20c89e10d53e41e76b6a1"


@given(st.lists(values, max_size=4))
def test_derived_seed_fits_63_bits_and_repeats(parts: list[Any]) -> None:
    seed = derived_seed(*parts)
    assert 0 <= seed < 2**63
    assert derived_seed(*parts) == seed
    assert derived_rng(*parts).random() == derived_rng(*parts).random()


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=3)), min_size=2, max_size=6, unique=True))
def test_different_parts_give_different_seeds(parts: list[tuple[int, str]]) -> None:
    assert len({derived_seed(*part) for part in parts}) == len(parts)


@given(st.dictionaries(st.text(), values, max_size=5))
def test_the_order_of_keys_does_not_count(mapping: dict[str, Any]) -> None:
    assert canonical(dict(reversed(mapping.items()))) == canonical(mapping)


@given(st.lists(values, max_size=5), st.lists(values, max_size=5))
def test_digests_of_rows_are_equal_just_when_their_encodings_are(left: list[Any], right: list[Any]) -> None:
    same = [canonical(row) for row in left] == [canonical(row) for row in right]
    assert (digest_of_rows(left) == digest_of_rows(right)) == same


def test_enums_are_encoded_by_value() -> None:
    assert canonical(Outcome.CORRECT) == b'"correct"'
