"""Settings of served models, and how one is named."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from docendo.core.errors import ModelError, SettingError
from docendo.core.records import Checkpoint
from docendo.core.seeds import digest_of

PREFIX = "openai:"
"""What the name of a served model begins with."""
ENGINE = "openai"
DEFAULT_BASE_URL = "https://api.openai.com/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How the servers of models named openai:NAME are asked."""

    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the key of served models; no key is sent where it is not set."""
    concurrency: int = 32
    """Requests in flight at a server at most; fewer while it refuses some."""
    request_timeout_seconds: float = 120.0
    """Longest wait for one answer of a server."""
    patience_seconds: float = 600.0
    """Longest time that one sample is tried for in all, with waiting between the tries."""
    max_attempts: int = 8
    """Times that a sample is asked for again because the answer was cut off, unreadable or a server error."""
    prefilled: Literal["turn", "continue"] = "turn"
    """How a begun answer is sent: as a last turn, or with continue_final_message (vLLM, SGLang)."""
    prices: Path | None = None
    """YAML file of prices in USD per million tokens: `NAME: {input: 0.4, output: 1.6}`."""
    max_cost: float | None = None
    """Stop before the run has cost more than so many USD. A higher cap goes on."""
    max_requests: int | None = None
    """Stop after so many requests to servers in this run, repeated ones included. A higher cap goes on."""

    def __post_init__(self) -> None:
        """Refuse values that cannot be."""
        faults: list[str] = []
        if not self.api_key_env:
            faults.append("api_key_env is empty; expected the name of an environment variable")
        for name in ("concurrency", "max_attempts"):
            if getattr(self, name) < 1:
                faults.append(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("request_timeout_seconds", "patience_seconds"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                faults.append(f"{name} is {value}; expected a number above 0")
        if self.prefilled not in ("turn", "continue"):
            faults.append(f"prefilled is {self.prefilled!r}; expected turn or continue")
        if self.max_cost is not None and not (self.max_cost > 0 and math.isfinite(self.max_cost)):
            faults.append(f"max_cost is {self.max_cost}; expected USD above 0")
        if self.max_requests is not None and self.max_requests < 1:
            faults.append(f"max_requests is {self.max_requests}; expected at least 1")
        if faults:
            raise SettingError.of_all(faults)


def served_checkpoint(name: str, base_url: str | None = None) -> Checkpoint:
    """Return the record of a served model. Its digest is over its name: the address is no part of it.

    Args:
        name: ``openai:NAME``, with the name that the server knows it by.
        base_url: Where the protocol's paths begin, as ``http://localhost:8000/v1``. None: the environment
            variable OPENAI_BASE_URL, or else OpenAI's own.

    Raises:
        ModelError: There is no name after the colon.
        SettingError: The address is none.
    """
    served = name.removeprefix(PREFIX)
    if not served:
        raise ModelError(f"model {name!r} has no name", hint="write openai:NAME, as the server calls it")
    url = base_url or os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.fragment
        _ = parts.port
    except ValueError:
        usable = False
    if not usable:
        raise SettingError(
            f"base URL of {name} is {url!r}; expected an address such as http://localhost:8000/v1"
        )
    digest = digest_of(["served", served])
    return Checkpoint(
        digest=digest,
        tokenizer="",
        root=digest,
        engine=ENGINE,
        name=name,
        location=f"{url.rstrip('/')}#{served}",
    )


def address_of(checkpoint: Checkpoint) -> tuple[str, str]:
    """Return (base URL, name at the server)."""
    base_url, _, served = checkpoint.location.partition("#")
    return base_url, served
