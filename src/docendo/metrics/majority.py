"""majority@k: what the first k samples of a problem vote for.

One rule holds everywhere in Docendo. The samples vote in their order. A sample without a readable answer
counts among the k and has no vote. Answers that are the same by the task's ``same`` share a cluster, led by
the answer that came first. The largest cluster wins; of equal ones the one whose leader came first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import eq

Same = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Cluster:
    """The samples of one problem that gave the same answer."""

    answer: str
    """The answer as its first sample wrote it."""
    members: tuple[int, ...]
    """Positions of the samples, rising. The first is the leader."""


def clusters(answers_G: Sequence[str | None], same: Same = eq) -> list[Cluster]:
    """Put equal answers together, in order of first appearance.

    Each answer joins the first cluster whose leader is ``same`` as it, or opens a new one. ``same`` need not
    be transitive: only leaders are compared, so the result is determined by the order of the samples. A text
    that was seen before goes where it went then, without asking ``same`` again.

    Args:
        answers_G: For each sample its answer, or ``None`` where none could be read.
        same: Whether two answers are equivalent, asked as ``same(leader, answer)``. It must hold of any
            answer and itself.

    Returns:
        Clusters whose members are disjoint and together are all samples with an answer.

    Example:
        >>> [c.members for c in clusters(["18", None, "24", "18.0"], lambda a, b: float(a) == float(b))]
        [(0, 3), (2,)]
    """
    members: dict[str, list[int]] = {}  # by leader, in order of appearance
    leader_of: dict[str, str] = {}
    for position, answer in enumerate(answers_G):
        if answer is None:
            continue
        if answer not in leader_of:
            leader = next((known for known in members if same(known, answer)), answer)
            leader_of[answer] = leader
            members.setdefault(leader, [])
        members[leader_of[answer]].append(position)
    return [Cluster(answer, tuple(positions)) for answer, positions in members.items()]


@dataclass(frozen=True, slots=True)
class Vote:
    """What the first samples of a problem voted for."""

    index: int
    """Position of the chosen sample: the first that gave the winning answer."""
    answer: str
    """The winning answer as that sample wrote it."""
    n_votes: int
    """Samples that gave it. Count, >= 1."""
    n_samples: int
    """Samples that were asked, with those that could not be read. Count, >= n_votes."""

    @property
    def share(self) -> float:
        """Votes for the winner by all samples asked, in ``(0, 1]``: the vote's confidence."""
        return self.n_votes / self.n_samples


def majority(answers_G: Sequence[str | None], k: int | None = None, same: Same = eq) -> Vote | None:
    """Hold the vote of the first ``k`` samples.

    Args:
        answers_G: For each sample its answer, or ``None`` where none could be read.
        k: How many samples vote. Count, in ``[1, len(answers_G)]``; all of them by default.
        same: Whether two answers are equivalent, asked as ``same(leader, answer)``.

    Returns:
        The outcome, or ``None`` where no answer could be read. Ties go to the answer that came first.

    Raises:
        ValueError: ``k`` is out of range; a vote of more samples than there are is never made up.

    References:
        Wang et al. (2022), arXiv:2203.11171, section 2.

    Example:
        >>> majority(["108", "96", "108", "108", "110", "96", "108", None])
        Vote(index=0, answer='108', n_votes=4, n_samples=8)
        >>> majority(["18", "24"]).answer
        '18'
    """
    n_samples = len(answers_G) if k is None else k
    if not 1 <= n_samples <= len(answers_G):
        raise ValueError(f"k {n_samples}, expected a count in [1, {len(answers_G)}]")
    # max keeps the first of equals, and clusters stand in order of appearance
    winner = max(clusters(answers_G[:n_samples], same), key=lambda c: len(c.members), default=None)
    if winner is None:
        return None
    return Vote(winner.members[0], winner.answer, len(winner.members), n_samples)


def majority_is_correct(
    answers_G: Sequence[str | None],
    is_correct_G: Sequence[bool],
    k: int | None = None,
    same: Same = eq,
) -> bool:
    """Tell whether the vote of the first ``k`` samples is right.

    The vote is judged by the verdict of the sample that it chooses; without a readable answer it is wrong.

    Args:
        answers_G: For each sample its answer, or ``None`` where none could be read.
        is_correct_G: For each sample, whether its verdict is ``correct``.
        k: How many samples vote. Count, in ``[1, len(answers_G)]``; all of them by default.
        same: Whether two answers are equivalent, asked as ``same(leader, answer)``.

    Raises:
        ValueError: ``k`` is out of range, or the lists differ in length.

    Example:
        >>> majority_is_correct(["18", "24", "24"], [False, True, True])
        True
    """
    if len(answers_G) != len(is_correct_G):
        raise ValueError(f"{len(is_correct_G)} verdicts, expected {len(answers_G)}, one for each answer")
    vote = majority(answers_G, k, same)
    return vote is not None and bool(is_correct_G[vote.index])


def majority_at_k(
    answers_P_G: Sequence[Sequence[str | None]],
    is_correct_P_G: Sequence[Sequence[bool]],
    k: int,
    same: Same = eq,
) -> float:
    """Give the share of problems whose vote of the first ``k`` samples is right.

    Args:
        answers_P_G: For each problem and sample, the answer, or ``None`` where none could be read.
        is_correct_P_G: For each problem and sample, whether the verdict is ``correct``.
        k: How many samples vote. Count, in ``[1, G]`` for the problem with the fewest samples.
        same: Whether two answers are equivalent, asked as ``same(leader, answer)``.

    Returns:
        Accuracy in ``[0, 1]``.

    Raises:
        ValueError: There is no problem, ``k`` is out of range, or the lists differ in length.

    References:
        Wang et al. (2022), arXiv:2203.11171, section 2.

    Example:
        >>> answers_P_G = [["18", "24", "24"], [None, "7", "8"]]
        >>> majority_at_k(answers_P_G, [[False, True, True], [False, False, True]], k=3)
        0.5
    """
    if not answers_P_G:
        raise ValueError("majority@k of no problems, expected at least one")
    if len(answers_P_G) != len(is_correct_P_G):
        raise ValueError(f"verdicts of {len(is_correct_P_G)} problems, expected {len(answers_P_G)}")
    votes_P = zip(answers_P_G, is_correct_P_G, strict=True)
    return sum(majority_is_correct(a, c, k, same) for a, c in votes_P) / len(answers_P_G)
