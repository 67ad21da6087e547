from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tasks.cot import golden

Rows = Callable[[str], Iterator[dict[str, Any]]]
LOGS = "gold_zero_shot_cot_logs"


@pytest.fixture(scope="module")
def found(data_rows: Rows) -> list[golden.Graded]:
    return list(golden.graded(data_rows(LOGS)))


def test_every_answer_is_read_as_its_authors_read_it(found: list[golden.Graded]) -> None:
    assert len(found) == 9826
    assert [one.official["id"] for one in found if not one.reads_the_same] == []


def test_every_other_verdict_is_explained(found: list[golden.Graded]) -> None:
    others = [one for one in found if not one.judges_the_same]
    assert len(others) <= 0.005 * len(found)
    assert "unexplained" not in {one.explanation for one in others}
    assert {one.task for one in others} == {"single-eq", "addsub", "gsm8k"}


def test_the_table_in_the_documentation_is_what_comes_out(data_rows: Rows) -> None:
    page = (Path(__file__).parents[3] / "docs" / "tasks.md").read_text(encoding="utf-8")
    assert golden.table(data_rows(LOGS)) in page, (
        "hint: python -m tests.tasks.cot.golden FOLDER_WITH_THE_DATA"
    )
