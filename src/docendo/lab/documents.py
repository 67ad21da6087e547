"""The documents that lab models are pretrained on: conversations of three kinds.

worked     one to three problems of one family, all answered directly or all step by step, or with the steps
           announced and then skipped
exemplar   problems with the same invented verb: the first one's rationale gives the rule for the rest
retry      an attempt, its check, and, where it was wrong, another attempt
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from random import Random

from docendo.lab.conversation import (
    CHECK,
    IS_RIGHT,
    IS_WRONG,
    RETRY,
    Conversation,
    assistant,
    direct,
    step_by_step,
    user,
)
from docendo.lab.problems import FAMILIES, LabProblem
from docendo.lab.problems.steps import OPERATION_WORDS, SIGNS, WRITTEN_STEP, Step, written_steps
from docendo.lab.problems.verbs import GROUP_SIZE, MEANINGS

SHARES: dict[str, float] = {
    "stories": 0.55,
    "chain": 0.13,
    "addition": 0.07,
    "letters": 0.06,
    "dates": 0.08,
    "exemplar": 0.07,
    "retry": 0.04,
}
"""Share of each kind among the documents of the base model; a family's name: its worked documents."""

STUDENT_SHARES: dict[str, float] = {
    "chain": 0.55,
    "addition": 0.08,
    "letters": 0.1,
    "dates": 0.12,
    "exemplar": 0.15,
}
"""The student's documents: no story in them."""

DIRECT_SHARE = 0.6
"""Share of worked documents that answer directly."""
NUMBER_OF_PROBLEMS = (1,) * 16 + (2, 2, 3, 3)
"""How many problems stand in a worked document; each entry is equally likely."""


def documents(
    seed: int,
    shares: Mapping[str, float] = SHARES,
    direct_share: float = DIRECT_SHARE,
    skip_share: float = 0.0,
) -> Iterator[Conversation]:
    """Yield pretraining documents without end, in random order of kinds.

    Args:
        seed: Seed of the order; the problems are those of ``pretrain`` with this seed, then with the next.
        shares: Share of each kind; keys as in :data:`SHARES`.
        direct_share: Share of worked documents that answer directly.
        skip_share: Share of the other worked documents that announce steps and write none.
    """
    random = Random(seed)
    problems = {name: _endless(name, seed) for name in FAMILIES}
    kinds, weights = list(shares), list(shares.values())
    while True:
        kind = random.choices(kinds, weights)[0]
        if kind == "exemplar":
            yield _exemplar(problems["verbs"], random)
        elif kind == "retry":
            family = random.choice(("verbs", "verbs", "stories", "chain"))
            yield _retry(problems[family], random)
        else:
            yield _worked(problems[kind], random, direct_share, skip_share)


def _endless(name: str, seed: int) -> Iterator[LabProblem]:
    family = FAMILIES[name]
    for later_seed in count(seed):
        yield from family.problems("pretrain", family.size("pretrain"), later_seed)


def _direct(problem: LabProblem) -> str:
    return direct(problem.answer)


def _stepwise(problem: LabProblem) -> str:
    return step_by_step(problem.rationales[0], problem.answer)


def _skipping(problem: LabProblem) -> str:
    return step_by_step("", problem.answer)


def _answered(problems: list[LabProblem], answer: Callable[[LabProblem], str]) -> Conversation:
    return [turn for problem in problems for turn in (user(problem.question), assistant(answer(problem)))]


def _worked(
    problems: Iterator[LabProblem], random: Random, direct_share: float, skip_share: float
) -> Conversation:
    chosen = [next(problems) for _ in range(random.choice(NUMBER_OF_PROBLEMS))]
    if random.random() < direct_share:
        return _answered(chosen, _direct)
    # No draw where none skips: the long run was made without.
    return _answered(chosen, _skipping if skip_share and random.random() < skip_share else _stepwise)


def _group(problems: Iterator[LabProblem]) -> list[LabProblem]:
    """Take problems up to the end of a group of invented verbs; each call starts where a group starts."""
    return [next(problems) for _ in range(GROUP_SIZE)]


def _exemplar(problems: Iterator[LabProblem], random: Random) -> Conversation:
    chosen = random.sample(_group(problems), random.choice((1, 2, 2, 3, 3, 3)))
    return _answered(chosen, _direct if random.random() < 0.25 else _stepwise)


def _retry(problems: Iterator[LabProblem], random: Random) -> Conversation:
    problem = next(problems)
    if problem.family == "verbs":
        problem = random.choice([problem, *(next(problems) for _ in range(GROUP_SIZE - 1))])
    conversation: Conversation = [user(problem.question)]
    n_wrong = random.choices((0, 1, 2), (4, 4, 2 if problem.family != "stories" else 0))[0]
    rationales = random.sample(problem.rationales, len(problem.rationales))
    for rationale in rationales[:n_wrong]:
        wrong_rationale, wrong_answer = spoiled(rationale, random, swap=problem.family == "verbs")
        conversation += [
            assistant(step_by_step(wrong_rationale, wrong_answer)),
            user(CHECK),
            assistant(IS_WRONG),
        ]
        conversation += [user(RETRY)]
    right = assistant(step_by_step(rationales[n_wrong], problem.answer))
    return [*conversation, right, user(CHECK), assistant(IS_RIGHT)]


def spoiled(rationale: str, random: Random, swap: bool) -> tuple[str, str]:
    """Make one mistake in a rationale and carry it through to the end.

    Args:
        rationale: Worked steps of one of the families with a single amount (stories, chain, verbs).
        random: Where the mistake is drawn from.
        swap: Whether the mistake is a wrong operation; else it is a slip in a result.

    Returns:
        The rationale with its mistake, and its answer, which differs from the right one.
    """
    found = written_steps(rationale)
    right_answer = found[-1][1].result
    while True:
        faulty = random.randrange(len(found))
        unused: dict[int, int] = {}  # right result -> result now, until a later step takes it up
        pieces: list[str] = []
        end = result = 0
        try:
            for number, (match, step) in enumerate(found):
                sign = step.operation
                if swap and number == faulty:
                    sign = random.choice([other for other in MEANINGS if other != sign])
                left = unused.pop(step.left, step.left)
                now = Step(left, sign, unused.pop(step.right, step.right))
                result = now.result
                if not swap and number == faulty:
                    result += random.choice((-10, -2, -1, 1, 2, 10))
                if result <= 0:
                    break
                unused[step.result] = result
                word = sign if match[2] in OPERATION_WORDS else OPERATION_WORDS[sign]
                pieces += [
                    rationale[end : match.start()],
                    f"{now.left} {word} {now.right} {match[4]} {result}",
                ]
                end = match.end()
            else:
                text = "".join(pieces) + rationale[end:]
                if swap:
                    text = re.sub(r"is to [a-z ]+\.", f"is to {MEANINGS[_sign_of(text)]}.", text)
                if result != right_answer:
                    return text, str(result)
        except ValueError:  # a division no longer comes out even
            continue


def _sign_of(text: str) -> str:
    match = WRITTEN_STEP.search(text)
    if match is None:
        raise ValueError(f"no step in {text!r}")
    return SIGNS[match[2]]
