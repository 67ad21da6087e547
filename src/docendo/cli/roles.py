"""Who takes part in a run beside the model that it starts from: the flags of each role, and their models."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any

from docendo.core.errors import SettingError
from docendo.core.records import Context, Model
from docendo.runs.models import open_model


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedBase:
    """Where the model to start from is served; for recipes that train none."""

    base_url: str | None = None
    """Address of the server of a --model openai:NAME. Default: OPENAI_BASE_URL, or OpenAI's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """The model in the role of the teacher."""

    teacher: str = "lab/teacher"
    """Who teaches: a model as for --model, openai:NAME of a server, or recorded:FILE with its completions."""
    teacher_base_url: str | None = None
    """Address of the server of a --teacher openai:NAME. Default: OPENAI_BASE_URL, or OpenAI's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """The model in the role of the author of solutions."""

    author: str = "lab/teacher"
    """Who writes solutions: a model as for --model, openai:NAME of a server, or recorded:FILE."""
    author_base_url: str | None = None
    """Address of the server of an --author openai:NAME. Default: OPENAI_BASE_URL, or OpenAI's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Students:
    """Several students in one command."""

    students: tuple[str, ...] = ()
    """Teach each of these models in turn, instead of --model alone. Each is a run of its own, NAME-MODEL;
    what is asked of the teacher is asked once. The students are shown side by side at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """The model in the role of the reward."""

    reward: str = ""
    """Who scores, with --reward-by model: a sequence classifier with one label, as a directory or a Hugging
    Face id. With --reward-by trained: the causal or reward model that is trained to; default: the supervised
    model."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """The models in the role of students whose exams score what the model teaches."""

    student: tuple[str, ...] = ()
    """Who sits the exams: models as for --model, openai:NAME, or recorded:FILE. Default: --model itself."""
    student_base_url: tuple[str, ...] = ()
    """Address of the server of students openai:NAME: one for all, or one for each in their order. Default:
    OPENAI_BASE_URL, or OpenAI's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Embedder:
    """The model in the role of the embedder, whose vectors tell which questions are near one another."""

    embedder: str = ""
    """Who embeds questions, for --exam-choice embedding: an encoder or a language model, as a directory, a
    Hugging Face id or lab/NAME; or openai:NAME of a server with /embeddings. Paper: all-mpnet-base-v2."""
    embedder_base_url: str | None = None
    """Address of the server of an --embedder openai:NAME. Default: OPENAI_BASE_URL, or OpenAI's own."""
    embedder_prefix: str = ""
    """What is put before each question, where the model was trained so: 'query: ' for E5."""


ROLES: dict[str, type] = {
    "author": Author,
    "teacher": Teacher,
    "student": Student,
    "embedder": Embedder,
    "reward": Reward,
    "weak": Weak,
}
"""Flags of the roles, beside the base, that a recipe's Spec may name. The first field of each names the
model, or several, which become ``student-1``, ``student-2``, ...; empty: none. Where there is a field
``ROLE_base_url`` it may be a served one."""


def opened(
    recipe_name: str, parts: dict[type, Any], named: dict[str, str], *, format: str, trains: bool
) -> dict[str, Model]:
    """Open the models of all roles; what cannot be trained is refused before anything is asked or paid.

    Args:
        recipe_name: For messages.
        parts: What was said, by class of settings.
        named: The base's name, and the names of roles that are not what their flag says.
        format: In which all are asked.
        trains: Whether the recipe trains its base.
    """
    served_base: ServedBase = parts.get(ServedBase, ServedBase())
    models = {"base": open_model(named["base"], base_url=served_base.base_url)}
    for role, kind in ROLES.items():
        if kind in parts:
            models |= _of_role(role, parts[kind], named.get(role))
    between: tuple[str, ...] = parts.get(Weak, Weak()).between
    models |= {f"between-{place}": open_model(name) for place, name in enumerate(between, start=1)}
    for role, model in models.items():
        is_trained = trains if role == "base" else not may_be_served(role)
        if is_trained and model.checkpoint.engine != "transformers":
            raise SettingError(
                f"{'model' if role == 'base' else role} is {model.checkpoint.name!r}, but {recipe_name} "
                "trains it, which needs its weights",
                hint="name a directory or a Hugging Face id; served and recorded models can teach",
            )
    before = {"embedder": parts.get(Embedder, Embedder()).embedder_prefix}
    return {
        role: replace(model, context=Context(before.get(role, ""), format=format))
        for role, model in models.items()
    }


def may_be_served(role: str) -> bool:
    """Return whether the model of a role (or of one of several, ``student-1``) is asked and never trained."""
    kind = role.rstrip("0123456789").rstrip("-")
    return kind in ROLES and any(field.name == f"{kind}_base_url" for field in fields(ROLES[kind]))


def _of_role(role: str, said: Any, instead: str | None) -> dict[str, Model]:
    """Open the model of a role, or the several; ``instead`` names another one than the flag."""
    named: str | tuple[str, ...] = instead or getattr(said, role)
    urls: str | tuple[str, ...] | None = getattr(said, f"{role}_base_url", None)
    if isinstance(named, str):
        url = urls if isinstance(urls, str) else None
        return {role: open_model(named, base_url=url, embeds=role == "embedder")} if named else {}
    each = urls if isinstance(urls, tuple) else ()
    if len(each) not in (0, 1, len(named)):
        raise SettingError(
            f"{role}_base_url has {len(each)} addresses for {len(named)} models; expected one, or one each"
        )
    places: tuple[str | None, ...] = each if len(each) == len(named) else (each or (None,)) * len(named)
    return {
        f"{role}-{number}": open_model(name, base_url=url)
        for number, (name, url) in enumerate(zip(named, places, strict=True), start=1)
    }


def leaf(model: str) -> str:
    """Return the last part of a model's name, as runs are named by it."""
    return re.sub(r"[^\w.-]+", "-", model.strip("/").split("/")[-1])
