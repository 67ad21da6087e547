"""An experiment on test doubles, and what two workspaces must have in common after the same one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from docendo.evidence.experiment import Experiment
from docendo.recipes.rest_em import RestEmConfig, rest_em
from tests.fakes import House, tree_digest


def asked(house: House, **more: Any) -> Experiment:
    """Return a small rest-em experiment in a house."""
    settings: dict[str, Any] = {
        "name": "trial",
        "recipe_name": "rest-em",
        "recipe": rest_em,
        "config": RestEmConfig(rounds=2, samples_per_problem=4),
        "settings": house.settings,
        "task": house.task,
        "models": {"base": house.base},
        "workspace": house.workspace,
        "engine": lambda name: house.engine,
        "trainer": lambda: house.trainer,
        "controls": "none",
        "command": "docendo run rest-em",
    }
    return Experiment(**{**settings, **more})


def without_seconds(value: Any) -> Any:
    """Return a result without the only thing in it that a clock says."""
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


def lasting(workspace: Path) -> dict[str, Any]:
    """Return what an interruption may not change: rows, checkpoints, lists of stages, results."""
    found: dict[str, Any] = tree_digest(
        workspace, but=lambda path: path.suffix == ".json" or _is_passing(path)
    )
    for path in sorted(workspace.glob("runs/*/result.json")):
        found[str(path.relative_to(workspace))] = without_seconds(orjson.loads(path.read_bytes()))
    for path in sorted(workspace.glob("stages/*/stage.json")):
        record = orjson.loads(path.read_bytes())
        record["cost"].pop("seconds")
        record.pop("first_made")
        record.pop("check", None)
        found[str(path.relative_to(workspace))] = record
    for path in sorted(workspace.glob("checkpoints/**/*.json")):
        found[str(path.relative_to(workspace))] = path.read_bytes()
    return found


def _is_passing(path: Path) -> bool:
    return path.name == "lock" or path.name.startswith(".")
