"""What every task must keep to: ``docendo check task NAME``.

===========================  ============================================================================
stable problems              read again: the same problems, gold answers and identity, in the same order
limit takes the first        ``limit`` cuts problems and labels off and changes nothing else
unique ids                   no id stands twice in a split
disjoint splits              no id and no question, normalised, stands in two splits; questions that the
                             published splits repeat, and that the task names as such, are counted
whole groups                 no group stands in two of train, validation and test; a further split may have
                             any of them, with other questions
labels apart                 a Problem is nothing but a Problem, and each has exactly one Label
every gold answer verifies   taken as an answer, it is correct
a corrupted gold does not    with another digit, choice, or problem's answer it is not correct
formats read their targets   each Format reads the gold answer, or the same answer in another spelling, back
                             from what it would teach
no gold in prompts           see below
prompts are deterministic    the same problem gives the same prompt
===========================  ============================================================================

A prompt gives the gold away when it holds the worked solution (20 characters or more); or when it holds the
answer as the Format would have it written (where that is more than the answer alone), or, outside the
question and the choices, the gold answer by itself, more often than the prompt of the same Format for a
problem without a question. So an answer that a question names by itself is no fault, and neither is an
``A`` that stands in every prompt.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from docendo.core.protocols import Format, Task
from docendo.core.records import Context, Label, Outcome, Problem, Prompt, Sample
from docendo.tasks.formats import LETTERS, question_with_choices
from docendo.tasks.gold import SPLIT_NAMES, SPLITS
from docendo.tasks.rows import RowsTask, normalised_question

MOST = 2_000
"""Problems of a split that are looked at, unless told otherwise."""
SHOWN = 3
"""Faults that are named; the others are counted."""

_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Check:
    """What one check found."""

    name: str
    passed: bool
    detail: str
    """How many were looked at, or how many failed and the first of them."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What is looked at: the problems and gold answers of every split, read once."""

    task: Task
    problems: Mapping[str, list[Problem]]
    labels: Mapping[str, Mapping[str, Label]]

    @classmethod
    def at(cls, task: Task, limit: int | None) -> _Looked:
        return cls(
            task,
            {split: list(task.problems(split, limit)) for split in task.splits},
            {split: task.labels(split, limit) for split in task.splits},
        )

    @property
    def all(self) -> Iterator[Problem]:
        return (problem for problems in self.problems.values() for problem in problems)

    @property
    def labelled(self) -> Iterator[tuple[Problem, Label]]:
        for split, problems in self.problems.items():
            for problem in problems:
                if label := self.labels[split].get(problem.id):
                    yield problem, label


def check_task(task: Task, again: Task | None = None, *, limit: int | None = MOST) -> list[Check]:
    """Return what each check finds.

    Args:
        task: The task to check.
        again: The same task, opened a second time; None: ``task`` itself is read a second time.
        limit: Problems of a split that are looked at, the first ones. None: all.
    """
    looked = _Looked.at(task, limit)
    checks: tuple[tuple[str, Callable[[_Looked], Iterable[str]]], ...] = (
        ("stable problems", lambda looked: _unstable(looked, again or task, limit)),
        ("limit takes the first", _unlike_limited),
        ("unique ids", _repeated_ids),
        ("disjoint splits", _shared),
        ("whole groups", _torn_groups),
        ("labels apart", _mixed_up),
        ("every gold answer verifies", _unverified_gold),
        ("a corrupted gold does not", _verified_corruption),
        ("formats read their targets", _unread_targets),
        ("no gold in prompts", _leaks),
        ("prompts are deterministic", lambda looked: _changing_prompts(looked, again or task)),
    )
    n_problems = sum(map(len, looked.problems.values()))
    detail = f"{n_problems:,} problems"
    details = {"disjoint splits": f"{detail}{_repeated(looked)}"}
    return [_check(name, list(faults(looked)), details.get(name, detail)) for name, faults in checks]


def _check(name: str, faults: list[str], detail: str) -> Check:
    if not faults:
        return Check(name, True, detail)
    more = f"; and {len(faults) - SHOWN:,} more" if len(faults) > SHOWN else ""
    count = "1 fault" if len(faults) == 1 else f"{len(faults):,} faults"
    return Check(name, False, f"{count}: {'; '.join(faults[:SHOWN])}{more}")


# -- problems and splits -----------------------------------------------------------------------------------


def _unstable(looked: _Looked, again: Task, limit: int | None) -> Iterator[str]:
    if tuple(again.splits) != tuple(looked.task.splits):
        yield f"splits {again.splits} instead of {looked.task.splits}"
        return
    if again.identity != looked.task.identity:
        yield "another identity"
    for split, problems in looked.problems.items():
        others = list(again.problems(split, limit))
        if len(others) != len(problems):
            yield f"{split} has {len(others)} problems instead of {len(problems)}"
        for problem, other in zip(problems, others, strict=False):
            if problem != other:
                yield f"{_named(problem)} comes back as {_named(other)}"
        if dict(again.labels(split, limit)) != dict(looked.labels[split]):
            yield f"labels of {split} come back changed"


def _unlike_limited(looked: _Looked) -> Iterator[str]:
    for split, problems in looked.problems.items():
        for limit in sorted({1, len(problems) // 2} - {0}):
            first = problems[:limit]
            few = list(looked.task.problems(split, limit))
            if [problem.id for problem in few] != [problem.id for problem in first]:
                yield f"problems({split!r}, {limit}) are not the first {limit}"
            labels = looked.labels[split]
            expected = {problem.id for problem in first} & set(labels)
            if set(looked.task.labels(split, limit)) & set(labels) != expected:
                yield f"labels({split!r}, {limit}) are not those of the first {limit} problems"


def _repeated_ids(looked: _Looked) -> Iterator[str]:
    for split, problems in looked.problems.items():
        seen: set[str] = set()
        for problem in problems:
            if problem.id in seen:
                yield f"{problem.id!r} stands twice in {split}"
            seen.add(problem.id)


def _repeats(looked: _Looked) -> frozenset[str]:
    return looked.task.repeats if isinstance(looked.task, RowsTask) else frozenset()


def _repeated(looked: _Looked) -> str:
    known = _repeats(looked)
    n_repeated = sum(problem.id in known for problem in looked.problems.get("test", ()))
    return f"; {n_repeated} of test repeat a question of train, as published" if n_repeated else ""


def _shared(looked: _Looked) -> Iterator[str]:
    known = _repeats(looked)
    ids: dict[str, str] = {}
    questions: dict[tuple[str, tuple[str, ...]], str] = {}
    for split, problems in looked.problems.items():
        if (ours := SPLIT_NAMES.get(split.lower(), split)) != split:
            yield f"split {split!r} is called {ours} here"
        for problem in problems:
            if problem.split != split:
                yield f"{_named(problem)} stands in {split} and says {problem.split!r}"
            if ids.setdefault(problem.id, split) != split:
                yield f"id {problem.id!r} stands in {ids[problem.id]} and {split}"
            elif (other := questions.setdefault(_asked(problem), split)) != split and problem.id not in known:
                yield f"the question of {_named(problem)} stands in {other} and {split}"


def _torn_groups(looked: _Looked) -> Iterator[str]:
    places: dict[str, str] = {}
    torn: set[str] = set()
    for split in filter(looked.problems.__contains__, SPLITS):
        problems = looked.problems[split]
        for group in dict.fromkeys(problem.group for problem in problems if problem.group):
            if places.setdefault(group, split) != split and group not in torn:
                torn.add(group)
                yield f"group {group!r} stands in {places[group]} and {split}"


def _mixed_up(looked: _Looked) -> Iterator[str]:
    for split, problems in looked.problems.items():
        labels = looked.labels[split]
        ids = {problem.id for problem in problems}
        for problem in problems:
            if type(problem) is not Problem:
                yield f"{_named(problem)} is a {type(problem).__name__}, not a Problem"
            if problem.id not in labels:
                yield f"{_named(problem)} has no label"
            elif labels[problem.id].problem_id != problem.id:
                yield f"the label of {_named(problem)} says {labels[problem.id].problem_id!r}"
        for other in set(labels) - ids:
            yield f"label {other!r} belongs to no problem of {split}"


def _asked(problem: Problem) -> tuple[str, tuple[str, ...]]:
    return normalised_question(problem.question), problem.choices


def _named(problem: Problem) -> str:
    return repr(problem.id)


# -- gold answers ------------------------------------------------------------------------------------------


def _unverified_gold(looked: _Looked) -> Iterator[str]:
    pairs = [(problem, label, label.answer) for problem, label in looked.labelled]
    for (problem, label, _), outcome, reason in _judged(looked.task, pairs):
        if outcome is not Outcome.CORRECT:
            yield f"{_named(problem)}: {label.answer!r} is {outcome} ({reason})"


def _verified_corruption(looked: _Looked) -> Iterator[str]:
    answers = {label.answer for _, label in looked.labelled}
    others = sorted(answers)[:1000]
    pairs = [(problem, label, corrupted(label.answer, problem, others)) for problem, label in looked.labelled]
    for (problem, label, wrong), outcome, reason in _judged(looked.task, pairs):
        if outcome is Outcome.CORRECT:
            yield f"{_named(problem)}: {wrong!r} passes for {label.answer!r} ({reason})"


def corrupted(answer: str, problem: Problem, others: Iterable[str] = ()) -> str:
    """Return an answer that is wrong in any reading.

    With choices: the next letter that names another text. With digits: the first one changed by one, which
    changes the value however the rest is read. Otherwise one of ``others`` with other letters, or the
    answer with a letter more.
    """
    if problem.choices:
        place = LETTERS.find(answer.strip().upper())
        place = place if 0 <= place < len(problem.choices) else list(problem.choices).index(answer)
        for step in range(1, len(problem.choices)):
            other = (place + step) % len(problem.choices)
            if problem.choices[other] != problem.choices[place]:
                return LETTERS[other]
    first = re.search(r"[0-9]", answer)
    if first:
        digit = int(first[0])
        return answer[: first.start()] + str(digit + 1 if digit < 9 else 8) + answer[first.end() :]
    letters = _letters(answer)
    return next((other for other in others if _letters(other) != letters), f"{answer}x")


def _letters(answer: str) -> str:
    return "".join(sign for sign in answer.casefold() if sign.isalnum())


def _judged(
    task: Task, pairs: list[tuple[Problem, Label, str]]
) -> Iterator[tuple[tuple[Problem, Label, str], Outcome, str]]:
    """Yield each pair with the outcome of its third, taken as a sample's answer."""
    asked = (
        (
            Sample(problem.id, Prompt(problem, ()), 0, answer, "stop", answer=answer, is_parsed=True),
            label,
        )
        for problem, label, answer in pairs
    )
    for pair, verdict in zip(pairs, task.verifier.verdicts(asked), strict=True):
        yield pair, verdict.outcome, verdict.reason


# -- formats -----------------------------------------------------------------------------------------------


def _unread_targets(looked: _Looked) -> Iterator[str]:
    for name, shape in looked.task.formats.items():
        for problem, label in looked.labelled:
            begun = shape.prompt(problem, Context()).prefix
            target = shape.target(label.solution, label.answer)
            for text in {target, begun + target}:
                reading = shape.read(text)
                if not reading.is_parsed or not _same(looked.task, reading.answer, label.answer):
                    yield f"{name} reads {reading.answer!r} for {label.answer!r} of {_named(problem)}"
                    break


def _same(task: Task, answer: str, gold: str) -> bool:
    """Whether an answer is read back: the same text, or as 1000 for 1,000."""
    return answer.strip() == gold.strip() or task.verifier.same(answer, gold)


def _leaks(looked: _Looked) -> Iterator[str]:
    for name, shape in looked.task.formats.items():
        frames: dict[tuple[str, ...], str] = {}
        for problem, label in looked.labelled:
            if problem.choices not in frames:
                frames[problem.choices] = _sent(shape, Problem("", "", problem.split, problem.choices))
            fault = _leak(_sent(shape, problem), frames[problem.choices], problem, label, shape)
            if fault:
                yield f"{name}: the prompt of {_named(problem)} holds {fault}"


def _sent(shape: Format, problem: Problem) -> str:
    return "\n".join(message.content for message in shape.prompt(problem, Context()).messages)


def _leak(sent: str, frame: str, problem: Problem, label: Label, shape: Format) -> str:
    """Return what of the gold a prompt gives away; empty where it is nothing."""
    if len(label.solution) >= 20 and label.solution in sent:
        return "its worked solution"
    written = shape.target("", label.answer).strip()
    if written != label.answer.strip() and sent.count(written) > frame.count(written):
        return f"its answer, {written!r}"
    around = sent.replace(question_with_choices(problem), "\n").replace(problem.question, "\n")
    if around.split() == frame.replace(question_with_choices(replace(problem, question="")), "\n").split():
        return ""  # what stands around the question is the same for every problem
    answer = _WORD.findall(label.answer)
    n_own = _count(answer, _WORD.findall(around))
    return (
        f"its answer, {label.answer!r}, beside the question"
        if n_own > _count(answer, _WORD.findall(frame))
        else ""
    )


def _count(words: list[str], text: list[str]) -> int:
    """Return how often ``words`` stand in ``text``, one after the other."""
    size = len(words)
    return sum(text[place : place + size] == words for place in range(len(text) - size + 1)) if size else 0


def _changing_prompts(looked: _Looked, again: Task) -> Iterator[str]:
    for name, shape in looked.task.formats.items():
        other = again.formats.get(name)
        for problem in looked.all:
            prompt = shape.prompt(problem, Context())
            if prompt != shape.prompt(problem, Context()) or (
                other is not None and prompt != other.prompt(problem, Context())
            ):
                yield f"{name} puts {_named(problem)} in two ways"
