"""What all tests share: one hypothesis profile, and public data where it is at hand."""

from __future__ import annotations

import gzip
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# A shell's background jobs ignore Ctrl-C, and their children inherit that: programs under test must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in every run and no time limit of its own: a busy machine must not fail a property.
settings.register_profile("house", deadline=None, derandomize=True, max_examples=100, print_blob=True)
settings.load_profile("house")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public data sets: DOCENDO_DATA_DIR, or a folder beside the repository."""
    folder = Path(os.environ.get("DOCENDO_DATA_DIR") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("no folder of public data sets; hint: set DOCENDO_DATA_DIR")
    return folder


@pytest.fixture(scope="session")
def data_rows(data_dir: Path) -> Callable[[str], Iterator[dict[str, Any]]]:
    """Read the rows of a data set by its name, from NAME.jsonl or NAME.jsonl.gz."""

    def rows(name: str) -> Iterator[dict[str, Any]]:
        plain, packed = data_dir / f"{name}.jsonl", data_dir / f"{name}.jsonl.gz"
        if not plain.exists() and not packed.exists():
            pytest.skip(f"no data set {name!r} in DOCENDO_DATA_DIR")
        with plain.open("rb") if plain.exists() else gzip.open(packed, "rb") as lines:
            for line in lines:
                yield json.loads(line)

    return rows
