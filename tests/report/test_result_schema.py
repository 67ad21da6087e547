"""A real result is held against the tables of ``docs/result.md``: the same fields, each of its type."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from docendo.report.results import result_of
from tests.report.conftest import Ran

PAGE = (Path(__file__).parents[2] / "docs" / "result.md").read_text(encoding="utf-8")
LISTS_OVER_SEEDS = {"chosen", "information", "cost", "facts"}


def documented() -> dict[str, dict[str, str]]:
    """The tables of the page: object -> field -> type."""
    found: dict[str, dict[str, str]] = {}
    section = ""
    for line in PAGE.splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif row := re.match(r"\| `([^`]+)` \| ([^|]+) \| [^|]+ \|$", line):
            found.setdefault(section, {})[row[1]] = row[2].strip()
    return found


OBJECTS = documented()


def is_plain(value: Any, kind: str) -> bool:
    match kind:
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return type(value) is int
        case "number":
            return type(value) in (int, float)
        case "text":
            return isinstance(value, str)
        case "share":
            return type(value) in (int, float) and 0 <= value <= 1
        case "digest":
            return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{20,}", value) is not None
        case "interval":
            return isinstance(value, list) and len(value) == 2 and value[0] <= value[1]  # pyright: ignore
        case "null":
            return value is None
        case "settings":
            return isinstance(value, dict)
        case _:
            raise AssertionError(f"docs/result.md names the type {kind!r}, which nothing describes")


def faults(value: Any, kind: str, where: str) -> Iterator[str]:
    """Yield what differs between a value and its documented type."""
    if " or " in kind:
        found = [list(faults(value, one, where)) for one in kind.split(" or ")]
        yield from [] if any(not one for one in found) else found[0]
    elif kind.startswith(("list of ", "map of ")):
        is_list = kind.startswith("list")
        if not isinstance(value, list if is_list else dict):
            yield f"{where} is {type(value).__name__}, documented as {kind}"
            return
        inner = kind.partition(" of ")[2]
        keyed: Any = value
        items: Any = enumerate(keyed) if is_list else keyed.items()
        for key, one in items:
            yield from faults(one, inner, f"{where}[{key}]")
    elif kind in OBJECTS:
        if not isinstance(value, dict):
            yield f"{where} is {type(value).__name__}, documented as {kind}"
            return
        fields = {name.removesuffix("?"): type_ for name, type_ in OBJECTS[kind].items()}
        needed = {name for name in OBJECTS[kind] if not name.endswith("?")}
        mapping: Mapping[str, Any] = value
        yield from (f"{where}.{name} is not documented" for name in mapping.keys() - fields.keys())
        yield from (f"{where}.{name} is missing" for name in needed - mapping.keys())
        for name in fields.keys() & mapping.keys():
            yield from faults(mapping[name], fields[name], f"{where}.{name}")
    elif not is_plain(value, kind):
        yield f"{where} is {value!r}, documented as {kind}"


@pytest.mark.parametrize("name", ["one", "two-seed1"])
def test_a_result_has_the_documented_fields_and_no_others(ran: Ran, name: str) -> None:
    assert list(faults(result_of(ran.workspace, name), "result", "result")) == []


def test_a_result_over_seeds_has_lists_where_the_page_says_so(ran: Ran) -> None:
    result = result_of(ran.workspace, "two")
    single = {key: value for key, value in result.items() if key not in LISTS_OVER_SEEDS}
    found = list(faults(single, "result", "result"))
    assert sorted(found) == sorted(f"result.{name} is missing" for name in LISTS_OVER_SEEDS)
    for name in LISTS_OVER_SEEDS:
        kind = OBJECTS["result"][name]
        assert (
            list(faults(result[name], f"list of {kind}" if " of " not in kind else "list of settings", name))
            == []
        )
        assert len(result[name]) == len(result["seeds"])
    assert "stages" not in result


def test_every_documented_object_is_part_of_a_result(ran: Ran) -> None:
    used = {"result"}
    for fields in OBJECTS.values():
        for kind in fields.values():
            used.update(part for part in re.split(r" of | or ", kind) if part in OBJECTS)
    assert used == set(OBJECTS)


def test_the_checker_finds_what_differs(ran: Ran) -> None:
    result = result_of(ran.workspace, "one")
    assert list(faults({**result, "extra": 1}, "result", "r")) == ["r.extra is not documented"]
    assert list(faults({**result, "format": "1"}, "result", "r")) == [
        "r.format is '1', documented as integer"
    ]
    less = {key: value for key, value in result.items() if key != "verdict"}
    assert list(faults(less, "result", "r")) == ["r.verdict is missing"]
