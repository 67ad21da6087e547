from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import DataError, SettingError, UnknownNameError
from docendo.core.protocols import Task
from docendo.tasks.conformance import check_task
from docendo.tasks.files import BadRow, Row, file_task, line_count, read_rows
from docendo.tasks.options import TaskOptions
from docendo.tasks.rows import normalised_question
from docendo.verifiers.choice import Choice
from docendo.verifiers.exact import Exact
from docendo.verifiers.math import Math
from docendo.verifiers.numeric import Numeric

SUMS: list[dict[str, Any]] = [{"question": f"What is {n} + {n}?", "answer": str(2 * n)} for n in range(40)]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write rows in the form that the name asks for."""
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(list(rows)), path)
        return path
    if name.endswith(".csv"):
        text = io.StringIO()
        columns = list(dict.fromkeys(column for row in rows for column in row))
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        content = text.getvalue()
    elif name.endswith(".jsonl"):
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        content = json.dumps(list(rows), indent=1)
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return path


def contents(task: Task) -> dict[str, list[tuple[Any, ...]]]:
    return {
        split: [
            (problem.id, problem.question, problem.choices, problem.group, label.answer, label.solution)
            for problem in task.problems(split)
            for label in [task.labels(split)[problem.id]]
        ]
        for split in task.splits
    }


@pytest.mark.parametrize(
    "name", ["x.json", "x.csv", "x.parquet", "x.jsonl.gz", "x.json.gz", "x.csv.gz", "X.JSONL"]
)
def test_every_form_gives_the_same_task(tmp_path: Path, name: str) -> None:
    rows = [{**row, "id": f"s{n}", "solution": 'Add, "twice",\nthe same.'} for n, row in enumerate(SUMS)]
    path = tmp_path / name
    write(path if name != "X.JSONL" else tmp_path / "x.jsonl", rows)
    if name == "X.JSONL":
        (tmp_path / "x.jsonl").rename(path)
    task = file_task(path)
    expected = file_task(write(tmp_path / "plain.jsonl", rows))
    assert contents(task) == contents(expected)
    assert task.identity == expected.identity
    assert isinstance(task.verifier, Numeric)


def test_a_mark_at_the_beginning_blank_lines_and_line_ends_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    lines = [json.dumps(row) for row in SUMS]
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(lines).encode())
    assert file_task(path).identity == file_task(write(tmp_path / "y.jsonl", SUMS)).identity
    comma = tmp_path / "x.csv"
    comma.write_bytes(
        b"\xef\xbb\xbf" + write(tmp_path / "y.csv", SUMS).read_bytes().replace(b"\r\n", b"\n\n")
    )
    assert file_task(comma).identity == file_task(path).identity


def test_rows_are_numbered_by_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('\n{"a": 1}\n[1]\n\n{"a"\n7\nnull\n"x"\n')
    got = [
        (row.origin.number, row.values if isinstance(row, Row) else row.reason.partition(";")[0])
        for row in read_rows(path)
    ]
    assert got[:2] == [(2, {"a": 1}), (3, "is a list")]
    assert got[2][0] == 5
    assert str(got[2][1]).startswith("not JSON: ")
    assert got[3:] == [(6, "is a number"), (7, "is null"), (8, "is a text")]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b"", r"x\.jsonl is empty; expected at least one row"),
        ("x.jsonl", b"\n \n", r"x\.jsonl has no rows"),
        ("x.json", b"[]", r"x\.json has no rows"),
        ("x.csv", b"question,answer\n", r"x\.csv has no rows"),
        (
            "x.jsonl",
            b'{"question": "a", "answer": "1"}\n{"question": \n',
            r"x\.jsonl line 2: not JSON: .*\nhint: ",
        ),
        ("x.json", b'[{"question": "a"},\n{"question" "b"}]', r"x\.json line 2: not JSON"),
        (
            "x.jsonl",
            b'{"question": "a", "answer": "1"}\n[1]\n',
            r"x\.jsonl line 2: is a list; expected an object",
        ),
        (
            "x.jsonl",
            b'{"question": "caf\xe9", "answer": "1"}',
            r"x\.jsonl line 1: not UTF-8 \(byte 0xe9 at 18\)",
        ),
        ("x.csv", b"question,answer\na,1\nb,caf\xe9\n", r"x\.csv line 3: not UTF-8"),
        ("x.csv", b"question,\xe9\na,1\n", r"x\.csv line 1: the header is not UTF-8"),
        ("x.csv", b"question,answer\na,1,2\n", r"x\.csv line 2: has 3 fields; expected 2"),
        ("x.csv", b'question,answer\n"a,1\n', r"x\.csv line 2: not CSV: "),
        ("x.jsonl", '{"question": "a"}'.encode("utf-16"), r"x\.jsonl is UTF-16; expected UTF-8"),
        (
            "x.jsonl",
            b'{"q": "a", "answer": "1"}',
            r"line 1: there is no column question \(or problem, .*has answer, q",
        ),
        ("x.jsonl", b'{"question": "a"}', r"line 1: there is no column answer .*\nhint: .* --answer-column"),
        ("x.jsonl", b'{"question": " ", "answer": "1"}', r"line 1: question is empty"),
        ("x.jsonl", b'{"question": "a", "answer": ""}', r"line 1: answer is empty"),
        (
            "x.jsonl",
            b'{"question": "a", "answer": ["1"]}',
            r"line 1: answer is a list; expected a text or a number",
        ),
        ("x.jsonl", b'{"question": "a", "answer": "b ####"}', r"line 1: nothing stands behind ####"),
        (
            "x.jsonl",
            b'{"question": "a", "solution": "b"}',
            r"line 1: there is no answer column, and the solution has",
        ),
        ("x.jsonl", b'{"question": "a", "answer": "1", "split": "tset"}', r"line 1: unknown split 'tset'"),
        (
            "x.jsonl",
            b'{"question": "a", "answer": "1", "split": "test"}\n{"question": "b", "answer": "1"}\n',
            r"line 2: the row has no split; others have one",
        ),
        (
            "x.jsonl",
            b'{"question": "a", "answer": "1", "id": 7}\n\n{"question": "b", "answer": "1", "id": 7}\n',
            r"line 3: id '7' stands already in line 1\nhint: ids must be unique",
        ),
        (
            "x.jsonl",
            b'{"question": "a", "answer": "1", "choices": "x"}',
            r"choices is a str; expected a list",
        ),
        ("x.jsonl", b'{"question": "a", "answer": "1", "choices": ["x"]}', r"1 choices; expected 2 to 26"),
        (
            "x.jsonl",
            b'{"question": "a", "answer": "D", "choices": ["x", "y"]}',
            r"answer 'D' is no choice; expected one of A, B, or the text of one",
        ),
        ("x.jsonl.gz", b"not packed", r"x\.jsonl\.gz cannot be unpacked"),
        (
            "x.jsonl.gz",
            gzip.compress(b'{"question": "a", "answer": "1"}\n' * 999, mtime=0)[:40],
            r"cannot be unpacked",
        ),
        ("x.parquet", b"PAR1 it is not", r"x\.parquet is not Parquet"),
        ("x.txt", b"a\tb", r"x\.txt is of no known kind; expected a file that ends in \.jsonl"),
    ],
)
def test_bad_files_are_told_in_one_clear_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=f"(?s){message}") as caught:
        file_task(path)
    assert "\n" not in caught.value.message


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no file .*nowhere\.jsonl"):
        file_task(tmp_path / "nowhere.jsonl")


def test_a_column_that_no_row_has_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", SUMS)
    with pytest.raises(DataError, match=r"no row has a column 'rational'.* --solution-column"):
        file_task(path, TaskOptions(solution_column="rational"))
    with pytest.raises(DataError, match=r"there is no column q;"):
        file_task(path, TaskOptions(question_column="q"))


def test_columns_are_found_by_the_settings(tmp_path: Path) -> None:
    rows = [{"q": f"{n}?", "a": n, "why": "so", "nr": n, "part": "dev", "fam": f"g{n}"} for n in range(3)]
    options = TaskOptions(
        question_column="q",
        answer_column="a",
        solution_column="why",
        id_column="nr",
        split_column="part",
        group_column="fam",
    )
    assert contents(file_task(write(tmp_path / "x.jsonl", rows), options)) == {
        "validation": [(str(n), f"{n}?", (), f"g{n}", str(n), "so") for n in range(3)]
    }


def test_solution_and_answer_are_parted_where_they_share_a_column(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    write(path, [{"question": "a", "answer": "48/2 = <<48/2=24>>24\nso 24 #### 1,024 "}])
    (problem,) = file_task(path).problems("train")
    assert file_task(path).labels("train")[problem.id].answer == "1,024"
    assert file_task(path).labels("train")[problem.id].solution == "48/2 = 24\nso 24"
    kept = file_task(path, TaskOptions(keep_calculator_marks=True)).labels("train")[problem.id]
    assert kept.solution == "48/2 = <<48/2=24>>24\nso 24"


def test_the_answer_is_the_last_box_where_there_is_no_answer_column(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write(path, [{"problem": "a", "solution": r"First \boxed{1}, then $\boxed{\frac x2}$."}])
    task = file_task(path)
    (label,) = task.labels("train").values()
    assert (label.answer, label.solution) == (r"\frac x2", r"First 1, then $\frac x2$.")
    assert isinstance(task.verifier, Math)


@pytest.mark.parametrize(
    ("choices", "answer", "letter"),
    [
        (["red", "blue"], "B", "B"),
        (["red", "blue"], "b", "B"),
        (["red", "blue"], "red", "A"),
        ({"label": ["1", "2", "3"], "text": ["x", "y", "z"]}, "3", "C"),
        ({"text": ["x", "y", "z"]}, "y", "B"),
        (["yes", "no"], True, None),
    ],
)
def test_gold_choices_become_letters(tmp_path: Path, choices: Any, answer: Any, letter: str | None) -> None:
    path = write(tmp_path / "x.jsonl", [{"question": "a", "answer": answer, "choices": choices}])
    if letter is None:
        with pytest.raises(DataError, match=r"answer 'true' is no choice"):
            file_task(path)
        return
    task = file_task(path)
    (label,) = task.labels("train").values()
    assert label.answer == letter
    assert isinstance(task.verifier, Choice)


def test_choices_are_read_from_csv_as_a_list(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('question,answer,choices\na,B,"[""red"", ""blue""]"\nb,red,"[""red"", ""blue""]"\n')
    rows = [row for split in contents(file_task(path)).values() for row in split]
    assert {row[2] for row in rows} == {("red", "blue")}


@pytest.mark.parametrize(
    ("answers", "kind"),
    [(["1", "2.5", "1/2", "$3"], Numeric), (["1", "\\frac{x}{2}"], Math), (["1", "Paris"], Exact)],
)
def test_the_kind_of_answers_is_what_all_of_them_fit(tmp_path: Path, answers: list[str], kind: type) -> None:
    rows = [{"question": f"q{n}", "answer": answer} for n, answer in enumerate(answers)]
    assert isinstance(file_task(write(tmp_path / "x.jsonl", rows)).verifier, kind)
    chosen = file_task(write(tmp_path / "x.jsonl", rows), TaskOptions(answer_kind="text"))
    assert isinstance(chosen.verifier, Exact)


def test_answer_kind_choice_needs_choices(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"answer_kind is choice, and no row has choices"):
        file_task(write(tmp_path / "x.jsonl", SUMS), TaskOptions(answer_kind="choice"))


# -- splits ------------------------------------------------------------------------------------------------


def splits_by_id(task: Task) -> dict[str, str]:
    return {problem.id: split for split in task.splits for problem in task.problems(split)}


def test_splits_that_are_named_are_kept(tmp_path: Path) -> None:
    names = ["train", "dev", "test", "Validation"]
    rows = [{**row, "id": n, "split": names[n % 4]} for n, row in enumerate(SUMS)]
    found = splits_by_id(file_task(write(tmp_path / "x.jsonl", rows)))
    assert found == {str(n): ("train", "validation", "test", "validation")[n % 4] for n in range(40)}


def test_missing_splits_are_cut_off_train(tmp_path: Path) -> None:
    rows = [{**row, "id": n, "split": "train" if n < 30 else "test"} for n, row in enumerate(SUMS)]
    path = write(tmp_path / "x.jsonl", rows)
    assert Counter(splits_by_id(file_task(path)).values()) == {"train": 27, "validation": 3, "test": 10}
    options = TaskOptions(validation_size=7)
    assert Counter(splits_by_id(file_task(path, options)).values())["validation"] == 7
    assert Counter(splits_by_id(file_task(write(path, SUMS))).values()) == {
        "train": 32,
        "validation": 4,
        "test": 4,
    }
    assert file_task(write(path, [{**row, "split": "test"} for row in SUMS])).splits == ("test",)


def test_sizes_without_use_or_out_of_reach_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", [{**row, "split": "test"} for row in SUMS])
    with pytest.raises(SettingError, match=r"test_size is 5, but .* they have a test split"):
        file_task(path, TaskOptions(test_size=5))
    with pytest.raises(SettingError, match=r"validation_size is 5, but .* no train split"):
        file_task(path, TaskOptions(validation_size=5))
    with pytest.raises(SettingError, match=r"test_size is 40; .* has 40 rows"):
        file_task(write(path, SUMS), TaskOptions(test_size=40))
    with pytest.raises(SettingError, match=r"validation_size is 0; expected at least 1"):
        TaskOptions(validation_size=0)
    with pytest.raises(SettingError, match=r"data_dir is .*; task x.jsonl has no use for it"):
        file_task(path, TaskOptions(data_dir=tmp_path))


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from(["", "g1", "g2", "g3", "g4"])), min_size=3, max_size=60
    ),
    seed=st.integers(0, 3),
)
def test_made_splits_tear_neither_questions_nor_groups_and_forget_the_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("splits")
    written = [
        {"id": n, "question": f"What is  {number} ?", "answer": number, "group": group}
        for n, (number, group) in enumerate(rows)
    ]
    options = TaskOptions(task_seed=seed)
    task = file_task(write(folder / "x.jsonl", written), options)
    found = splits_by_id(task)
    assert len(found) == len(rows)
    assert "train" in found.values()
    for key in (0, 1):
        where: dict[Any, set[str]] = {}
        for n, row in enumerate(rows):
            where.setdefault(row[key], set()).add(found[str(n)])
        where.pop("", None)
        assert all(len(splits) == 1 for splits in where.values())
    shuffled = random.Random(seed).sample(written, len(written))
    assert splits_by_id(file_task(write(folder / "y.jsonl", shuffled), options)) == found


def test_seeds_make_different_splits(tmp_path: Path) -> None:
    path = write(tmp_path / "x.jsonl", SUMS)
    assert splits_by_id(file_task(path)) != splits_by_id(file_task(path, TaskOptions(task_seed=1)))


def test_ids_without_a_column_come_from_the_question(tmp_path: Path) -> None:
    task = file_task(write(tmp_path / "x.jsonl", SUMS))
    again = file_task(write(tmp_path / "y.jsonl", SUMS[::-1]))
    assert splits_by_id(task) == splits_by_id(again)
    twice = file_task(write(tmp_path / "z.jsonl", [*SUMS, SUMS[0]]))
    (new,) = set(splits_by_id(twice)) - set(splits_by_id(task))
    assert new.endswith("-2")


def test_limits_take_the_first_and_unknown_splits_are_named(tmp_path: Path) -> None:
    task = file_task(write(tmp_path / "x.jsonl", SUMS))
    every = [problem.id for problem in task.problems("train")]
    assert [problem.id for problem in task.problems("train", 5)] == every[:5]
    assert list(task.labels("train", 5)) == every[:5]
    with pytest.raises(UnknownNameError, match=r"unknown split 'tset'\nhint: did you mean 'test'"):
        task.problems("tset")
    with pytest.raises(UnknownNameError, match=r"unknown split 'dev'"):
        task.labels("dev")


def test_a_folder_of_files_named_after_splits_is_a_task(tmp_path: Path) -> None:
    write(tmp_path / "train-00001-of-00002.parquet", SUMS[10:20])
    write(tmp_path / "train-00000-of-00002.parquet", SUMS[:10])
    write(tmp_path / "dev.csv", SUMS[20:25])
    write(tmp_path / "test.jsonl.gz", SUMS[25:])
    (tmp_path / "README.md").write_text("Sums.")
    task = file_task(tmp_path)
    assert [problem.question for problem in task.problems("train")] == [row["question"] for row in SUMS[:20]]
    assert Counter(splits_by_id(task).values()) == {"train": 20, "validation": 5, "test": 15}


def test_ids_that_stand_in_two_files_get_their_split_in_front(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", [{**row, "id": n} for n, row in enumerate(SUMS[:20])])
    write(tmp_path / "test.jsonl", [{**row, "id": n} for n, row in enumerate(SUMS[20:])])
    found = splits_by_id(file_task(tmp_path))
    assert {name.partition("/")[0] for name in found} == {"train", "test"}
    assert len(found) == 40


def test_parts_of_one_split_share_no_id(tmp_path: Path) -> None:
    for part in (0, 1):
        write(tmp_path / f"train-0000{part}-of-00002.parquet", [{**SUMS[part], "id": "a"}])
    with pytest.raises(
        DataError, match=r"00001-of-00002.parquet row 1: id 'a' .* in train-00000-of-.* row 1"
    ):
        file_task(tmp_path)


def test_folders_without_splits_or_with_too_many_files_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "sums.jsonl", SUMS)
    with pytest.raises(DataError, match=r"no file that is named after a split"):
        file_task(tmp_path)
    write(tmp_path / "test.jsonl", SUMS)
    write(tmp_path / "test.csv", SUMS)
    with pytest.raises(DataError, match=r"several files for test: test\.csv, test\.jsonl; expected one"):
        file_task(tmp_path)


def test_identity_follows_what_is_read_and_not_the_file(tmp_path: Path) -> None:
    task = file_task(write(tmp_path / "x.jsonl", SUMS))
    assert task.identity == file_task(write(tmp_path / "other.csv", SUMS)).identity
    changed = [*SUMS[:-1], {**SUMS[-1], "answer": "9"}]
    assert task.identity != file_task(write(tmp_path / "x.jsonl", changed)).identity
    assert json.loads(json.dumps(task.identity)) == task.identity


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("What is  3 + 4 ?", "what is 3 + 4?", True),
        ("What is 3 + 4?", "What is 3 - 4?", False),
        ("caf\u00e9", "cafe\u0301", True),
        ("3.5", "35", False),
    ],
)
def test_questions_are_the_same_but_for_case_and_spaces(left: str, right: str, same: bool) -> None:
    assert (normalised_question(left) == normalised_question(right)) is same


@given(st.binary(max_size=200), st.sampled_from(["x.jsonl", "x.json", "x.csv", "x.jsonl.gz", "x.parquet"]))
def test_no_file_breaks_the_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    path = tmp_path_factory.mktemp("any") / name
    path.write_bytes(content)
    try:
        for row in read_rows(path):
            assert isinstance(row, (Row, BadRow))
    except DataError:
        pass


def test_lines_are_counted_without_being_read(tmp_path: Path) -> None:
    text = '{"question": "a"}\nnot JSON\n'
    (tmp_path / "a.jsonl").write_text(text)
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(text)
    (tmp_path / "a.json").write_text("[\n{}\n]\n")
    names = ("a.jsonl", "a.jsonl.gz", "a.json", "missing.jsonl")
    assert [line_count(tmp_path / name) for name in names] == [2, 2, 0, 0]


def test_exams_are_a_split_of_their_own_and_share_groups(tmp_path: Path) -> None:
    rows = [
        {"question": f"What is {n} + 1?", "answer": str(n + 1), "split": split, "group": f"g{n % 3}"}
        for n, split in enumerate(["train", "validation", "test", "exams", "exams", "exams"])
    ]
    path = tmp_path / "variants.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = file_task(path)
    assert task.splits == ("train", "validation", "test", "exams")
    assert [problem.group for problem in task.problems("exams")] == ["g0", "g1", "g2"]
    assert [label.answer for label in task.labels("exams").values()] == ["4", "5", "6"]
    assert not [check for check in check_task(task) if not check.passed]
