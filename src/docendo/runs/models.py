"""From what a user writes to a Model: a built-in one, a directory, or a Hugging Face id."""

from __future__ import annotations

from pathlib import Path

from docendo.core.errors import ModelError, UnknownNameError
from docendo.core.records import Model


def open_model(name: str) -> Model:
    """Open a model by its name.

    Args:
        name: ``lab/base``, ``lab/teacher``, ``lab/student``; a directory in Hugging Face format; or an id on
            the hub, as ``Qwen/Qwen2.5-0.5B`` or ``Qwen/Qwen2.5-0.5B@REVISION``.

    Raises:
        UnknownNameError: A built-in model of that name does not exist.
        ModelError: There is no such directory and the hub has or reaches no such model; or it is incomplete.
    """
    from docendo.engines.checkpoints import open_checkpoint
    from docendo.lab import models as lab

    if name in lab.NAMES:
        return Model(open_checkpoint(lab.path(name), name=name))
    if name.startswith("lab/"):
        raise UnknownNameError.of("model", name, lab.NAMES)
    path = Path(name)
    if not path.is_dir() and (path.exists() or name.startswith((".", "/", "~")) or "/" not in name):
        near = UnknownNameError.of("model", name, lab.NAMES)
        raise ModelError(
            f"there is no model directory {name!r}",
            hint=f"{near.hint}; or give a directory with safetensors, or a Hugging Face id like owner/name",
        )
    return Model(open_checkpoint(path if path.is_dir() else name, name=name))
