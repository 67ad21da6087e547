from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch

from docendo.core.errors import ModelError, SettingError, StageError
from docendo.core.losses import supervised
from docendo.engines.checkpoints import classes_of, open_checkpoint
from docendo.engines.tokenizer import Tokenizer
from docendo.trainers.export import Probe, export, load_model
from docendo.trainers.heads import FromWords, Zeros, class_logits, first_token, head_of, with_head
from docendo.trainers.rows import Limits, read_rows
from tests.trainers.tiny import sums, write_model, write_rows


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def classifier(folder: Path) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


def test_the_backbone_stays_and_the_head_is_zero(start: Path, tmp_path: Path) -> None:
    with_head(start, tmp_path / "head")
    model = classifier(tmp_path / "head")
    assert head_of(model).weight.shape == (2, 32)
    assert not head_of(model).weight.any()
    before = load_model(start, torch.float32).base_model.state_dict()
    after = model.base_model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert classes_of(tmp_path / "head") == 2
    assert open_checkpoint(tmp_path / "head").tokenizer == open_checkpoint(start).tokenizer
    with torch.inference_mode():
        logits = model(torch.tensor([[0, 5, 9]])).logits
    assert logits.tolist() == [[0.0, 0.0]]


def test_the_same_arguments_give_the_same_bytes(start: Path, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("two", 2)):
        torch.manual_seed(seed)  # draws of the process play no part
        with_head(start, tmp_path / name, init=Zeros())
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_words_that_begin_alike_are_refused(start: Path, tmp_path: Path) -> None:
    # This tokenizer has a token for each byte, so all words begin with the same one: a space.
    with pytest.raises(SettingError, match="begin with the tokens"):
        with_head(start, tmp_path / "head", init=FromWords(("wrong", "right")))


def test_a_head_of_words_gives_the_language_models_logits_of_the_words(tmp_path: Path) -> None:
    from tests.engines.tiny import write_model as write_bpe_model

    start = write_bpe_model(tmp_path / "start")
    words = ("pens", "have")
    tokens = [first_token(start, word) for word in words]
    with_head(start, tmp_path / "head", init=FromWords(words))
    text = torch.tensor([[0, 70, 80, 90]])
    with torch.inference_mode():
        expected = load_model(start, torch.float32)(text).logits[0, -1, tokens]
        found = classifier(tmp_path / "head")(text).logits[0]
    torch.testing.assert_close(found, expected)


def test_pooling_goes_by_the_mask_and_not_by_ids(start: Path, tmp_path: Path) -> None:
    # Ids [5, 0, 7, 9, pad, pad] are pooled at index 3; counting what is not 0 would give 2.
    with_head(start, tmp_path / "head")
    model = classifier(tmp_path / "head")
    torch.nn.init.normal_(head_of(model).weight)
    for pad in (0, 2, 7):
        ids = torch.tensor([[5, 0, 7, 9, pad, pad], [5, 0, pad, pad, pad, pad]])
        attended = torch.tensor([[True] * 4 + [False] * 2, [True] * 2 + [False] * 4])
        with torch.inference_mode():
            found = class_logits(model, ids, attended)
            alone = [
                class_logits(model, ids[[0], :4], attended[[0], :4]),
                class_logits(model, ids[[1], :2], attended[[1], :2]),
            ]
        torch.testing.assert_close(found, torch.cat(alone))


def test_a_text_that_is_empty_or_padded_on_the_left_is_refused(start: Path, tmp_path: Path) -> None:
    with_head(start, tmp_path / "head")
    model = classifier(tmp_path / "head")
    for attended in ([False, False], [False, True]):
        with pytest.raises(ValueError, match="empty or not filled up on the right"):
            class_logits(model, torch.tensor([[5, 6]]), torch.tensor([attended]))


def test_what_cannot_get_a_head_is_refused(start: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="classes is 0"):
        with_head(start, tmp_path / "head", 0)
    with pytest.raises(SettingError, match="expected one for each of 2 classes"):
        with_head(start, tmp_path / "head", 2, FromWords(("yes",)))
    with_head(start, tmp_path / "head", 1)
    with pytest.raises(ModelError, match="has a head of 1 classes already"):
        with_head(tmp_path / "head", tmp_path / "again")
    with pytest.raises(ModelError, match="has no plain linear head"):
        head_of(load_model(start, torch.float32))


@pytest.fixture
def probe(start: Path, tokenizer: Tokenizer, tmp_path: Path) -> Probe:
    rows = write_rows(tmp_path / "rows.parquet", sums(6))
    return Probe.of(read_rows(rows, supervised().reads, tokenizer, Limits(259, 256)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_classifier_is_exported_read_back_and_compared(
    start: Path, tmp_path: Path, probe: Probe, dtype: torch.dtype
) -> None:
    with_head(start, tmp_path / "head")
    model = load_model(tmp_path / "head", torch.float32).eval()
    torch.nn.init.normal_(head_of(model).weight)
    assert probe.logits(model).shape == (4, 2)
    export(model, start=tmp_path / "head", folder=tmp_path / "out", card="", probe=probe, dtype=dtype)
    again = load_model(tmp_path / "out", torch.float32)
    assert torch.equal(head_of(again).weight, head_of(model).weight.to(dtype).float())
    assert classes_of(tmp_path / "out") == 2


def test_a_head_that_was_written_wrongly_is_found_out(
    start: Path, tmp_path: Path, probe: Probe, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docendo.trainers import export as exporting

    with_head(start, tmp_path / "head")
    model = load_model(tmp_path / "head", torch.float32).eval()
    real = exporting.load_model

    def damaged(folder: Path, dtype: torch.dtype) -> Any:
        read = real(folder, dtype)
        with torch.no_grad():
            head_of(read).weight[1, 3] += 1e-3
        return read

    monkeypatch.setattr(exporting, "load_model", damaged)
    with pytest.raises(StageError, match="does not give the same logits"):
        export(
            model, start=tmp_path / "head", folder=tmp_path / "out", card="", probe=probe, dtype=torch.float32
        )
    assert not (tmp_path / "out").exists()


def test_a_checkpoint_in_16_bits_keeps_its_type(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    start = write_model(tmp_path / "start")
    model: Any = load_model(start, torch.float32)
    model.to(torch.bfloat16).save_pretrained(start)
    with_head(start, tmp_path / "head")
    assert {value.dtype for value in load_file(tmp_path / "head" / "model.safetensors").values()} == {
        torch.bfloat16
    }
