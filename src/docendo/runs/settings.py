"""Settings that every recipe has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from docendo.core.errors import SettingError

Contamination = Literal["drop", "exact", "report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings:
    """Settings that every recipe has."""

    seed: int = 0
    """Seed of everything that is drawn in the run."""
    train_problems: int | None = 1800
    """Problems of the train split; None: all there are."""
    validation_problems: int | None = 300
    """Problems of the validation split, on which epochs and rounds are chosen."""
    test_problems: int | None = 500
    """Problems of the test split, on which the arms are compared."""
    evaluation_samples: int = 8
    """Samples a test problem for mean@k, pass@k and majority@k, beside the greedy answer; 0: none."""
    evaluation_temperature: float = 0.8
    """Temperature of those samples."""
    positive: str = ""
    """The answer that is the positive class, where there are two: its F1 is reported beside the accuracy."""
    max_new_tokens: int = 128
    """Longest completion."""
    failure_budget: float = 0.5
    """Share of a stage's requests that may fail before the run gives up."""
    contamination: Contamination = "drop"
    """Training rows found in an evaluation split. drop: none is learned. exact: rows that hold a whole
    evaluation question are not learned, those that share 13 words in a row are (for problems made from long
    templates). report: all are learned. What was found is counted in the result in any case."""

    def __post_init__(self) -> None:
        faults: list[str] = []
        for name in ("train_problems", "validation_problems", "test_problems"):
            value: int | None = getattr(self, name)
            if value is not None and value < 1:
                faults.append(f"{name} is {value}; expected at least 1")
        if self.evaluation_samples < 0:
            faults.append(f"evaluation_samples is {self.evaluation_samples}; expected 0 or more")
        if self.evaluation_temperature < 0:
            faults.append(f"evaluation_temperature is {self.evaluation_temperature}; expected 0 or more")
        if self.max_new_tokens < 1:
            faults.append(f"max_new_tokens is {self.max_new_tokens}; expected at least 1")
        if not 0 <= self.failure_budget <= 1:
            faults.append(f"failure_budget is {self.failure_budget}; expected 0 to 1")
        if self.contamination not in get_args(Contamination):
            expected = ", ".join(get_args(Contamination))
            faults.append(f"contamination is {self.contamination!r}; expected one of {expected}")
        if faults:
            raise SettingError.of_all(faults)
