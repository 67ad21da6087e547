"""BoolQ, SST-2 and ARC-easy from small copies of every layout that is read, and from the real data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import DataError, SettingError
from docendo.core.protocols import Task
from docendo.core.records import Context, Label, Message, Problem, Shot
from docendo.tasks import arc_easy as arc_file
from docendo.tasks import boolq as boolq_file
from docendo.tasks import sst2 as sst2_file
from docendo.tasks.arc_easy import arc_easy
from docendo.tasks.boolq import boolq
from docendo.tasks.conformance import check_task
from docendo.tasks.gold import GoldRow, Origin
from docendo.tasks.hub import HubId
from docendo.tasks.judgements import Slot, judgement_task
from docendo.tasks.options import TaskOptions
from docendo.tasks.rows import RowsTask
from docendo.tasks.sst2 import sst2

WORDS = ("no", "yes")


def lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def counts(task: Task, split: str) -> Counter[str]:
    return Counter(label.answer for label in task.labels(split).values())


def assert_judgements(task: RowsTask) -> None:
    assert not [check for check in check_task(task, limit=300) if not check.passed]
    for split in task.splits:
        numbers = counts(task, split)
        assert len(set(numbers.values())) == 1, (split, numbers)
        assert len(numbers) == 2
    groups = [{problem.group for problem in task.problems(split) if problem.group} for split in task.splits]
    assert len(set().union(*groups)) == sum(map(len, groups))


# ---- the slot


def test_a_slot_is_one_prompt_for_a_head_and_for_a_word() -> None:
    slot, problem = Slot(words=WORDS), Problem("1", "Is ice cold?", "test", WORDS)
    context = Context("Judge.", (Shot("Is fire hot?", "ignored", "yes"),))
    assert slot.prompt(problem, context).messages == (
        Message("system", "Judge."),
        Message("user", "Is fire hot?"),
        Message("assistant", "The answer is yes"),
        Message("user", "Is ice cold?"),
        Message("assistant", "The answer is"),
    )
    assert slot.target("because", "yes") == " yes"
    (plain,) = Slot(words=WORDS, is_plain=True).prompt(problem, context).messages
    assert plain == Message(
        "text", "Judge.\n\nQ: Is fire hot?\nA: The answer is yes\n\nQ: Is ice cold?\nA: The answer is"
    )


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The answer is yes", "yes"),
        (" Yes.", "yes"),
        ("no, because", "no"),
        ("nobody", ""),
        ("The answer is not no", ""),
        ("", ""),
    ],
)
def test_a_slot_reads_the_word_it_was_filled_with(text: str, answer: str) -> None:
    reading = Slot(words=WORDS).read(text)
    assert (reading.answer, reading.is_parsed) == (answer, bool(answer))


@given(st.text(max_size=20), st.sampled_from(WORDS))
def test_a_slot_reads_its_target_and_never_fails(text: str, word: str) -> None:
    slot = Slot(words=WORDS)
    assert slot.read(slot.begun + slot.target(text, word)).answer == word
    assert slot.read(text).answer in ("", *WORDS)


def test_words_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(SettingError, match=r"words are \('yes', 'yes'\)"):
        Slot(words=("yes", "yes"))
    with pytest.raises(SettingError, match="begun is empty"):
        Slot(words=WORDS, begun=" ")


# ---- rows become balanced splits


@given(
    st.lists(st.tuples(st.integers(0, 15), st.booleans(), st.sampled_from(["train", "test"])), min_size=1),
    st.integers(0, 3),
)
def test_splits_are_balanced_and_share_no_group(rows: list[tuple[int, bool, str]], seed: int) -> None:
    made = [
        GoldRow(Origin("x", k), f"question {k}", WORDS[right], id=str(k), split=split, group=f"g{group}")
        for k, (group, right, split) in enumerate(rows)
    ]
    if not any(balanced_of(made, split) for split in ("train", "test")):
        return
    task = judgement_task("x", lambda: made, TaskOptions(task_seed=seed), WORDS)
    try:
        splits = task.splits
    except DataError:  # one class alone is left of every split
        return
    groups = [{problem.group for problem in task.problems(split)} for split in splits]
    assert len(set().union(*groups)) == sum(map(len, groups))
    for split in splits:
        numbers = counts(task, split)
        assert numbers["no"] == numbers["yes"]
    # A test row is dropped for balance alone.
    if n_test := 2 * balanced_of(made, "test"):
        assert sum(counts(task, "test").values()) == n_test


def balanced_of(rows: list[GoldRow], split: str) -> int:
    numbers = Counter(row.answer for row in rows if row.split == split)
    return min(numbers["no"], numbers["yes"])


# ---- BoolQ


def boolq_rows(n: int, first: int = 0) -> list[dict[str, Any]]:
    return [
        {"question": f"is {k} odd", "title": "t", "answer": k % 3 > 0, "passage": f"Passage {k // 2}."}
        for k in range(first, first + n)
    ]


def test_boolq_is_read_as_published_and_as_one_file(tmp_path: Path) -> None:
    lines(tmp_path / "up/boolq/train.jsonl", boolq_rows(60))
    lines(tmp_path / "up/boolq/dev.jsonl", boolq_rows(30, 100))
    task = boolq(TaskOptions(data_dir=tmp_path / "up", validation_size=6))
    assert task.splits == ("train", "validation", "test")
    assert_judgements(task)
    assert counts(task, "test") == {"no": 10, "yes": 10}
    problem = next(task.problems("test"))
    assert problem.question.startswith("Passage 50. Question: is 10")
    assert problem.choices == WORDS
    named = [{"id": f"boolq-{k}", **row} for k, row in enumerate(boolq_rows(60))]
    lines(tmp_path / "one/boolq.jsonl", named)
    one = boolq(TaskOptions(data_dir=tmp_path / "one"))
    assert one.splits == ("train", "validation", "test")
    assert_judgements(one)


def test_a_question_of_test_is_left_out_of_train(tmp_path: Path) -> None:
    lines(tmp_path / "train.jsonl", boolq_rows(60))
    lines(tmp_path / "dev.jsonl", boolq_rows(12, 50))  # passages 25 to 30 stand in both
    task = boolq(TaskOptions(data_dir=tmp_path, validation_size=4))
    assert_judgements(task)
    assert not any("Passage 25." in problem.question for problem in task.problems("train"))


# ---- SST-2


def sst_rows(n: int, first: int = 0) -> list[tuple[str, int]]:
    return [(f'a "quoted film {k} , unclosed', int(k % 4 > 0)) for k in range(first, first + n)]


def test_sst2_is_read_as_published_and_as_one_file(tmp_path: Path) -> None:
    for name, rows in (("train", sst_rows(80)), ("dev", sst_rows(20, 100))):
        path = tmp_path / f"up/SST-2/{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("sentence\tlabel\n" + "".join(f"{text} \t{label}\n" for text, label in rows))
    task = sst2(TaskOptions(data_dir=tmp_path / "up"))
    assert_judgements(task)
    assert counts(task, "test") == {"negative": 5, "positive": 5}
    assert next(task.problems("test")).question.endswith("unclosed Is it negative or positive?")
    words = ("negative", "positive")
    named = [
        {"id": f"sst2-{split}-{k}", "split": split, "question": text, "answer": words[label]}
        for split, rows in (("train", sst_rows(80)), ("test", sst_rows(20, 100)))
        for k, (text, label) in enumerate(rows)
    ]
    lines(tmp_path / "one/sst2.jsonl", named)
    one = sst2(TaskOptions(data_dir=tmp_path / "one"))
    assert one.identity == task.identity


# ---- ARC-easy


def arc_rows(n: int, first: int = 0) -> list[tuple[str, list[str], int]]:
    return [
        (f"What is {k} + 1?", [f"{k + 1}.", f"{k + 2}", f"{k + 3}", f"{k + 1}."], 0)
        for k in range(first, first + n)
    ]


def test_arc_easy_is_read_as_published_and_as_one_file(tmp_path: Path) -> None:
    parts = {"Train": arc_rows(40), "Dev": arc_rows(8, 100), "Test": arc_rows(12, 200)}
    named: list[dict[str, Any]] = []
    for part, rows in parts.items():
        upstream = [
            {
                "id": f"{part}{k}",
                "question": {
                    "stem": stem,
                    "choices": [{"text": text, "label": "1234"[i]} for i, text in enumerate(choices)],
                },
                "answerKey": "1234"[right],
            }
            for k, (stem, choices, right) in enumerate(rows)
        ]
        lines(tmp_path / f"up/ARC-Easy/ARC-Easy-{part}.jsonl", upstream)
        named += [
            {
                "id": f"{part}{k}",
                "split": part.lower(),
                "question": stem,
                "choices": choices,
                "answer": "ABCD"[right],
            }
            for k, (stem, choices, right) in enumerate(rows)
        ]
    task = arc_easy(TaskOptions(data_dir=tmp_path / "up"))
    assert_judgements(task)
    assert {split: len(task.labels(split)) for split in task.splits} == {
        "train": 80,
        "validation": 16,
        "test": 24,
    }
    lines(tmp_path / "one/arc_easy.jsonl", named)
    assert arc_easy(TaskOptions(data_dir=tmp_path / "one")).identity == task.identity
    by_group: dict[str, list[str]] = {}
    for problem in task.problems("train"):
        by_group.setdefault(problem.group, []).append(task.labels("train")[problem.id].answer)
    assert all(sorted(answers) == ["no", "yes"] for answers in by_group.values())
    # The last choice is the right one's text again, and so no wrong one.
    assert not any(problem.id.endswith("/D") for problem in task.problems("train"))
    others = arc_easy(TaskOptions(data_dir=tmp_path / "up", task_seed=1))
    assert [p.id for p in others.problems("train")] != [p.id for p in task.problems("train")]


# ---- all three


@pytest.mark.parametrize(
    ("make", "folder", "values", "expected"),
    [
        (
            boolq,
            "boolq",
            [{"question": "is it", "answer": "perhaps", "passage": "P."}],
            "answer is 'perhaps'",
        ),
        (boolq, "boolq", [{"question": "is it", "answer": True}], "passage is None; expected a text"),
        (sst2, "sst2", [{"question": " ", "answer": 1}], "question is ' '; expected a text"),
        (arc_easy, "arc_easy", [{"question": "why", "answer": "A"}], "there are no choices"),
        (
            arc_easy,
            "arc_easy",
            [{"question": "why", "answer": "A", "choices": ["x", "x"]}],
            "all choices are 'x'",
        ),
    ],
)
def test_a_row_that_cannot_be_understood_is_named(
    tmp_path: Path, make: Callable[[TaskOptions], RowsTask], folder: str, values: Any, expected: str
) -> None:
    lines(tmp_path / f"{folder}.jsonl", values)
    with pytest.raises(DataError, match=f"{folder}.jsonl line 1: {expected}"):
        make(TaskOptions(data_dir=tmp_path)).load()


@pytest.mark.parametrize("make", [boolq, sst2, arc_easy])
def test_a_folder_without_the_files_and_useless_settings_are_refused(
    tmp_path: Path, make: Callable[[TaskOptions], RowsTask]
) -> None:
    with pytest.raises(DataError, match="has no file of"):
        make(TaskOptions(data_dir=tmp_path)).load()
    with pytest.raises(SettingError, match="answer_kind is text"):
        make(TaskOptions(answer_kind="text"))


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (boolq, {"train": 1936, "validation": 222, "test": 228}),
        (sst2, {"train": 6620, "validation": 428, "test": 856}),
        (arc_easy, {"train": 4036, "validation": 450, "test": 4752}),
    ],
)
def test_the_real_data_pass_their_checks(
    data_dir: Path, make: Callable[[TaskOptions], RowsTask], sizes: dict[str, int]
) -> None:
    task = make(TaskOptions(data_dir=data_dir))
    assert_judgements(task)
    found = {split: len(task.labels(split)) for split in task.splits}
    assert found == sizes


def test_hub_rows_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets  # pyright: ignore[reportMissingTypeStubs]

    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    lines(tmp_path / "sst/train.jsonl", [{"sentence": t, "label": k, "idx": 0} for t, k in sst_rows(40)])
    lines(tmp_path / "sst/validation.jsonl", [{"sentence": t, "label": k} for t, k in sst_rows(8, 50)])
    lines(tmp_path / "sst/test.jsonl", [{"sentence": "hidden", "label": -1}])
    lines(tmp_path / "boolq/train.jsonl", boolq_rows(40))
    lines(tmp_path / "boolq/validation.jsonl", boolq_rows(12, 100))
    arc = [
        {"id": f"r{k}", "question": q, "choices": {"text": c, "label": list("ABCD")}, "answerKey": "A"}
        for k, (q, c, _) in enumerate(arc_rows(30))
    ]
    for split, rows in (("train", arc[:20]), ("validation", arc[20:25]), ("test", arc[25:])):
        lines(tmp_path / f"arc/{split}.jsonl", rows)
    for module, name in ((sst2_file, "sst"), (boolq_file, "boolq"), (arc_file, "arc")):
        source = module.SOURCE
        changed = {field: getattr(source, field) for field in ("key", "files", "folder", "hub_splits")}
        monkeypatch.setattr(module, "SOURCE", type(source)(**changed, hub=HubId(str(tmp_path / name))))
    for make in (sst2, boolq, arc_easy):
        task = make(TaskOptions())
        assert task.splits == ("train", "validation", "test")
        assert_judgements(task)


def test_a_label_is_the_word() -> None:
    rows = [GoldRow(Origin("x", k), f"q{k}", WORDS[k % 2], split="test", id=str(k)) for k in range(4)]
    task = judgement_task("x", lambda: rows, TaskOptions(), WORDS)
    assert task.labels("test")["1"] == Label("1", "yes")
