"""What docs/tasks.md shows, works."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from docendo.tasks.files import file_task
from docendo.tasks.formats import formats_for
from docendo.tasks.gold import CANDIDATES
from docendo.tasks.options import TaskOptions

PAGE = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code in blocks("python"):
        exec(compile(code, "docs/tasks.md", "exec"), names)
    assert len(blocks("python")) == 3
    verdicts = (tmp_path / "verdicts.jsonl").read_text().splitlines()
    assert [json.loads(line)["verdict"] for line in verdicts] == ["correct", "incorrect"]


def test_the_row_and_the_entry_point_are_what_they_say(tmp_path: Path) -> None:
    (row,) = blocks("json")
    (tmp_path / "my.jsonl").write_text(row)
    assert file_task(tmp_path / "my.jsonl").splits == ("train",)
    (toml,) = blocks("toml")
    assert tomllib.loads(toml)["project"]["entry-points"]["docendo.tasks"]


def test_all_columns_formats_and_options_are_named() -> None:
    for names in CANDIDATES.values():
        for name in names:
            assert f"`{name}`" in PAGE
    for kind in ("number", "math", "choice", "text"):
        for name in formats_for(kind):
            assert f"`{name}`" in PAGE
    for field in fields(TaskOptions):
        assert f"--{field.name.replace('_', '-')}" in PAGE
