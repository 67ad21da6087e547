"""The models that ship with the library: where they lie."""

from __future__ import annotations

from pathlib import Path

NAMES = ("lab/base", "lab/teacher", "lab/student")
"""Names of the shipped models, as a command or a config gives them."""


def path(name: str) -> Path:
    """Return the directory of a shipped model, to be loaded like any other checkpoint.

    Args:
        name: One of :data:`NAMES`.

    Raises:
        ValueError: No such model is shipped.

    Example:
        >>> path("lab/base").name
        'base'
    """
    if name not in NAMES:
        raise ValueError(f"unknown lab model {name!r}\nhint: one of {', '.join(NAMES)}")
    return Path(__file__).parent / name.removeprefix("lab/")
