from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import textwrap
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from docendo.core.protocols import Watcher
from docendo.report.progress import LiveProgress, Pace, PlainProgress, watcher_for


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def plain(clock: Clock) -> tuple[PlainProgress, io.StringIO]:
    stream = io.StringIO()
    return PlainProgress(stream, clock=clock, patience=60), stream


def test_pace_tells_the_rate_of_the_last_third_and_at_least_ten_seconds() -> None:
    pace = Pace(rows=1000, done=0, started=0.0)
    for second in range(1, 31):  # ten rows a second for half a minute
        pace.advance(float(second), 10, 100, "")
    assert pace.seconds_left(30.0) == pytest.approx(70.0)
    assert pace.tokens_per_second == pytest.approx(100.0)
    for second in range(31, 46):  # then twenty: fifteen seconds are the last third of forty-five
        pace.advance(float(second), 20, 200, "")
    assert pace.tokens_per_second == pytest.approx(200.0)
    assert pace.seconds_left(45.0) == pytest.approx((1000 - 600) / 20)
    assert pace.seconds_left(47.0) == pytest.approx((1000 - 600) / 20 - 2)


def test_rows_done_before_do_not_count_for_the_rate() -> None:
    pace = Pace(rows=1000, done=900, started=0.0)
    pace.advance(2.0, 10, 0, "")
    assert pace.seconds_left(2.0) == pytest.approx(90 / 5)
    assert pace.share == pytest.approx(0.91)


def test_time_left_is_unknown_at_first_and_never_negative() -> None:
    pace = Pace(rows=10, done=0, started=0.0)
    assert pace.seconds_left(5.0) is None
    pace.advance(2.0, 9, 0, "")
    assert pace.seconds_left(60.0) == 0.0


@given(st.lists(st.floats(min_value=0, max_value=50), max_size=30), st.integers(min_value=0, max_value=100))
def test_pace_takes_any_sequence_of_advances(gaps: list[float], rows: int) -> None:
    pace, now = Pace(rows=rows, done=0, started=0.0), 0.0
    for gap in gaps:
        now += gap
        pace.advance(now, 7, 3, "")
        left = pace.seconds_left(now)
        assert left is None or left >= 0
        assert 0 <= pace.share <= 1
        assert pace.tokens_per_second >= 0


def test_plain_lines_come_at_most_every_two_seconds_and_seldom_in_long_stages() -> None:
    clock = Clock()
    progress, stream = plain(clock)
    progress.stage_begins("method/round-1/sample", rows=80_000, done=0, unit="rows")
    for _ in range(8000):  # a thousand seconds, in steps that floats hold exactly
        clock.now += 0.125
        progress.stage_advances(rows=10, tokens=100)
    progress.stage_ends("method/round-1/sample", summary="80,000 rows", reused=False)
    lines = stream.getvalue().splitlines()
    assert 20 < len(lines) < 70
    assert lines[-1] == "method/round-1/sample: 80,000 rows (16 min 40 s, 800 tokens/s)"
    assert lines[0] == "method/round-1/sample: 160/80,000 rows (0 %), 800 tokens/s, 16 min 38 s left"


def test_a_quick_stage_is_one_line_and_stages_that_were_there_are_one_together() -> None:
    clock = Clock()
    progress, stream = plain(clock)
    for number in range(3):
        progress.stage_ends(f"base/stage-{number}", summary="5 rows", reused=True)
    progress.stage_begins("method/read", rows=5, done=0, unit="rows")
    clock.now += 0.25
    progress.stage_ends("method/read", summary="5 rows", reused=False)
    progress.stage_ends("method/last", summary="5 rows", reused=True)
    progress.close()
    progress.close()
    assert stream.getvalue().splitlines() == [
        "3 stages already there, up to base/stage-2",
        "method/read: 5 rows (0.2 s)",
        "method/last: already there",
    ]


def test_a_stage_that_works_for_a_second_says_that_it_began_before_anything_is_done() -> None:
    stream = io.StringIO()
    progress = PlainProgress(stream, patience=0.05)
    progress.stage_begins("method/sample", rows=1600, done=200, unit="rows")
    deadline = time.monotonic() + 20
    while not stream.getvalue() and time.monotonic() < deadline:
        time.sleep(0.02)
    progress.close()
    assert stream.getvalue() == "method/sample: 1,600 rows, 200 of them done before\n"


def test_advances_belong_to_the_innermost_stage() -> None:
    clock = Clock()
    progress, stream = plain(clock)
    progress.stage_begins("method/exam", rows=4, done=0, unit="rows")
    clock.now += 5
    progress.stage_begins("method/questions", rows=100, done=0, unit="rows")
    clock.now += 5
    progress.stage_advances(rows=50)
    progress.stage_ends("method/questions", summary="100 rows", reused=False)
    clock.now += 5
    progress.stage_advances(rows=2, note="0.5 right")
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("method/questions: 50/100 rows (50 %)")
    assert lines[-1] == "method/exam: 2/4 rows (50 %), 15 s left, 0.5 right"


def test_what_a_label_or_a_note_holds_cannot_steer_a_terminal() -> None:
    clock = Clock()
    progress, stream = plain(clock)
    progress.stage_begins("a\x1b[2Jb", rows=2, done=0, unit="rows")
    clock.now += 3
    progress.stage_advances(rows=1, note="\x1b]0;title\x07")
    progress.says("x\x1b[31m")
    progress.stage_ends("a\x1b[2Jb", summary="\x9b1m", reused=False)
    assert "\x1b" not in stream.getvalue()
    assert "\x9b" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()


@pytest.mark.parametrize("width", [20, 34, 50, 80, 140])
def test_live_lines_fit_into_any_terminal(width: int) -> None:
    clock = Clock()
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system="standard")
    live = LiveProgress(console, clock=clock)
    try:
        live.stage_begins("method/round-12/evaluate-validation-sampled", rows=1_600_000, done=0, unit="rows")
        for _ in range(20):
            clock.now += 1
            live.stage_advances(rows=4000, tokens=90_000, note="41.2 % correct")
        live.stage_begins("語" * 30, rows=3, done=0, unit="steps")
        lines = list(live.lines(width))
        assert len(lines) == 3
        for line in lines:
            line.truncate(width, overflow="ellipsis")
            assert cell_len(line.plain) <= width
        assert "5 %" in lines[0].plain
        if width >= 140:
            assert "80,000/1,600,000" in lines[0].plain
            assert "90.0k tokens/s" in lines[0].plain
            assert "6 min 20 s left" in lines[0].plain
            assert "41.2 % correct" in lines[0].plain
    finally:
        live.close()


def test_the_live_log_groups_stages_under_their_round() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=90, force_terminal=True, color_system=None)
    live = LiveProgress(console)
    for name in ("sample", "verdict"):
        live.stage_begins(f"method/round-1/{name}", rows=10, done=0, unit="rows")
        live.stage_ends(f"method/round-1/{name}", summary="10 rows", reused=False)
    live.close()
    live.close()
    assert stream.getvalue().count("method · round-1") == 1
    assert "✓ sample  10 rows" in stream.getvalue()


def test_a_pipe_and_a_dumb_terminal_get_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    with watcher_for(io.StringIO()) as watcher:
        assert isinstance(watcher, PlainProgress)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    with watcher_for(terminal) as watcher:
        assert isinstance(watcher, PlainProgress)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    with watcher_for(terminal) as watcher:
        assert isinstance(watcher, LiveProgress)
        kept: Watcher = watcher
        kept.says("hello")
    assert "hello" in terminal.getvalue()
    assert "\x1b[1m" not in terminal.getvalue()


SCRIPT = textwrap.dedent(
    """
    import sys, time
    from docendo.report.progress import watcher_for

    try:
        with watcher_for(sys.stderr) as watcher:
            watcher.stage_begins("method/round-1/sample", rows=1000, done=0, unit="rows")
            while True:
                watcher.stage_advances(rows=1, tokens=40)
                time.sleep(0.01)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    """
)


def test_ctrl_c_leaves_the_terminal_as_it_was() -> None:
    parent, child = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=child, stdout=child, stderr=child, env=env
    )
    os.close(child)
    seen = b""
    deadline = time.monotonic() + 60
    while seen.count(b"sample") < 4 and time.monotonic() < deadline:
        seen += os.read(parent, 4096)
    process.send_signal(signal.SIGINT)
    while True:
        try:
            more = os.read(parent, 4096)
        except OSError:  # Linux ends a pseudo-terminal this way
            break
        if not more:
            break
        seen += more
    os.close(parent)
    assert process.wait(timeout=30) == 0
    assert seen.endswith(b"stopped\r\n")
    assert seen.rfind(b"\x1b[?25h") > seen.rfind(b"\x1b[?25l"), "the cursor stays hidden"
    last = seen[seen.rfind(b"\x1b[?25h") :]
    assert b"sample" not in last, "the live line stays behind"
    assert b"\x1b[2K" in seen, "the live line is erased"
