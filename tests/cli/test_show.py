"""``docendo show``: the samples of a score stage, in the form that ``docendo vote`` reads."""

from __future__ import annotations

import re
from pathlib import Path

import orjson
import pytest

from docendo.cli import show, vote
from docendo.core.errors import SettingError
from docendo.runs.settings import RunSettings
from docendo.scorers.likelihood import Likelihood
from docendo.selectors.choose import Choose
from docendo.selectors.largest import LargestClusters
from tests.fakes import House


def test_scored_samples_of_a_run_go_on_to_vote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house = House(tmp_path, settings=RunSettings(test_problems=12))
    run = house.run()
    same = house.task.verifier
    drawn = run.sample(run.base, run.problems("test"), 5, temperature=1.0)
    kept = run.select(drawn, LargestClusters(same, 1))
    labels = house.task.labels("test", 12)
    task = tmp_path / "task.jsonl"
    task.write_bytes(
        b"\n".join(
            orjson.dumps({"id": one.id, "question": one.question, "answer": labels[one.id].answer})
            for one in run.problems("test")
        )
    )
    for table in (drawn, kept):
        scored = list(run.score(table, Likelihood(model=run.base)))
        stage = run.records[-1]["stage"]
        file = tmp_path / f"{len(scored)}.jsonl"
        show.main(stage, output=file, workspace=house.path / "workspace")
        rows = [orjson.loads(line) for line in file.read_bytes().splitlines()]
        assert [(row["problem_id"], row["prediction"], row["score"]) for row in rows] == [
            (one.problem.id, one.answer, one.scores["likelihood"].value) for one in scored
        ]
        capsys.readouterr()
        vote.main(file, score="score", prediction_column="prediction", task=str(task))
        told = capsys.readouterr().out
        chosen = run.select(run.score(table, Likelihood(model=run.base)), Choose("best", same, "likelihood"))
        right = sum(one.answer == labels[one.problem.id].answer for one in chosen)
        found = re.search(r"^best +([\d.]+) %", told, re.MULTILINE)
        assert found is not None
        assert float(found[1]) == pytest.approx(100 * right / 12, abs=0.06)
    with pytest.raises(SettingError, match="--output writes the samples of a score stage"):
        show.main(run.records[0]["stage"], output=file, workspace=house.path / "workspace")
