"""Checks of settings: every fault is told at once, each with the value, what was expected, and why."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

from docendo.core.errors import SettingError


class Checks:
    """Collects the faults of a dataclass of settings.

    Example:
        >>> from types import SimpleNamespace
        >>> try:
        ...     Checks(SimpleNamespace(rounds=0, share=2)).at_least(1, "rounds").share("share").done()
        ... except SettingError as error:
        ...     print(error.message)
        rounds is 0; expected at least 1
        share is 2; expected 0 to 1
    """

    def __init__(self, settings: Any) -> None:
        self._settings = settings
        self._faults: list[str] = []

    def at_least(self, least: float, *names: str) -> Self:
        """Expect numbers from ``least`` on."""
        expected = f"at least {least}" if least else "0 or more"
        return self._each(names, lambda value: least <= value < math.inf, expected)

    def above(self, bound: float, *names: str) -> Self:
        """Expect numbers above ``bound``."""
        return self._each(names, lambda value: bound < value < math.inf, f"a number above {bound}")

    def share(self, *names: str) -> Self:
        """Expect numbers from 0 to 1."""
        return self._each(names, lambda value: 0 <= value <= 1, "0 to 1")

    def that(self, holds: bool, fault: str) -> Self:
        """Expect what only the caller can say; ``fault`` names value, expectation and the likely fix."""
        if not holds:
            self._faults.append(fault)
        return self

    def done(self) -> None:
        """Tell all faults.

        Raises:
            SettingError: There is one.
        """
        if self._faults:
            raise SettingError.of_all(self._faults)

    def _each(self, names: tuple[str, ...], holds: Callable[[float], bool], expected: str) -> Self:
        for name in names:
            value = getattr(self._settings, name)
            self.that(holds(value), f"{name} is {value}; expected {expected}")
        return self
