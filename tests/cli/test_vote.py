"""``docendo vote``: files in both layouts, the published numbers of a reward model, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest

from docendo.cli.main import main
from docendo.cli.vote import RuleName, counts_of
from docendo.cli.vote import main as vote_command
from docendo.core.errors import SettingError
from docendo.core.protocols import Silent
from docendo.metrics.choosing import Rule
from docendo.tasks.candidates import Layout, read_candidates
from docendo.tasks.formats import formats_for
from docendo.tasks.voting import Voting, against
from docendo.verifiers.exact import Exact
from docendo.verifiers.math import Math
from tests.conftest import ROOT

# The worked example: (answer, score) in sampling order; the right answer is 15.
TEN = [("12", 0.55), ("12", 0.5), ("12", 0.45), ("12", 0.4), ("15", 0.9), ("15", 0.85), ("15", 0.7)]
TEN += [("7", 0.95), ("20", 0.3), ("20", 0.2)]


def write(path: Path, *rows: Any) -> str:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def one_a_completion(path: Path) -> str:
    rows = [{"id": "p", "completion": f"The answer is {a}.", "answer": "15", "grade": s} for a, s in TEN]
    other = {"id": "q", "completion": "The answer is 3.", "answer": "3", "grade": None}
    return write(path, *rows[:5], other, *rows[5:])


def one_a_problem(path: Path) -> str:
    answers, scores = [a for a, _ in TEN], [s for _, s in TEN]
    return write(
        path,
        {"preds": answers, "answer": "15", "grade": scores, "ids": list(range(10)), "choices": None},
        {"preds": ["3"], "answer": "3", "grade": [None], "ids": [10], "choices": None},
    )


def vote(capsys: pytest.CaptureFixture[str], *tokens: str, code: int = 0) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["vote", *tokens])
    out, err = capsys.readouterr()
    assert ended.value.code == code, err
    return out, err


def accuracies(out: str) -> dict[str, str]:
    """Return the accuracy of each rule and oracle, as it is printed."""
    lines = [line.split("  ") for line in out.splitlines() if " %  " in line]
    return {line[0]: next(part.strip() for part in line[1:] if part) for line in lines}


def test_both_layouts_give_the_worked_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--verifier", "numeric", "--score", "grade", "--k", "1,2,3,4", "--top-n", "1,2,3,7,10"]
    flat, _ = vote(capsys, one_a_completion(tmp_path / "flat.jsonl"), *flags)
    lists, err = vote(capsys, one_a_problem(tmp_path / "lists.jsonl"), "--prediction-column", "preds", *flags)
    assert flat == lists
    assert "2 problems, 1 to 10 completions each, 11 in all, 0 without an answer" in flat
    found = accuracies(flat)
    right = {name for name, share in found.items() if share == "100.0 %"}
    assert right == {
        *("weighted", "top-2", "top-3", "weighted-top-2", "weighted-top-3", "weighted-top-4"),
        *("majority-of-best-3", "majority-of-best-7", "any completion, pass@N"),
        *(f"one of the {k} largest" for k in (2, 3, 4)),
    }
    assert found["majority"] == found["best"] == found["top-1"] == found["top-4"] == "50.0 %"
    assert "1 completions have no score" in err
    costs = {line.split()[0]: line.split()[-2] for line in flat.splitlines() if line.endswith(" %")}
    assert (costs["majority"], costs["top-1"], costs["top-2"], costs["best"]) == ("0", "45", "73", "100")


def test_the_chosen_rows_are_written_for_each_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "chosen.jsonl"
    flags = ["--verifier", "numeric", "--score", "grade", "--rule", "weighted", "--out", str(out)]
    vote(capsys, one_a_problem(tmp_path / "lists.jsonl"), "--prediction-column", "preds", *flags)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["chosen_by"], row["preds"], row["ids"], row["grade"]) for row in rows] == [
        ("majority", "12", 0, 0.55),
        ("weighted", "15", 4, 0.9),
        ("majority", "3", 10, None),
        ("weighted", "3", 10, None),
    ]
    vote(capsys, one_a_completion(tmp_path / "flat.jsonl"), *flags)
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["chosen_by"], row["id"], row["grade"]) for row in rows] == [
        ("majority", "p", 0.55),
        ("weighted", "p", 0.9),
        ("majority", "q", None),
        ("weighted", "q", None),
    ]


def test_pairs_compares_every_rule_with_every_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = one_a_completion(tmp_path / "flat.jsonl")
    flags = ["--verifier", "numeric", "--score", "grade", "--rule", "best", "--rule", "weighted"]
    without, _ = vote(capsys, path, *flags)
    with_pairs, _ = vote(capsys, path, *flags, "--pairs")
    assert without.count(" : ") == 2
    assert with_pairs.count(" : ") == 3
    assert "weighted - majority" in without
    assert "weighted - best" in with_pairs
    assert "best - majority" in with_pairs


def test_without_scores_there_is_the_majority_and_a_word_about_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, err = vote(capsys, one_a_completion(tmp_path / "flat.jsonl"), "--verifier", "numeric")
    assert set(accuracies(out)) == {
        *("one completion, mean", "majority", "one of the 8 largest", "any completion, pass@N")
    }
    assert "only the majority; other rules need scores: name their column with --score" in err


def test_a_task_reads_judges_and_knows_the_gold_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gold = write(
        tmp_path / "gold.jsonl", *({"question": f"{n} + 1?", "answer": str(n + 1)} for n in range(40))
    )
    rows = [{"question": f"{n} + 1?", "text": f"It is {n + d}."} for n in range(2) for d in (1, 1, 2)]
    path = write(tmp_path / "x.jsonl", *rows)
    out, _ = vote(capsys, path, "--task", gold, "--completion-column", "text")
    assert accuracies(out)["majority"] == "100.0 %"
    assert accuracies(out)["one completion, mean"] == "66.7 %"


def test_negative_scores_in_a_sum_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": 1, "p": "1", "answer": "1", "s": s} for s in (-4.5, 5)]
    flags = ["--verifier", "exact", "--prediction-column", "p", "--score", "s"]
    _, err = vote(capsys, write(tmp_path / "x.jsonl", *rows), *flags)
    assert "scores go from -4.5 to 5: in a sum every vote below 0 counts against its answer" in err
    _, err = vote(capsys, write(tmp_path / "x.jsonl", *rows), *flags, "--rule", "best")
    assert "in a sum" not in err


ROW = {"id": 1, "p": "1", "answer": "1", "s": 0.5}


@pytest.mark.parametrize(
    ("rows", "flags", "told"),
    [
        ([ROW, {**ROW, "s": "high"}], "", "x.jsonl line 2: s is 'high'; expected a finite number"),
        ([ROW, {**ROW, "s": True}], "", "x.jsonl line 2: s is True; expected a finite number"),
        ([ROW, {"id": 1, "p": "1", "answer": "1"}], "", "x.jsonl line 2: there is no column s"),
        ([ROW, {"id": 1, "s": 1, "answer": "1"}], "", "x.jsonl line 2: there is no column p"),
        ([ROW, {"id": 1, "s": 1, "p": "1"}], "", "x.jsonl line 2: there is no column answer"),
        ([ROW, {**ROW, "p": ["1"]}], "", "x.jsonl line 2: p is a list; in the rows before it is one text"),
        ([ROW, {**ROW, "p": {}}], "", "x.jsonl line 2: p is a dict; expected a text or a number"),
        ([ROW, "{"], "", "x.jsonl line 2: not JSON"),
        ([{**ROW, "p": []}], "", "x.jsonl line 1: p is an empty list"),
        ([{**ROW, "p": ["1", "2"]}], "", "x.jsonl line 1: s is a float; expected a list, as p is one"),
        ([{**ROW, "p": ["1", "2"], "s": [1]}], "", "x.jsonl line 1: s has 1 values; expected 2, as p has"),
        ([ROW, ROW], "--verdict-column id --problem-column s", "line 1: s is 0.5; expected a text or a"),
        ([{**ROW, "v": "maybe"}], "--verdict-column v", "line 1: v is 'maybe'; expected true or false"),
        ([ROW, {**ROW, "id": 2}], "", "no two rows of"),
        ([ROW, ROW], "--k 1,0", "--k is '1,0'; expected counts of at least 1, as in 1,2,4"),
        ([ROW, ROW], "--format cot", "unknown format of verifier exact 'cot'"),
        ([ROW, ROW], "--data-dir .", "data_dir is .; there is no task, which alone has a use for it"),
    ],
)
def test_bad_input_is_told_by_row_and_column(
    rows: list[Any], flags: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "x.jsonl", *rows)
    tokens = ["--verifier", "exact", "--prediction-column", "p", "--score", "s", *flags.split()]
    _, err = vote(capsys, path, *tokens, code=2)
    assert told in err


def test_what_is_missing_is_told_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "x.jsonl", ROW, ROW)
    _, err = vote(capsys, path, code=2)
    assert "nothing says which answers are the same" in err
    assert "--task, or exact, choice, numeric or math with --verifier" in err
    _, err = vote(capsys, path, "--verifier", "exact", "--rule", "best", code=2)
    assert "rule best needs scores; no column of them is named\nhint: name it with --score" in err
    _, err = vote(capsys, path, "--verifier", "exact", "--output", path, code=2)
    assert "the file that is read; expected another" in err
    assert Path(path).read_text().count("\n") == 2


def test_answers_that_could_not_be_read_vote_for_nothing_and_are_wrong(tmp_path: Path) -> None:
    rows = [{"id": i, "p": p, "v": v} for i, p, v in [(1, None, 1), (1, " ", 1), (2, 7, 1), (2, None, 0)]]
    path = Path(write(tmp_path / "x.jsonl", *rows))
    layout = Layout(prediction_column="p", verdict_column="v")
    found = read_candidates(path, layout, Exact(), formats_for("text")["default"], None, Silent())
    voting = Voting(found, Exact(), Silent())
    assert [one.problem for one in found] == ["1", "2"]
    assert voting.measure("majority", Rule("majority")).is_correct_P == (False, True)
    assert voting.any_oracle("any").is_correct_P == (False, True)


def test_lists_of_one_problem_may_stand_in_several_rows(tmp_path: Path) -> None:
    rows = [{"task": 5, "p": ["1", "2"], "v": [0, 1]}, {"task": 5, "p": ["2"], "v": ["correct"]}]
    path = Path(write(tmp_path / "x.jsonl", *rows))
    layout = Layout(prediction_column="p", verdict_column="v", problem_column="task")
    (found,) = read_candidates(path, layout, Exact(), formats_for("text")["default"], None, Silent())
    assert [(one.number, one.index, one.is_correct) for one in found.found] == [
        (1, 0, False),
        (1, 1, True),
        (2, 0, True),
    ]


def test_each_pair_of_answers_of_a_problem_is_asked_about_once(tmp_path: Path) -> None:
    asked: list[tuple[str, str]] = []

    class Asked(Exact):
        def same(self, left: str, right: str) -> bool:
            asked.append((left, right))
            return super().same(left, right)

    row = {"p": ["a", "b", "A", "b", "a", "B"], "v": [0] * 6, "s": [0.1] * 6}
    path = Path(write(tmp_path / "x.jsonl", row))
    layout = Layout(prediction_column="p", verdict_column="v", score_column="s")
    found = read_candidates(path, layout, Exact(), formats_for("text")["default"], None, Silent())
    voting = Voting(found, Asked(), Silent())
    for k in range(1, 5):
        voting.measure("best", Rule("best", k=k))
    assert asked == [("a", "b"), ("a", "A"), ("a", "B"), ("b", "B")]


# -- the example of Qwen2.5-Math's rm_maj_eval.py ----------------------------------------------------------

QWEN = Layout(prediction_column="preds", verdict_column="correct", score_column="reward")


def official(rows: list[dict[str, Any]]) -> tuple[int, int]:
    """Count what QwenLM/Qwen2.5-Math, evaluation/rm_maj_eval.py, calls right: maj@8 and rm@8.

    The majority is that of equal texts, the first of equal counts; the best is the first highest score; the
    verdict is the stored one of the first completion that says so.
    """
    vote = [row["preds"].index(Counter(row["preds"]).most_common(1)[0][0]) for row in rows]
    best = [row["reward"].index(max(row["reward"])) for row in rows]
    return tuple(
        sum(row["correct"][place] for row, place in zip(rows, places, strict=True)) for places in (vote, best)
    )  # pyright: ignore[reportReturnType]


def test_the_official_majority_and_best_of_eight_come_out(
    data_dir: Path,
    data_rows: Callable[[str], Iterator[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = list(data_rows("gold_qwen_math_rm_maj"))
    assert official(rows) == (50, 51)
    assert len(rows) == 56
    out, _ = vote(
        capsys,
        str(data_dir / "gold_qwen_math_rm_maj.jsonl.gz"),
        *("--verifier", "exact", "--prediction-column", "preds", "--verdict-column", "correct"),
        *("--score", "reward"),
    )
    found = accuracies(out)
    assert found["majority"] == "89.3 %"  # 50 of 56
    assert found["best"] == "91.1 %"  # 51 of 56
    assert found["any completion, pass@8"] == "92.9 %"
    assert "best - majority" in out


def test_the_official_choices_are_ours_problem_by_problem(
    data_dir: Path, data_rows: Callable[[str], Iterator[dict[str, Any]]]
) -> None:
    rows = list(data_rows("gold_qwen_math_rm_maj"))
    path = data_dir / "gold_qwen_math_rm_maj.jsonl.gz"  # data_rows has looked for it
    shape = formats_for("math")["default"]
    for verifier in (Exact(), Math()):
        voting = Voting(read_candidates(path, QWEN, verifier, shape, None, Silent()), verifier, Silent())
        measured = voting.measure("majority", Rule("majority"))
        best = voting.measure("best", Rule("best"))
        vote = [row["preds"].index(Counter(row["preds"]).most_common(1)[0][0]) for row in rows]
        assert list(measured.chosen_P) == vote
        top = [row["reward"].index(max(row["reward"])) for row in rows]
        answers = [row["preds"][place] for row, place in zip(rows, best.chosen_P, strict=True)]
        assert answers == [row["preds"][place] for row, place in zip(rows, top, strict=True)]
        (result,) = against([(best, measured)], Silent())
        assert (result.n_only_rule, result.n_only_rival) == (2, 1)


PAGE = (ROOT / "docs" / "voting.md").read_text("utf-8")


def test_the_code_of_the_page_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    for code in blocks:
        exec(compile(code, "docs/voting.md", "exec"), {})


def test_the_page_shows_what_the_command_prints(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data_dir / "gold_qwen_math_rm_maj.jsonl.gz"
    if not path.exists():
        pytest.skip("no data set 'gold_qwen_math_rm_maj' in DOCENDO_DATA_DIR")
    (command,) = re.findall(r"```\ndocendo vote (.*?)```", PAGE, re.DOTALL)
    _, *tokens = shlex.split(command.replace("\\\n", ""))
    out, _ = vote(capsys, str(path), *tokens)
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert out.rstrip() == shown.rstrip()


def test_every_flag_and_rule_of_the_command_stands_on_the_page() -> None:
    for name in signature(vote_command).parameters:
        if name not in ("file", "rule", "columns", "data_dir"):
            assert f"--{name.replace('_', '-')}" in PAGE
    for rule in get_args(RuleName):
        assert rule == "all" or f"`{rule}`" in PAGE


def test_counts_are_refused_by_name() -> None:
    assert counts_of("--k", "8, 1,8") == [8, 1]
    with pytest.raises(SettingError, match="--top-n is '2,'; expected counts"):
        counts_of("--top-n", "2,")
