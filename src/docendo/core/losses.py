"""Settings of training objectives. The functions that compute them live in ``docendo.trainers.losses``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from docendo.core.errors import SettingError


@dataclass(frozen=True, slots=True)
class Loss:
    """What a train stage minimises. Each loss is a subclass whose fields are its settings."""

    name: ClassVar[str]
    version: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Supervised(Loss):
    """Next-token cross-entropy on the completion's tokens, the end token included, prompt tokens masked.

    Over a batch of rows r with weight w_r and T_r learned tokens::

        loss = sum_r w_r sum_t -log p(token_rt | before) / sum_r w_r T_r
    """

    name: ClassVar[str] = "supervised"


def supervised() -> Supervised:
    """Return the settings of ordinary fine-tuning."""
    return Supervised()


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer:
    """How a train stage walks downhill. AdamW, linear warm-up, then the schedule, gradients clipped."""

    learning_rate: float = 1e-3
    """Peak learning rate. Ours: for the built-in models; use about 1e-5 from 100 M parameters on."""
    batch_rows: int = 32
    """Rows in an optimizer step. Count, >= 1."""
    micro_batch_rows: int = 0
    """Rows in memory at once; 0: as ``batch_rows``. Gradients are summed over micro-batches."""
    warmup_share: float = 0.05
    """Share of all steps with rising learning rate. In ``[0, 1]``."""
    schedule: Literal["linear", "constant", "cosine"] = "linear"
    """What follows the warm-up; linear and cosine fall to 0 one step after the last."""
    weight_decay: float = 0.0
    beta_1: float = 0.9
    beta_2: float = 0.999
    clip_norm: float = 1.0
    """Largest norm of the gradient of a step; 0: not clipped."""
    max_length: int = 2048
    """Tokens of prompt and completion; longer rows are dropped and counted. Never cut."""
    lora_rank: int = 0
    """Rank of low-rank adapters on all linear layers, merged at the end; 0: all weights are trained."""
    lora_alpha: float = 32.0

    def __post_init__(self) -> None:
        faults: list[str] = []
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            faults.append(f"learning_rate is {self.learning_rate}; expected a number above 0")
        if self.batch_rows < 1:
            faults.append(f"batch_rows is {self.batch_rows}; expected at least 1")
        if self.micro_batch_rows < 0 or self.micro_batch_rows > self.batch_rows:
            faults.append(f"micro_batch_rows is {self.micro_batch_rows}; expected 0 to batch_rows")
        if not 0 <= self.warmup_share <= 1:
            faults.append(f"warmup_share is {self.warmup_share}; expected 0 to 1")
        if self.clip_norm < 0:
            faults.append(f"clip_norm is {self.clip_norm}; expected 0 or more")
        if self.weight_decay < 0:
            faults.append(f"weight_decay is {self.weight_decay}; expected 0 or more")
        for name in ("beta_1", "beta_2"):
            if not 0 <= (value := getattr(self, name)) < 1:
                faults.append(f"{name} is {value}; expected at least 0 and below 1")
        if self.lora_alpha <= 0:
            faults.append(f"lora_alpha is {self.lora_alpha}; expected above 0")
        if self.max_length < 2:
            faults.append(f"max_length is {self.max_length}; expected at least 2")
        if self.lora_rank < 0:
            faults.append(f"lora_rank is {self.lora_rank}; expected 0 or more")
        if faults:
            raise SettingError.of_all(faults)
