"""Tasks whose answers are programs: known, so that it can be said why they cannot be opened yet.

A program is judged by running tests on it, and code that a model wrote runs in the sandbox alone. There is
none yet. Comparing such answers as texts would call nearly every right program wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docendo.core.errors import DataError

NAMES = ("apps", "bigcodebench", "code-contests", "humaneval", "leetcode", "livecodebench", "mbpp")
"""What such data sets are called."""
_TEST_COLUMNS = ("tests", "test", "test_list", "test_code", "visible_tests", "public_tests")


def is_code(name: str) -> bool:
    """Whether a task's name, or the last part of a data set's id, is that of a code task.

    Example:
        >>> is_code("openai/openai_humaneval"), is_code("gsm8k")
        (True, False)
    """
    leaf = name.partition(":")[0].rpartition("/")[2].casefold().replace("_", "-")
    return leaf.removeprefix("openai-").removesuffix("plus") in NAMES


def has_tests(row: Mapping[str, Any]) -> bool:
    """Whether a row brings tests that are programs."""
    return any("assert " in str(row[column]) for column in _TEST_COLUMNS if row.get(column) is not None)


def needs_sandbox(what: str) -> DataError:
    """Return the refusal."""
    return DataError(
        f"{what} asks for programs, which are judged by running their tests; that needs the sandbox, which "
        "is still to come",
        hint="until then take a task whose answers are numbers, choices or texts; docendo list tasks",
    )
