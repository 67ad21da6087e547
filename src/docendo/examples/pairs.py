"""Pairs of a right and a wrong solution of the same problem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from docendo.core.errors import NothingToLearn
from docendo.core.records import Example, Sample
from docendo.core.seeds import derived_rng
from docendo.core.table import Derived, Table, problem_id_of


def pairs_of(right: Table[Any], wrong: Table[Any], *, limit: int, seed: int) -> Table[tuple[Any, Any]]:
    """Return pairs (right, wrong) of one problem: all there are, or ``limit`` of them drawn uniformly.

    All are the Cartesian product. A draw is without replacement, and depends on the seed and the problem
    alone; the pairs stand in the order of the product, problems in that of their first right row. A problem
    that lacks one of the two gives none.

    Args:
        right: What is to be preferred; rows of a problem need not stand together.
        wrong: What is not.
        limit: At most so many pairs of a problem. Count, >= 1.
        seed: Other seeds, other draws.

    References:
        Hosseini et al. (2024), arXiv:2402.06457, section 3: the whole product. Liu et al. (2023),
        arXiv:2310.10047: ten training examples a problem, drawn in a way that is not stated.

    Example:
        >>> from docendo.core.records import Problem
        >>> from docendo.core.table import Rows
        >>> right, wrong = (Rows([Problem("p", text, "train") for text in texts]) for texts in ("abc", "xy"))
        >>> pairs = pairs_of(right, wrong, limit=100, seed=0)
        >>> [one.question + other.question for one, other in pairs]
        ['ax', 'ay', 'bx', 'by', 'cx', 'cy']
    """

    def drawn() -> Iterator[tuple[Any, Any]]:
        wrong_of: dict[str, list[Any]] = {}
        for row in wrong:
            wrong_of.setdefault(problem_id_of(row), []).append(row)
        right_of: dict[str, list[Any]] = {}
        for row in right:
            right_of.setdefault(problem_id_of(row), []).append(row)
        for problem_id, chosen in right_of.items():
            rejected = wrong_of.get(problem_id, [])
            places: Sequence[int] = range(len(chosen) * len(rejected))
            if len(places) > limit:
                places = sorted(derived_rng(seed, "pairs", problem_id).sample(places, limit))
            for place in places:
                yield chosen[place // len(rejected)], rejected[place % len(rejected)]

    return Derived([right, wrong], drawn, bound=None, key=["pairs", limit, seed])


def preferred(right: Sample | Example, wrong: Sample) -> Example:
    """Return the Example that prefers a sample, or an Example's completion, to a sample of the same problem.

    Samples are learned as they were sampled. Both texts answer the prompt of the second; what was cut off has
    no end to learn, and such a pair is dropped.
    """
    is_sampled = isinstance(right, Sample)
    own = right.tokenizer == wrong.tokenizer
    return Example(
        wrong.prompt.messages,
        chosen=right.text if is_sampled else right.completion,
        rejected=wrong.text,
        chosen_token_ids=right.token_ids if own else (),
        rejected_token_ids=wrong.token_ids,
        tokenizer=wrong.tokenizer,
        problem_id=wrong.problem.id,
        parents=(right.id, wrong.id) if is_sampled else (*right.parents, wrong.id),
        is_ended=(right.finish == "stop" if is_sampled else right.is_ended) and wrong.finish == "stop",
    )


def must_be_there(pairs: Table[Any]) -> None:
    """Say clearly that there is nothing to tell right from wrong by.

    Raises:
        NothingToLearn: There is no pair.
    """
    if pairs.is_known and next(iter(pairs), None) is None:
        raise NothingToLearn(
            "no training problem has both a right and a wrong sample, so there is no pair to learn from",
            hint="draw more samples of each problem, at a higher temperature, or take other problems",
        )
