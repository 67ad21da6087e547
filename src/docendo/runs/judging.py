"""How verdicts are streamed: each with its sample, counted on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import tee
from typing import Any

from docendo.core.protocols import Verifier
from docendo.core.records import Label, Sample
from docendo.core.table import Table


class Judgements:
    """(sample, (outcome, reason)) of a table, with a count of each outcome so far."""

    def __init__(self, samples: Table[Sample], verifier: Verifier, labels: Mapping[str, Label]) -> None:
        self._samples = samples
        self._verifier = verifier
        self._labels = labels
        self._outcomes: Counter[str] = Counter()

    def __iter__(self) -> Iterator[tuple[Sample, tuple[str, str]]]:
        self._outcomes.clear()
        samples, given = tee(self._samples)  # holds no more than the verifier reads ahead
        pairs = ((sample, self._labels.get(sample.problem.id)) for sample in given)
        for sample, verdict in zip(samples, self._verifier.verdicts(pairs), strict=True):
            self._outcomes[verdict.outcome.value] += 1
            yield sample, (verdict.outcome.value, verdict.reason)

    def summary(self) -> Mapping[str, Any]:
        """Return what the stage's record says of them."""
        source = self._verifier.source.value
        return {"outcomes": dict(sorted(self._outcomes.items())), "judged_by": source}

    def note(self) -> str:
        """Return the share of correct ones so far, for people."""
        total = sum(self._outcomes.values())
        return f"{100 * self._outcomes['correct'] / total:.1f} % correct" if total else ""
