"""`docendo run rest-em` on the built-in model, killed by SIGKILL at random moments and continued."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

COMMAND = [
    *(sys.executable, "-m", "docendo.cli", "run", "rest-em", "--name", "killed", "--rounds", "2"),
    *("--train-problems", "150", "--validation-problems", "40", "--test-problems", "60"),
    *("--evaluation-samples", "4", "--samples-per-problem", "4", "--controls", "basic"),
]


def _start(workspace: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*COMMAND, "--workspace", str(workspace)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "GOMP_SPINCOUNT": "2000"},
    )


def _finished(workspace: Path) -> None:
    process = _start(workspace)
    _, err = process.communicate(timeout=280)
    assert process.returncode == 0, err.decode()


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(one) for key, one in value.items() if key != "seconds"}
    return [_without_times(one) for one in value] if isinstance(value, list) else value


def _outcome(workspace: Path) -> dict[str, Any]:
    files = {
        str(path.relative_to(workspace)): path.read_bytes()
        for pattern in ("stages/*/rows.parquet", "checkpoints/**/*.safetensors", "checkpoints/**/*.json")
        for path in sorted(workspace.glob(pattern))
    }
    result = json.loads((workspace / "runs" / "killed" / "result.json").read_text("utf-8"))
    return {**files, "result": _without_times(result)}


def _killed_and_continued(folder: Path, kills: int, seed: int) -> None:
    began = time.monotonic()
    _finished(folder / "whole")
    whole = time.monotonic() - began
    rng = random.Random(seed)
    survived = 0
    for _ in range(kills):
        process = _start(folder / "killed")
        try:
            process.wait(timeout=rng.uniform(0.1, 0.6) * whole)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            survived += 1
        assert process.stderr is not None
        process.stderr.close()
    assert survived > 0, "no run was killed before its end"
    _finished(folder / "killed")
    expected, found = _outcome(folder / "whole"), _outcome(folder / "killed")
    assert sorted(found) == sorted(expected)
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.slow
def test_killed_and_continued_equals_uninterrupted_byte_for_byte(tmp_path: Path) -> None:
    _killed_and_continued(tmp_path, kills=3, seed=1)


@pytest.mark.reproduction
@pytest.mark.timeout(1800)
def test_killed_at_twenty_random_moments_equals_uninterrupted(tmp_path: Path) -> None:
    _killed_and_continued(tmp_path, kills=20, seed=2)


def test_ctrl_c_tells_the_command_that_goes_on(tmp_path: Path) -> None:
    process = _start(tmp_path)
    assert process.stderr is not None
    told = process.stderr.readline()  # the run has begun
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, told + err
    assert b"stopped; what is done is kept. To go on: docendo run rest-em --name killed" in err
    assert b"Traceback" not in err
