"""The embedder's flags: needed where exams are chosen by embedding, opened, planned, refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from docendo.cli.main import main
from tests.engines.unfriendly import UnfriendlyServer

Outcome = tuple[int, str, str]
SMALL = (
    *("--task", "hinted-verb-lessons", "--test-problems", "3", "--samples-per-problem", "2"),
    *("--workers", "1", "--controls", "none", "--evaluation-samples", "0"),
    *("--exam-choice", "embedding", "--exam-split", "validation"),
)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Callable[..., Outcome]:
    """Run lbt-m1 on three problems in this process: (exit code, stdout, stderr)."""

    def call(*tokens: object) -> Outcome:
        with pytest.raises(SystemExit) as stopped:
            main(["run", "lbt-m1", "--workspace", str(tmp_path / "ws"), *SMALL, *map(str, tokens)])
        out, err = capsys.readouterr()
        return int(stopped.value.code or 0), out, err

    return call


def test_a_plan_lists_the_embeddings(run: Callable[..., Outcome], tmp_path: Path) -> None:
    code, out, err = run("--embedder", "lab/student", "--dry-run")
    assert code == 0, err
    assert "method/embeddings-taught" in out
    assert "method/embeddings-validation" in out
    assert not list((tmp_path / "ws" / "stages").glob("*"))


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        ((), "the recipe needs an embedder model\nhint: name one with --embedder"),
        (("--embedder", "lab/studen"), "did you mean 'lab/student'?"),
        (("--embedder", "lab/student", "--embedder-base-url", "http://127.0.0.1:1/v1"), "is no served model"),
        (("--embedder", "recorded:LOG"), "holds recorded completions and gives no embeddings"),
    ],
)
def test_what_cannot_be_is_refused_before_work_starts(
    run: Callable[..., Outcome], tmp_path: Path, tokens: tuple[str, ...], told: str
) -> None:
    (tmp_path / "log.jsonl").write_text('{"question": "q?", "completion": "a"}\n', "utf-8")
    code, _, err = run(*(token.replace("LOG", str(tmp_path / "log.jsonl")) for token in tokens))
    assert (code, told in err) == (2, True), err
    assert not list((tmp_path / "ws" / "stages").glob("*"))


@pytest.mark.slow
def test_exams_by_the_embeddings_of_a_built_in_model_and_of_a_server(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    code, _, err = run("--embedder", "lab/student", "--name", "own")
    assert code == 0, err
    result = json.loads((tmp_path / "ws" / "runs" / "own" / "result.json").read_bytes())
    assert result["roles"]["embedder"] == "lab/student"
    taught = [one for one in result["stages"] if one["place"] == "method/embeddings-taught"]
    assert {(one["stage"], one["kind"], one["rows"]) for one in taught} == {(taught[0]["stage"], "embed", 3)}
    with UnfriendlyServer() as server:
        served = ("--embedder", "openai:m", "--embedder-base-url", server.url, "--embedder-prefix", "query: ")
        code, _, err = run(*served, "--max-requests", "40")
        assert code == 1, err
        assert "max_requests is 40" in err
        assert len(server.calls) == 40
        assert all(call.body["input"].startswith("query: ") for call in server.calls)
