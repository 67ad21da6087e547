"""What is registered: recipes, tasks, engines and trainers, built-in and other people's, by entry points."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from docendo.core.errors import UnknownNameError


def registered(kind: str) -> dict[str, EntryPoint]:
    """Return the entry points of ``docendo.<kind>`` by name, loading none of them."""
    return {point.name: point for point in sorted(entry_points(group=f"docendo.{kind}"))}


def load(kind: str, name: str) -> Any:
    """Return the registered object.

    Raises:
        UnknownNameError: Nothing has that name; the nearest one is named.
    """
    points = registered(kind)
    if name not in points:
        raise UnknownNameError.of(kind.removesuffix("s"), name, points)
    return points[name].load()
