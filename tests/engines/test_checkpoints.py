from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from docendo.core.errors import ModelError
from docendo.engines.checkpoints import open_checkpoint
from tests.engines.tiny import write_tokenizer


@pytest.fixture
def copy(llama: Path, tmp_path: Path) -> Path:
    return shutil.copytree(llama, tmp_path / "copy")


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_copy_has_the_same_digest_and_another_place(llama: Path, copy: Path) -> None:
    first, second = open_checkpoint(llama, name="first"), open_checkpoint(copy)
    assert first == second
    assert first.root == first.digest
    assert first.name == "first"
    assert second.location == str(copy)


def test_a_descendant_keeps_its_root(copy: Path) -> None:
    assert open_checkpoint(copy, root="abc").root == "abc"


def test_a_model_card_does_not_count(copy: Path) -> None:
    before = open_checkpoint(copy)
    (copy / "README.md").write_text("It is good.")
    (copy / "trainer_state.json").write_text("{}")
    assert open_checkpoint(copy) == before


def test_weights_and_configuration_count(copy: Path) -> None:
    before = open_checkpoint(copy)
    edit_config(copy, rms_norm_eps=1e-5)
    changed = open_checkpoint(copy)
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert len({before.digest, changed.digest, open_checkpoint(copy).digest}) == 3
    assert changed.tokenizer == before.tokenizer


def test_what_is_no_directory_and_no_hub_id_is_refused() -> None:
    with pytest.raises(ModelError, match=r"no checkpoint './nowhere': it is no directory"):
        open_checkpoint("./nowhere")


def test_a_hub_that_cannot_be_reached_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match=r"could not be fetched from the Hugging Face hub"):
        open_checkpoint("nobody/nothing@main")


def test_a_folder_without_config_is_refused(copy: Path) -> None:
    (copy / "config.json").unlink()
    with pytest.raises(ModelError, match=r"no config\.json"):
        open_checkpoint(copy)


def test_a_config_that_is_no_json_is_refused(copy: Path) -> None:
    (copy / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"cannot read .*config\.json"):
        open_checkpoint(copy)


def test_a_folder_without_weights_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no weights in .*expected model\.safetensors"):
        open_checkpoint(copy)


def test_an_adapter_alone_is_refused_with_a_hint(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "adapter_model.safetensors")
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"hint: a LoRA adapter alone is no checkpoint"):
        open_checkpoint(copy)


def test_pickled_weights_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"only as pickle \(pytorch_model\.bin\)[^\n]*\nhint:.*safetensors"):
        open_checkpoint(copy)


def test_shards_that_are_named_must_be_there(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (copy / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(ModelError, match=r"names model-00002-of-00002\.safetensors, which is not there"):
        open_checkpoint(copy)


@pytest.mark.parametrize("kept", [0, 7, 100, -1])
def test_weights_that_are_cut_off_are_refused(copy: Path, kept: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(ModelError, match="damaged or cut off"):
        open_checkpoint(copy)


def test_weights_with_a_broken_header_are_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[10] = 0
    weights.write_bytes(content)
    with pytest.raises(ModelError, match="damaged or cut off"):
        open_checkpoint(copy)


def test_a_folder_without_tokenizer_is_refused(copy: Path) -> None:
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        open_checkpoint(copy)


def test_a_tokenizer_without_end_token_is_refused(copy: Path) -> None:
    write_tokenizer(copy, eos_token=None)
    edit_config(copy, eos_token_id=None)
    (copy / "generation_config.json").unlink()
    with pytest.raises(ModelError, match="no end token"):
        open_checkpoint(copy)


def test_a_model_that_needs_its_own_code_is_refused(copy: Path) -> None:
    edit_config(copy, model_type="homemade", auto_map={"AutoModelForCausalLM": "modeling_homemade.Homemade"})
    with pytest.raises(ModelError, match=r"program code of its own .*'homemade'"):
        open_checkpoint(copy)


def test_a_known_architecture_may_carry_code_that_nobody_runs(copy: Path) -> None:
    edit_config(copy, auto_map={"AutoModelForCausalLM": "modeling_llama.LlamaForCausalLM"})
    assert open_checkpoint(copy).digest
