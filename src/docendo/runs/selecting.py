"""How selectors are put to a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from docendo.core.protocols import Selector
from docendo.core.seeds import derived_rng
from docendo.core.table import Table


def selection_reasons(table: Table[Any], selectors: Sequence[Selector], seed: int) -> list[str | None]:
    """Return for each row why it is dropped, None where it is kept.

    A selector that decides for each problem apart gets that problem's rows and a random generator of its own,
    seeded by the problem's id: what is kept of one problem does not depend on the others.
    """
    reasons: list[str | None] = [None] * len(table)
    names = sorted({name for selector in selectors for name in selector.reads} | {"problem_id"})
    columns = table.columns(names)
    for place, selector in enumerate(selectors):
        groups: dict[str, list[int]] = {}
        for index, reason in enumerate(reasons):
            if reason is None:
                key = columns["problem_id"][index] if selector.per == "problem" else ""
                groups.setdefault(key, []).append(index)
        for key, indices in groups.items():
            given = {name: [columns[name][index] for index in indices] for name in selector.reads}
            rng = derived_rng(seed, "select", place, key)
            for index, reason in zip(indices, selector.reasons(given, rng), strict=True):
                reasons[index] = reason
    return reasons
