"""Settings of tasks: where their data lie, what the columns are called, how splits are made."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from docendo.core.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """Where a task's rows come from and how they are understood. A task refuses what it has no use for."""

    data_dir: Path | None = None
    """Folder with local files of a named task. Default: the Hugging Face hub."""
    question_column: str | None = None
    """Column of the question. Default: the first there is of question, problem, prompt, input, query."""
    answer_column: str | None = None
    """Column of the gold answer. Default: answer, answerKey, final_answer, target."""
    solution_column: str | None = None
    """Column of a worked solution. Default: solution, rationale, reasoning, explanation; may be absent."""
    choices_column: str | None = None
    """Column of the options of a multiple choice question. Default: choices, options; may be absent."""
    id_column: str | None = None
    """Column of the row's id. Default: id, unique_id, problem_id; without one a digest of the question."""
    split_column: str | None = None
    """Column that says train, validation or test. Default: split; may be absent."""
    group_column: str | None = None
    """Column of what belongs together and must not be torn apart. Default: group; may be absent."""
    answer_kind: Literal["auto", "number", "text", "choice", "math"] = "auto"
    """What answers are, which decides the verifier. auto: choice with choices, else what all of them fit."""
    keep_calculator_marks: bool = False
    """Keep GSM8K's <<48/2=24>> marks in solutions."""
    validation_size: int | None = None
    """Problems cut off the train split for validation where there is none. Default: 10 %, at most 500."""
    test_size: int | None = None
    """Problems cut off the train split for the test where there is none. Default: 10 %, at most 1,000."""
    task_seed: int = 0
    """Seed of generated problems, or of the splits made here."""
    train_size: int | None = None
    """Learn from so many problems, those of Fine-tune-CoT's study of data sizes. Default: all of train."""
    split_by: Literal["problem", "template"] = "problem"
    """The published random split, or the one whose train and test share no template (multiarith,
    date-understanding)."""
    keep_exemplars: bool = False
    """Keep test problems that stand in the published few-shot prompts, as the published test sets do."""
    proposals: Literal["answer", "bound", "solution"] = "answer"
    """What the lab's judgement tasks have judged: an answer, a bound of it, or a worked solution."""
    equality: Literal["ours", "published"] = "ours"
    """How answers of Fine-tune-CoT's tasks are compared: by our verifiers, or as its released code does."""

    def __post_init__(self) -> None:
        faults = [
            f"{name} is {value}; expected at least 1"
            for name in ("validation_size", "test_size", "train_size")
            if (value := getattr(self, name)) is not None and value < 1
        ]
        if faults:
            raise SettingError.of_all(faults)

    def only(self, task: str, *names: str) -> None:
        """Make sure that nothing is set but ``names``.

        Raises:
            SettingError: Something else is set, which the task would leave unheeded.
        """
        faults = [
            f"{field.name} is {getattr(self, field.name)!s}; task {task} has no use for it"
            for field in fields(self)
            if field.name not in names and getattr(self, field.name) != field.default
        ]
        if faults:
            raise SettingError.of_all(faults, hint=f"task {task} heeds: {', '.join(names)}")


DEFAULTS = TaskOptions()
"""Nothing set."""
