"""From what a user writes to a Model: a built-in one, a directory, a Hugging Face id, a server, a file."""

from __future__ import annotations

from pathlib import Path

from docendo.core.errors import ModelError, UnknownNameError
from docendo.core.records import Model


def open_model(name: str, *, base_url: str | None = None, embeds: bool = False) -> Model:
    """Open a model by its name.

    Args:
        name: ``lab/base``, ``lab/teacher``, ``lab/student``; a directory in Hugging Face format; an id on the
            hub, as ``Qwen/Qwen2.5-0.5B`` or ``Qwen/Qwen2.5-0.5B@REVISION``; ``openai:NAME`` for a model of a
            server that speaks the OpenAI protocol; or ``recorded:FILE`` for a file of completions.
        base_url: Where the server of an ``openai:NAME`` is; None: OPENAI_BASE_URL, or else OpenAI's own.
        embeds: It is to embed texts: an encoder will do, and its files of sentence-transformers count.

    Raises:
        UnknownNameError: A built-in model of that name does not exist.
        ModelError: There is no such directory or file, and the hub has or reaches no such model; or it is
            incomplete; or there is a base URL for a model that is not served.
    """
    from docendo.engines.openai_protocol.options import PREFIX as SERVED
    from docendo.engines.openai_protocol.options import served_checkpoint
    from docendo.engines.recorded import PREFIX as RECORDED
    from docendo.engines.recorded import recorded_checkpoint

    if name.startswith(SERVED):
        return Model(served_checkpoint(name, base_url))
    if base_url is not None:
        raise ModelError(
            f"base URL {base_url!r} was given, but {name!r} is no served model",
            hint=f"name it as the server does, with openai: before it: openai:{name}",
        )
    if name.startswith(RECORDED):
        return Model(recorded_checkpoint(name))
    return _on_this_machine(name, embeds=embeds)


def _on_this_machine(name: str, *, embeds: bool) -> Model:
    from docendo.engines.checkpoints import open_checkpoint
    from docendo.lab import models as lab

    if name in lab.NAMES:
        return Model(open_checkpoint(lab.path(name), name=name, embeds=embeds))
    if name.startswith("lab/"):
        raise UnknownNameError.of("model", name, lab.NAMES)
    path = Path(name)
    if not path.is_dir() and (path.exists() or name.startswith((".", "/", "~")) or "/" not in name):
        near = UnknownNameError.of("model", name, lab.NAMES)
        raise ModelError(
            f"there is no model directory {name!r}",
            hint=f"{near.hint}; or give a directory with safetensors, or a Hugging Face id like owner/name",
        )
    return Model(open_checkpoint(path if path.is_dir() else name, name=name, embeds=embeds))
