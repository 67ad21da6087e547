"""The journal against a dictionary: what was finished is there, by position, after any restart."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.runs.journal import Journal, JournalDamaged


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
    order=st.randoms(use_true_random=False),
    halve=st.sets(st.integers(0, 5)),
    restarts=st.sets(st.integers(0, 8)),
)
def test_a_journal_gives_back_all_rows_by_position_whatever_the_order(
    sizes: list[int], order: random.Random, halve: set[int], restarts: set[int]
) -> None:
    starts = [sum(sizes[:index]) for index in range(len(sizes))]
    plan = [
        (str(index), list(range(start, start + size)))
        for index, (start, size) in enumerate(zip(starts, sizes, strict=True))
    ]
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal.db")
        journal = Journal(path)
        assert not journal.is_planned
        journal.write_plan(plan)
        step = 0
        done: dict[int, list[str | int]] = {}
        while chunks := journal.open_chunks():
            assert sorted(position for _, positions in chunks for position in positions) == sorted(
                set(range(sum(sizes))) - done.keys()
            )
            if step in restarts:
                journal.close()
                journal = Journal(path)
                assert journal.is_planned
                assert journal.open_chunks() == chunks
            name, positions = order.choice(chunks)
            if "." not in name and int(name) in halve and len(positions) > 1:
                middle = len(positions) // 2
                journal.halve(name, [(f"{name}.0", positions[:middle]), (f"{name}.1", positions[middle:])])
            else:
                rows = [(position, ["ok", position, "é\x00"]) for position in positions]
                done.update(rows)
                journal.finish(name, rows)
            step += 1
            assert journal.count() == len(done)
        assert list(journal.rows()) == [done[position] for position in sorted(done)]
        expected = [name for name, positions in plan if int(name) in halve and len(positions) > 1]
        assert journal.halved() == expected
        journal.close()
        journal.close()  # may be called twice


def test_reopened_chunks_are_open_again_and_their_rows_are_replaced(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    journal.write_plan([("0", [0]), ("1", [1])])
    journal.finish("0", [(0, ["failed"])], failed=1)
    journal.finish("1", [(1, ["ok"])])
    assert journal.failed() == {"0": 1}
    journal.reopen(["0"])
    assert journal.open_chunks() == [("0", [0])]
    assert journal.failed() == {}
    journal.finish("0", [(0, ["ok"])])
    assert (list(journal.rows()), journal.failed()) == ([["ok"], ["ok"]], {})
    journal.close()


def test_a_plan_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, list[int]]]:
        yield "0", [0]
        raise RuntimeError("the engine cannot cut the rest")

    journal = Journal(tmp_path / "journal.db")
    with pytest.raises(RuntimeError):
        journal.write_plan(broken())
    assert not journal.is_planned
    assert journal.open_chunks() == []
    journal.write_plan([("0", [0, 1])])
    assert journal.open_chunks() == [("0", [0, 1])]
    journal.close()


def test_facts_are_remembered_and_can_be_replaced(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal.db")
    assert journal.fact("versions") is None
    journal.remember("versions", {"python": "3.11"})
    journal.remember("versions", {"python": "3.12"})
    journal.close()
    again = Journal(tmp_path / "journal.db")
    assert again.fact("versions") == {"python": "3.12"}
    again.close()


def test_what_is_no_journal_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"something else entirely, and long enough to be looked at" * 100)
    with pytest.raises(JournalDamaged, match=r"journal.db"):
        Journal(path)
