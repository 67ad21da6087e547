"""A tiny model that every test here may start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from docendo.engines.tokenizer import Tokenizer
from tests.trainers.tiny import write_model


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Compute with one thread: many tests share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint directory with random weights."""
    return write_model(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="session")
def tokenizer(start: Path) -> Tokenizer:
    return Tokenizer.load(start)
