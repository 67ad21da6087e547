"""What was paid is never asked again: over stages, runs, recipes, and over a SIGKILL at any moment."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docendo.core.errors import WorkspaceError
from docendo.core.records import Completion
from docendo.engines.openai_protocol.store import CompletionStore, Spent
from tests.engines.asking import GREEDY, HOW, answers, asking, questions
from tests.engines.unfriendly import UnfriendlyServer

ROOT = Path(__file__).parents[2]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(TEXTS, TEXTS, max_size=6))
def test_what_is_settled_is_found_again_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, kept: dict[str, str]
) -> None:
    path = tmp_path_factory.mktemp("store") / "completions.db"
    completions = {key: Completion(text, "stop", prompt_tokens=3, cost_usd=0.1) for key, text in kept.items()}
    with CompletionStore(path) as store:
        store.settle("run", at_most_usd=0, usd=0, completions=completions)
    with CompletionStore(path) as store:
        assert store.found([*kept, "another"]) == completions


def test_the_first_answer_under_a_key_stays(tmp_path: Path) -> None:
    with CompletionStore(tmp_path / "c.db") as store:
        for text in ("first", "second"):
            store.settle("run", at_most_usd=0, usd=0, completions={"key": Completion(text, "stop")})
        assert store.found(["key"])["key"].text == "first"


def test_many_keys_are_found_at_once(tmp_path: Path) -> None:
    with CompletionStore(tmp_path / "c.db") as store:
        kept = {str(key): Completion(str(key), "stop") for key in range(3000)}
        store.settle("run", at_most_usd=0, usd=0, completions=kept)
        assert store.found([str(key) for key in range(4000)]) == kept


def test_what_was_sent_counts_until_it_is_settled(tmp_path: Path) -> None:
    with CompletionStore(tmp_path / "c.db") as store:
        store.sending("run", 0.5)
        store.sending("run", 0.5)
        store.settle("run", at_most_usd=0.5, usd=0.2)
        assert store.spent("run") == Spent(2, 0.2, 0.5)
        assert store.spent("other") == Spent()


def test_a_damaged_file_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "completions.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(WorkspaceError, match=r"is damaged.*\nhint: put a copy in its place, or rename it"):
        CompletionStore(path)
    assert path.read_bytes().startswith(b"no database")


def test_more_samples_more_problems_and_another_address_ask_only_for_what_is_new(tmp_path: Path) -> None:
    with UnfriendlyServer() as server, UnfriendlyServer() as elsewhere:
        before = answers(asking(tmp_path), server.url, questions(4, n=2))
        assert len(server.calls) == 4
        after = answers(asking(tmp_path, run="another recipe"), elsewhere.url, questions(6, n=3))
        assert [call.body.get("n", 1) for call in elsewhere.calls].count(1) == 4  # one more of each of four
        assert [call.body.get("n", 1) for call in elsewhere.calls].count(3) == 2
    for place in range(4):
        for number in range(2):
            assert after[place * 3 + number].text == before[place * 2 + number].text


def test_further_samples_by_first_are_new_and_the_same_as_in_a_larger_number(tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        first = answers(asking(tmp_path), server.url, questions(1, n=2))
        more = answers(asking(tmp_path), server.url, questions(1, n=2, first=2))
        asked = len(server.calls)
        whole = answers(asking(tmp_path), server.url, questions(1, n=4))
        assert len(server.calls) == asked
    assert [row.text for row in whole.values()] == [row.text for row in (*first.values(), *more.values())]


def test_another_seed_is_another_draw_and_a_greedy_answer_is_one(tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        for seed in (0, 1):
            answers(asking(tmp_path), server.url, questions(3, seed=seed))
        assert len(server.calls) == 6
        for seed in (0, 1):
            answers(asking(tmp_path), server.url, questions(3, seed=seed), GREEDY)
        assert len(server.calls) == 9


def test_the_same_sample_in_two_rows_is_asked_once(tmp_path: Path) -> None:
    one = questions(1)[0]
    with UnfriendlyServer(latency_seconds=0.05) as server:
        twice = [one, type(one)(1, one.messages, one.seeds)]
        rows = answers(asking(tmp_path), server.url, twice)
        assert len(server.calls) == 1
    assert rows[0].text == rows[1].text


CLIENT = """
import sys
from pathlib import Path
from tests.engines.asking import answers, asking, questions
folder, url, count = sys.argv[1:]
rows = answers(asking(Path(folder), concurrency=8), url, questions(int(count), n=2))
print(len(rows), "rows", flush=True)
"""


def _client(folder: Path, url: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(folder), url, str(count)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_killed_at_any_moment_it_repeats_at_most_what_was_in_flight(tmp_path: Path) -> None:
    rng = random.Random(1)
    kills = 0
    with UnfriendlyServer(latency_seconds=0.03) as server:
        for _ in range(6):
            asked = len(server.calls)
            client = _client(tmp_path, server.url, 200)
            deadline = time.monotonic() + 60
            while len(server.calls) < asked + 10 and client.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(rng.uniform(0, 0.15))
            kills += client.poll() is None
            client.send_signal(signal.SIGKILL)
            client.communicate()
        client = _client(tmp_path, server.url, 200)
        out, _ = client.communicate(timeout=120)
        assert out == "400 rows\n"
        repeated = sum(count - 1 for count in server.delivered.values())
        assert len(server.delivered) == 200
        # At a kill at most eight answers are on their way and not yet written.
        assert repeated <= 8 * kills
        asked = len(server.calls)
        answers(asking(tmp_path), server.url, questions(200, n=2))
        assert len(server.calls) == asked, "all of it is kept"
    assert kills >= 3


def test_two_threads_of_two_processes_may_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "completions.db"
    faults: list[Exception] = []

    def write(name: str) -> None:
        try:
            with CompletionStore(path) as store:
                for number in range(100):
                    store.sending(name, 0.0)
                    kept = {f"{name}-{number}": Completion(name, "stop")}
                    store.settle(name, at_most_usd=0, usd=1, completions=kept)
        except Exception as error:
            faults.append(error)

    writers = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert faults == []
    with CompletionStore(path) as store:
        assert len(store.found([f"{name}-{number}" for name in "abc" for number in range(100)])) == 300
        assert store.spent("a") == Spent(100, 100.0, 0.0)


def test_a_stage_that_is_asked_twice_gives_the_same_rows(tmp_path: Path) -> None:
    with UnfriendlyServer() as server:
        rows = answers(asking(tmp_path), server.url, questions(5), HOW)
        assert answers(asking(tmp_path), server.url, questions(5), HOW) == rows
