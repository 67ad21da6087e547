"""Scores by a reward model: a checkpoint with a head of a single label.

What ReST filters by (Gulcehre et al. 2023, arXiv:2308.08998, section 3). The model is any sequence
classifier in Hugging Face format with ``num_labels`` 1, opened like every other model, by its hub id or its
directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from docendo.core.errors import ModelError, SettingError
from docendo.core.records import Context, Model, Outcome, Sample, Score, Source
from docendo.core.table import Table
from docendo.core.verbs import Verbs
from docendo.metrics.ordering import Ordering, ordering


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardModel:
    """Score a sample by what a reward model gives for its prompt and text, as a finished turn.

    Range: any real number; greater is better. Scores of different problems need not be comparable, and those
    of different reward models are not: see `rescaled`. A sample that failed, or does not fit into the model's
    context with its prompt, has no score.
    """

    version: ClassVar[int] = 2

    model: Model
    name: str = "reward"
    """Under which its scores stand on the samples."""
    source: Source = Source.OTHER_MODEL

    def scores(self, samples: Table[Sample], run: Verbs) -> Iterator[Score]:
        """Return one Score a row, in order. A text is read once for each prompt, however often it was drawn.

        Raises:
            ModelError: The model has no head, or one of several labels.
        """
        # The samples' prompts are sent as they are, so the reward model's own Context counts for nothing.
        reader = replace(self.model, context=Context())
        first = _first_of_each(samples) if samples.is_known else {}

        def is_first(sample: Sample) -> bool:
            return first[_turn(sample)] == sample.id

        once = samples.where(is_first)
        found = {
            _turn(sample): self._score(sample)
            for sample in run.logprobs(reader, once, by_token=True, name=self.name)
        }
        for sample in samples:
            yield found[_turn(sample)]

    def _score(self, sample: Sample) -> Score:
        if sample.status == "failed":
            return Score(None, "the sample failed", self.source)
        found = sample.logprobs[self.name]
        if not found.values:
            return Score(None, "does not fit into the reward model's context", self.source)
        if len(found.values) != 1 or found.by_token is not None:  # a head has no tokens
            what = "no head" if found.by_token is not None else f"{len(found.values)} labels"
            raise ModelError(
                f"reward model {self.model.checkpoint.name or self.model.checkpoint.location} has {what}; "
                "expected a head of one label",
                hint="a reward model is a sequence classifier with num_labels 1",
            )
        return Score(found.values[0], "", self.source)


def _turn(sample: Sample) -> tuple[object, ...]:
    return sample.prompt.messages, sample.text, sample.status


def _first_of_each(samples: Table[Sample]) -> dict[tuple[object, ...], str]:
    first: dict[tuple[object, ...], str] = {}
    for sample in samples:
        first.setdefault(_turn(sample), sample.id)
    return first


def ordering_of(judged: Table[Sample], name: str = "reward") -> Ordering:
    """Return how often the scores under ``name`` put a right sample of a problem above a wrong one.

    Args:
        judged: Samples with verdicts and scores. Those that are undecided, or that failed, count as wrong.
        name: Of the scorer.
    """
    of: dict[str, tuple[list[bool], list[float | None]]] = {}
    names = ("problem_id", "verdict", f"score:{name}")
    columns = judged.columns(names)
    for problem_id, verdict, score in zip(*(columns[name] for name in names), strict=True):
        is_correct_G, scores_G = of.setdefault(problem_id, ([], []))
        is_correct_G.append(verdict == Outcome.CORRECT)
        scores_G.append(score)
    return ordering([own for own, _ in of.values()], [own for _, own in of.values()])


def rescaled(
    samples: Sequence[Sample], name: str = "reward", *, low: float | None = None, high: float | None = None
) -> Mapping[str, float]:
    """Bring the scores of one data set to ``[0, 1]``, linearly: its least becomes 0, its greatest 1.

    ReST's list of thresholds (0, 0.7, 0.8, ...) is meant for such scores. Direction and order stay. Scores
    outside of a range that is given become its ends. Where all scores are equal, all become 0: none stands
    out, and a strict filter at 0 keeps none.

    Args:
        samples: The whole data set, also where only some are looked at.
        name: Of the scorer.
        low: What becomes 0. None: the least score.
        high: What becomes 1. None: the greatest.

    Returns:
        The score in ``[0, 1]`` by sample id; samples without a score are left out.

    Raises:
        SettingError: ``low`` is not below ``high``.

    References:
        Gulcehre et al. (2023), arXiv:2308.08998, algorithm 1: rewards are rescaled for each data set.
    """
    scores = {sample.id: sample.scores[name].value for sample in samples}
    known = {key: value for key, value in scores.items() if value is not None}
    if not known:
        return {}
    least = min(known.values()) if low is None else low
    greatest = max(known.values()) if high is None else high
    if (low is not None or high is not None) and not least < greatest:
        raise SettingError(f"low is {least} and high is {greatest}; expected low below high")
    width = greatest - least
    return {
        key: min(1.0, max(0.0, (value - least) / width)) if width else 0.0 for key, value in known.items()
    }
