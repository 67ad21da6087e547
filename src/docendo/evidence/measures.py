"""What is said of one evaluation: accuracy with its interval, curves over samples, drift."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from docendo.core.records import Sample
from docendo.core.table import Table
from docendo.metrics.coverage import coverage
from docendo.metrics.drift import drift
from docendo.metrics.f1 import f1_with_interval
from docendo.metrics.intervals import Interval, wilson_interval
from docendo.metrics.majority import majority_at_k, majority_is_correct
from docendo.metrics.pass_at_k import pass_at_k_curve
from docendo.runs.evaluation import Evaluation, greedy_of, sampled_of

Same = Callable[[str, str], bool]


@dataclass(frozen=True, slots=True)
class Measured:
    """One evaluation in numbers; per-problem outcomes are kept for the paired comparisons."""

    seed: int
    arm: str
    round: int | str
    split: str
    model: str
    outcomes: dict[str, str] = field(repr=False)
    """Problem id -> outcome of the one answer that counts."""
    extra: dict[str, Any] = field(default_factory=dict[str, Any], repr=False)
    silent: frozenset[str] = field(default=frozenset(), repr=False)
    """Ids of the problems to which nothing was said at all: no completion came, or no answer was given."""
    answers: dict[str, str] = field(default_factory=dict[str, str], repr=False)
    """Problem id -> the answer that counts, where one could be read."""

    def is_correct(self, problem_ids: Sequence[str]) -> list[bool]:
        """Return for each problem whether it is solved."""
        return [self.outcomes[problem_id] == "correct" for problem_id in problem_ids]

    def entry(self) -> dict[str, Any]:
        """Return the entry of ``result.json``."""
        outcomes = list(self.outcomes.values())
        right = outcomes.count("correct")
        interval = wilson_interval(right, len(outcomes))
        return {
            "seed": self.seed,
            "arm": self.arm,
            "round": self.round,
            "model": self.model,
            "split": self.split,
            "n": len(outcomes),
            "correct": right,
            "undecided": outcomes.count("undecided"),
            "failed": outcomes.count("failed"),
            "accuracy": right / len(outcomes),
            "interval": as_pair(interval),
            "mean_at_k": None,
            "pass_at_k": None,
            "majority_at_k": None,
            **self.extra,
        }


def as_pair(interval: Interval) -> list[float]:
    """Return an interval as [low, high]."""
    return [interval.low, interval.high]


def measured(
    evaluation: Evaluation,
    *,
    seed: int,
    same: Same,
    problem_ids: Sequence[str],
    is_positive: Mapping[str, bool] | None = None,
    positive: str = "",
) -> Measured:
    """Measure one evaluation of the run.

    Args:
        evaluation: What was evaluated.
        seed: The run's seed.
        same: Whether two answers are the same.
        problem_ids: All problems of the split: one without an answer counts as failed, whoever left it out.
        is_positive: Whether the gold answer of each problem is the positive class; None: no F1 is asked for.
        positive: The answer that is the positive class.
    """
    greedy = greedy_of(evaluation)
    columns = greedy.columns(["problem_id", "verdict", "status", "answer", "is_parsed"])
    found = dict(zip(columns["problem_id"], columns["verdict"], strict=True))
    if len(found) != len(columns["problem_id"]):
        raise ValueError(f"arm {evaluation.arm}: two answers for one problem were given to `evaluate`")
    if not found.keys() <= set(problem_ids):
        raise ValueError(f"arm {evaluation.arm}: answers to problems outside of the split were given")
    outcomes = {problem_id: found.get(problem_id, "failed") for problem_id in problem_ids}
    statuses = dict(zip(columns["problem_id"], columns["status"], strict=True))
    said = zip(columns["problem_id"], columns["answer"], columns["is_parsed"], strict=True)
    silent = frozenset(problem_id for problem_id in problem_ids if statuses.get(problem_id) != "ok")
    extra: dict[str, Any] = {"stages": {"greedy": sorted(greedy.stages)}}
    extra["drift"] = _drift(greedy, same)
    if is_positive is not None:
        extra["f1"] = _f1(greedy, is_positive, lambda answer: same(answer, positive), problem_ids)
    sampled = sampled_of(evaluation)
    if sampled is not None:
        extra["stages"]["sampled"] = sorted(sampled.stages)
        extra |= _curves(sampled, same)
    name = evaluation.model.checkpoint.name if evaluation.model is not None else "answers"
    return Measured(
        seed=seed,
        arm=evaluation.arm,
        round=evaluation.round,
        split=evaluation.split,
        model=name,
        outcomes=outcomes,
        extra=extra,
        answers={problem_id: answer for problem_id, answer, is_parsed in said if is_parsed},
        silent=silent,
    )


def _f1(
    greedy: Table[Sample],
    is_positive: Mapping[str, bool],
    is_said: Callable[[str], bool],
    problem_ids: Sequence[str],
) -> dict[str, Any]:
    columns = greedy.columns(["problem_id", "answer", "is_parsed"])
    said = {
        problem_id
        for problem_id, answer, is_parsed in zip(*columns.values(), strict=True)
        if is_parsed and is_said(answer)
    }
    found = f1_with_interval(
        [problem_id in said for problem_id in problem_ids],
        [is_positive[problem_id] for problem_id in problem_ids],
    )
    return {"value": found.value, "interval": as_pair(found.interval)}


def silence_in_words(entry: Measured) -> str:
    """Return how many problems an arm said nothing to, and its accuracy on the others; empty where none.

    Example:
        >>> outcomes = {"a": "correct", "b": "failed", "c": "incorrect"}
        >>> silence_in_words(Measured(0, "teacher", 0, "test", "logs", outcomes, {}, frozenset("b")))
        'teacher: nothing was said to 1 of 3 test problems; of the other 2 50.0 % are right [9.5, 90.5]'
    """
    if not entry.silent:
        return ""
    total, silent = len(entry.outcomes), len(entry.silent)
    head = f"{entry.arm}: nothing was said to {silent:,} of {total:,} {entry.split} problems"
    if silent == total:
        return head
    right = sum(
        outcome == "correct" for problem, outcome in entry.outcomes.items() if problem not in entry.silent
    )
    interval = wilson_interval(right, total - silent)
    share = f"{100 * right / (total - silent):.1f} %"
    around = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"
    return f"{head}; of the other {total - silent:,} {share} are right {around}"


def majority_of(evaluation: Evaluation, *, seed: int, same: Same, k: int) -> Measured:
    """Measure the majority vote over the first k samples of each problem as an arm of its own."""
    sampled = sampled_of(evaluation)
    if sampled is None:
        raise ValueError("a majority needs an evaluation with samples")
    ids, answers_p_g, correct_p_g = _by_problem(sampled)
    outcomes = {
        problem_id: "correct" if majority_is_correct(answers, correct, k, same) else "incorrect"
        for problem_id, answers, correct in zip(ids, answers_p_g, correct_p_g, strict=True)
    }
    return Measured(
        seed=seed,
        arm="majority",
        round=0,
        split=evaluation.split,
        model=f"{evaluation.model.checkpoint.name if evaluation.model else 'answers'}, majority of {k}",
        outcomes=outcomes,
        extra={"stages": {"sampled": sorted(sampled.stages)}},
    )


def _by_problem(
    samples: Table[Sample],
) -> tuple[list[str], list[list[str | None]], list[list[bool]]]:
    columns = samples.columns(["problem_id", "verdict", "answer", "is_parsed"])
    groups: dict[str, list[int]] = {}
    for index, problem_id in enumerate(columns["problem_id"]):
        groups.setdefault(problem_id, []).append(index)
    answers, parsed, verdicts = columns["answer"], columns["is_parsed"], columns["verdict"]
    return (
        list(groups),
        [[answers[i] if parsed[i] else None for i in indices] for indices in groups.values()],
        [[verdicts[i] == "correct" for i in indices] for indices in groups.values()],
    )


def _curves(samples: Table[Sample], same: Same) -> dict[str, Any]:
    _, answers_p_g, correct_p_g = _by_problem(samples)
    counts = [len(correct) for correct in correct_p_g]
    right = [sum(correct) for correct in correct_p_g]
    curve = pass_at_k_curve(counts, right)
    return {
        "samples": min(counts),
        "mean_at_k": curve[1],
        "pass_at_k": {str(k): value for k, value in curve.items()},
        "majority_at_k": {str(k): majority_at_k(answers_p_g, correct_p_g, k, same) for k in curve},
        "coverage": coverage(right),
        "sampled_drift": _drift(samples, same),
    }


def _drift(samples: Table[Sample], same: Same) -> dict[str, Any]:
    names = ["problem_id", "text", "answer", "is_parsed", "generated_tokens", "finish", "status"]
    columns = samples.columns(names)
    groups: dict[str, list[int]] = {}
    for index, problem_id in enumerate(columns["problem_id"]):
        if columns["status"][index] == "ok":
            groups.setdefault(problem_id, []).append(index)
    if not groups:
        return {}
    chosen = list(groups.values())
    answers, parsed = columns["answer"], columns["is_parsed"]
    found = drift(
        [[columns["text"][i] for i in indices] for indices in chosen],
        [[answers[i] if parsed[i] else None for i in indices] for indices in chosen],
        [[columns["generated_tokens"][i] for i in indices] for indices in chosen],
        [[columns["finish"][i] for i in indices] for indices in chosen],
        same=same,
    )
    return {
        "samples": found.n_samples,
        "mean_tokens": found.mean_tokens,
        "distinct_answers_share": found.distinct_answers_share,
        "unparsed_share": found.unparsed_share,
        "end_token_share": found.end_token_share,
        "distinct_2": found.distinct_2,
    }
