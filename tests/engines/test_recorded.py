"""Recorded completions: the k-th row of a question is its sample number k, and the file is the model."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import DataError, ModelError
from docendo.core.protocols import Finished, Request, Sampling
from docendo.core.records import Completion, Message, Problem, Prompt
from docendo.core.table import Rows
from docendo.engines.recorded import RecordedColumns, RecordedEngine, recorded_checkpoint
from docendo.runs.models import open_model
from tests.fakes import House


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def looked_up(path: Path, asked: list[tuple[str, str, int, int]], **columns: str) -> dict[int, Completion]:
    """Look up (id, question, first, n) and return the rows."""
    engine = RecordedEngine(RecordedColumns(**columns))
    checkpoint = recorded_checkpoint(f"recorded:{path}")
    requests: list[Request] = []
    position = 0
    for problem_id, question, first, n in asked:
        problem = Problem(problem_id, question, "train")
        requests.append(
            Request(position, (Message("user", question),), tuple(range(n)), first=first, problem=problem)
        )
        position += n
    rows: dict[int, Completion] = {}
    for event in engine.sample(checkpoint, engine.chunks(checkpoint, requests, Sampling()), Sampling()):
        assert isinstance(event, Finished)
        found = iter(event.results)
        for request in event.chunk.requests:
            rows |= {request.position + offset: next(found) for offset in range(request.rows)}
    return rows


QUESTIONS = st.sampled_from(["How many apples?", "What is 2 + 3?", "Who  came\nfirst ?", "WHO came first?"])


@given(
    st.lists(st.tuples(QUESTIONS, st.text(st.characters(exclude_categories=["Cs"]), max_size=20)), min_size=1)
)
def test_the_kth_row_of_a_question_is_its_sample_number_k(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    path = written(
        tmp_path_factory.mktemp("r") / "log.jsonl",
        [{"question": question, "completion": text} for question, text in pairs],
    )
    by_question: dict[str, list[str]] = defaultdict(list)
    for question, text in pairs:
        by_question["".join(question.lower().split())].append(text)
    for question in ("how many apples?", "What is 2 + 3?", "Who came first?"):
        expected = by_question["".join(question.lower().split())]
        found = looked_up(path, [("x", question, 0, len(pairs) + 1)])
        assert [row.text for row in found.values() if row.status == "ok"] == expected
        assert all(row.reason.startswith("not recorded") for row in found.values() if row.status != "ok")


def test_numbers_beyond_the_first_are_looked_up_by_their_number(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl", [{"question": "q?", "completion": str(k)} for k in range(4)])
    rows = looked_up(path, [("x", "q?", 2, 4)])
    assert [row.text for row in rows.values()] == ["2", "3", "", ""]
    assert rows[3].reason == "not recorded: 4 of this question, number 5 was asked for"


def test_ids_match_rows_without_a_question_only(tmp_path: Path) -> None:
    rows = [
        {"id": 7, "completion": "by id"},
        {"id": "8", "question": "another one?", "completion": "its question is another"},
    ]
    path = written(tmp_path / "l.jsonl", rows)
    found = looked_up(path, [("7", "q?", 0, 1), ("8", "q?", 0, 1), ("9", "Another  one?", 0, 1)])
    assert [row.text for row in found.values()] == ["by id", "", "its question is another"]


def test_columns_may_have_other_names_and_a_length_end_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl", [{"q": "q?", "said": "cut", "text": "x", "finish_reason": "length"}])
    found = looked_up(
        path, [("1", "q?", 0, 1)], recorded_question_column="q", recorded_completion_column="said"
    )
    assert (found[0].text, found[0].finish, found[0].token_ids) == ("cut", "length", ())


def test_what_follows_a_recorded_completion_was_not_recorded(tmp_path: Path) -> None:
    path = written(tmp_path / "l.jsonl", [{"question": "q?", "completion": " Two and two is 4."}])
    engine, checkpoint = RecordedEngine(), recorded_checkpoint(f"recorded:{path}")
    problem = Problem("1", "q?", "train")
    prompts = [
        (Message("user", "q?"), Message("assistant", "Two and two is 4. Therefore the answer is")),
        (Message("text", "Q: q?\nA: Two and two is 4. Therefore the answer is"),),
        (Message("user", "q?"), Message("assistant", "Let's think step by step.")),
        (Message("text", "Q: p?\nA: Two and two is 4.\nQ: q?\nA:"),),
    ]
    requests = [Request(place, prompt, (1,), problem=problem) for place, prompt in enumerate(prompts)]
    (event,) = engine.sample(checkpoint, engine.chunks(checkpoint, requests, Sampling()), Sampling())
    assert isinstance(event, Finished)
    gone_on = "not recorded: the prompt goes on after a recorded completion"
    assert [one.reason for one in event.results] == [gone_on, gone_on, "", ""]


def test_the_second_call_is_answered_from_the_row_whose_completion_stands_before_it(tmp_path: Path) -> None:
    rows = [
        {"question": "q?", "completion": " Two and two is 4.", "tail": " 4."},
        {"question": "q?", "completion": " To be asked is: q? I do not know.", "tail": " unknown"},
        {"question": "q?", "completion": " Two and two is 4. Or is it 5?", "tail": " 5."},
    ]
    path = written(tmp_path / "l.jsonl", rows)
    engine = RecordedEngine(RecordedColumns(recorded_answer_column="tail"))
    checkpoint = recorded_checkpoint(f"recorded:{path}")
    problem = Problem("1", "q?", "train")
    texts = [f"Q: q?\nA:{row['completion']}\nTherefore, the answer is" for row in rows]
    requests = [
        Request(place, (Message("text", text),), (1,), problem=problem) for place, text in enumerate(texts)
    ]
    (event,) = engine.sample(checkpoint, engine.chunks(checkpoint, requests, Sampling()), Sampling())
    assert isinstance(event, Finished)
    assert [one.text for one in event.results] == [" 4.", " unknown", " 5."]
    assert engine.signature != RecordedEngine().signature
    with pytest.raises(DataError, match="no answer in column other; expected a text, found None"):
        looked_up(path, [("1", "q?", 0, 1)], recorded_answer_column="other")


def test_options_in_another_order_are_another_question(tmp_path: Path) -> None:
    path = written(
        tmp_path / "l.jsonl", [{"question": "Which?", "choices": ["red.", "blue"], "completion": "(A)"}]
    )
    engine, checkpoint = RecordedEngine(), recorded_checkpoint(f"recorded:{path}")
    asked = [("red", "Blue."), ("blue", "red"), ("red", "blue", "green")]
    requests = [
        Request(place, (Message("user", "?"),), (1,), problem=Problem(str(place), "Which?", "train", choices))
        for place, choices in enumerate(asked)
    ]
    (event,) = engine.sample(checkpoint, engine.chunks(checkpoint, requests, Sampling()), Sampling())
    assert isinstance(event, Finished)
    assert [one.status for one in event.results] == ["ok", "failed", "failed"]


def test_the_files_digest_is_the_models_identity(tmp_path: Path) -> None:
    rows = [{"question": "q?", "completion": "a"}]
    first = recorded_checkpoint(f"recorded:{written(tmp_path / 'a.jsonl', rows)}")
    same = recorded_checkpoint(f"recorded:{written(tmp_path / 'b.jsonl', rows)}")
    other = recorded_checkpoint(f"recorded:{written(tmp_path / 'c.jsonl', rows * 2)}")
    assert first.digest == same.digest == first.root != other.digest
    assert (first.engine, first.tokenizer) == ("recorded", "")
    engine = RecordedEngine()
    list(engine.chunks(first, [], Sampling()))
    written(tmp_path / "a.jsonl", rows * 3)
    with pytest.raises(ModelError, match="is not the file that it was"):
        list(RecordedEngine().chunks(first, [], Sampling()))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ('{"question": "q?"}\n', "line 1: no completion in column completion, response"),
        ('{"question": "q?", "completion": 3}\n', "expected a text, found 3"),
        ('{"completion": "a"}\n', "line 1: neither a question nor an id"),
        ('{"question": "q?", "completion": "a"}\n{"ques\n', "line 2"),
    ],
)
def test_rows_that_cannot_be_understood_are_named(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(content, "utf-8")
    checkpoint = recorded_checkpoint(f"recorded:{path}")
    with pytest.raises(DataError) as raised:
        list(RecordedEngine().chunks(checkpoint, [], Sampling()))
    assert told in str(raised.value)


def test_missing_files_and_log_probabilities_are_refused(tmp_path: Path) -> None:
    for name in ("recorded:", f"recorded:{tmp_path}/none.jsonl", f"recorded:{tmp_path}"):
        with pytest.raises(ModelError, match="there is no file"):
            open_model(name)
    path = written(tmp_path / "l.jsonl", [{"question": "q?", "completion": "a"}])
    with pytest.raises(ModelError, match="no log-probabilities"):
        list(RecordedEngine().chunks(recorded_checkpoint(f"recorded:{path}"), [], None))


def test_in_a_run_unmatched_questions_are_counted_named_and_do_not_stop_it(tmp_path: Path) -> None:
    house = House(tmp_path / "house")
    questions = [problem.question for problem in house.task.problems("train", 40)]
    rows = [
        {"question": question, "completion": f" It is {k}. The answer is {k}."}
        for question in questions[:10]
        for k in (1, 2)
    ]
    teacher = open_model(f"recorded:{written(tmp_path / 'log.jsonl', rows)}")
    said: list[str] = []
    engine = RecordedEngine(says=said.append)
    run = house.run()
    run._engine = lambda name: engine
    drawn = run.sample(teacher, run.problems("train"), 3, temperature=0.7)
    assert len(drawn) == 120
    assert [sample.answer for sample in drawn][:3] == ["1", "2", ""]
    assert sum(sample.status == "ok" for sample in drawn) == 20
    assert said == [
        f"{teacher.checkpoint.name} has nothing for 30 problems: train-10, train-11, train-12, train-13, "
        "train-14, ...",
        f"{teacher.checkpoint.name}: of 120 samples 10 go beyond what is recorded of their question",
    ]
    further = run.sample(teacher, run.problems("train"), 1, first=1, temperature=0.7)
    assert [sample.text for sample in further][:10] == [
        sample.text for sample in drawn if sample.number == 1
    ][:10]


def test_old_logs_of_others_can_be_the_teacher(data_dir: Path) -> None:
    path = data_dir / "gold_gsm8k_model_solutions.jsonl.gz"
    if not path.exists():
        pytest.skip("no gold_gsm8k_model_solutions in DOCENDO_DATA_DIR")
    from docendo.tasks.files import Row, read_rows

    rows = [row.values for row in read_rows(path) if isinstance(row, Row)]
    question = rows[0]["question"]
    expected = [row["solution"] for row in rows if row["question"] == question]
    found = looked_up(path, [("x", question, 0, len(expected) + 1)])
    assert [row.text for row in found.values()] == [*expected, ""]
    assert len(expected) == 4  # the four models of Cobbe et al. (2021) that are in the file


def test_prompts_of_a_run_carry_their_problem(tmp_path: Path) -> None:
    house = House(tmp_path)
    problem = Problem("p", "What is 1 + 2?", "train")
    run = house.run()
    asked: list[Request] = []
    keep = house.engine.chunks
    house.engine.chunks = lambda checkpoint, requests, sampling: keep(
        checkpoint, [asked.append(one) or one for one in requests], sampling
    )
    run.sample(
        house.base, Rows([Prompt(problem, (Message("user", problem.question),))]), 2, first=3, temperature=1.0
    )
    assert [(one.first, one.problem) for one in asked] == [(3, problem)]
