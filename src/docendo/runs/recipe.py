"""What a recipe says of itself beside its code: the models it needs, the arms of its own, its rivals."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from docendo.core.records import Model, Sample, Score
from docendo.core.table import Table
from docendo.metrics.choosing import Rule
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Choosing:
    """How a recipe chooses one of several scored samples of each test problem.

    From it the result says what every rule would have chosen among fewer of them and at what cost, how much
    the scores of a problem differ, and what each of several judges alone would have chosen; no new sample is
    drawn for it. What is called here asks for the stages of the method and its arms once more.
    """

    scored: Callable[[Run], Table[Sample]]
    """The samples with their scores, as the method sees them."""
    score: str
    """Name of the score, which lies in ``[0, 1]``."""
    rules: Mapping[str, Rule]
    """By the names of the arms that choose so."""
    own: str
    """The method's rule."""
    vote: str
    """The rule that knows no scores, which the others are held against."""
    further: Callable[[Run], Table[Sample]]
    """Further samples of the same problems, which an arm has drawn: the vote among more, at their cost."""
    needs: Callable[[Run], Mapping[str, Collection[str]]]
    """For each scored sample's id the ids of the completions that its score rests on."""
    judges: Callable[[Score], Mapping[str, float | None]]
    """What each judge alone says, read off a score."""


def _none(config: Any) -> Sequence[Any]:
    return ()


def _never(config: Any) -> None:
    return None


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
    choosing: Callable[[Any], Choosing | None] = _never
    """Where it chooses among scored samples: how, under a config."""
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
