from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from docendo.core.records import Checkpoint
from docendo.engines.checkpoints import open_checkpoint
from docendo.engines.transformers import TransformersEngine, TransformersOptions
from tests.engines.tiny import write_model, write_tokenizer


@pytest.fixture(scope="session")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="session")
def checkpoint(llama: Path) -> Checkpoint:
    return open_checkpoint(llama, name="tiny")


@pytest.fixture(scope="session")
def engine() -> Iterator[TransformersEngine]:
    engine = TransformersEngine(TransformersOptions(workers=1, device="cpu"))
    yield engine
    engine.close()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Two threads of a library that spins while it waits are slower than one on a busy machine."""
    import torch

    torch.set_num_threads(1)
