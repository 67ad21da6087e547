"""A run that is killed with SIGKILL at twenty random moments ends as one that nobody touched."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from docendo.runs.cleaning import delete, garbage
from docendo.runs.workspace import Workspace
from tests.runs.experiments import lasting

ROOT = Path(__file__).parents[2]


def killed(folder: Path, *, seed: int, kills: int) -> list[int]:
    """Start the experiment of `tests.runs.killing` and return how each attempt ended."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.runs.killing", str(folder), str(seed), str(kills)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    return json.loads(done.stdout)


def test_a_run_killed_at_twenty_random_moments_equals_an_unbroken_one(tmp_path: Path) -> None:
    assert killed(tmp_path / "whole", seed=0, kills=0) == [0]
    ended = killed(tmp_path / "broken", seed=7, kills=20)
    assert ended.count(9) >= 15
    assert ended[-1] == 0
    workspace = Workspace(tmp_path / "broken" / "workspace")
    left = list(garbage(workspace))
    assert {found.why for found in left} <= {"unfinished"}  # nothing was taken for damaged
    for found in left:
        delete(found)
    assert lasting(workspace.path) == lasting(tmp_path / "whole" / "workspace")
