from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docendo.core.errors import ModelError, SettingError, StageError
from docendo.core.protocols import Chunk, Finished, Halved, Request, Sampling
from docendo.core.records import Checkpoint, Completion, Logprobs, Message
from docendo.core.seeds import derived_seed
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.tokenizer import Tokenizer
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from tests.engines.tiny import END, write_model

WARM = Sampling(temperature=1.0, max_new_tokens=40)


def requests_of(count: int, samples: int = 4, first: int = 0) -> list[Request]:
    return [
        Request(
            place * samples,
            (Message("user", f"What is {place} + {place * place % 17}?" + " Think." * (place % 5)),),
            tuple(derived_seed("test", place, number) for number in range(first, first + samples)),
        )
        for place in range(count)
    ]


def rows_of(events: Iterator[Finished | Halved] | list[Finished | Halved]) -> dict[int, Any]:
    rows: dict[int, Any] = {}
    for event in events:
        if isinstance(event, Finished):
            results = iter(event.results)
            for request in event.chunk.requests:
                for number in range(request.rows):
                    rows[request.position + number] = next(results)
            assert next(results, None) is None
    return rows


def sampled(
    engine: TransformersEngine, checkpoint: Checkpoint, requests: list[Request], sampling: Sampling = WARM
) -> dict[int, Completion]:
    return rows_of(engine.sample(checkpoint, engine.chunks(checkpoint, requests, sampling), sampling))


def processes_of(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(child) for child in text.split()]


def is_running(pid: int) -> bool:
    path = Path(f"/proc/{pid}/stat")
    return path.exists() and path.read_text().rpartition(")")[2].split()[0] != "Z"


def has_ended(pid: int) -> bool:
    """Wait for a killed process: a busy machine takes its time to end it."""
    deadline = time.monotonic() + 10
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


# ---- chunks


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=60),
    samples=st.integers(0, 30),
    most_rows=st.integers(1, 100),
    budget=st.integers(1, 3),
)
def test_chunks_hold_every_row_once_within_their_bounds(
    checkpoint: Checkpoint, lengths: list[int], samples: int, most_rows: int, budget: int
) -> None:
    engine = TransformersEngine(
        TransformersOptions(workers=1, device="cpu", max_rows_per_chunk=most_rows, memory_budget_mb=budget)
    )
    rows = max(1, samples)
    requests = [
        Request(place * rows, (Message("user", "x" * length),), tuple(range(samples)))
        for place, length in enumerate(lengths)
    ]
    chunks = list(engine.chunks(checkpoint, requests, WARM))
    assert chunks == list(engine.chunks(checkpoint, reversed(requests), WARM))
    positions = [
        request.position + number
        for chunk in chunks
        for request in chunk.requests
        for number in range(request.rows)
    ]
    assert sorted(positions) == list(range(rows * len(lengths)))
    assert len({chunk.id for chunk in chunks}) == len(chunks)
    assert all(chunk.rows <= most_rows for chunk in chunks)
    sizes = [len(request.messages[0].content) for chunk in chunks for request in chunk.requests]
    assert sizes == sorted(sizes, reverse=True)


def test_a_smaller_budget_makes_smaller_chunks(tmp_path: Path) -> None:
    folder = write_model(tmp_path, max_position_embeddings=4096)
    checkpoint = open_checkpoint(folder)
    long = Sampling(max_new_tokens=2000)
    rows = [
        max(
            chunk.rows
            for chunk in TransformersEngine(
                TransformersOptions(workers=1, device="cpu", memory_budget_mb=budget)
            ).chunks(checkpoint, requests_of(100), long)
        )
        for budget in (8, 32, 1024)
    ]
    # 2,000 tokens x 2 layers x 2 heads x 12 numbers x 4 bytes x 2 for keys and values, twice = 1.5 MB a row
    assert rows[0] < rows[1] < rows[2]
    assert rows[0] in range(2, 6)


def test_work_for_several_workers_is_cut_into_several_chunks(
    engine: TransformersEngine, checkpoint: Checkpoint
) -> None:
    assert [chunk.rows for chunk in engine.chunks(checkpoint, requests_of(64), WARM)] == [64] * 4
    assert [chunk.rows for chunk in engine.chunks(checkpoint, requests_of(10), WARM)] == [40]
    assert max(chunk.rows for chunk in engine.chunks(checkpoint, requests_of(500), WARM)) == 256


# ---- samples


def test_rows_come_back_with_their_numbers(engine: TransformersEngine, checkpoint: Checkpoint) -> None:
    rows = sampled(engine, checkpoint, requests_of(20))
    tokenizer = Tokenizer.load(Path(checkpoint.location))
    assert sorted(rows) == list(range(80))
    for row in rows.values():
        assert row.status == "ok"
        assert row.generated_tokens == len(row.token_ids) <= 40
        assert row.prompt_tokens > 5
        assert row.token_logprobs is None
        assert row.text == tokenizer.decode(row.token_ids)
        assert (row.finish == "stop") == (row.token_ids[-1] == END)
    assert len({row.text for row in rows.values()}) > 40


def test_fewer_samples_are_the_first_of_more(engine: TransformersEngine, checkpoint: Checkpoint) -> None:
    few = sampled(engine, checkpoint, requests_of(30, samples=4))
    many = sampled(engine, checkpoint, requests_of(30, samples=8))
    further = sampled(engine, checkpoint, requests_of(30, samples=4, first=4))
    # Other chunks: the last bits of the logits may differ, and with them one token in millions.
    same = sum(
        few[place * 4 + k].token_ids == many[place * 8 + k].token_ids for place in range(30) for k in range(4)
    )
    after = sum(
        further[place * 4 + k].token_ids == many[place * 8 + 4 + k].token_ids
        for place in range(30)
        for k in range(4)
    )
    assert same >= 119
    assert after >= 119


def test_two_workers_give_the_bytes_of_one(engine: TransformersEngine, checkpoint: Checkpoint) -> None:
    two = TransformersEngine(TransformersOptions(workers=2, device="cpu"))
    try:
        assert sampled(two, checkpoint, requests_of(100)) == sampled(engine, checkpoint, requests_of(100))
        assert len(processes_of(os.getpid())) >= 3
    finally:
        two.close()


def test_greedy_rows_need_no_seed_and_may_give_logprobs(
    engine: TransformersEngine, checkpoint: Checkpoint
) -> None:
    greedy = Sampling(max_new_tokens=20, logprobs=True)
    requests = [Request(request.position // 4, request.messages) for request in requests_of(6)]
    rows = sampled(engine, checkpoint, requests, greedy)
    scored = rows_of(
        engine.logprobs(
            checkpoint,
            [
                Chunk(
                    "0",
                    tuple(
                        Request(place, requests[place].messages, continuation_ids=(rows[place].token_ids,))
                        for place in range(6)
                    ),
                )
            ],
        )
    )
    for place, row in rows.items():
        assert row.token_logprobs is not None
        assert scored[place].by_token is not None
        assert row.token_logprobs == pytest.approx(scored[place].by_token[0], abs=1e-4)
        assert scored[place].values[0] == pytest.approx(sum(row.token_logprobs), abs=1e-3)
        assert scored[place].tokens == (row.generated_tokens,)


def test_a_prompt_that_fills_the_context_is_a_failed_row(
    engine: TransformersEngine, checkpoint: Checkpoint
) -> None:
    tokenizer = Tokenizer.load(Path(checkpoint.location))
    around = len(tokenizer.prompt_ids((Message("user", ""),)))
    texts = {0: "z" * (128 - around), 1: "z" * (128 - around - 3), 2: "z"}
    requests = [Request(place, (Message("user", text),), (7,)) for place, text in texts.items()]
    rows = sampled(engine, checkpoint, requests, Sampling(temperature=1.0, max_new_tokens=30))
    assert (rows[0].status, rows[0].finish, rows[0].token_ids) == ("failed", "failed", ())
    assert rows[0].reason.startswith("prompt of 128 tokens does not fit into the context of 128")
    assert rows[1].generated_tokens <= 3
    assert rows[2].status == "ok"
    assert {rows[1].finish, rows[2].finish} <= {"stop", "length"}


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_chunk_may_fail_as_a_whole(engine: TransformersEngine, tmp_path: Path, kind: str) -> None:
    checkpoint = open_checkpoint(write_model(tmp_path, kind))
    requests = [Request(place, (Message("user", "z" * 130),), (place,)) for place in range(3)]
    rows = sampled(engine, checkpoint, requests)
    assert [rows[place].status for place in range(3)] == ["failed"] * 3


def test_an_empty_prompt_is_a_failed_row_where_nothing_stands_before_it(
    engine: TransformersEngine, llama: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(llama, tmp_path / "copy")
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps({**content, "post_processor": None}))
    checkpoint = open_checkpoint(folder)
    empty = (Message("text", ""),)
    rows = sampled(engine, checkpoint, [Request(0, empty, (1,)), Request(1, (Message("text", "a"),), (1,))])
    assert rows[0].reason == "the prompt is empty, and the tokenizer puts nothing before it"
    assert rows[1].status == "ok"
    asked = Chunk("0", (Request(0, empty, continuations=("a",)),))
    assert rows_of(engine.logprobs(checkpoint, [asked])) == {0: Logprobs((), ())}


def test_stop_texts_end_a_completion_and_are_cut_off(
    engine: TransformersEngine, checkpoint: Checkpoint
) -> None:
    free = sampled(engine, checkpoint, requests_of(30))
    stops = ("e", "15")
    stopped = sampled(
        engine, checkpoint, requests_of(30), Sampling(temperature=1.0, max_new_tokens=40, stop=stops)
    )
    met = 0
    for place, row in stopped.items():
        whole = free[place].text
        ends = [whole.find(stop) for stop in stops if stop in whole]
        assert row.text == (whole[: min(ends)] if ends else whole)
        if ends:
            met += 1
            assert row.finish == "stop"
            assert row.token_ids == free[place].token_ids[: len(row.token_ids)]
    assert met > 20


def test_what_is_closed_early_leaves_the_engine_usable(
    engine: TransformersEngine, checkpoint: Checkpoint
) -> None:
    before = sampled(engine, checkpoint, requests_of(40))
    stream = engine.sample(checkpoint, engine.chunks(checkpoint, requests_of(400), WARM), WARM)
    next(stream)
    stream.close()
    assert sampled(engine, checkpoint, requests_of(40)) == before


def test_two_questions_at_once_are_refused(engine: TransformersEngine, checkpoint: Checkpoint) -> None:
    stream = engine.sample(checkpoint, engine.chunks(checkpoint, requests_of(200), WARM), WARM)
    next(stream)
    with pytest.raises(StageError, match="still answering something else"):
        next(engine.sample(checkpoint, [Chunk("0", tuple(requests_of(1)))], WARM))
    stream.close()


def test_a_checkpoint_that_has_gone_is_said_so(engine: TransformersEngine) -> None:
    gone = Checkpoint("d", "t", "d", name="round-1/train", location="/nowhere/at/all")
    with pytest.raises(ModelError, match=r"round-1/train has no directory '/nowhere/at/all'"):
        list(engine.chunks(gone, requests_of(1), WARM))


def test_other_architectures_run_through_transformers_with_a_note(
    engine: TransformersEngine, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    other = open_checkpoint(write_model(tmp_path, "gpt2"))
    assert engine.note(checkpoint) == ""
    assert engine.note(other).startswith("model type 'gpt2' is not for the fast decode path")
    rows = sampled(engine, other, requests_of(6))
    assert all(row.status == "ok" and row.generated_tokens for row in rows.values())


# ---- log-probabilities


def test_the_more_likely_continuation_gets_the_higher_number(
    engine: TransformersEngine, checkpoint: Checkpoint
) -> None:
    (request,) = requests_of(1)
    texts = ("12", " 12", "a much longer answer that says nothing")
    (found,) = rows_of(
        engine.logprobs(checkpoint, [Chunk("0", (Request(0, request.messages, continuations=texts),))])
    ).values()
    assert isinstance(found, Logprobs)
    assert found.values[0] == found.values[1]
    assert found.values[2] < found.values[0] < 0
    assert found.by_token is not None
    assert [len(row) for row in found.by_token] == list(found.tokens)


def test_a_continuation_that_does_not_fit_gives_no_numbers(
    engine: TransformersEngine, checkpoint: Checkpoint
) -> None:
    messages = requests_of(1)[0].messages
    request = Request(0, messages, continuation_ids=((5,) * 200,))
    (found,) = rows_of(engine.logprobs(checkpoint, [Chunk("0", (request,))])).values()
    assert found == Logprobs((), ())


def test_a_classification_head_gives_the_classes(engine: TransformersEngine, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification

    folder = write_model(tmp_path, "qwen2", head="classes", num_labels=3)
    checkpoint = open_checkpoint(folder)
    tokenizer = Tokenizer.load(folder)
    requests = [Request(place, request.messages) for place, request in enumerate(requests_of(9))]
    chunks = list(engine.chunks(checkpoint, requests, None))
    rows = rows_of(engine.logprobs(checkpoint, chunks))
    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    for place, request in enumerate(requests):
        with torch.inference_mode():
            logits = model(torch.tensor([tokenizer.prompt_ids(request.messages)])).logits[0]
        assert rows[place].values == pytest.approx(logits.log_softmax(-1).tolist(), abs=1e-4)
        assert rows[place].tokens == (1, 1, 1)
    with pytest.raises(ModelError, match="whose classes have no names, and cannot write"):
        engine.sample(checkpoint, chunks, WARM)


def plain_logits(folder: Path, ids: list[int]) -> list[float]:
    """What transformers gives for one text alone, without padding and without a mask."""
    import torch
    from transformers import AutoModelForSequenceClassification

    model: Any = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    model.config.get_text_config().pad_token_id = -1
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits[0].tolist()


def test_a_head_with_named_classes_answers_with_their_names(
    engine: TransformersEngine, tmp_path: Path
) -> None:
    import math

    names = {0: "no", 1: "yes"}
    checkpoint = open_checkpoint(write_model(tmp_path, head="classes", num_labels=2, id2label=names))
    asked = [Request(place, one.messages) for place, one in enumerate(requests_of(12))]
    classes = rows_of(engine.logprobs(checkpoint, list(engine.chunks(checkpoint, asked, None))))
    greedy = Sampling()
    chosen = rows_of(engine.sample(checkpoint, engine.chunks(checkpoint, asked, greedy), greedy))
    for place, found in classes.items():
        no, yes = found.values
        assert chosen[place].text == (" yes" if yes > no else " no")
        assert (chosen[place].finish, chosen[place].token_ids) == ("stop", ())
    often = requests_of(12, samples=40)
    drawn, again = (
        rows_of(engine.sample(checkpoint, engine.chunks(checkpoint, often, WARM), WARM)) for _ in range(2)
    )
    assert drawn == again
    share = [one.text for one in drawn.values()].count(" yes") / len(drawn)
    wanted = sum(math.exp(found.values[1]) for found in classes.values()) / len(classes)
    assert share == pytest.approx(wanted, abs=0.1)  # of 480 draws: more than four deviations


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_a_head_is_read_off_the_last_token_whatever_its_id_and_its_neighbours(
    engine: TransformersEngine, tmp_path: Path, kind: str
) -> None:
    import math

    tokenizer_pad = 2
    folder = write_model(tmp_path, kind, head="classes", num_labels=2, pad_token_id=tokenizer_pad)
    checkpoint, tokenizer = open_checkpoint(folder), Tokenizer.load(folder)
    messages = requests_of(1)[0].messages
    # Texts that end with, or consist of, ids that pad elsewhere: 0, and the config's padding id.
    texts = [(5, 0, 7, 9), (5, 0), (0,), (7, tokenizer_pad), (9,) * 40, (5, 0, 7, 9)]
    requests = [Request(place, messages, (), None, (ids,)) for place, ids in enumerate(texts)]
    together = rows_of(engine.logprobs(checkpoint, [Chunk("0", tuple(requests))]))
    alone = rows_of(engine.logprobs(checkpoint, [Chunk(str(one.position), (one,)) for one in requests]))
    for place, ids in enumerate(texts):
        logits = plain_logits(folder, [*tokenizer.prompt_ids(messages), *ids])
        total = math.log(sum(map(math.exp, logits)))
        wanted = [logit - total for logit in logits]
        assert together[place].values == pytest.approx(wanted, abs=1e-5)
        assert alone[place].values == pytest.approx(wanted, abs=1e-5)
        assert sum(map(math.exp, together[place].values)) == pytest.approx(1)
    assert together[0] == together[5]


def test_a_head_reads_a_begun_turn_as_begun_and_a_given_one_as_finished(
    engine: TransformersEngine, tmp_path: Path
) -> None:
    folder = write_model(tmp_path, head="classes", num_labels=2)
    checkpoint, tokenizer = open_checkpoint(folder), Tokenizer.load(folder)
    asked = Message("user", "What is 2 + 2?")
    begun = (asked, Message("assistant", "The answer is"))
    requests = (Request(0, begun), Request(1, (asked,), (), ("The answer is",)))
    rows = rows_of(engine.logprobs(checkpoint, [Chunk("0", requests)]))
    ids = tokenizer.prompt_ids(begun)
    assert ids[-1] != END
    for place, text in enumerate((ids, [*ids, END])):
        first, second = plain_logits(folder, text)
        assert rows[place].values[0] - rows[place].values[1] == pytest.approx(first - second, abs=1e-5)


@pytest.mark.parametrize("settings", [{"num_labels": 1}, {"num_labels": 2, "problem_type": "regression"}])
def test_a_head_of_scores_gives_them_as_they_are(
    engine: TransformersEngine, tmp_path: Path, settings: dict[str, Any]
) -> None:
    folder = write_model(tmp_path, head="classes", **settings)
    checkpoint, tokenizer = open_checkpoint(folder), Tokenizer.load(folder)
    messages = requests_of(1)[0].messages
    (found,) = rows_of(engine.logprobs(checkpoint, [Chunk("0", (Request(0, messages),))])).values()
    assert found.values == pytest.approx(plain_logits(folder, tokenizer.prompt_ids(messages)), abs=1e-5)
    assert found.tokens == (1,) * settings["num_labels"]
    assert found.by_token is None


def test_labels_that_do_not_exclude_each_other_are_refused(
    engine: TransformersEngine, tmp_path: Path
) -> None:
    folder = write_model(tmp_path, head="classes", num_labels=2, problem_type="multi_label_classification")
    chunk = Chunk("0", (Request(0, requests_of(1)[0].messages),))
    with pytest.raises(ModelError, match="labels that do not exclude each other"):
        list(engine.logprobs(open_checkpoint(folder), [chunk]))


# ---- when things go wrong


def long_model(folder: Path) -> Checkpoint:
    """A model that goes on for seconds: a wide context, and an end token that it seldom draws."""
    return open_checkpoint(write_model(folder, max_position_embeddings=4096, initializer_range=0.02))


def test_a_killed_worker_is_replaced_and_its_chunk_done_again(tmp_path: Path) -> None:
    checkpoint = long_model(tmp_path)
    engine = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    sampling = Sampling(temperature=1.0, max_new_tokens=300)
    try:
        expected = sampled(engine, checkpoint, requests_of(20), sampling)
        (worker,) = set(processes_of(os.getpid())) - other_workers(engine)
        killer = threading.Timer(0.3, os.kill, (worker, signal.SIGKILL))
        killer.start()
        events = list(
            engine.sample(checkpoint, engine.chunks(checkpoint, requests_of(20), sampling), sampling)
        )
        killer.join()
        assert [type(event) for event in events] == [Finished] * len(events)
        assert rows_of(events) == expected
        assert has_ended(worker)
    finally:
        engine.close()


def other_workers(engine: TransformersEngine) -> set[int]:
    """Children of this process that belong to another engine."""
    own = {worker.process.pid for worker in engine._pool._workers if worker}  # pyright: ignore[reportPrivateUsage]
    return set(processes_of(os.getpid())) - own


def test_a_chunk_that_kills_its_worker_twice_is_halved(tmp_path: Path) -> None:
    checkpoint = long_model(tmp_path)
    engine = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    sampling = Sampling(temperature=1.0, max_new_tokens=300)
    is_halved = threading.Event()

    def kill() -> None:
        while not is_halved.is_set():
            for worker in engine._pool._workers:  # pyright: ignore[reportPrivateUsage]
                if worker and worker.is_ready and worker.jobs:
                    worker.process.kill()
            time.sleep(0.005)

    thread = threading.Thread(target=kill)
    thread.start()
    events: list[Finished | Halved] = []
    try:
        chunk = Chunk("3", tuple(requests_of(12)))
        for event in engine.sample(checkpoint, [chunk], sampling):
            events.append(event)
            is_halved.set()
    finally:
        is_halved.set()
        thread.join()
        engine.close()
    halved, *finished = events
    assert isinstance(halved, Halved)
    assert halved.chunk is chunk
    assert [half.id for half in halved.halves] == ["3.0", "3.1"]
    assert "SIGKILL" in halved.reason
    assert {event.chunk.id for event in finished} == {"3.0", "3.1"}
    assert sorted(rows_of(finished)) == list(range(48))


def data_mb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmData"):
            return int(line.split()[1]) >> 10
    raise AssertionError


def test_a_chunk_that_does_not_fit_into_memory_is_halved_until_it_fits(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_model(tmp_path, vocab_size=60_000))
    sampling = Sampling(temperature=1.0, max_new_tokens=3)
    chunk = Chunk("0", tuple(requests_of(64)))
    free = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    try:
        few = Chunk("1", tuple(requests_of(4)))
        rows_of(free.sample(checkpoint, [few], sampling))
        (worker,) = set(processes_of(os.getpid())) - other_workers(free)
        # 256 rows x 60,000 tokens x 4 bytes = 61 MB for each copy of the logits, twice that for running sums
        limit = data_mb(worker) + 120
        expected = rows_of(free.sample(checkpoint, [chunk], sampling))
    finally:
        free.close()
    bound = TransformersEngine(TransformersOptions(workers=1, device="cpu", worker_memory_mb=limit))
    try:
        events = list(bound.sample(checkpoint, [chunk], sampling))
    finally:
        bound.close()
    halved = [event for event in events if isinstance(event, Halved)]
    assert halved
    assert "memory" in halved[0].reason
    rows = rows_of(events)
    assert sorted(rows) == sorted(expected)
    assert all(row.status == "ok" for row in rows.values())


def test_a_single_request_that_does_not_fit_gives_failed_rows(tmp_path: Path) -> None:
    checkpoint = open_checkpoint(write_model(tmp_path, vocab_size=60_000))
    free = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    sampling = Sampling(temperature=1.0, max_new_tokens=3)
    try:
        rows_of(free.sample(checkpoint, [Chunk("1", tuple(requests_of(1)))], sampling))
        (worker,) = set(processes_of(os.getpid())) - other_workers(free)
        limit = data_mb(worker) + 60
    finally:
        free.close()
    bound = TransformersEngine(TransformersOptions(workers=1, device="cpu", worker_memory_mb=limit))
    try:
        (event,) = bound.sample(checkpoint, [Chunk("0", tuple(requests_of(1, samples=256)))], sampling)
    finally:
        bound.close()
    assert isinstance(event, Finished)
    assert {row.status for row in event.results} == {"failed"}
    assert len(event.results) == 256
    assert "memory" in event.results[0].reason


SCRIPT = """
import sys
from docendo.core.protocols import Chunk, Request, Sampling
from docendo.core.records import Message
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.transformers import TransformersEngine, TransformersOptions

engine = TransformersEngine(TransformersOptions(workers=2, device="cpu"))
checkpoint = open_checkpoint(sys.argv[1])
sampling = Sampling(temperature=1.0, max_new_tokens=3000)
request = Request(0, (Message("user", "Go on."),), tuple(range(100)))
short = Sampling(max_new_tokens=1)
list(engine.sample(checkpoint, [Chunk(str(k), (request,)) for k in range(4)], short))
print("ready", flush=True)
list(engine.sample(checkpoint, [Chunk(str(k), (request,)) for k in range(4)], sampling))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_workers_end_with_their_driver_and_without_a_word(tmp_path: Path, how: signal.Signals) -> None:
    checkpoint = long_model(tmp_path)
    driver = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, checkpoint.location],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "ready\n"
    workers = processes_of(driver.pid)
    assert len(workers) == 2
    time.sleep(0.3)  # in the middle of a chunk
    os.killpg(driver.pid, how)  # Ctrl-C reaches the whole group of the terminal
    _, errors = driver.communicate(timeout=30)
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(map(is_running, workers))
    assert errors.count("Traceback") == (1 if how == signal.SIGINT else 0)


# ---- settings


def test_the_signature_names_what_results_depend_on() -> None:
    one = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    two = TransformersEngine(TransformersOptions(workers=2, device="cpu", max_rows_per_chunk=7))
    rough = TransformersEngine(TransformersOptions(device="cpu", precision="bf16"))
    assert (
        one.signature
        == two.signature
        == {
            "engine": "transformers",
            "precision": "fp32",
            "sampler": "inverse-cdf/1",
            "decode": "2",
        }
    )
    assert rough.signature["precision"] == "bf16"


def test_settings_that_cannot_be_are_told_all_at_once() -> None:
    with pytest.raises(SettingError) as caught:
        TransformersOptions(workers=-1, max_rows_per_chunk=0, memory_budget_mb=0, precision="fp8")  # type: ignore[arg-type]
    assert str(caught.value).splitlines() == [
        "workers is -1; expected 0 (one for each core) or more",
        "precision is 'fp8'; expected auto, fp32 or bf16",
        "max_rows_per_chunk is 0; expected at least 1",
        "memory_budget_mb is 0; expected at least 1",
    ]


def test_an_engine_that_is_closed_can_be_used_again(checkpoint: Checkpoint) -> None:
    engine = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    first = sampled(engine, checkpoint, requests_of(3))
    engine.close()
    engine.close()
    assert sampled(engine, checkpoint, requests_of(3)) == first
    engine.close()


def test_the_driver_needs_no_torch(checkpoint: Checkpoint) -> None:
    code = (
        "import sys\n"
        "from docendo.engines.checkpoints import open_checkpoint\n"
        "from docendo.engines.transformers import TransformersEngine, TransformersOptions\n"
        "from docendo.core.protocols import Request, Sampling\n"
        "from docendo.core.records import Message\n"
        "engine = TransformersEngine(TransformersOptions(workers=1, device='cpu'))\n"
        f"checkpoint = open_checkpoint({checkpoint.location!r})\n"
        "asked = [Request(0, (Message('user', 'x'),), (1,))]\n"
        "s = Sampling(max_new_tokens=2)\n"
        "assert len(list(engine.sample(checkpoint, engine.chunks(checkpoint, asked, s), s))) == 1\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)}
    )
