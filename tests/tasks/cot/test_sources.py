"""Every layout gives the same task: real rows, written as their publishers write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from docendo.core.errors import DataError
from docendo.tasks.cot.catalogue import TASKS
from docendo.tasks.cot.sources import placed_rows, with_shuffled_choices
from docendo.tasks.gold import GoldRow, Origin
from docendo.tasks.hub import HubId
from docendo.tasks.options import TaskOptions
from docendo.tasks.registry import open_task
from tests.tasks.cot import orders

Rows = Callable[[str], Iterator[dict[str, Any]]]


def write(path: Path, content: Any, *, lines: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "".join(json.dumps(row) + "\n" for row in content) if lines else json.dumps(content, indent=1)
    )


def scores(row: Mapping[str, Any]) -> dict[str, int]:
    right = "ABCDEF".index(row["answer"])
    return {choice: int(place == right) for place, choice in enumerate(row["choices"])}


def upstream(name: str, rows: list[dict[str, Any]]) -> Any:
    """Return rows in the form of their publisher."""
    if name in ("addsub", "multiarith", "single-eq"):
        return [
            {"iIndex": n, "sQuestion": f" {row['question']} ", "lSolutions": [float(row["answer"])]}
            for n, row in enumerate(rows)
        ]
    if name == "tracking-shuffled-objects":
        return {"examples": [{"input": f"{row['question']} ", "target_scores": scores(row)} for row in rows]}
    if name == "strategy-qa":
        return {
            "examples": [
                {
                    "input": row["question"],
                    "target_scores": {"Yes": int(row["answer"] == "yes"), "No": int(row["answer"] == "no")},
                    "target": f"{row['answer'].title()}. {row['rationale']}",
                }
                for row in rows
            ]
        }
    return {"examples": [{"question": row["question"], "answer": row["answer"]} for row in rows]}


@pytest.mark.parametrize(
    "name",
    [
        "single-eq",
        "addsub",
        "multiarith",
        "strategy-qa",
        "tracking-shuffled-objects",
        "last-letter",
        "coin-flip",
    ],
)
def test_upstream_files_give_the_same_task_as_our_layout(
    name: str, tmp_path: Path, data_dir: Path, data_rows: Rows
) -> None:
    rows = list(data_rows(TASKS[name].key))
    write(tmp_path / "dataset" / TASKS[name].files["all"], upstream(name, rows))
    theirs = open_task(name, TaskOptions(data_dir=tmp_path))
    straight = open_task(name, TaskOptions(data_dir=(tmp_path / "dataset" / TASKS[name].files["all"]).parent))
    ours = open_task(name, TaskOptions(data_dir=data_dir))
    assert theirs.identity == straight.identity == ours.identity


def test_the_order_of_rows_does_not_matter(tmp_path: Path, data_dir: Path, data_rows: Rows) -> None:
    rows = list(data_rows("coin_flip"))[::-1]
    write(
        tmp_path / "coin_flip.jsonl",
        [{k: row[k] for k in ("question", "answer")} for row in rows],
        lines=True,
    )
    theirs = open_task("coin-flip", TaskOptions(data_dir=tmp_path))
    assert theirs.identity == open_task("coin-flip", TaskOptions(data_dir=data_dir)).identity


def test_commonsense_qa_is_read_as_published(tmp_path: Path, data_dir: Path, data_rows: Rows) -> None:
    for split, path in TASKS["commonsense-qa"].files.items():
        rows = (row for row in data_rows("commonsense_qa") if row["split"] == split)
        named = (
            {
                "answerKey": row["answer"],
                "id": row["id"],
                "question": {
                    "stem": row["question"],
                    "choices": [
                        {"label": label, "text": text}
                        for label, text in zip("ABCDE", row["choices"], strict=True)
                    ],
                },
            }
            for row in rows
        )
        write(tmp_path / path, named, lines=True)
    theirs = open_task("commonsense-qa", TaskOptions(data_dir=tmp_path))
    assert theirs.identity == open_task("commonsense-qa", TaskOptions(data_dir=data_dir)).identity


def aqua(rows: Iterable[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for row in rows:
        options = [f"{label}){text}" for label, text in zip("ABCDE", row["choices"], strict=True)]
        solved = {"rationale": row["rationale"], "correct": row["answer"]}
        yield {"question": row["question"], "options": options, **solved}


def test_aqua_is_read_as_published_and_learns_from_the_drawn_ten_thousand(
    tmp_path: Path, data_dir: Path, data_rows: Rows
) -> None:
    write(tmp_path / "dev.json", aqua(data_rows("aqua_dev")), lines=True)
    write(tmp_path / "test.json", aqua(data_rows("aqua_test")), lines=True)
    theirs = open_task("aqua", TaskOptions(data_dir=tmp_path))
    assert theirs.identity == open_task("aqua", TaskOptions(data_dir=data_dir)).identity
    assert theirs.splits == ("validation", "test")
    train = (
        {"question": f"How many are {n}?", "options": ["A)1", "B)2", "C)3", "D)4", "E)5"], "correct": "A"}
        for n in range(97_467)
    )
    write(tmp_path / "train.json", ({**row, "rationale": "One."} for row in train), lines=True)
    whole = open_task("aqua", TaskOptions(data_dir=tmp_path))
    assert [len(list(whole.problems(split))) for split in whole.splits] == [10_000, 254, 254]
    write(tmp_path / "train.json", aqua(data_rows("aqua_dev")), lines=True)
    with pytest.raises(DataError, match=r"train of aqua has 254 rows; expected 97,467"):
        open_task("aqua", TaskOptions(data_dir=tmp_path)).problems("train")


def test_svamp_goes_by_its_own_numbers(tmp_path: Path, data_dir: Path, data_rows: Rows) -> None:
    rows = [
        {
            "ID": f"chal-{int(row['id'].rpartition('-')[2]) + 1}",
            "Body": row["question"].rpartition(" ")[0] + " ",
            "Question": row["question"].rpartition(" ")[2],
            "Answer": float(row["answer"]),
        }
        for row in data_rows("svamp")
    ]
    write(tmp_path / "SVAMP.json", rows)
    theirs = open_task("svamp", TaskOptions(data_dir=tmp_path))
    assert theirs.identity == open_task("svamp", TaskOptions(data_dir=data_dir)).identity
    with pytest.raises(DataError, match=r"of the 8 problems that svamp learns from are not there"):
        open_task("svamp", TaskOptions(data_dir=tmp_path, train_size=8)).problems("train")
    write(tmp_path / "SVAMP.json", [*rows, rows[0]])
    with pytest.raises(
        DataError, match=r"SVAMP.json row 515: the question stands already in SVAMP.json row 1"
    ):
        open_task("svamp", TaskOptions(data_dir=tmp_path)).problems("train")
    write(tmp_path / "SVAMP.json", [{**rows[0], "ID": "x"}])
    with pytest.raises(DataError, match=r"id is 'x'; expected chal-1"):
        open_task("svamp", TaskOptions(data_dir=tmp_path)).problems("train")


def test_the_authors_processed_files_are_read(tmp_path: Path, data_dir: Path, data_rows: Rows) -> None:
    def processed(row: Mapping[str, Any]) -> dict[str, Any]:
        named = ", ".join(f"({label}) {text}" for label, text in zip("ABCDEF", row["choices"], strict=False))
        question = f"{row['question']}\nWhich choice is true? Answer choices: {named}."
        return {"sample_index": 0, "question": question, "answer": row["answer"]}

    rows = [processed(row) for row in data_rows("date_understanding")]
    write(tmp_path / "date_understanding.json", {"metadata": {}, "data": rows})
    theirs = open_task("date-understanding", TaskOptions(data_dir=tmp_path))
    assert theirs.identity == open_task("date-understanding", TaskOptions(data_dir=data_dir)).identity
    write(tmp_path / "date_understanding.json", rows)  # as in the authors' first commit
    assert open_task("date-understanding", TaskOptions(data_dir=tmp_path)).identity == theirs.identity
    problem = next(theirs.problems("test"))
    assert problem.question.endswith("in MM/DD/YYYY?\nWhich choice is true?")


def test_choices_come_in_the_order_of_the_authors() -> None:
    """Places of the published choices in the authors' file, questions 0 to 5 of Date Understanding."""
    rows = [
        GoldRow(Origin("x", n), "?", "A", choices=tuple("012345"[: 5 if n == 5 else 6])) for n in range(6)
    ]
    shuffled = list(with_shuffled_choices(rows))
    assert ["".join(row.choices) for row in shuffled] == [
        "421350",
        "304125",
        "523041",
        "541230",
        "540213",
        "41302",
    ]
    assert [row.answer for row in shuffled] == ["F", "B", "D", "F", "C", "D"]


def test_big_bench_as_it_is_gets_its_choices_shuffled(
    tmp_path: Path, data_dir: Path, data_rows: Rows
) -> None:
    rows = list(data_rows("date_understanding"))
    right_first = [
        {
            "input": row["question"],
            "target_scores": dict(sorted(scores(row).items(), key=lambda pair: -pair[1])),
        }
        for row in rows
    ]
    write(tmp_path / "task.json", {"examples": right_first})
    task = open_task("date-understanding", TaskOptions(data_dir=tmp_path, keep_exemplars=True))
    labels = {key: label for split in task.splits for key, label in task.labels(split).items()}
    texts = {
        problem.id: problem.choices["ABCDEF".index(labels[problem.id].answer)]
        for split in task.splits
        for problem in task.problems(split)
    }
    assert texts == {row["id"]: row["answer_text"] for row in rows}
    assert [labels[f"date_understanding-{n}"].answer for n in range(6)] == ["F", "B", "D", "F", "C", "D"]
    write(tmp_path / "task.json", {"examples": right_first[:100]})
    with pytest.raises(DataError, match=r"there are 100 rows of date-understanding; expected all 369"):
        open_task("date-understanding", TaskOptions(data_dir=tmp_path)).problems("train")


def test_the_random_baseline_of_date_understanding(data_rows: Rows) -> None:
    chances = [1 / len(row["choices"]) for row in data_rows("date_understanding")]
    assert round(100 * len(chances) / sum(1 / chance for chance in chances), 2) == 17.12  # as published


def test_orders_are_those_of_the_data(data_rows: Rows) -> None:
    found = orders.orders(data_rows)
    assert json.loads(orders.PATH.read_text()) == found, "hint: python -m tests.tasks.cot.orders FOLDER"
    for task in TASKS.values():
        if task.key in found:
            digests = [found[task.key][start : start + 8] for start in range(0, 8 * task.size, 8)]
            repeated = len(digests) - len(set(digests))
            assert repeated == {"multiarith": 20, "strategy_qa": 1}.get(task.key, 0)


# -- faults ------------------------------------------------------------------------------------------------


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no file of coin-flip .*\nhint: expected coin_flip.jsonl .*coin_flip.json"
    ):
        open_task("coin-flip", TaskOptions(data_dir=tmp_path)).problems("test")
    with pytest.raises(DataError, match=r"no data set .* coin-flip on the hub.*\nhint: .*--data-dir"):
        open_task("coin-flip").problems("test")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([{"question": "Who?", "answer": "yes"}], r"row 1: the question is none of the 500 of coin-flip"),
        ([{"question": {"stem": "Who?"}}], r"row 1: cannot be read as coin_flip: KeyError 'choices'"),
        ({"examples": [3]}, r"row 1 is no object"),
        ([["Who?"]], r"row 1: is a list"),
        ([{"answer": "yes"}], r"row 1: there is no column question"),
    ],
)
def test_rows_of_other_tasks_are_refused(content: Any, fault: str, tmp_path: Path) -> None:
    write(tmp_path / "coin_flip.json", content)
    with pytest.raises(DataError, match=fault):
        open_task("coin-flip", TaskOptions(data_dir=tmp_path)).problems("test")


def test_choices_that_are_no_choices_are_refused(tmp_path: Path) -> None:
    write(
        tmp_path / "aqua_test.jsonl",
        [{"question": "Who? Answer choices: me, you", "answer": "A"}],
        lines=True,
    )
    with pytest.raises(DataError, match=r"expected \(A\) \.\.\., \(B\)"):
        open_task("aqua", TaskOptions(data_dir=tmp_path)).problems("test")


# -- the hub -----------------------------------------------------------------------------------------------


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose folders ``load_dataset`` reads as it reads the hub's."""
    import datasets  # pyright: ignore[reportMissingTypeStubs]

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return tmp_path / "hub"


def test_hub_rows_find_their_places(hub: Path, data_dir: Path, data_rows: Rows) -> None:
    rows = [{"question": row["question"], "final_ans": row["answer"]} for row in data_rows("multiarith")]
    write(hub / "train.json", rows[::2], lines=True)
    write(hub / "test.json", [*rows[1::2], {"question": "Another?", "final_ans": "1"}], lines=True)
    task = replace(TASKS["multiarith"], hub=HubId(str(hub)))
    theirs = placed_rows("multiarith", task, None)
    ours = placed_rows("multiarith", TASKS["multiarith"], data_dir)
    assert [(one.index, one.row.question, one.row.answer) for one in theirs] == [
        (one.index, one.row.question, one.row.answer) for one in ours
    ]
    write(hub / "test.json", rows[1:100:2], lines=True)
    with pytest.raises(
        DataError, match=r"holds 350 of the 600 questions of multiarith\nhint: give local files"
    ):
        placed_rows("multiarith", task, None)


def test_commonsense_qa_of_the_hub_is_tested_on_its_validation_split(
    hub: Path, data_dir: Path, data_rows: Rows
) -> None:
    names = {"train": "train", "test": "validation"}
    rows = list(data_rows("commonsense_qa"))
    for split, name in names.items():
        mine = [
            {
                "question": row["question"],
                "choices": {"label": list("ABCDE"), "text": row["choices"]},
                "answerKey": row["answer"],
            }
            for row in rows
            if row["split"] == split
        ]
        write(hub / f"{name}.jsonl", mine, lines=True)
    write(hub / "test.jsonl", [{**mine[0], "answerKey": ""}], lines=True)  # pyright: ignore
    theirs = placed_rows("commonsense-qa", replace(TASKS["commonsense-qa"], hub=HubId(str(hub))), None)
    ours = placed_rows("commonsense-qa", TASKS["commonsense-qa"], data_dir)
    assert [(one.index, one.row.question, one.row.answer) for one in theirs] == [
        (one.index, one.row.question, one.row.answer) for one in ours
    ]


def test_big_bench_of_the_hub_is_read(hub: Path, data_rows: Rows) -> None:
    rows = [
        {
            "inputs": f"Q: {row['question']}\n  choice: {row['choices'][0]}\n  choice: ...\nA:",
            "multiple_choice_targets": row["choices"],
            "multiple_choice_scores": list(scores(row).values()),
        }
        for row in data_rows("tracking_shuffled_objects")
    ]
    write(hub / "train.jsonl", rows[200:], lines=True)
    write(hub / "validation.jsonl", rows[:200], lines=True)
    placed = placed_rows(
        "tracking-shuffled-objects", replace(TASKS["tracking-shuffled-objects"], hub=HubId(str(hub))), None
    )
    expected = [row["answer"] for row in data_rows("tracking_shuffled_objects")]
    assert [one.row.answer for one in placed] == expected
