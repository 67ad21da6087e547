"""What every selector must do: say of each row why it is dropped, or that it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from docendo.core.protocols import Selector
from docendo.core.seeds import derived_rng


def reasons_of(selector: Selector, columns: Mapping[str, Sequence[Any]], seed: int = 0) -> list[str | None]:
    """Put columns to a selector and check that it partitions them."""
    given = {name: columns[name] for name in selector.reads}
    before = {name: list(values) for name, values in given.items()}
    reasons = list(selector.reasons(given, derived_rng(seed)))
    assert len(reasons) == len(next(iter(given.values())))
    assert all(reason is None or (isinstance(reason, str) and reason) for reason in reasons)
    assert reasons == list(selector.reasons(given, derived_rng(seed)))  # the generator is all its chance
    assert {name: list(values) for name, values in given.items()} == before
    return reasons
