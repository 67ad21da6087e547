"""One answer of many samples: what each rule chooses, all over the same clusters and scores.

==================  ==========================================  ==========================  ==================
rule                the answer that it gives                    in Liu et al. (2023)        candidates scored
==================  ==========================================  ==========================  ==================
`majority`          of the largest cluster                      Maj1, self-consistency      none
`best`              of the best-scored candidate                RR.All, best-of-N, MAX      all
`best`, k           the same within the k largest clusters      RR.MajK                     those of the k
`weighted`          of the cluster with the largest total       W.RR, SUM                   all
`weighted`, k       the same among the k largest clusters       W.RR.MajK                   those of the k
`majority-of-best`  of the vote of the n best-scored            Maj1.TopN                   all
==================  ==========================================  ==========================  ==================

Ties, declared once for all rules. Clusters stand by size, equal ones by their first members. Candidates
stand by score, equal ones as their clusters do, then by position. Of equal totals the larger cluster wins;
of equal votes among the n best the larger sum of their scores, then the larger cluster.

A candidate without a score stands behind all that have one, and a cluster without any behind all others: so
it can be voted for and never wins by score, and where nothing has a score every rule gives the majority. A
candidate without a readable answer is in no cluster, and no rule chooses it.

Sums need scores of 0 or more that can be compared, such as probabilities: of log-likelihoods, which lie
below zero, every further vote would count against its answer.

References:
    Liu et al. (2023), arXiv:2310.10047, section 3.3 and table 7; Wang et al. (2022), arXiv:2203.11171; Ning
    et al. (2024), arXiv:2406.14629, algorithm A1, for MAX and SUM. Their tie-breaks are not stated; these are
    ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, isfinite
from operator import eq
from typing import Literal

from docendo.core.errors import SettingError
from docendo.metrics.majority import Cluster, Same, clusters

By = Literal["majority", "best", "weighted", "majority-of-best"]
Standing = tuple[bool, float]
"""Whether there is a score, and the score or total: the larger pair wins."""


@dataclass(frozen=True, slots=True)
class Pool:
    """The candidates of one problem, clustered once for any number of rules."""

    clusters: tuple[Cluster, ...]
    """The largest first; equal ones by their first members."""
    scores_G: tuple[float | None, ...]
    """For each candidate its score, or ``None``."""
    ranked: tuple[int, ...]
    """Positions of the candidates with an answer, the best-scored first."""

    @classmethod
    def of(
        cls,
        answers_G: Sequence[str | None],
        scores_G: Sequence[float | None] | None = None,
        same: Same = eq,
    ) -> Pool:
        """Put the candidates of a problem together.

        Args:
            answers_G: For each candidate its answer, or ``None`` where none could be read. At least one.
            scores_G: For each candidate a finite number, larger is better, or ``None`` where there is none.
                None: nothing has a score.
            same: Whether two answers are equivalent, asked as in `docendo.metrics.majority.clusters`.

        Raises:
            ValueError: There is no candidate, the lists differ in length, or a score is not finite.

        Example:
            >>> pool = Pool.of(["18", "24", None, "18"], [0.2, 0.9, 0.4, None])
            >>> [cluster.members for cluster in pool.clusters], pool.ranked
            ([(0, 3), (1,)], (1, 0, 3))
        """
        if not answers_G:
            raise ValueError("a choice among no candidates, expected at least one")
        scores = tuple(scores_G) if scores_G is not None else (None,) * len(answers_G)
        if len(scores) != len(answers_G):
            raise ValueError(f"{len(scores)} scores, expected {len(answers_G)}, one for each answer")
        for score in scores:
            if score is not None and not isfinite(score):
                raise ValueError(f"score {score}, expected a finite number, or None where there is none")
        # sorting is stable, and clusters stand in order of appearance
        found = tuple(sorted(clusters(answers_G, same), key=lambda cluster: -len(cluster.members)))
        members = (position for cluster in found for position in cluster.members)
        ranked = sorted(members, key=lambda position: _standing(scores[position]), reverse=True)
        return cls(found, scores, tuple(ranked))

    @property
    def n_samples(self) -> int:
        """Candidates, with those that could not be read. Count, >= 1."""
        return len(self.scores_G)

    def largest(self, k: int | None) -> tuple[Cluster, ...]:
        """Return the k largest clusters; all where k is None or there are no more."""
        return self.clusters[:k]


@dataclass(frozen=True, slots=True)
class Rule:
    """How one candidate is chosen. The head of the module lists the rules and how ties go."""

    by: By
    k: int | None = None
    """For ``best`` and ``weighted``: only the k largest clusters count. Count, >= 1; None: all."""
    top_n: int | None = None
    """For ``majority-of-best``, which needs it: how many of the best-scored vote. Count, >= 1."""
    mean: bool = False
    """For ``weighted``: the mean of a cluster's scores in place of their sum, so that votes do not count."""

    def __post_init__(self) -> None:
        known = ("majority", "best", "weighted", "majority-of-best")
        faults: list[str] = []
        if self.by not in known:
            faults.append(f"rule is {self.by!r}; expected {', '.join(known)}")
        if self.k is not None and self.by not in ("best", "weighted"):
            faults.append(f"k is {self.k}; rule {self.by} has no use for it")
        elif self.k is not None and self.k < 1:
            faults.append(f"k is {self.k} clusters; expected at least 1")
        if self.by == "majority-of-best" and (self.top_n is None or self.top_n < 1):
            faults.append(f"top_n is {self.top_n}; rule majority-of-best needs a count of at least 1")
        if self.by != "majority-of-best" and self.top_n is not None:
            faults.append(f"top_n is {self.top_n}; rule {self.by} has no use for it")
        if self.mean and self.by != "weighted":
            faults.append(f"mean is True; rule {self.by} has no use for it")
        if faults:
            raise SettingError.of_all(faults)

    @property
    def needs_scores(self) -> bool:
        """Whether it looks at scores at all."""
        return self.by != "majority"

    def choose(self, pool: Pool) -> int:
        """Return the position of the chosen candidate; 0, the first, where no answer could be read.

        Of the winning cluster it is the first member by ``majority``, the best-scored one by the others.

        Example:
            >>> pool = Pool.of(["18", "24", "24", "7"], [0.2, 0.5, 0.3, 0.7])
            >>> [Rule("majority").choose(pool), Rule("best").choose(pool), Rule("best", k=1).choose(pool)]
            [1, 3, 1]
        """
        if not pool.clusters:
            return 0
        if self.by == "majority":
            return pool.clusters[0].members[0]
        if self.by == "majority-of-best":
            return self._voted(pool)
        allowed = pool.largest(self.k)
        if self.by == "weighted":
            # max keeps the first of equals, and the largest stands first
            allowed = (max(allowed, key=lambda cluster: _total(pool, cluster.members, self.mean)),)
        members = {position for cluster in allowed for position in cluster.members}
        return next(position for position in pool.ranked if position in members)

    def _voted(self, pool: Pool) -> int:
        best = pool.ranked[: self.top_n]
        if len(best) == len(pool.ranked):  # nothing is left out, so scores decide nothing: the plain vote
            best_cluster = pool.clusters[0].members
        else:
            kept = set(best)
            voters = [[one for one in cluster.members if one in kept] for cluster in pool.clusters]
            best_cluster = max(voters, key=lambda members: (len(members), _total(pool, members, mean=False)))
        members = set(best_cluster)
        return next(position for position in best if position in members)

    def scored(self, pool: Pool) -> tuple[int, ...]:
        """Return the positions of the candidates whose scores it looks at, rising: what a scorer is asked.

        Example:
            >>> Rule("best", k=1).scored(Pool.of(["18", "24", None, "18"]))
            (0, 3)
        """
        if not self.needs_scores:
            return ()
        return tuple(sorted(one for cluster in pool.largest(self.k) for one in cluster.members))

    def cost_share(self, pool: Pool) -> float:
        """Return the share of the candidates that must be scored, in ``[0, 1]``."""
        return len(self.scored(pool)) / pool.n_samples


def majority_oracle(pool: Pool, is_correct_G: Sequence[bool], k: int) -> bool:
    """Tell whether one of the k largest clusters is right: what no rule within them can surpass.

    It sees verdicts, so it is a bound and no method. A cluster is right where one of its members is.

    Args:
        pool: The candidates.
        is_correct_G: For each candidate, whether its verdict is ``correct``.
        k: How many clusters. Count, >= 1; more than there are: all.

    Raises:
        ValueError: ``k`` is below 1, or the verdicts are not one for each candidate.

    References:
        Liu et al. (2023), arXiv:2310.10047, MajK@N.

    Example:
        >>> pool = Pool.of(["18", "24", "24", "7"])
        >>> [majority_oracle(pool, [True, False, False, False], k) for k in (1, 2)]
        [False, True]
    """
    if k < 1:
        raise ValueError(f"k {k}, expected a count >= 1")
    if len(is_correct_G) != pool.n_samples:
        raise ValueError(f"{len(is_correct_G)} verdicts, expected {pool.n_samples}, one for each candidate")
    return any(is_correct_G[one] for cluster in pool.largest(k) for one in cluster.members)


def _standing(score: float | None) -> Standing:
    return (False, 0.0) if score is None else (True, score)


def _total(pool: Pool, members: Sequence[int], mean: bool) -> Standing:
    """Return what the scores of some candidates come to; the same in whatever order they stand."""
    known = [score for one in members if (score := pool.scores_G[one]) is not None]
    total = fsum(known)
    return bool(known), total / len(known) if mean and known else total
