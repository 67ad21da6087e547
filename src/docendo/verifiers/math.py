"""Right when it is the same mathematics: cheap comparison first, math-verify where that cannot tell."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import ClassVar

from docendo.core.errors import SettingError
from docendo.core.records import Label, Outcome, Sample, Source, Verdict
from docendo.verifiers.judging import MAX_CHARACTERS, unjudgeable
from docendo.verifiers.math_pool import shared_pool
from docendo.verifiers.mathtext import Percent, latex, nesting, quick_finding

MAX_NESTING = 200
"""Answers with deeper brackets are not looked into. Count. Ours: past it math-verify only runs into its
limit."""
WINDOW = 1024
"""Pairs read ahead while workers are busy with earlier ones. Count."""

_FOUND = {
    "same": (Outcome.CORRECT, "math-verify: equivalent"),
    "different": (Outcome.INCORRECT, "math-verify: not equivalent"),
    "unreadable": (Outcome.UNDECIDED, "not readable as mathematics"),
    "memory": (Outcome.UNDECIDED, "memory limit"),
    "recursion": (Outcome.UNDECIDED, "too nested"),
    "error": (Outcome.UNDECIDED, "math-verify: error"),
    "timeout": (Outcome.UNDECIDED, "timeout"),
    "died": (Outcome.UNDECIDED, "math-verify: worker died"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Math:
    """Compare answers as mathematics.

    Numbers, expressions, tuples, intervals, sets, matrices, equations, words. What
    `docendo.verifiers.mathtext` can decide never leaves the process: same text, exact numbers, plain words,
    and lists of these. The rest is asked of math-verify, in both orders, in workers that are killed at the
    time limit; its findings are remembered by pair. Units are ignored and never converted, ``x = 5`` is
    ``5``, and a decimal of six digits or more stands for the endless one that it is a rounding of.

    `same` is symmetric and reflexive. It is not transitive: ``x = 5`` and ``y = 5`` are both ``5``. A pair
    that is undecided is not the same. Verdicts that a limit decides may differ between machines.
    """

    version: ClassVar[int] = 1

    timeout_seconds: float = 3.0
    """Wall clock for one pair at math-verify, above 0. Ours: its slowest honest pair that we met took 0.12
    s."""
    memory_megabytes: int = 2048
    """Address space of a worker, at least 512 MB."""
    percent: Percent = "ignored"
    """What ``50%`` is: 50, for questions that ask for a percentage; 1/2; or itself, equal to no bare
    number."""
    source: Source = Source.GOLD

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not (math.isfinite(self.timeout_seconds) and self.timeout_seconds > 0):
            faults.append(f"timeout_seconds is {self.timeout_seconds}; expected a number above 0")
        if self.memory_megabytes < 512:
            faults.append(f"memory_megabytes is {self.memory_megabytes}; expected 512 or more")
        if self.percent not in ("ignored", "hundredths", "compared"):
            faults.append(f"percent is {self.percent!r}; expected 'ignored', 'hundredths' or 'compared'")
        if faults:
            raise SettingError.of_all(faults)

    def verdicts(self, pairs: Iterable[tuple[Sample, Label | None]]) -> Iterator[Verdict]:
        """Return one Verdict for each pair, in order, streaming.

        Reads up to `WINDOW` pairs ahead of a pair that math-verify still has, so that all workers are busy.

        ``undecided``: math-verify reached a limit, failed, or could not read one of the two; or a text is
        longer than 10,000 characters or its brackets are nested more than 200 deep.
        """
        waiting: deque[Verdict | Future[str]] = deque()
        try:
            for sample, label in pairs:
                verdict = unjudgeable(sample, label, self.source)
                if verdict is None:
                    assert label is not None
                    finding = self._finding(sample.answer, label.answer)
                    verdict = finding if isinstance(finding, Future) else Verdict(*finding, self.source)
                waiting.append(verdict)
                while waiting and (len(waiting) >= WINDOW or not _is_running(waiting[0])):
                    yield self._settled(waiting.popleft())
            while waiting:
                yield self._settled(waiting.popleft())
        finally:
            # Whoever stops reading early shall not keep the workers busy.
            for pending in waiting:
                if isinstance(pending, Future):
                    pending.cancel()

    def same(self, left: str, right: str) -> bool:
        """Whether two answers are found to be the same; asks math-verify, and waits, where that is needed."""
        finding = self._finding(left, right)
        outcome = self._settled(finding).outcome if isinstance(finding, Future) else finding[0]
        return outcome is Outcome.CORRECT

    def _finding(self, left: str, right: str) -> tuple[Outcome, str] | Future[str]:
        """Return what is found, or the word of math-verify that it hangs on."""
        if left == right:
            return Outcome.CORRECT, "same text"
        if len(left) > MAX_CHARACTERS or len(right) > MAX_CHARACTERS:
            return Outcome.UNDECIDED, "too long"
        if max(nesting(left), nesting(right)) > MAX_NESTING:
            return Outcome.UNDECIDED, "too nested"
        quick = quick_finding(left, right, self.percent)
        if quick is not None:
            return (Outcome.CORRECT if quick[0] else Outcome.INCORRECT), quick[1]
        spelled = latex(left, self.percent), latex(right, self.percent)
        if not all(spelled):
            return Outcome.UNDECIDED, _FOUND["unreadable"][1]
        answer = shared_pool(self.timeout_seconds, self.memory_megabytes * 2**20).ask(*spelled)
        return _FOUND[answer] if isinstance(answer, str) else answer

    def _settled(self, pending: Verdict | Future[str]) -> Verdict:
        return pending if isinstance(pending, Verdict) else Verdict(*_FOUND[pending.result()], self.source)


def _is_running(pending: Verdict | Future[str]) -> bool:
    return isinstance(pending, Future) and not pending.done()
