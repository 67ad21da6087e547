"""What a run does, shown while it does it: a live line on a terminal, plain lines elsewhere.

Both go to the stream they are given (standard error; data has standard output). Stages may be nested: a
scorer that asks a model has stages inside its own; what advances is always the innermost.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, TextIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text

from docendo.core.protocols import Watcher
from docendo.report.escaping import visible
from docendo.report.figures import count, duration, short_count

Clock = Callable[[], float]


class ClosingWatcher(Watcher, Protocol):
    """A Watcher that tidies up at the end."""

    def close(self) -> None:
        """Show what is left to show, and leave the terminal as it was. May be called twice."""
        ...


@dataclass(slots=True)
class Pace:
    """How fast a stage goes, and how long it will still take.

    The rate is that of the last third of the running time, at least ten seconds of it: chunks are sorted by
    length, and the first one waits for a model to load, so the mean since the start would mislead.
    """

    rows: int
    """Rows in all."""
    done: int
    """Rows done, with those that were there before."""
    started: float
    tokens: int = 0
    note: str = ""
    marks: deque[tuple[float, int, int]] = field(default_factory=deque[tuple[float, int, int]])
    """(time, rows, tokens) after each advance."""
    latest: float = 0.0

    def __post_init__(self) -> None:
        self.latest = self.started
        self.marks.append((self.started, self.done, 0))

    def advance(self, now: float, rows: int, tokens: int, note: str) -> None:
        """Note that more is done."""
        self.done += rows
        self.tokens += tokens
        self.note = note or self.note
        self.latest = now
        self.marks.append((now, self.done, self.tokens))
        span = max(10.0, (now - self.started) / 3)
        while len(self.marks) > 2 and self.marks[1][0] <= now - span:
            self.marks.popleft()

    def _rate(self, column: int) -> float:
        (first, *_), (last, *_) = self.marks[0], self.marks[-1]
        gained = self.marks[-1][column] - self.marks[0][column]
        return gained / (last - first) if last > first else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Generated or trained tokens a second; 0 where none were told."""
        return self._rate(2)

    def seconds_left(self, now: float) -> float | None:
        """Return the expected time to the end; None while it cannot be told."""
        rate = self._rate(1)
        if rate <= 0 or now - self.started < 1:
            return None
        return max(0.0, (self.rows - self.done) / rate - (now - self.latest))

    @property
    def share(self) -> float:
        """Done of all, in ``[0, 1]``."""
        return min(1.0, self.done / self.rows) if self.rows > 0 else 0.0


@dataclass(slots=True)
class Running:
    """A stage that works."""

    label: str
    unit: str
    pace: Pace
    told: float
    """When a line about it was last written."""

    def parts(self, now: float) -> tuple[str, str, str, str]:
        """Return (how far, tokens a second, time left, note) as text, empty where unknown."""
        pace = self.pace
        far = f"{count(pace.done)}/{count(pace.rows)}"
        speed = f"{short_count(pace.tokens_per_second)} tokens/s" if pace.tokens_per_second > 0 else ""
        left = pace.seconds_left(now)
        return far, speed, "" if left is None else f"{duration(left)} left", visible(pace.note)


class _Stages:
    """What both displays share: the stages that run, and those that were there already."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.running: list[Running] = []
        self.reused: list[str] = []
        self.lock = threading.RLock()

    def begin(self, label: str, rows: int, done: int, unit: str) -> Running:
        now = self.clock()
        stage = Running(label, unit, Pace(rows, done, now), now)
        self.running.append(stage)
        return stage

    def advance(self, rows: int, tokens: int, note: str) -> Running | None:
        if not self.running:
            return None
        stage = self.running[-1]
        stage.pace.advance(self.clock(), rows, tokens, note)
        return stage

    def end(self, label: str) -> Running | None:
        """Take the stage off, with what was left open inside of it."""
        for place in range(len(self.running) - 1, -1, -1):
            if self.running[place].label == label:
                ended = self.running[place]
                del self.running[place:]
                return ended
        return None

    def reused_in_words(self) -> str:
        """Return one line for the stages that were there, and forget them."""
        labels, self.reused = self.reused, []
        if not labels:
            return ""
        if len(labels) == 1:
            return f"{labels[0]}: already there"
        return f"{len(labels)} stages already there, up to {labels[-1]}"


class PlainProgress:
    """Lines of text without colours or cursor movements, for logs and pipes.

    A stage says when it begins, how it goes (at most every two seconds, and seldom in long stages), and what
    it took. One that ends within a second says the last alone.
    """

    def __init__(
        self, stream: TextIO, *, clock: Clock = time.monotonic, every: float = 2.0, patience: float = 1.0
    ) -> None:
        self._stream = stream
        self._every = every
        self._patience = patience
        self._stages = _Stages(clock)
        self._timer: threading.Timer | None = None

    def stage_begins(self, label: str, *, rows: int, done: int, unit: str) -> None:
        """Say that a stage begins, as soon as it has worked for a second."""
        with self._stages.lock:
            self._say_reused()
            stage = self._stages.begin(label, rows, done, unit)
            self._stop_timer()
            before = f", {count(done)} of them done before" if done else ""
            text = f"{label}: {count(rows)} {unit}{before}"
            self._timer = threading.Timer(self._patience, self._say_begun, (stage, text))
            self._timer.daemon = True
            self._timer.start()

    def _say_begun(self, stage: Running, text: str) -> None:
        with self._stages.lock:
            if stage in self._stages.running:
                self._write(text)

    def stage_advances(self, *, rows: int, tokens: int = 0, note: str = "") -> None:
        """Say how far it is, if that was not said lately."""
        with self._stages.lock:
            stage = self._stages.advance(rows, tokens, note)
            if stage is None:
                return
            now = self._stages.clock()
            if now - stage.told >= max(self._every, (now - stage.pace.started) / 10):
                stage.told = now
                far, *more = stage.parts(now)
                told = [f"{far} {stage.unit} ({100 * stage.pace.share:.0f} %)", *more]
                self._write(f"{stage.label}: {', '.join(part for part in told if part)}")

    def stage_ends(self, label: str, *, summary: str, reused: bool) -> None:
        """Say what came out."""
        with self._stages.lock:
            stage = self._stages.end(label)
            if reused:
                self._stages.reused.append(label)
                return
            self._stop_timer()
            self._say_reused()
            took = f" ({_took(stage, self._stages.clock())})" if stage is not None else ""
            self._write(f"{label}: {summary}{took}")

    def says(self, text: str) -> None:
        """Write a line."""
        with self._stages.lock:
            self._say_reused()
            self._write(text)

    def close(self) -> None:
        """Write what was kept back."""
        with self._stages.lock:
            self._stop_timer()
            self._stages.running.clear()
            self._say_reused()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _say_reused(self) -> None:
        if words := self._stages.reused_in_words():
            self._write(words)

    def _write(self, text: str) -> None:
        self._stream.write("".join(f"{visible(line)}\n" for line in text.splitlines()))
        self._stream.flush()


def _took(stage: Running, now: float) -> str:
    took = duration(now - stage.pace.started)
    tokens, seconds = stage.pace.tokens, now - stage.pace.started
    if tokens and seconds > 0:
        return f"{took}, {short_count(tokens / seconds)} tokens/s"
    return took


class LiveProgress:
    """A live line for each stage that works, under a log of those that are finished.

    The cursor is never hidden and nothing else of the terminal is changed, so that even a process that is
    killed leaves it usable.
    """

    def __init__(self, console: Console, *, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._stages = _Stages(clock)
        self._heading = ""
        self._tokens = 0
        self._started = clock()
        # Standard output is for data and is not touched; what others write to standard error appears above.
        self._live = Live(
            _View(self),
            console=console,
            refresh_per_second=8,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=True,
        )
        self._live.start()
        console.show_cursor(True)

    def stage_begins(self, label: str, *, rows: int, done: int, unit: str) -> None:
        """Add a live line."""
        with self._stages.lock:
            self._print_reused()
            self._stages.begin(label, rows, done, unit)

    def stage_advances(self, *, rows: int, tokens: int = 0, note: str = "") -> None:
        """Move the innermost line on."""
        with self._stages.lock:
            self._stages.advance(rows, tokens, note)
            self._tokens += tokens

    def stage_ends(self, label: str, *, summary: str, reused: bool) -> None:
        """Put a line into the log."""
        with self._stages.lock:
            stage = self._stages.end(label)
            if reused:
                self._stages.reused.append(label)
                return
            self._print_reused()
            heading, _, name = label.rpartition("/")
            if heading and heading != self._heading:
                self._console.print(Text(visible(heading.replace("/", " · ")), style="bold"))
            self._heading = heading
            line = Text("  ✓ ", style="green").append(visible(name), style="default")
            line.append(f"  {visible(summary)}", style="default")
            if stage is not None:
                line.append(f"  {_took(stage, self._stages.clock())}", style="dim")
            self._console.print(line, soft_wrap=False)

    def says(self, text: str) -> None:
        """Put text into the log."""
        with self._stages.lock:
            self._print_reused()
            self._console.print(Text("  " + "\n  ".join(visible(line) for line in text.splitlines())))

    def close(self) -> None:
        """Take the live lines away."""
        with self._stages.lock:
            self._stages.running.clear()
            self._print_reused()
        self._live.stop()

    def _print_reused(self) -> None:
        if words := self._stages.reused_in_words():
            self._console.print(Text(f"  = {visible(words)}", style="dim"))
            self._heading = ""

    def lines(self, width: int) -> Iterator[Text]:
        """Yield the live lines, none wider than ``width`` cells."""
        with self._stages.lock:
            now = self._stages.clock()
            if self._stages.reused:
                yield Text(f"  = {len(self._stages.reused)} stages already there", style="dim")
            for stage in self._stages.running:
                yield _line(stage, now, width)
            if self._stages.running:
                total = f"  {duration(now - self._started)} in all"
                if self._tokens:
                    total += f", {short_count(self._tokens)} tokens"
                yield Text(total, style="dim")


class _View:
    """What rich draws again and again."""

    def __init__(self, progress: LiveProgress) -> None:
        self._progress = progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self._progress.lines(options.max_width):
            line.truncate(options.max_width, overflow="ellipsis")
            line.no_wrap = True
            yield line


_BAR = 24


def _line(stage: Running, now: float, width: int) -> Text:
    """Return the stage's line: the label and how far it is always; of the rest what there is room for."""
    far, speed, left, note = stage.parts(now)
    label = visible(stage.label)
    share = f"{100 * stage.pace.share:3.0f} %"
    room = width - 4 - len(label) - len(share)
    if room < 0:
        label = "…" + label[len(label) - max(1, len(label) + room - 1) :]
        room = 0
    kept: dict[str, str] = {}
    for name, text in (("left", left), ("far", far), ("note", note), ("speed", speed)):
        if text and len(text) + 2 <= room:
            kept[name] = text
            room -= len(text) + 2
    line = Text("  ").append(label, style="bold").append("  ")
    if room >= 8:
        size = min(_BAR, room - 2)
        full = round(size * stage.pace.share)
        line.append("━" * full, style="cyan").append("━" * (size - full), style="bright_black").append("  ")
    line.append(share)
    for name, style in (("far", "default"), ("speed", "dim"), ("left", "cyan"), ("note", "default")):
        if name in kept:
            line.append("  ").append(kept[name], style=style)
    return line


@contextmanager
def watcher_for(stream: TextIO) -> Generator[ClosingWatcher]:
    """Show a run on ``stream``: live where it is a terminal that can, as plain lines elsewhere.

    ``TERM=dumb`` asks for plain lines; ``NO_COLOR`` keeps the live display without colours. In the end, also
    after Ctrl-C, the terminal is left as it was.
    """
    is_live = stream.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    watcher: ClosingWatcher
    if is_live:
        watcher = LiveProgress(Console(file=stream, highlight=False, emoji=False, markup=False))
    else:
        watcher = PlainProgress(stream)
    try:
        yield watcher
    finally:
        watcher.close()
