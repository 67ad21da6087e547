"""What the contamination check finds is dropped, or learned and counted, as the run's setting says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import NothingToLearn, SettingError
from docendo.core.records import Example, Message
from docendo.core.table import Rows
from docendo.runs.run import Run
from docendo.runs.settings import Contamination, RunSettings
from tests.fakes import House

SMALL = RunSettings(train_problems=8, validation_problems=6, test_problems=6, evaluation_samples=2)
TEMPLATE = "one two three four five six seven eight nine ten eleven twelve thirteen"


class _LongTask:
    """The task of sums, with a test question that is a long template."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)

    def problems(self, split: str, limit: int | None = None) -> Any:
        for problem in self._task.problems(split, limit):
            yield replace(problem, question=f"{TEMPLATE} {problem.question}") if split == "test" else problem


def _run(tmp_path: Path, setting: Contamination) -> Run:
    house = House(tmp_path, settings=replace(SMALL, contamination=setting))
    run = house.run()
    run.task = _LongTask(run.task)  # type: ignore[assignment]  # everything else is the task's own
    return run


def _rows(run: Run) -> Rows[Example]:
    whole = next(iter(run.problems("test"))).question
    prompts = [whole, f"{TEMPLATE} is not 1 + 1", "Say 1 + 1."]
    return Rows(
        Example((Message("user", prompt),), completion=" 1 + 1 is 2. The answer is 2.", problem_id=str(place))
        for place, prompt in enumerate(prompts)
    )


@pytest.mark.parametrize(
    ("setting", "dropped", "learned"),
    [
        ("drop", {"exact match in test": 1, "13-gram in test": 1}, {}),
        ("exact", {"exact match in test": 1}, {"13-gram in test": 1}),
        ("report", {}, {"exact match in test": 1, "13-gram in test": 1}),
    ],
)
def test_what_is_found_is_counted_and_learned_only_as_the_setting_says(
    tmp_path: Path, setting: Contamination, dropped: dict[str, int], learned: dict[str, int]
) -> None:
    run = _run(tmp_path, setting)
    run.train(run.base, _rows(run))
    (checked,) = run.contamination
    assert checked == {"stage": "method/train", "rows": 3, "dropped": dropped, "found_but_learned": learned}
    assert run.workspace.sealed(run.records[-1]["stage"]).rows == 3 - sum(dropped.values())  # type: ignore[union-attr]
    assert any("contamination check found" in note for note in run.notes) == bool(learned)


def test_where_only_templates_are_left_the_error_names_the_setting(tmp_path: Path) -> None:
    run = _run(tmp_path, "drop")
    with pytest.raises(NothingToLearn) as told:
        run.train(run.base, Rows(list(_rows(run))[1:2]))
    assert "--contamination exact" in told.value.hint


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(SettingError, match="contamination is 'none'; expected one of drop, exact, report"):
        RunSettings(contamination="none")  # type: ignore[arg-type]
