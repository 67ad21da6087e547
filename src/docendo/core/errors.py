"""What can go wrong, in few categories.

DocendoError                a message and, where there is one, a hint
|- UserError                the user can mend it; the command line ends with code 2, without a traceback
|  |- SettingError          a setting, or several, with a value that cannot be
|  |- UnknownNameError      a name that is not registered
|  |- DataError             a file or a row that cannot be read as what it should be
|  |- ModelError            a checkpoint that is missing, incomplete or not to be trusted
|  |- WorkspaceError        a workspace that cannot be used
|  `- GoldAccessError       a recipe asked for what only `evaluate` may see
|- StageError               a stage ran and could not be finished; what is done stays done
|- NothingToLearn           no training row is left; the run ends properly with this as its message
|- BudgetReached            a cap on money or requests was reached between two chunks
`- PlanEnds                 a plan came to a point where only real rows can tell how it goes on
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class DocendoError(Exception):
    """Carry a message that names the value and what was expected, and a hint on a line of its own."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UserError(DocendoError):
    """Something the user can mend."""


class SettingError(UserError):
    """A setting has a value that cannot be."""

    @classmethod
    def of_all(cls, faults: Sequence[str], *, hint: str = "") -> SettingError:
        """Make one error of several faults, so that all of them are told at once."""
        return cls(faults[0] if len(faults) == 1 else "\n".join(faults), hint=hint)


class UnknownNameError(UserError):
    """A name is not registered."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
        """Name the value and the nearest known one, or list what is known."""
        known = sorted(known)
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"
        return cls(f"unknown {kind} {name!r}", hint=hint)


class DataError(UserError):
    """A file or a row cannot be read as what it should be."""


class ModelError(UserError):
    """A checkpoint is missing, incomplete or not to be trusted."""


class WorkspaceError(UserError):
    """A workspace cannot be used."""


class GoldAccessError(UserError):
    """A recipe asked for gold answers, or numbers made with them, that only `evaluate` may see."""


class StageError(DocendoError):
    """A stage ran and could not be finished. What it had finished stays in its journal."""


class NothingToLearn(DocendoError):
    """No training row is left after selection."""


class BudgetReached(DocendoError):
    """A cap on money or requests was reached; a higher cap goes on from here."""


class PlanEnds(DocendoError):
    """A plan needs rows of a stage that has not run."""
