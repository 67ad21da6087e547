"""Parts in fingerprints: a part is known by its class, its version and its fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

IGNORED = {"fingerprint": False}
"""Metadata of a field that changes no result and so is no part of a fingerprint."""


def identity_of(part: Any) -> Any:
    """Return the JSON value that stands for a part, a setting, or a mapping or sequence of them.

    Raises:
        TypeError: The value is a function or an object that is no frozen dataclass: it has no identity.
    """
    if is_dataclass(part) and not isinstance(part, type):
        kind = type(part)
        own = {
            field.name: identity_of(getattr(part, field.name))
            for field in fields(part)
            if field.metadata.get("fingerprint", True)
        }
        version: int | None = getattr(kind, "version", None)
        return {"part": f"{kind.__module__}.{kind.__qualname__}", "version": version, **own}
    if isinstance(part, Enum):
        return part.value
    if isinstance(part, Mapping):
        return {str(key): identity_of(value) for key, value in part.items()}  # pyright: ignore
    if isinstance(part, (list, tuple)):
        return [identity_of(value) for value in part]  # pyright: ignore
    if isinstance(part, (set, frozenset)):
        return sorted(identity_of(value) for value in part)  # pyright: ignore
    if part is None or isinstance(part, (str, int, float, bool)):
        return part
    raise TypeError(
        f"{part!r} cannot take part in a fingerprint; expected a frozen dataclass, a string or a number"
    )
