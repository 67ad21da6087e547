"""What a fingerprint sees of a part: its class, version and fields, and nothing that is no value."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.losses import Optimizer, supervised
from docendo.core.parts import IGNORED, identity_of
from docendo.core.records import Source
from docendo.core.seeds import canonical


@dataclass(frozen=True, slots=True)
class Threshold:
    version: ClassVar[int] = 2
    tau: float = 0.5
    looks: int = field(default=0, metadata=IGNORED)


@dataclass(frozen=True, slots=True)
class Other:
    version: ClassVar[int] = 2
    tau: float = 0.5


class Color(Enum):
    RED = "red"


def test_identity_is_class_version_and_fields() -> None:
    assert identity_of(Threshold()) == {
        "part": f"{__name__}.Threshold",
        "version": 2,
        "tau": 0.5,
    }


def test_an_ignored_field_changes_no_identity_and_every_other_field_does() -> None:
    assert identity_of(Threshold(looks=3)) == identity_of(Threshold())
    assert identity_of(Threshold(tau=0.6)) != identity_of(Threshold())
    assert identity_of(Other()) != identity_of(Threshold())


@pytest.mark.parametrize("part", [lambda row: row, object(), len, Threshold, b"bytes", [lambda: 1]])
def test_what_has_no_identity_is_refused_by_name(part: Any) -> None:
    with pytest.raises(TypeError, match="cannot take part in a fingerprint"):
        identity_of(part)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(values)
def test_json_values_are_their_own_identity_and_can_be_encoded(value: Any) -> None:
    assert identity_of(value) == value
    canonical(identity_of(value))


def test_containers_and_enums_become_plain_values() -> None:
    assert identity_of({"b": (1, Color.RED), "a": frozenset({"y", "x"})}) == {
        "b": [1, "red"],
        "a": ["x", "y"],
    }
    assert identity_of(Source.GOLD) == "gold"


@given(st.sampled_from([f.name for f in Optimizer.__dataclass_fields__.values()]))
def test_every_field_of_the_optimizer_is_in_its_identity(name: str) -> None:
    assert name in identity_of(Optimizer())


def test_loss_settings_have_an_identity_with_their_version() -> None:
    assert identity_of(supervised())["version"] == 1
    assert identity_of(replace(Optimizer(), learning_rate=1e-4)) != identity_of(Optimizer())
