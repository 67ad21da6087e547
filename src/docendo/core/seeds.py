"""Seeds and digests: how a number becomes another one, the same on every machine."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable
from typing import Any

import orjson

_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS


def canonical(value: Any) -> bytes:
    """Encode a value (records, mappings, sequences, strings, numbers, None) the same way everywhere.

    Mappings are sorted by key. Floats are written so that they read back as the same float.
    """
    return orjson.dumps(value, option=_OPTIONS)


def digest_of(value: Any) -> str:
    """Return 32 hexadecimal digits (128 bits) that stand for a value."""
    return hashlib.blake2b(canonical(value), digest_size=16).hexdigest()


def digest_of_rows(rows: Iterable[Any]) -> str:
    """Return the digest of a sequence of rows, streaming: values and their order count."""
    state = hashlib.blake2b(digest_size=16)
    for row in rows:
        state.update(canonical(row))
        state.update(b"\n")
    return state.hexdigest()


def derived_seed(*parts: Any) -> int:
    """Return a seed in ``[0, 2**63)`` that depends on every part and on nothing else."""
    return int.from_bytes(hashlib.blake2b(canonical(parts), digest_size=8).digest(), "big") >> 1


def derived_rng(*parts: Any) -> random.Random:
    """Return a random generator seeded by `derived_seed`."""
    return random.Random(derived_seed(*parts))
