"""The models that recipes need beside the base: their flags, and several runs in one command."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from docendo.core.errors import SettingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """The model in the role of the teacher."""

    teacher: str = "lab/teacher"
    """Who teaches: a model as for --model, openai:NAME of a server, or recorded:FILE with its completions."""
    teacher_base_url: str | None = None
    """Address of the server of a --teacher openai:NAME. Default: OPENAI_BASE_URL, or OpenAI's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Students:
    """Several students in one command."""

    students: tuple[str, ...] = ()
    """Teach each of these models in turn, instead of --model alone. Each is a run of its own, NAME-MODEL;
    what is asked of the teacher is asked once. The students are shown side by side at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weak:
    """The model in the role of the weak supervisor, and those between it and the strong one."""

    weak: str = "lab/student"
    """Who is taught with gold answers and then supervises: a model as for --model, which is trained."""
    between: tuple[str, ...] = ()
    """Models of sizes in between, the smaller first: each learns the labels of the one before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Several pairs of models in one command."""

    models: tuple[str, ...] = ()
    """Models from the weakest to the strongest: every earlier one supervises every later one, instead of
    --weak and --model. Each pair is a run of its own, NAME-WEAK-STRONG; what pairs share is done once."""
    self_pairs: bool = False
    """Let every one of --models supervise itself, too."""

    def runs(self, whole: str) -> dict[str, dict[str, str]]:
        """Return a run for every earlier model with every later one: name -> role -> model."""
        least = 1 if self.self_pairs else 2
        if len({leaf(model) for model in self.models}) < len(self.models) or len(self.models) < least:
            raise SettingError(
                f"models is {','.join(self.models)}; expected at least {least}, with different last names",
                hint="each pair's run is named by them",
            )
        return {
            f"{whole}-{leaf(first)}-{leaf(second)}": {"base": second, "weak": first}
            for place, first in enumerate(self.models)
            for second in self.models[place + (not self.self_pairs) :]
        }


ROLES: dict[str, type] = {"teacher": Teacher, "weak": Weak}
"""Flags of the roles, beside the base, that a recipe's Spec may name. The first field names the model; where
there is a field ``ROLE_base_url`` it may be a served one."""


def may_be_served(role: str) -> bool:
    """Return whether the model of a role is only asked, and not trained."""
    return role in ROLES and any(field.name == f"{role}_base_url" for field in fields(ROLES[role]))


def leaf(model: str) -> str:
    """Return the last part of a model's name, as runs are named by it."""
    return re.sub(r"[^\w.-]+", "-", model.strip("/").split("/")[-1])
