"""Losses and token ids against an independent implementation: TRL's `SFTTrainer` and `DPOTrainer`."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from docendo.core.losses import Preference, supervised
from docendo.engines.tokenizer import Tokenizer
from docendo.trainers.batch import Progress, sequence_logprobs
from docendo.trainers.export import load_model
from docendo.trainers.objectives import objective_of
from docendo.trainers.rows import Limits, read_rows
from tests.trainers.tiny import pairs, sums, write_rows


def test_the_loss_of_a_batch_equals_that_of_trl(start: Path, tmp_path: Path, tokenizer: Tokenizer) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from transformers import AutoTokenizer
        from trl.trainer.sft_config import SFTConfig
        from trl.trainer.sft_trainer import SFTTrainer

        rows = sums(12)
        model = load_model(start, torch.float32).eval()
        theirs = SFTTrainer(
            model=model,
            args=SFTConfig(
                output_dir=str(tmp_path / "trl"),
                use_cpu=True,
                bf16=False,
                report_to=[],
                per_device_train_batch_size=12,
                completion_only_loss=True,
                max_length=None,
                packing=False,
                eos_token="</s>",
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list(
                [{name: row[name] for name in ("prompt", "completion")} for row in rows]
            ),
            processing_class=AutoTokenizer.from_pretrained(str(start)),
        )
        batch = theirs.data_collator([dict(row) for row in theirs.train_dataset])  # type: ignore[union-attr]
        with torch.no_grad():
            their_loss = theirs.compute_loss(model, dict(batch))
    read = read_rows(
        write_rows(tmp_path / "rows.parquet", rows), supervised().reads, tokenizer, Limits(259, 256)
    )
    ours = read.batch(np.arange(12))
    assert ours.ids.tolist() == batch["input_ids"].tolist()
    assert ours.targets.tolist() == batch["labels"][batch["labels"] != -100].tolist()
    objective = objective_of(supervised())
    with torch.no_grad():
        numerator = objective.numerator(supervised(), model, ours, Progress(0, 1)).numerator
    our_loss = numerator / objective.denominator(supervised(), ours)
    assert abs(our_loss.item() - float(their_loss)) < 1e-5


@pytest.mark.parametrize(("shape", "theirs"), [("logistic", "sigmoid"), ("hinge", "hinge")])
def test_the_preference_loss_of_a_batch_equals_that_of_trl(
    start: Path, tmp_path: Path, tokenizer: Tokenizer, shape: Any, theirs: str
) -> None:
    rows = [row | {"weight": 1.0} for row in pairs(12)]
    model = load_model(start, torch.float32).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from datasets import Dataset
        from transformers import AutoTokenizer
        from trl.trainer.dpo_config import DPOConfig
        from trl.trainer.dpo_trainer import DPOTrainer

        names = ("prompt", "chosen", "rejected")
        trainer = DPOTrainer(
            model=model,
            ref_model=load_model(start, torch.float32),
            args=DPOConfig(
                output_dir=str(tmp_path / "trl"),
                use_cpu=True,
                bf16=False,
                report_to=[],
                per_device_train_batch_size=12,
                max_length=None,
                beta=0.3,
                loss_type=[theirs],
                disable_tqdm=True,
            ),
            train_dataset=Dataset.from_list([{name: row[name] for name in names} for row in rows]),
            processing_class=AutoTokenizer.from_pretrained(str(start)),
        )
        with torch.no_grad():  # away from the reference
            for value in model.parameters():
                value.mul_(1.05)
        batch = trainer.data_collator([dict(row) for row in trainer.train_dataset])  # type: ignore[union-attr]
        with torch.no_grad():
            their_loss = trainer.compute_loss(model, dict(batch))
    loss = Preference(beta=0.3, shape=shape)
    read = read_rows(write_rows(tmp_path / "rows.parquet", rows), loss.reads, tokenizer, Limits(259, 256))
    ours = read.batch(np.arange(12))
    with torch.no_grad():
        reference = sequence_logprobs(load_model(start, torch.float32), ours)
        ours.numbers["ref_chosen_logps"].copy_(reference[:, :1])  # type: ignore[attr-defined]
        ours.numbers["ref_rejected_logps"].copy_(reference[:, 1:])  # type: ignore[attr-defined]
        numerator = objective_of(loss).numerator(loss, model, ours, Progress(0, 1)).numerator
    assert float(their_loss) != pytest.approx(np.log(2), abs=1e-3)
    assert abs((numerator / 12).item() - float(their_loss)) < 1e-5
