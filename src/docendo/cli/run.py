"""``docendo run RECIPE``: run a recipe with its controls, or go on with a run."""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, get_type_hints

from cyclopts import App

from docendo.cli.config import config_flags
from docendo.cli.settings import Settings, command_of
from docendo.cli.workspaces import path_of
from docendo.core.errors import SettingError
from docendo.core.protocols import Engine, Trainer
from docendo.core.records import Context
from docendo.evidence.experiment import Experiment, experiment, plan
from docendo.report.plan import render_plan
from docendo.report.progress import watcher_for
from docendo.report.terminal import report_text
from docendo.runs.models import open_model
from docendo.runs.registry import load, registered
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import Workspace
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What is run, on what, and where it is kept."""

    model: str = "lab/base"
    """The model to start from: lab/base, lab/teacher, lab/student, a directory, or a Hugging Face id."""
    task: str = "story-problems"
    """A task's name, a file (.jsonl, .json, .csv, .parquet), or a Hugging Face data set id."""
    format: str = "default"
    """How problems are put to the model: one of the task's formats."""
    name: str | None = None
    """Name of the run; the same name goes on with it. Default: made of recipe, task and model."""
    workspace: Path | None = None
    """Directory of runs, stages and checkpoints. Default: DOCENDO_WORKSPACE, or ./docendo-runs."""
    seeds: int = 1
    """Run so many seeds, counting from --seed, and compare the arms over all of them."""
    controls: Literal["none", "basic", "full"] = "basic"
    """none: only the base. basic: its majority vote and unverified training too. full: and gold solutions."""
    dry_run: bool = False
    """Print the plan and start nothing."""
    config: Path | None = None
    """YAML file of settings, named as the flags. Flags win over the file, the file over defaults."""
    workers: int = 0
    """Sampling processes; 0: as many as the machine has cores for. Changes no result."""
    threads: int = 0
    """Training threads; 0: the machine's cores."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run."""


app = App(name="run", help="Run a recipe, or go on with a run.", help_format="plaintext")


def _config_class(recipe: Any) -> type:
    """Return the class of a recipe's config: the type of its second parameter."""
    names = list(inspect.signature(recipe).parameters)
    return get_type_hints(recipe)[names[1]]


FLAGS: dict[str, list[str]] = {}
"""The flags of each recipe, without dashes in front."""


def with_config(tokens: Sequence[str]) -> list[str]:
    """Return the tokens of ``docendo run`` with those of its config file put before the user's own flags."""
    recipe = tokens[1] if len(tokens) > 1 else ""
    if recipe not in FLAGS:
        return list(tokens)
    return [*tokens[:2], *config_flags(tokens[2:], FLAGS[recipe]), *tokens[2:]]


def _add(name: str) -> None:
    recipe = load("recipes", name)
    doc = (inspect.getdoc(inspect.getmodule(recipe)) or "").split("\n\n")[0]
    groups = [
        Settings(RunOptions, "Run"),
        Settings(_config_class(recipe), f"Settings of {name}"),
        Settings(RunSettings, "Sizes and evaluation"),
        Settings(TaskOptions, "Task"),
    ]
    command = command_of(groups, partial(_run, name, recipe), name=name, doc=doc)
    app.command(command, name=name, help_format="plaintext")
    FLAGS[name] = [flag.replace("_", "-") for flag in inspect.signature(command).parameters]


def _run(recipe_name: str, recipe: Any, given: list[Any]) -> int:
    options, config, settings, task_options = given
    if options.seeds < 1:
        raise SettingError(f"seeds is {options.seeds}; expected at least 1")
    name = options.name or default_name(recipe_name, options)
    if not re.fullmatch(r"[\w][\w.-]*", name):
        raise SettingError(
            f"name is {name!r}; expected letters, digits, '.', '_' and '-', not beginning with a sign"
        )
    task = open_task(options.task, task_options)
    if options.format not in task.formats:
        raise SettingError(
            f"format is {options.format!r}; task {task.name} has {', '.join(sorted(task.formats))}"
        )
    with watcher_for(sys.stderr) as watcher:
        workspace = Workspace(path_of(options.workspace), watcher=watcher)
        base = replace(open_model(options.model), context=Context(format=options.format))
        engines = Engines(options)
        asked = Experiment(
            name=name,
            recipe_name=recipe_name,
            recipe=recipe,
            config=config,
            settings=settings,
            task=task,
            models={"base": base},
            workspace=workspace,
            engine=engines.engine,
            trainer=engines.trainer,
            seeds=[settings.seed + number for number in range(options.seeds)],
            controls=options.controls,
            described={"options": _plain(options), "task_options": _plain(task_options)},
        )
        if options.dry_run:
            print(render_plan(plan(asked)))
            return 0
        before = _result(workspace, name)
        try:
            experiment(asked)
        finally:
            engines.close()
    if _result(workspace, name) != before or not (workspace.runs / name / "report.html").exists():
        from docendo.report.html import write_report

        write_report(workspace, name)
    width = min(120, shutil.get_terminal_size((100, 40)).columns)
    print(report_text(workspace, name, width=width, colour=sys.stdout.isatty()))
    return 0


def _result(workspace: Workspace, name: str) -> bytes:
    path = workspace.runs / name / "result.json"
    return path.read_bytes() if path.exists() else b""


def default_name(recipe_name: str, options: RunOptions) -> str:
    """Return the run's name where none was given."""
    parts = [recipe_name, Path(options.task).name.split(".")[0]]
    if options.model != "lab/base":
        parts.append(options.model.strip("/").split("/")[-1])
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-.")


class Engines:
    """The engines and the trainer of a run, made when they are first needed."""

    def __init__(self, options: RunOptions) -> None:
        self._options = options
        self._made: dict[str, Engine] = {}

    def engine(self, name: str) -> Engine:
        """Return the engine of that name."""
        if name not in self._made:
            kind = load("engines", name)
            self._made[name] = kind(workers=self._options.workers, device=self._options.device)
        return self._made[name]

    @cache  # noqa: B019 -- one object a run
    def trainer(self) -> Trainer:
        """Return the trainer."""
        kind = load("trainers", "accelerate")
        return kind(threads=self._options.threads, device=self._options.device)

    def close(self) -> None:
        """Free what the engines hold."""
        for engine in self._made.values():
            engine.close()


def _plain(options: Any) -> dict[str, Any]:
    return {
        key: str(value) if isinstance(value, Path) else value
        for key, value in asdict(options).items()
        if value is not None
    }


for _name in registered("recipes"):
    _add(_name)
