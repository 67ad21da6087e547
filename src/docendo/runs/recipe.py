"""What a recipe says of itself beside its code: the models it needs, the arms of its own, its rivals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from docendo.core.records import Model, Sample
from docendo.core.table import Table
from docendo.runs.run import Run

Recipe = Callable[[Run, Any], Model | Table[Sample]]
"""Takes a Run and its config; returns the improved Model, or one answer for each test problem."""
Function = TypeVar("Function", bound=Recipe)

CONTROLS = ("base", "majority", "unverified")
"""The arms that stand beside every recipe."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A baseline that belongs to a recipe: itself a recipe, on the same problems with the same config."""

    name: str
    recipe: Recipe
    is_rival: bool = True
    """Whether the method must beat it to be called improved."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Two of a recipe's arms that the method and the other arms of its own stand between.

    The result says how much of the way from the one to the other each of them goes; see
    `docendo.metrics.pgr`.
    """

    supervisor: str
    ceiling: str


def _none(config: Any) -> Sequence[Any]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a recipe says of itself."""

    task: str = "story-problems"
    """The lab task on which it is shown, where the user names none."""
    roles: tuple[str, ...] = ()
    """Models that it uses beside the base, as ``teacher``; each is a flag."""
    needs: Callable[[Any], Sequence[str]] = _none
    """Of the roles whose flag may stay empty those that a config cannot do without."""
    arms: Callable[[Any], Sequence[Arm]] = _none
    """Its own arms under a config."""
    rivals: tuple[str, ...] = CONTROLS
    """Which of the arms beside every recipe it must beat."""
    has_unverified: bool = True
    """Whether it keeps rows by information of its own, so that the same on random rows is a control."""
    gap: Gap | None = None
    """Where what counts is how much of a gap is recovered."""
    is_label_free: bool = False
    """Whether no gold answer of any split can change what it produces; a test permutes them all."""


PLAIN = Spec()
"""Of a recipe that says nothing."""
_SPECS: dict[Recipe, Spec] = {}


def recipe(spec: Spec) -> Callable[[Function], Function]:
    """Declare a recipe's Spec, as a decorator. A recipe without one is as `PLAIN` says."""

    def declare(function: Function) -> Function:
        _SPECS[function] = spec
        return function

    return declare


def spec_of(function: Recipe) -> Spec:
    """Return what a recipe says of itself."""
    return _SPECS.get(function, PLAIN)
