"""Every rule on the same candidates: accuracy, cost, and whether it beats the vote."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import fsum

from docendo.core.protocols import Verifier, Watcher
from docendo.metrics.choosing import Pool, Rule, majority_oracle
from docendo.metrics.intervals import Interval, bootstrap_interval, wilson_interval
from docendo.metrics.paired import Comparison, compare
from docendo.tasks.candidates import Candidates


@dataclass(frozen=True, slots=True)
class Measured:
    """A rule, or an oracle, on all problems."""

    name: str
    is_correct_P: tuple[bool, ...]
    chosen_P: tuple[int, ...] = ()
    """For each problem the place of the chosen candidate; empty of an oracle."""
    cost_share: float | None = None
    """Share of all candidates that must be scored, in ``[0, 1]``; None of an oracle."""

    @property
    def accuracy(self) -> float:
        """Share of the problems whose chosen answer is right."""
        return sum(self.is_correct_P) / len(self.is_correct_P)

    @property
    def interval(self) -> Interval:
        """The 95 % Wilson interval of the accuracy over problems."""
        return wilson_interval(sum(self.is_correct_P), len(self.is_correct_P))


@dataclass(frozen=True, slots=True)
class Against:
    """One rule against another on the same problems."""

    rule: str
    rival: str
    n_only_rule: int
    """Problems that only the rule got right."""
    n_only_rival: int
    result: Comparison


class Voting:
    """The candidates of a file, clustered once, and what rules make of them.

    Args:
        problems: Candidates by problem; at least one.
        verifier: Its equivalence says which answers are the same. Each pair of answers of a problem is asked
            about once at most.
        watcher: Is told how far it is.
    """

    def __init__(self, problems: Sequence[Candidates], verifier: Verifier, watcher: Watcher) -> None:
        self.problems = problems
        self.pools: list[Pool] = []
        watcher.stage_begins("put same answers together", rows=len(problems), done=0, unit="problems")
        for problem in problems:
            answers = [one.answer for one in problem.found]
            self.pools.append(Pool.of(answers, [one.score for one in problem.found], verifier.same))
            watcher.stage_advances(rows=1)
        n_clusters = sum(len(pool.clusters) for pool in self.pools)
        watcher.stage_ends(
            "put same answers together", summary=f"{n_clusters:,} different answers", reused=False
        )
        self._is_correct = [[one.is_correct for one in problem.found] for problem in problems]

    @property
    def sizes(self) -> list[int]:
        """How many candidates each problem has."""
        return [pool.n_samples for pool in self.pools]

    def measure(self, name: str, rule: Rule) -> Measured:
        """Return what a rule chooses, how often it is right, and what it costs."""
        chosen = [rule.choose(pool) for pool in self.pools]
        right = (flags[place] for flags, place in zip(self._is_correct, chosen, strict=True))
        scored = sum(len(rule.scored(pool)) for pool in self.pools)
        return Measured(name, tuple(right), tuple(chosen), scored / sum(self.sizes))

    def majority_oracle(self, name: str, k: int) -> Measured:
        """Return how often one of the k largest clusters is right."""
        pairs = zip(self.pools, self._is_correct, strict=True)
        return Measured(name, tuple(majority_oracle(pool, flags, k) for pool, flags in pairs))

    def any_oracle(self, name: str) -> Measured:
        """Return how often any candidate is right: pass@N of the N that were drawn."""
        return Measured(name, tuple(any(flags) for flags in self._is_correct))

    def one_sample(self) -> tuple[float, Interval]:
        """Return the mean share of right candidates of a problem, and its bootstrap interval: pass@1."""
        shares = [sum(flags) / len(flags) for flags in self._is_correct]
        return fsum(shares) / len(shares), bootstrap_interval(shares)

    def chosen_places(self, measured: Sequence[Measured]) -> Mapping[tuple[int, int | None], list[str]]:
        """Return the rules that chose each candidate, by its row and its place there."""
        places: dict[tuple[int, int | None], list[str]] = {}
        for one in measured:
            for problem, place in zip(self.problems, one.chosen_P, strict=True):
                found = problem.found[place]
                places.setdefault((found.number, found.index), []).append(one.name)
        return places


def against(pairs: Sequence[tuple[Measured, Measured]], watcher: Watcher) -> list[Against]:
    """Compare rules with their rivals, problem by problem."""
    watcher.stage_begins("compare", rows=len(pairs), done=0, unit="pairs")
    found: list[Against] = []
    for rule, rival in pairs:
        both = list(zip(rule.is_correct_P, rival.is_correct_P, strict=True))
        found.append(
            Against(
                rule.name,
                rival.name,
                sum(right and not other for right, other in both),
                sum(other and not right for right, other in both),
                compare([rule.is_correct_P], [rival.is_correct_P]),
            )
        )
        watcher.stage_advances(rows=1)
    watcher.stage_ends("compare", summary=f"{len(pairs)} pairs of rules", reused=False)
    return found
