"""``docendo run RECIPE``: run a recipe with its controls, or go on with a run."""

from __future__ import annotations

import inspect
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, get_type_hints

from cyclopts import App

from docendo.cli.config import config_flags
from docendo.cli.roles import ROLES, Pairs, ServedBase, Students, Weak, leaf, may_be_served, opened
from docendo.cli.settings import Settings, command_of
from docendo.cli.workspaces import path_of
from docendo.core.errors import SettingError
from docendo.core.protocols import Engine, Sampling, Trainer
from docendo.core.records import Model
from docendo.engines.openai_protocol.options import ENGINE as SERVED
from docendo.engines.openai_protocol.options import ServerOptions
from docendo.engines.recorded import RecordedColumns
from docendo.evidence.experiment import Experiment, experiment, plan
from docendo.report.plan import render_plan
from docendo.report.progress import watcher_for
from docendo.report.terminal import reports_text
from docendo.runs.recipe import spec_of
from docendo.runs.registry import load, registered
from docendo.runs.settings import RunSettings
from docendo.runs.workspace import Workspace
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """What is run, on what, and where it is kept."""

    model: str = "lab/base"
    """The model to start from: lab/base, lab/teacher, lab/student, a directory, a Hugging Face id; where it
    is not trained also openai:NAME or recorded:FILE."""
    task: str | None = None
    """A task's name, a file (.jsonl, .json, .csv, .parquet), or a Hugging Face data set id. Default: the lab
    task on which the recipe is shown, mostly story-problems."""
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


def _trains(config: type) -> bool:
    """Return whether a recipe trains the model that it starts from: its config says how."""
    return any(field.name == "optimizer" for field in fields(config))


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
    config = _config_class(recipe)
    roles = spec_of(recipe).roles
    is_served = any(may_be_served(role) for role in roles) or not _trains(config)
    groups = [
        Settings(RunOptions, "Run"),
        Settings(config, f"Settings of {name}"),
        Settings(RunSettings, "Sizes and evaluation"),
        Settings(TaskOptions, "Task"),
        *(Settings(ROLES[role], role.capitalize()) for role in roles),
        *([Settings(Students, "Teacher")] if "teacher" in roles else []),
        *([Settings(Pairs, "Weak")] if "weak" in roles else []),
    ]
    if not _trains(config):
        groups.append(Settings(ServedBase, "Served models"))
    if is_served:
        groups += [
            Settings(ServerOptions, "Served models"),
            Settings(RecordedColumns, "Recorded completions"),
        ]
    command = command_of(groups, partial(_run, name, recipe), name=name, doc=doc)
    app.command(command, name=name, help_format="plaintext")
    FLAGS[name] = [flag.replace("_", "-") for flag in inspect.signature(command).parameters]


def _run(recipe_name: str, recipe: Any, given: list[Any]) -> int:
    parts: dict[type, Any] = {type(part): part for part in given}
    task_name = parts[RunOptions].task or spec_of(recipe).task
    parts[RunOptions] = replace(parts[RunOptions], task=task_name)
    options, task_options = parts[RunOptions], parts[TaskOptions]
    if options.seeds < 1:
        raise SettingError(f"seeds is {options.seeds}; expected at least 1")
    runs = _runs(recipe_name, parts)
    task = open_task(task_name, task_options)
    if options.format not in task.formats:
        raise SettingError(
            f"format is {options.format!r}; task {task.name} has {', '.join(sorted(task.formats))}"
        )
    with watcher_for(sys.stderr) as watcher:
        workspace = Workspace(path_of(options.workspace), watcher=watcher)
        trains = _trains(_config_class(recipe))
        models = {
            name: opened(recipe_name, parts, named, format=options.format, trains=trains)
            for name, named in runs.items()
        }
        server = _server(parts, models)
        recorded = parts.get(RecordedColumns, RecordedColumns())
        # One set of engines for all: a cap on requests or money is one for the whole command.
        engines = Engines(options, {"server": server, "recorded": recorded}, workspace, next(iter(runs)))
        for found in models.values():
            engines.check(found)
        try:
            for name, found in models.items():
                asked = Experiment(
                    name=name,
                    recipe_name=recipe_name,
                    recipe=recipe,
                    config=parts[_config_class(recipe)],
                    settings=parts[RunSettings],
                    task=task,
                    models=found,
                    workspace=workspace,
                    engine=engines.engine,
                    trainer=engines.trainer,
                    seeds=[parts[RunSettings].seed + number for number in range(options.seeds)],
                    controls=options.controls,
                    described={
                        "options": _plain(options),
                        "task_options": _plain(task_options),
                        "roles": {role: _plain(parts[kind]) for role, kind in ROLES.items() if kind in parts},
                        "server": _plain(server),
                    },
                )
                if len(models) > 1:
                    watcher.says(name)
                if options.dry_run:
                    print(render_plan(plan(asked)))
                else:
                    _executed(asked)
        finally:
            engines.close()
    if not options.dry_run:
        width = min(120, shutil.get_terminal_size((100, 40)).columns)
        print(reports_text(workspace, list(runs), width=width, colour=sys.stdout.isatty()))
        if parts.get(Pairs, Pairs()).models:
            from docendo.report.html.pairs import write_pairs

            print(write_pairs(workspace, _whole_name(recipe_name, parts), list(runs)))
    return 0


def _executed(asked: Experiment) -> None:
    before = _result(asked.workspace, asked.name)
    if not (asked.workspace.runs / asked.name).exists():
        plan(asked)  # what a recipe refuses, it refuses before work starts
    experiment(asked)
    page = asked.workspace.runs / asked.name / "report.html"
    if _result(asked.workspace, asked.name) != before or not page.exists():
        from docendo.report.html import write_report

        write_report(asked.workspace, asked.name)


def _whole_name(recipe_name: str, parts: dict[type, Any]) -> str:
    """Return the name of the run, or what the names of several begin with."""
    options = parts[RunOptions]
    said = [parts[kind] for kind in ROLES.values() if kind in parts]
    return options.name or default_name(recipe_name, options, said)


def _runs(recipe_name: str, parts: dict[type, Any]) -> dict[str, dict[str, str]]:
    """Return the runs of the command: name -> role -> the model that it names in place of the flag's."""
    options = parts[RunOptions]
    students: tuple[str, ...] = parts.get(Students, Students()).students
    if students and options.model != RunOptions().model:
        raise SettingError(
            f"both --model {options.model} and --students were given", hint="name all in --students"
        )
    whole = _whole_name(recipe_name, parts)
    if not re.fullmatch(r"[\w][\w.-]*", whole):
        raise SettingError(
            f"name is {whole!r}; expected letters, digits, '.', '_' and '-', not beginning with a sign"
        )
    if (pairs := parts.get(Pairs, Pairs())).models:
        if options.model != RunOptions().model or parts[Weak] != Weak():
            raise SettingError(
                "--models was given beside --model, --weak or --between", hint="name all models in --models"
            )
        return pairs.runs(whole)
    if not students:
        return {whole: {"base": options.model}}
    runs = {f"{whole}-{leaf(student)}": {"base": student} for student in students}
    if len(runs) < len(students):
        raise SettingError(
            f"students is {','.join(students)}; expected models with different last names",
            hint="each student's run is named by it; run equal names in commands of their own, with --name",
        )
    return runs


def _server(parts: dict[type, Any], models: dict[str, dict[str, Model]]) -> ServerOptions:
    """Return the settings of served models, which only a run with such a model may have."""
    server: ServerOptions = parts.get(ServerOptions, ServerOptions())
    every = [model for found in models.values() for model in found.values()]
    if server != ServerOptions() and all(model.checkpoint.engine != SERVED for model in every):
        told = "; ".join(_told(found) for found in models.values())
        raise SettingError(
            "settings of served models were given, but no model of the run is served",
            hint=f"served models are named openai:NAME; here: {told}",
        )
    return server


def _result(workspace: Workspace, name: str) -> bytes:
    path = workspace.runs / name / "result.json"
    return path.read_bytes() if path.exists() else b""


def default_name(recipe_name: str, options: RunOptions, roles: Sequence[Any] = ()) -> str:
    """Return the run's name where none was given: of recipe, task, and models that are not the default."""
    parts = [recipe_name, Path(options.task or "").name.split(".")[0]]
    if options.model != "lab/base":
        parts.append(leaf(options.model))
    for said in roles:
        named = fields(said)[0]
        models: str | tuple[str, ...] = getattr(said, named.name)
        if models != named.default:
            parts += map(leaf, (models,) if isinstance(models, str) else models)
    return re.sub(r"[^\w.-]+", "-", "-".join(parts)).strip("-.")


def _told(models: dict[str, Model]) -> str:
    return ", ".join(f"{role} {model.checkpoint.name}" for role, model in models.items())


class Engines:
    """The engines and the trainer of a run, made when they are first needed.

    An engine's entry point is called with those of the following that its parameters name: ``workers``,
    ``device``, ``workspace`` (the folder), ``run`` (the run's name), ``says`` (tells the user something), and
    the settings of its own, ``server`` and ``recorded``.
    """

    def __init__(self, options: RunOptions, settings: dict[str, Any], workspace: Workspace, run: str) -> None:
        self._options = options
        self._given = {
            "workers": options.workers,
            "device": options.device,
            "workspace": workspace.path,
            "run": run,
            "says": workspace.watcher.says,
            **settings,
        }
        self._made: dict[str, Engine] = {}

    def engine(self, name: str) -> Engine:
        """Return the engine of that name."""
        if name not in self._made:
            kind = load("engines", name)
            wanted = inspect.signature(kind).parameters
            self._made[name] = kind(**{key: value for key, value in self._given.items() if key in wanted})
        return self._made[name]

    def check(self, models: dict[str, Model]) -> None:
        """Let each model's engine say what is wrong with it, by planning no work at all."""
        for role, model in models.items():
            checkpoint = model.checkpoint
            asked = "embed" if role == "embedder" else Sampling()
            list(self.engine(checkpoint.engine).chunks(checkpoint, (), asked))

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
