from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAKEFILE = (ROOT / "Makefile").read_text()


def made(*arguments: str) -> str:
    """What make would do, without doing it."""
    if shutil.which("make") is None:
        pytest.skip("no make here")
    alone = {name: value for name, value in os.environ.items() if "MAKE" not in name}  # not make's own child
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("target", ["demo", "test", "check", "bench", "clean", "install"])
def test_a_target_exists_and_says_what_it_does(target: str) -> None:
    assert re.search(rf"^{target}:.*## \S", MAKEFILE, re.MULTILINE)
    assert f"make {target}\t" in made("help")
    assert f" {target}" in next(line for line in MAKEFILE.splitlines() if line.startswith(".PHONY:"))


def test_check_is_format_lint_types_contracts_tests_in_this_order() -> None:
    steps = made("--dry-run", "check")
    places = [
        steps.index(s) for s in ("ruff format --check", "ruff check", "pyright", "lint-imports", "-m pytest")
    ]
    assert places == sorted(places)


def test_the_demo_installs_torch_first_and_no_development_tools() -> None:
    steps = made("--dry-run", "--always-make", "demo")
    assert steps.index("--constraint constraints.txt torch==") < steps.index("--editable '.[local]'")
    assert "dev" not in steps.replace("development", "")


def test_ci_runs_make_check() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    lines = script.read_text().splitlines()
    assert "set -euo pipefail" in lines
    assert lines[-1] == "make check"
