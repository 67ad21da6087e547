"""Right or wrong: the lab's problems with something proposed for them, to be judged.

Proposed is the answer itself, a bound ("more than 30"), or a whole solution. 128 problems, one after the
other, form a block, and what is proposed rightly in a block is also proposed wrongly in it:

    answer    the gold answers of a block, in order as numbers, dates or texts, are exchanged among
              neighbours; each problem is there twice, with its own answer and with the one it got
    solution  the same, and where it is wrong, one step of the gold solution has a slip, carried through to
              the end, that leads to that answer
    bound     each gold answer v of a block is proposed as "more than v" for a problem some ranks above it in
              order, and for one as many ranks below it; so each problem is there twice, but for those near
              either end, and those where answers are equal

So in every block each answer or bound is proposed as often rightly as wrongly: who sees it alone is at
chance, exactly. So is who sees the question alone, but for bounds near the ends. A slip may well be seen in
the solution alone, by doing its sums again.

What the built-in models learn of it from a few thousand rows: bounds of sums, but neither answers nor
solutions; the numbers stand in ``docs/tasks.md``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from random import Random
from typing import Any, Literal

from docendo.core.errors import SettingError, UnknownNameError
from docendo.core.protocols import Format, Verifier
from docendo.core.records import Label, Problem
from docendo.lab.problems import FAMILIES, LabProblem
from docendo.lab.problems.dates import MONTHS
from docendo.lab.problems.family import seeded_random
from docendo.lab.problems.steps import Step, written_steps
from docendo.lab.problems.verbs import GROUP_SIZE
from docendo.lab.tasks import MOST
from docendo.tasks.gold import SPLITS
from docendo.tasks.judgements import RIGHT_OR_WRONG, judgement_formats
from docendo.tasks.options import DEFAULTS, TaskOptions
from docendo.verifiers.choice import Choice

BLOCK = 128
"""Problems whose gold answers are each other's wrong ones. A multiple of the size of a group of verbs. Ours:
enough for a wrong answer that is near, few enough to be made in a moment."""
WINDOWS = (2, 4, 8, 16, 32)
"""Among how many neighbours in order a wrong answer is taken; each equally likely. Ours: some mistakes are
seen at a glance, others only by who knows the answer."""
RANKS = (2, 4, 8, 16)
"""How many ranks a bound lies above or below the answer, in a block; each equally likely."""
STEPWISE = ("stories", "chain", "verbs")
"""Families whose solutions are sums of one amount, in which a slip can be carried through."""

Proposal = Literal["answer", "bound", "solution"]


@dataclass(frozen=True, slots=True)
class Proposed:
    """A problem and what is proposed for it."""

    problem: LabProblem
    kind: Proposal
    text: str
    """What is proposed: the answer, the bound, or the solution and its answer, with a full stop."""
    answer: str
    """Alone: the answer, or what the answer is said to be more than."""
    is_right: bool


def proposals(
    family: str, split: str, seed: int = 0, kind: Proposal = "answer", most: int | None = None
) -> Iterator[Proposed]:
    """Yield what is proposed for the problems of a split, those of a problem in random order.

    Args:
        family: Name of the family in `FAMILIES`.
        split: As of the family.
        seed: Of the problems, and of what is wrong.
        kind: Propose an answer, a bound of it, or a solution with its answer.
        most: Problems at most; None: all that the split has. They are made block by block as one goes on.

    Raises:
        ValueError: A solution of a family whose steps have no single amount, or a bound of texts.
    """
    if kind not in kinds_of(family):
        raise ValueError(f"family {family} has no proposal {kind}; expected {', '.join(kinds_of(family))}")
    size = min(most or FAMILIES[family].size(split), FAMILIES[family].size(split))
    n_blocks = max(1, size // BLOCK)  # the last one takes the rest, too: it must not be small
    for block in range(n_blocks):
        end = size if block + 1 == n_blocks else (block + 1) * BLOCK
        problems = [FAMILIES[family].problem(split, index, seed) for index in range(block * BLOCK, end)]
        random = seeded_random("judgements", family, kind, seed, split, block)
        for own in _bounds(problems, random) if kind == "bound" else _answers(problems, kind, random):
            random.shuffle(own)
            yield from own


def kinds_of(family: str) -> tuple[Proposal, ...]:
    """Return what can be proposed for problems of a family."""
    if family in STEPWISE:
        return ("answer", "bound", "solution")
    return ("answer",) if family == "letters" else ("answer", "bound")


def _answers(problems: list[LabProblem], kind: Proposal, random: Random) -> Iterator[list[Proposed]]:
    order = ORDERS.get(problems[0].family, int)
    wrong = exchanged([problem.answer for problem in problems], order, random)
    for problem, answer in zip(problems, wrong, strict=True):
        yield [_right(problem, kind), _wrong(problem, answer, kind, random)]


def _bounds(problems: list[LabProblem], random: Random) -> list[list[Proposed]]:
    order = ORDERS.get(problems[0].family, int)
    ranked = sorted(range(len(problems)), key=lambda place: (order(problems[place].answer), place))
    ranks = random.choice(RANKS)
    found: list[list[Proposed]] = [[] for _ in problems]
    for rank in range(ranks, len(problems) - ranks):
        bound = problems[ranked[rank]].answer
        below, above = ranked[rank - ranks], ranked[rank + ranks]
        # Where one of the two is equal to the bound, both are left out: each right row has its wrong one.
        if order(problems[below].answer) < order(bound) < order(problems[above].answer):
            found[above].append(_bounded(problems[above], bound, is_right=True))
            found[below].append(_bounded(problems[below], bound, is_right=False))
    return found


def _bounded(problem: LabProblem, bound: str, *, is_right: bool) -> Proposed:
    text = f"{'after' if problem.family == 'dates' else 'more than'} {bound}."
    return Proposed(problem, "bound", text, bound, is_right)


def exchanged(answers: Sequence[str], order: Callable[[str], Any], random: Random) -> list[str]:
    """Give every place the answer of another one: more or less near its own, and never equal to it.

    The answers are the same ones, as often as before. In their order they are cut into windows of 2 to 32, or
    more where many are equal, and each window is turned by half its length: so half of the places get an
    answer from further up, half from further down.

    Args:
        answers: No one of them stands in more than half of the places.
        order: What they are sorted by.
        random: Decides the sizes of windows.

    Raises:
        ValueError: One answer stands in more than half of the places.

    Example:
        >>> exchanged(["3", "12", "3", "4"], int, Random(0))
        ['4', '3', '12', '3']
    """
    places = sorted(range(len(answers)), key=lambda place: (order(answers[place]), place))
    windows: list[list[int]] = []
    window: list[int] = []
    wanted = random.choice(WINDOWS)
    for rank, place in enumerate(places):
        window.append(place)
        is_whole_run = rank + 1 == len(places) or answers[places[rank + 1]] != answers[place]
        if is_whole_run and len(window) >= wanted and _can_turn(window, answers):
            windows.append(window)
            window, wanted = [], random.choice(WINDOWS)
    while window and not _can_turn(window, answers):
        if not windows:
            raise ValueError(f"one of {len(answers)} answers stands in more than half of the places")
        window = windows.pop() + window
    found = [""] * len(answers)
    for turned in [*windows, window]:
        for rank, place in enumerate(turned):
            found[place] = answers[turned[(rank + len(turned) // 2) % len(turned)]]
    return found


def _can_turn(window: Sequence[int], answers: Sequence[str]) -> bool:
    """Whether turning a window by half of its length puts no answer where an equal one stands."""
    most = max(Counter(answers[place] for place in window).values())
    return 2 * most <= len(window)


def _date_order(date: str) -> tuple[int, int]:
    month, day = date.split()
    return [name for name, _ in MONTHS].index(month), int(day)


ORDERS: Mapping[str, Callable[[str], Any]] = {
    "dates": _date_order,
    "letters": lambda text: (len(text), text),
}
"""What makes answers neighbours, where they are no numbers."""


def _right(problem: LabProblem, kind: Proposal) -> Proposed:
    return _proposed(problem, kind, problem.rationales[0], problem.answer, is_right=True)


def _wrong(problem: LabProblem, answer: str, kind: Proposal, random: Random) -> Proposed:
    worked = slipped(problem.rationales[0], int(answer), random) if kind == "solution" else ""
    return _proposed(problem, kind, worked, answer, is_right=False)


def _proposed(problem: LabProblem, kind: Proposal, worked: str, answer: str, *, is_right: bool) -> Proposed:
    text = f"{worked} The answer is {answer}." if kind == "solution" else f"{answer}."
    return Proposed(problem, kind, text, answer, is_right)


def slipped(rationale: str, wrong: int, random: Random) -> str:
    """Put one slip into a step of a rationale so that, carried through, it leads to a wrong answer.

    Args:
        rationale: Worked steps with a single amount.
        wrong: The answer to end with.
        random: Decides which step has the slip, among those from which the answer can be reached.

    Example:
        >>> slipped("12 + 5 = 17. 17 - 3 = 14.", 13, Random(1))
        '12 + 5 = 16. 16 - 3 = 13.'
    """
    found = written_steps(rationale)
    steps = [step for _, step in found]
    faulty = random.sample(range(len(steps)), len(steps))
    size = wrong - steps[-1].result
    tried = (_with_slip(steps, place, slip) for place in faulty for slip in (size, -size))
    carried = next(one for one in tried if one is not None and one[-1][1] == wrong)
    pieces: list[str] = []
    end = 0
    for (match, _), (step, result) in zip(found, carried, strict=True):
        pieces += [rationale[end : match.start()], f"{step.left} {match[2]} {step.right} {match[4]} {result}"]
        end = match.end()
    return "".join(pieces) + rationale[end:]


def _with_slip(steps: list[Step], faulty: int, slip: int) -> list[tuple[Step, int]] | None:
    """Return the steps and their results with a slip in one; None where a result falls below 0."""
    unused: dict[int, int] = {}  # right result -> result now, until a later step takes it up
    carried: list[tuple[Step, int]] = []
    for place, step in enumerate(steps):
        now = Step(unused.pop(step.left, step.left), step.operation, unused.pop(step.right, step.right))
        try:
            result = now.result + (slip if place == faulty else 0)
        except ValueError:  # a division no longer comes out even
            return None
        if result < 0:
            return None
        unused[step.result] = result
        carried.append((now, result))
    return carried


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgementTask:
    """Judge what is proposed for the problems of one family, with one seed."""

    name: str
    family: str
    """Name of the family in `FAMILIES`."""
    seed: int
    kind: Proposal
    formats: Mapping[str, Format]
    verifier: Verifier

    @property
    def splits(self) -> tuple[str, ...]:
        """All three: a family makes problems for each."""
        return SPLITS

    @property
    def identity(self) -> Mapping[str, Any]:
        """Family, seed and what is proposed: they decide everything."""
        return {"family": self.family, "seed": self.seed, "judged": self.kind}

    def problems(self, split: str, limit: int | None = None) -> Iterator[Problem]:
        """Return the problems of a split in their fixed order, the first ``limit`` of them.

        Raises:
            UnknownNameError: The task has no such split.
        """
        return (problem for problem, _ in self._judged(split, limit))

    def labels(self, split: str, limit: int | None = None) -> Mapping[str, Label]:
        """Return the Labels of the same problems by problem id.

        Raises:
            UnknownNameError: The task has no such split.
        """
        return {label.problem_id: label for _, label in self._judged(split, limit)}

    def _judged(self, split: str, limit: int | None) -> Iterator[tuple[Problem, Label]]:
        if split not in self.splits:
            raise UnknownNameError.of("split", split, self.splits)
        n_rows = MOST[split] if limit is None else min(limit, MOST[split])
        return iter(_drawn(self.name, self.family, self.kind, split, n_rows, self.seed))


@lru_cache(maxsize=8)
def _drawn(
    name: str, family: str, kind: Proposal, split: str, n_rows: int, seed: int
) -> tuple[tuple[Problem, Label], ...]:
    """Draw rows once: every stage of a run asks for the same ones."""
    seen: Counter[int] = Counter()
    rows: list[tuple[Problem, Label]] = []
    for proposed in islice(proposals(family, split, seed, kind), n_rows):
        rows.append(_row(name, proposed, seen[proposed.problem.index]))
        seen[proposed.problem.index] += 1
    return tuple(rows)


def _row(name: str, proposed: Proposed, place: int) -> tuple[Problem, Label]:
    about = proposed.problem
    stem = f"{name}-{about.seed}-{about.split}"
    what = "solution" if proposed.kind == "solution" else "answer"
    problem = Problem(
        f"{stem}-{about.index}-{place}",
        f"{_asked(about)} Proposed {what}: {proposed.text} Is it right?",
        about.split,
        RIGHT_OR_WRONG,
        f"{stem}-{about.group if about.family == 'verbs' else about.index}",
    )
    # Of a proposed solution the gold one would stand in the prompt.
    solution = about.rationales[0] if proposed.kind != "solution" else ""
    return problem, Label(problem.id, RIGHT_OR_WRONG[proposed.is_right], solution)


def _asked(problem: LabProblem) -> str:
    """Return the question, an invented verb's with a worked example of the same verb before it."""
    if problem.family != "verbs":
        return problem.question
    number, place = divmod(problem.index, GROUP_SIZE)
    other = number * GROUP_SIZE + (place + 1) % GROUP_SIZE
    example = FAMILIES["verbs"].problem(problem.split, other, problem.seed)
    return f"{example.question} {example.rationales[0]} The answer is {example.answer}. {problem.question}"


def _opener(name: str, family: str) -> Callable[[TaskOptions], JudgementTask]:
    def opened(options: TaskOptions = DEFAULTS) -> JudgementTask:
        options.only(name, "task_seed", "proposals")
        if options.proposals not in kinds_of(family):
            raise SettingError(
                f"proposals is {options.proposals}; expected {' or '.join(kinds_of(family))} with task {name}"
            )
        return JudgementTask(
            name=name,
            family=family,
            seed=options.task_seed,
            kind=options.proposals,
            formats=judgement_formats(RIGHT_OR_WRONG),
            verifier=Choice(),
        )

    opened.__doc__ = f"Return judgements of what is proposed for problems of the family {family}."
    return opened


judged_stories = _opener("judged-stories", "stories")
judged_chain = _opener("judged-chain", "chain")
judged_addition = _opener("judged-addition", "addition")
judged_letters = _opener("judged-letters", "letters")
judged_dates = _opener("judged-dates", "dates")
judged_verbs = _opener("judged-verbs", "verbs")
