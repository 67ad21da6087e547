"""A classroom: problems whose rule only a lesson tells, and a scripted model that copies the last one.

``What is 12 v3 4?`` means adding or taking away; which, is drawn for each verb, and gold answers alone know.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docendo.core.protocols import Format, Trainer
from docendo.core.records import Label, Message, Model, Problem
from docendo.core.seeds import derived_rng
from docendo.engines.scripted import Answer, ScriptedEngine
from docendo.evidence.experiment import Experiment
from docendo.runs.run import Run
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import Workspace
from docendo.tasks.formats import formats_for
from docendo.verifiers.numeric import Numeric

OF = ("train", "validation", "test")
SIZE = 6
"""Problems of each split."""
VARIANTS = 3


@dataclass
class LessonsTask:
    """Six verbs a split, one problem each; three more of each verb are exams."""

    permuted: Iterable[str] = ()
    """Splits whose gold answers are exchanged."""
    name: str = "lessons"
    splits: tuple[str, ...] = (*OF, "exams")
    formats: Mapping[str, Format] = field(default_factory=lambda: formats_for("number", strict=True))
    verifier: Numeric = field(default_factory=Numeric)
    identity: Mapping[str, Any] = field(default_factory=lambda: {"family": "lessons"})

    def _rows(self, split: str) -> Iterator[tuple[str, str, int, int]]:
        for of in OF if split == "exams" else (split,):
            for number in range(SIZE):
                verb = f"v{OF.index(of) * SIZE + number}"
                for place in range(VARIANTS) if split == "exams" else (VARIANTS,):
                    yield f"{split}-{verb}-{place}", verb, 20 + 5 * place + number, 2 + place

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        rows = list(self._rows(split))[:limit]
        return (Problem(key, f"What is {a} {verb} {b}?", split, group=verb) for key, verb, a, b in rows)

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        rows = list(self._rows(split))[:limit]
        worked = [self._worked(verb, a, b) for _, verb, a, b in rows]
        if split in set(self.permuted):
            random.Random(7).shuffle(worked)
        return {key: Label(key, *own) for (key, *_), own in zip(rows, worked, strict=True)}

    def _worked(self, verb: str, a: int, b: int) -> tuple[str, str]:
        sign = derived_rng("meaning", verb).choice("+-")
        result = a + b if sign == "+" else a - b
        return str(result), f"{a} {sign} {b} = {result}."


def pupil(messages: tuple[Message, ...], seed: int) -> str:
    """Copy the operation of the last lesson; without one, guess."""
    told = [message.content for message in messages if message.role == "assistant"][:-1]
    asked = next(message.content for message in reversed(messages) if message.role == "user")
    a, b = (int(number) for number in re.findall(r"(?<!v)\b\d+\b", asked))
    signs = re.findall(r" ([+-]) ", told[-1]) if told else []
    sign = signs[0] if signs else random.Random(seed).choice("+-")
    result = a + b if sign == "+" else a - b
    return f" {a} {sign} {b} = {result}. The answer is {result}."


def direction(text: str) -> tuple[float, float, float]:
    """Embed a question: equal verbs point the same way, but for the first number in the question."""
    a, verb = re.findall(r"What is (\d+) v(\d+)", text)[0]
    return math.cos(int(verb)), math.sin(int(verb)), int(a) / 100


@dataclass
class Classroom:
    """A workspace with a task of lessons and scripted models."""

    path: Path
    answer: Answer = pupil
    task: LessonsTask = field(default_factory=LessonsTask)
    settings: RunSettings = field(
        default_factory=lambda: RunSettings(evaluation_samples=0, test_problems=SIZE, train_problems=SIZE)
    )
    engine: ScriptedEngine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = ScriptedEngine(self.answer, vector=direction)

    def model(self, name: str = "scripted/base") -> Model:
        return Model(self.engine.checkpoint(name))

    @property
    def workspace(self) -> Workspace:
        return Workspace(self.path / "workspace")

    def run(self, name: str = "run", students: Iterable[str] = (), **more: Any) -> Run:
        workspace = self.workspace
        (workspace.runs / name).mkdir(parents=True, exist_ok=True)
        return Run(
            name=name,
            workspace=workspace,
            task=self.task,
            models=self._models(students),
            engine=self._engine,
            trainer=self._trainer,
            settings=self.settings,
            **more,
        )

    def experiment(self, recipe: Any, config: Any, students: Iterable[str] = (), **more: Any) -> Experiment:
        settings: dict[str, Any] = {
            "name": "trial",
            "recipe_name": "lbt",
            "recipe": recipe,
            "config": config,
            "settings": self.settings,
            "task": self.task,
            "models": self._models(students),
            "workspace": self.workspace,
            "engine": self._engine,
            "trainer": self._trainer,
            "controls": "basic",
            "command": "docendo run lbt-m1",
        }
        return Experiment(**{**settings, **more})

    def _models(self, students: Iterable[str]) -> dict[str, Model]:
        named = {f"student-{number}": self.model(name) for number, name in enumerate(students, start=1)}
        return {"base": self.model(), "embedder": self.model("scripted/embedder"), **named}

    def _engine(self, name: str) -> Any:
        return self.engine

    def _trainer(self) -> Trainer:
        raise AssertionError("nothing is trained here")
