from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from docendo.core.losses import Bvmpo, LogConf, Loss, RewardPairs
from tests.trainers.tiny import choices, pairs, sums, tokens, write_rows
from tests.trainers.training import train

SCRIPT = """
import sys
from pathlib import Path
from tests.trainers.training import train
start, rows, folder = map(Path, sys.argv[1:])
train(start, rows, folder, micro_batch_rows=2, held_out=rows)
"""


def launched(script: str, folder: Path, *arguments: object) -> None:
    """Run a script in two processes."""
    (folder / "script.py").write_text(script)
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    paths = os.pathsep.join(map(str, [Path(__file__).parents[2] / "src", Path(__file__).parents[2]]))
    subprocess.run(
        [*launch, str(folder / "script.py"), *map(str, arguments)],
        check=True,
        capture_output=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": paths, "ACCELERATE_USE_CPU": "1", "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(start: Path, tmp_path: Path) -> None:
    # 25 rows in batches of 8: in the last step one process has no row, and rows differ in length and weight
    rows = write_rows(
        tmp_path / "rows.parquet", [one | {"weight": 0.5 + place % 3} for place, one in enumerate(sums(25))]
    )
    alone = train(start, rows, tmp_path / "alone", held_out=rows)
    launched(SCRIPT, tmp_path, start, rows, tmp_path / "two")
    together = train_again(start, rows, tmp_path / "two")
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.train_loss == pytest.approx(theirs.train_loss, rel=1e-6)
        assert ours.held_out_loss == pytest.approx(theirs.held_out_loss, rel=1e-6)
        assert ours.learned_tokens == theirs.learned_tokens
    weights = [load_file(one[-1].folder / "model.safetensors") for one in (alone, together)]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-5, atol=1e-6)


LOSS_SCRIPT = """
import sys
from pathlib import Path
from docendo.core.losses import Bvmpo, LogConf, RewardPairs
from tests.trainers.training import train
start, rows, folder = map(Path, sys.argv[1:4])
loss = {one.name: one for one in (LogConf(warmup_share=0.0), Bvmpo(), RewardPairs())}[sys.argv[4]]
train(start, rows, folder, epochs=1, micro_batch_rows=2, held_out=rows, loss=loss)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "made"),
    [(LogConf(warmup_share=0.0), choices), (Bvmpo(), tokens), (RewardPairs(), pairs)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_statistics_of_the_batch_and_heads_are_those_of_one_process(
    start: Path, tmp_path: Path, loss: Loss, made: Any
) -> None:
    rows = write_rows(tmp_path / "rows.parquet", made(17))  # the last step is a single row
    (alone,) = train(start, rows, tmp_path / "alone", epochs=1, micro_batch_rows=0, held_out=rows, loss=loss)
    launched(LOSS_SCRIPT, tmp_path, start, rows, tmp_path / "two", loss.name)
    (together,) = train(start, rows, tmp_path / "two", epochs=1, micro_batch_rows=2, held_out=rows, loss=loss)
    assert together.train_loss == pytest.approx(alone.train_loss, rel=1e-5)
    assert together.held_out_loss == pytest.approx(alone.held_out_loss, rel=1e-5)
    assert together.measures == pytest.approx(alone.measures, rel=1e-5, abs=1e-6)
    weights = [load_file(one.folder / "model.safetensors") for one in (alone, together)]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=1e-4, atol=1e-5)


def train_again(start: Path, rows: Path, folder: Path) -> list:
    """Return what was trained: a finished training is given again."""
    return train(start, rows, folder, micro_batch_rows=2, held_out=rows)
