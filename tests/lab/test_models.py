"""The shipped models: they load anywhere, are what their cards say, and do what they are for."""

from __future__ import annotations

import hashlib
import re

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from docendo.lab import models
from docendo.lab.accuracy import greedy_accuracy
from docendo.lab.problems import FAMILIES

PARAMETERS = {"lab/base": 455_520, "lab/teacher": 455_520, "lab/student": 169_152}


def load(name):
    directory = models.path(name)
    return AutoModelForCausalLM.from_pretrained(directory), AutoTokenizer.from_pretrained(directory)


@pytest.fixture
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", models.NAMES)
def test_model_loads_with_auto_classes_and_has_the_claimed_size(name):
    model, tokenizer = load(name)
    assert isinstance(model, LlamaForCausalLM)
    assert model.num_parameters() == PARAMETERS[name]
    assert model.config.vocab_size == len(tokenizer) == 512
    assert model.config.max_position_embeddings == tokenizer.model_max_length == 256
    assert (model.generation_config.bos_token_id, model.generation_config.eos_token_id) == (1, 2)
    assert str(PARAMETERS[name]) in (models.path(name) / "README.md").read_text().replace(",", "")


def test_all_models_together_stay_under_eight_megabytes():
    files = [file for name in models.NAMES for file in models.path(name).rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= 8_000_000


@pytest.mark.parametrize("name", models.NAMES)
def test_card_gives_the_digest_of_the_weights(name):
    digest = hashlib.sha256((models.path(name) / "model.safetensors").read_bytes()).hexdigest()
    assert re.findall(r"\b[0-9a-f]{64}\b", (models.path(name) / "README.md").read_text()) == [digest]


def test_unknown_model_is_named():
    with pytest.raises(ValueError, match=r"unknown lab model 'base'\nhint: one of lab/base"):
        models.path("base")


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("name", "lowest", "highest"),
    [("lab/base", 0.08, 0.50), ("lab/teacher", 0.65, 1.0), ("lab/student", 0.0, 0.08)],
)
def test_story_accuracy_is_in_the_band_the_card_promises(name, lowest, highest):
    stories = list(FAMILIES["stories"].problems("test", 100))
    assert lowest <= greedy_accuracy(*load(name), stories) <= highest
