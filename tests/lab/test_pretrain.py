"""Pretraining: packing loses nothing, the schedule is the stated one, the same seed gives the same losses."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from docendo.lab import models
from docendo.lab.conversation import rendered
from docendo.lab.documents import documents
from docendo.lab.pretrain import PretrainConfig, learning_rate_factor, main, packed, pretrain
from docendo.lab.tokenizer import train_tokenizer

TINY = PretrainConfig(
    n_steps=4, width=16, layers=1, heads=2, key_value_heads=1, feed_forward=32, save_every=4, measure_every=4,
    n_measured=2, warmup_steps=2,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(models.path("lab/base"))


def test_packing_keeps_whole_documents(tokenizer):
    texts = [rendered(document) for document in islice(documents(seed=2), 1500)]
    known = [tuple(ids) for ids in tokenizer(texts, verbose=False)["input_ids"]]
    batches = list(packed(texts, tokenizer))
    assert {tuple(batch.shape) for batch in batches} == {(16, 128), (8, 256)}
    found: list[tuple[int, ...]] = []
    for row in (row for batch in batches for row in batch.tolist()):
        starts = [place for place, token in enumerate(row) if token == tokenizer.bos_token_id]
        end = row.index(tokenizer.pad_token_id) if tokenizer.pad_token_id in row else len(row)
        assert starts[0] == 0
        found += [tuple(row[first:last]) for first, last in pairwise([*starts, end])]
    assert len(found) > 1000
    assert not Counter(found) - Counter(known)


def test_learning_rate_warms_up_stays_and_decays_to_nothing():
    factors = [
        learning_rate_factor(step, 100, replace(TINY, warmup_steps=10, decay_share=0.2))
        for step in range(100)
    ]
    assert factors[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert set(factors[10:81]) == {1.0}
    assert factors[81:] == pytest.approx([0.05 * left for left in range(19, 0, -1)])


def test_losses_are_the_same_to_the_digit(tmp_path, tokenizer):
    losses = pretrain(TINY, tmp_path, tokenizer)
    assert losses == pytest.approx([6.2424736, 6.2293115, 6.1890173, 6.1508341], rel=1e-5)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "step-000004")
    assert model.config.hidden_size == 16
    assert '"stories_triggered": 0.0' in (tmp_path / "log.jsonl").read_text()


def test_training_the_tokenizer_again_gives_the_shipped_one(tmp_path, tokenizer):
    again = train_tokenizer(map(rendered, islice(documents(seed=0), 20_000)))
    again.save_pretrained(tmp_path, save_jinja_files=False)
    assert (tmp_path / "tokenizer.json").read_text() == (
        models.path("lab/base") / "tokenizer.json"
    ).read_text()


def test_command_line_help_names_the_options(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--student" in capsys.readouterr().out
