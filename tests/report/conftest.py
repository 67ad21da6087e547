from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from docendo.core.protocols import Completion, Request, Sampling
from docendo.core.records import Problem
from docendo.evidence.experiment import Experiment, experiment
from docendo.recipes.rest_em import RestEmConfig, rest_em
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import Workspace
from tests.fakes import GuessingEngine, House, SumsTask

HOSTILE = (
    "</pre></script><script>alert(1)</script><img src=x onerror=alert(2)> & \"'\x00\x1b[31m\u202e\u2028\ud800"
)
"""What a model may write; it also stands in the questions."""


class HostileTask(SumsTask):
    name = "sums <b>&"

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        for problem in super().problems(split, limit):
            question = f"{problem.question} {HOSTILE.encode('utf-8', 'replace').decode()}"
            yield Problem(f"{problem.id}<i>", question, split)

    def labels(self, split: str, limit: int | None = None) -> Any:
        return {
            f"{key}<i>": type(label)(f"{key}<i>", label.answer, label.solution)
            for key, label in super().labels(split, limit).items()
        }


class HostileEngine(GuessingEngine):
    def _completion(self, request: Request, seed: int, skill: float, sampling: Sampling) -> Completion:
        found = super()._completion(request, seed, skill, sampling)
        text = HOSTILE.encode("utf-8", "replace").decode()  # an engine decodes bytes, so no half surrogates
        return Completion(
            f" {text}{'x' * 9000}{found.text}",
            found.finish,
            found.token_ids,
            prompt_tokens=found.prompt_tokens,
            generated_tokens=found.generated_tokens,
        )


@dataclass(frozen=True, slots=True)
class Ran:
    """A workspace with finished runs."""

    workspace: Workspace
    path: Path


def run_experiments(house: House, names: dict[str, tuple[int, ...]], **more: Any) -> Ran:
    house.settings = RunSettings(
        train_problems=16, validation_problems=6, test_problems=16, evaluation_samples=4
    )
    for name, seeds in names.items():
        experiment(
            Experiment(
                name=name,
                recipe_name="rest-em",
                recipe=rest_em,
                config=RestEmConfig(rounds=2, samples_per_problem=4, cap=2, epochs=2),
                settings=house.settings,
                task=house.task,
                models={"base": house.base},
                workspace=house.workspace,
                engine=lambda name: house.engine,
                trainer=lambda: house.trainer,
                seeds=seeds,
                controls="full",
                command="/opt/somewhere/bin/docendo run rest-em --task /data/mine/sums.jsonl",
                **more,
            )
        )
    return Ran(house.workspace, house.path / "workspace")


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Runs ``one`` (a seed) and ``two`` (seeds 0 and 1)."""
    return run_experiments(House(tmp_path_factory.mktemp("ran")), {"one": (0,), "two": (0, 1)})


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """Run ``hostile``, whose questions, ids and completions attack whoever shows them."""
    house = House(tmp_path_factory.mktemp("hostile"), task=HostileTask(), engine=HostileEngine())
    return run_experiments(house, {"hostile": (0,)})
