"""Every command of the README is run: in a fresh folder, on small numbers, with the files it speaks of."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from docendo.cli.main import main
from docendo.lab import models
from tests.conftest import ROOT

SMALL = {
    "--rounds": "1",
    "--train-problems": "24",
    "--validation-problems": "10",
    "--test-problems": "12",
    "--samples-per-problem": "2",
    "--evaluation-samples": "2",
}


def readme_commands() -> list[str]:
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


def _files(folder: Path) -> None:
    shutil.copytree(models.path("lab/base"), folder / "my-model")
    rows = [
        {"prompt": f"Ann has {a} pens and buys {a % 5 + 1} more. How many?", "gold": str(a + a % 5 + 1)}
        for a in range(120)
    ]
    (folder / "my-problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    graded = [{"text": "3 + 4 = 7. The answer is 7.", "answer": "7"}, {"text": "#### 8", "answer": "9"}]
    with gzip.open(folder / "completions.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in graded)
    scored = [
        {"id": n // 4, "text": f"The answer is {n % 3}.", "answer": "1", "evaluator": n / 8} for n in range(8)
    ]
    (folder / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in scored), "utf-8")


def test_readme_names_commands() -> None:
    assert any(command.startswith("docendo run rest-em") for command in readme_commands())
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for command in readme_commands():
        if command.startswith("make "):
            assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE), command


@pytest.mark.slow
def test_readme_commands_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    _files(tmp_path)
    for command in readme_commands():
        program, *tokens = shlex.split(command)
        if program != "docendo":
            continue
        if tokens[0] == "run":
            given = {token for token in tokens if token.startswith("--")}
            tokens += [part for flag in SMALL.items() if flag[0] not in given for part in flag]
        with pytest.raises(SystemExit) as ended:
            main(tokens)
        out, err = capsys.readouterr()
        if "Qwen/Qwen2.5-0.5B" in tokens:  # there is no hub in a test: told clearly, nothing started
            assert ended.value.code == 2, err
            assert "Qwen/Qwen2.5-0.5B" in err
        else:
            assert ended.value.code == 0, f"{command}\n{out}\n{err}"
            assert out, command
