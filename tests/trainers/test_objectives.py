from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from docendo.core.errors import UnknownNameError
from docendo.core.losses import Loss, supervised
from docendo.engines.tokenizer import Tokenizer
from docendo.trainers.batch import Batch, Progress, learned_logits
from docendo.trainers.export import load_model
from docendo.trainers.objectives import objective_of
from docendo.trainers.rows import Limits, Rows, read_rows
from tests.trainers.tiny import sums, write_rows

LOSS = supervised()
OBJECTIVE = objective_of(LOSS)


@pytest.fixture
def model(start: Path) -> Any:
    return load_model(start, torch.float32)


@pytest.fixture
def rows(tmp_path: Path, tokenizer: Tokenizer) -> Rows:
    path = write_rows(tmp_path / "rows.parquet", [one | {"weight": 0.5 + i} for i, one in enumerate(sums(7))])
    return read_rows(path, LOSS.reads, tokenizer, Limits(259, 256))


class WithAllLogits(nn.Module):
    """A model that gives logits everywhere, whatever it is asked, and keeps them."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.logits = torch.empty(0)

    def forward(self, input_ids: Tensor, **_: Any) -> SimpleNamespace:
        self.logits = self.model(input_ids=input_ids).logits
        self.logits.retain_grad()
        return SimpleNamespace(logits=self.logits)


def numerator_of(model: Any, batch: Batch) -> Tensor:
    return OBJECTIVE.numerator(LOSS, model, batch, Progress(0, 1)).numerator


def loss_of(model: Any, batch: Batch) -> Tensor:
    return numerator_of(model, batch) / OBJECTIVE.denominator(LOSS, batch)


def test_only_the_completion_has_a_gradient(model: Any, rows: Rows) -> None:
    batch = rows.batch(np.arange(len(rows)))
    seen = WithAllLogits(model)
    loss_of(seen, batch).backward()
    assert seen.logits.grad is not None
    has_gradient = seen.logits.grad.abs().sum(dim=-1) > 0
    # the logits at a position are for the next token: nothing for the prompt's, something for each learned
    assert torch.equal(has_gradient[:, :-1], batch.learned[:, 1:])
    assert not has_gradient[:, -1].any()


def test_logits_at_learned_positions_equal_those_of_the_whole_sequence(model: Any, rows: Rows) -> None:
    batch = rows.batch(np.arange(len(rows)))
    with torch.no_grad():
        logits = model(input_ids=batch.ids).logits
        few = learned_logits(model, batch)
    torch.testing.assert_close(few, logits[:, :-1][batch.learned[:, 1:]])
    labels = torch.where(batch.learned, batch.ids, -100)[:, 1:]
    costs = functional.cross_entropy(logits[:, :-1].transpose(1, 2), labels, reduction="none").sum(dim=1)
    expected = (costs * batch.weights).sum() / (batch.learned.sum(dim=1) * batch.weights).sum()
    torch.testing.assert_close(loss_of(model, batch), expected)


def test_no_row_sees_another_nor_the_padding(model: Any, rows: Rows) -> None:
    together = numerator_of(model, rows.batch(np.arange(len(rows))))
    alone = [numerator_of(model, rows.batch(np.array([row]))) for row in range(len(rows))]
    torch.testing.assert_close(together, torch.stack(alone).sum())
    batch = rows.batch(np.arange(len(rows)))
    other = torch.where(batch.ids == rows.pad_id, 77, batch.ids)
    torch.testing.assert_close(
        learned_logits(model, batch),
        learned_logits(model, batch.__class__(other, batch.learned, batch.weights, {}, {})),
    )


def test_the_denominator_is_the_weighted_number_of_learned_tokens(rows: Rows) -> None:
    batch = rows.batch(np.array([2, 4]))
    assert OBJECTIVE.denominator(LOSS, batch) == 2.5 * rows.learned[2] + 4.5 * rows.learned[4]
    assert OBJECTIVE.denominator(LOSS, batch.without_weight()) == 0


def test_an_unknown_loss_is_named() -> None:
    @dataclass(frozen=True, slots=True)
    class Superviced(Loss):
        name: ClassVar[str] = "superviced"

    with pytest.raises(UnknownNameError, match="unknown loss 'superviced'\nhint: did you mean 'supervised'"):
        objective_of(Superviced())
