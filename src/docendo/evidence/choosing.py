"""What a recipe that chooses among scored samples could have chosen: by other rules, of fewer, by one judge.

All of it comes from the samples, scores and verdicts of one finished run; none is drawn for it. Verdicts on
test problems are made here, by `evaluate`, and no number of it reaches the recipe.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from statistics import fmean, pvariance
from typing import Any

from docendo.core.records import Score
from docendo.core.seeds import derived_rng
from docendo.evidence.measures import Same, as_pair
from docendo.metrics.fewer import completions_among, right_among, sizes_up_to
from docendo.metrics.intervals import clopper_pearson_interval, crossed_bootstrap_interval
from docendo.metrics.paired import compare
from docendo.runs.evaluation import Evaluation, greedy_of
from docendo.runs.recipe import Choosing
from docendo.runs.run import Run

BANDS: tuple[tuple[float, float], ...] = (
    (0, 0),
    (0, 0.05),
    (0.05, 0.1),
    (0.1, 0.15),
    (0.15, 0.2),
    (0.2, 0.25),
)
"""Of the variance of a problem's scores: above the first number, up to the second."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """All samples that a recipe chooses among, with verdicts."""

    choosing: Choosing
    run: Run
    scored: Evaluation
    further: Evaluation | None
    """None where no arm has drawn any."""

    @classmethod
    def judged(cls, choosing: Choosing, run: Run, *, with_further: bool) -> Candidates:
        """Let `evaluate` judge them: stages of their own, which stand in a plan too."""
        scored = run.evaluate(choosing.scored(run))
        further = run.evaluate(choosing.further(run)) if with_further else None
        return cls(choosing, run, scored, further)


@dataclass(slots=True)
class _Problem:
    """The candidates of one problem, in their order."""

    answers: list[str | None] = field(default_factory=list[str | None])
    is_correct: list[bool] = field(default_factory=list[bool])
    scores: list[Score] = field(default_factory=list[Score])
    needs: list[Collection[str]] = field(default_factory=list[Collection[str]])

    @property
    def values(self) -> list[float | None]:
        return [score.value for score in self.scores]


@dataclass(slots=True)
class Chosen:
    """What could have been chosen, of one seed; a value for each problem, in one order for all seeds."""

    choosing: Choosing
    right: dict[tuple[str, int], list[float]] = field(default_factory=dict[tuple[str, int], list[float]])
    """By rule and number of samples: the chance that the chosen one is right."""
    cost: dict[tuple[str, int], list[float]] = field(default_factory=dict[tuple[str, int], list[float]])
    """By the same: the completions that it takes."""
    variances: list[float | None] = field(default_factory=list[float | None])
    """Of a problem's scores; None where no sample has one."""
    by_judge: dict[tuple[str, ...], list[float]] = field(default_factory=dict[tuple[str, ...], list[float]])
    """By judges, all together and each alone: whether the method's rule would have chosen rightly."""

    @property
    def n_samples(self) -> int:
        """N, of a problem."""
        return max((n for rule, n in self.right if rule == self.choosing.own), default=0)

    def of(self, rule: str) -> list[float]:
        """Return what a rule made of all scored samples."""
        return self.right[rule, self.n_samples]


def chosen(candidates: Candidates, same: Same, problem_ids: Sequence[str]) -> Chosen:
    """Return what could have been chosen.

    Args:
        candidates: With verdicts.
        same: Whether two answers are the same.
        problem_ids: All problems of the test split; one without candidates is never solved.
    """
    choosing = candidates.choosing
    scored = _by_problem(candidates.scored, problem_ids, choosing.score, choosing.needs(candidates.run))
    further = _by_problem(candidates.further, problem_ids) if candidates.further is not None else {}
    found = Chosen(choosing)
    most = max(len(one.answers) for one in scored.values())
    total = most + max((len(one.answers) for one in further.values()), default=0)
    vote = {choosing.vote: choosing.rules[choosing.vote]}
    judges = _judges(choosing, scored.values())
    for problem_id, own in scored.items():
        asked = cache(same)  # pairs of one problem's answers come again and again
        for n in sizes_up_to(most):
            _choose(found, problem_id, own, choosing.rules, n, asked)
        if extra := further.get(problem_id):
            whole = _Problem(own.answers + extra.answers, own.is_correct + extra.is_correct)
            for n in (size for size in sizes_up_to(total) if size > most):
                _choose(found, problem_id, whole, vote, n, asked)
        known = [value for value in own.values if value is not None]
        found.variances.append(pvariance(known) if known else None)
        for names in judges:
            found.by_judge.setdefault(names, []).append(_by_judges(choosing, own, names, judges[0], asked))
    return found


def _choose(
    found: Chosen, problem_id: str, own: _Problem, rules: Mapping[str, Any], n: int, same: Same
) -> None:
    """Note what the rules make of ``n`` samples of a problem, or of all where it has fewer."""
    size = min(n, len(own.answers))
    values = own.values or None
    rng = derived_rng("choosing", problem_id, n)
    right = (
        right_among(own.answers, values, own.is_correct, rules, size, same=same, rng=rng)
        if size
        else dict.fromkeys(rules, 0.0)
    )
    for name, rule in rules.items():
        cost = completions_among(own.needs, size) if size and rule.needs_scores else float(size)
        found.right.setdefault((name, n), []).append(right[name])
        found.cost.setdefault((name, n), []).append(cost)


def _by_judges(
    choosing: Choosing, own: _Problem, names: tuple[str, ...], every: tuple[str, ...], same: Same
) -> float:
    """Return whether the method's rule chooses rightly by the scores of all judges, or of one alone."""
    if not own.answers:
        return 0.0
    values = own.values if names == every else [choosing.judges(one).get(names[0]) for one in own.scores]
    rules, n = {choosing.own: choosing.rules[choosing.own]}, len(own.answers)
    rng = derived_rng("choosing")  # one set, nothing to draw
    return right_among(own.answers, values, own.is_correct, rules, n, same=same, rng=rng)[choosing.own]


def _judges(choosing: Choosing, problems: Collection[_Problem]) -> list[tuple[str, ...]]:
    """Return all judges together, and each alone where there are several."""
    names = dict.fromkeys(name for own in problems for score in own.scores for name in choosing.judges(score))
    every = tuple(names)
    return [every, *((name,) for name in names)] if len(every) > 1 else [every]


def _by_problem(
    evaluation: Evaluation,
    problem_ids: Sequence[str],
    score: str = "",
    needs: Mapping[str, Any] | None = None,
) -> dict[str, _Problem]:
    found = {problem_id: _Problem() for problem_id in sorted(problem_ids)}
    for sample in greedy_of(evaluation):
        own = found[sample.problem.id]
        own.answers.append(sample.answer if sample.is_parsed else None)
        own.is_correct.append(sample.is_correct)
        if score:
            own.scores.append(sample.scores[score])
            own.needs.append((needs or {}).get(sample.id, ()))
    return found


def choosing_entry(found_S: Sequence[Chosen]) -> dict[str, Any]:
    """Return the entry of ``result.json``: one seed's, or over several."""
    first = found_S[0].choosing
    return {
        "score": first.score,
        "rule": first.own,
        "vote": first.vote,
        "curve": list(_curve(found_S)),
        "variances": list(_variances(found_S)),
        "judges": list(_by_judge(found_S)),
    }


def _curve(found_S: Sequence[Chosen]) -> Iterator[dict[str, Any]]:
    """Yield an entry for each rule and number of samples that all seeds have."""
    for rule, n in found_S[0].right:
        if all((rule, n) in one.right for one in found_S):
            right_S_P = [one.right[rule, n] for one in found_S]
            yield {
                "rule": rule,
                "n": n,
                "completions": fmean(cost for one in found_S for cost in one.cost[rule, n]),
                "accuracy": fmean(right for right_P in right_S_P for right in right_P),
                "interval": as_pair(crossed_bootstrap_interval(right_S_P)),
            }


def _variances(found_S: Sequence[Chosen]) -> Iterator[dict[str, Any]]:
    """Yield an entry for the problems of each band of variance, and for those without any score."""
    for band in (*BANDS, None):
        rows = [
            (place, own, vote)
            for one in found_S
            for place, (variance, own, vote) in enumerate(
                zip(one.variances, one.of(one.choosing.own), one.of(one.choosing.vote), strict=True)
            )
            if _is_in(variance, band)
        ]
        if rows:
            different = len({place for place, _, _ in rows})
            yield {
                "variance": None if band is None else list(band),
                "problems": len(rows),
                **_share("accuracy", "interval", [own for _, own, _ in rows], different),
                **_share("accuracy_of_vote", "interval_of_vote", [vote for *_, vote in rows], different),
            }


def _is_in(variance: float | None, band: tuple[float, float] | None) -> bool:
    if variance is None or band is None:
        return variance is band
    low, high = band
    return variance <= high and (variance > low or low == high)


def _share(name: str, interval: str, right: Sequence[float], different: int) -> dict[str, Any]:
    """Return a share with its exact interval; a problem counts once however many seeds have it."""
    share = fmean(right)
    return {name: share, interval: as_pair(clopper_pearson_interval(share * different, different))}


def _by_judge(found_S: Sequence[Chosen]) -> Iterator[dict[str, Any]]:
    for names in found_S[0].by_judge:
        if all(names in one.by_judge for one in found_S):
            own_S_P = [one.by_judge[names] for one in found_S]
            found = compare(own_S_P, [one.of(one.choosing.vote) for one in found_S])
            yield {
                "judges": list(names),
                "accuracy": found.mean_first,
                "interval": as_pair(crossed_bootstrap_interval(own_S_P)),
                "difference": found.difference,
                "interval_of_difference": as_pair(found.interval),
            }
