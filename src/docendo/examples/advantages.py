"""Samples as Examples whose tokens have advantages."""

from __future__ import annotations

from statistics import fmean

from docendo.core.records import Example, Sample
from docendo.core.table import Table


class WithAdvantages:
    """Makes an Example of a sample; each of its tokens has the sample's reward less its problem's mean.

    That mean stands in for a value function: one number for all prefixes of all samples of a problem. A
    sample without a score counts as 0.
    """

    def __init__(self, rewarded: Table[Sample], score: str) -> None:
        """Take the means of ``rewarded``, under the name ``score``; all problems that will come are there."""
        self._score = score
        rewards: dict[str, list[float]] = {}
        columns = rewarded.columns(["problem_id", f"score:{score}"])
        for problem_id, value in zip(*columns.values(), strict=True):
            rewards.setdefault(problem_id, []).append(value or 0.0)
        self._means = {problem_id: fmean(own) for problem_id, own in rewards.items()}

    def __call__(self, sample: Sample) -> Example:
        """Return the Example."""
        advantage = (sample.scores[self._score].value or 0.0) - self._means[sample.problem.id]
        return Example(
            sample.prompt.messages,
            completion=sample.text,
            token_ids=sample.token_ids,
            tokenizer=sample.tokenizer,
            problem_id=sample.problem.id,
            parents=(sample.id,),
            is_ended=sample.finish == "stop",
            per_token={"advantages": (advantage,) * len(sample.token_ids)},
        )
