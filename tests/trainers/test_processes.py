from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.trainers.tiny import sums, write_rows
from tests.trainers.training import train

SCRIPT = """
import sys
from pathlib import Path
from tests.trainers.training import train
start, rows, folder = map(Path, sys.argv[1:])
train(start, rows, folder, micro_batch_rows=2, held_out=rows)
"""


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(start: Path, tmp_path: Path) -> None:
    # 25 rows in batches of 8: in the last step one process has no row, and rows differ in length and weight
    rows = write_rows(
        tmp_path / "rows.parquet", [one | {"weight": 0.5 + place % 3} for place, one in enumerate(sums(25))]
    )
    alone = train(start, rows, tmp_path / "alone", held_out=rows)
    (tmp_path / "script.py").write_text(SCRIPT)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        str(tmp_path / "script.py"),
    ]
    paths = os.pathsep.join(map(str, [Path(__file__).parents[2] / "src", Path(__file__).parents[2]]))
    subprocess.run(
        [*launch, str(start), str(rows), str(tmp_path / "two")],
        check=True,
        capture_output=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": paths, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"},
    )
    together = train_again(start, rows, tmp_path / "two")
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-6)
        assert ours.held_out_loss == pytest.approx(theirs.held_out_loss, rel=1e-6)
        assert ours.learned_tokens == theirs.learned_tokens
    weights = [load_file(one[-1].folder / "model.safetensors") for one in (alone, together)]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-5, atol=1e-6)


def train_again(start: Path, rows: Path, folder: Path) -> list:
    """Return what was trained: a finished training is given again."""
    return train(start, rows, folder, micro_batch_rows=2, held_out=rows)
