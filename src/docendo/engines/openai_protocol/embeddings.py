"""The protocol's embeddings: a text to a request's body, an answer's body to a vector. No network.

In the store a vector is kept as the text of a completion: base64 of its numbers, little-endian, single
precision. That is what the protocol itself calls the encoding format ``base64``.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import orjson

from docendo.core.records import Completion, Embedding
from docendo.core.seeds import digest_of
from docendo.engines.openai_protocol.prices import Price
from docendo.engines.openai_protocol.wire import Unusable, shown

_MOST_BYTES = 4 << 20
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class EmbeddingCall:
    """One text to embed; asked like one sample of a `docendo.engines.openai_protocol.wire.Call`."""

    model: str
    text: str

    @property
    def path(self) -> str:
        """Under the base URL."""
        return "embeddings"

    def body(self, n: int, *, length_name: str = "") -> bytes:
        """Return the JSON that asks for the vector. Servers that know one encoding only give numbers."""
        return orjson.dumps({"model": self.model, "input": self.text, "encoding_format": "float"})

    def most_bytes(self, n: int) -> int:
        """Return how long an answer may be."""
        return _MOST_BYTES

    def at_most_usd(self, n: int, price: Price | None) -> float:
        """Return what it can cost: a token has a byte or more."""
        return 0.0 if price is None else price.of(len(self.text.encode()) + 16, 0)

    def key(self, seed: int) -> str:
        """Return what the vector is kept under."""
        return digest_of({"embedding": self.text, "model": self.model})

    def completions(self, content: bytes, n: int, price: Price | None) -> list[Completion]:
        """Read an answer.

        Raises:
            Unusable: It is not what the protocol says.
        """
        try:
            answer: Any = orjson.loads(content)
        except orjson.JSONDecodeError as error:
            raise Unusable(f"the answer is no JSON: {shown(content)!r}") from error
        entries: Any = cast("dict[str, Any]", answer).get("data") if isinstance(answer, dict) else None
        if not isinstance(entries, list) or not entries or not isinstance(entries[0], dict):
            raise Unusable(f"the answer has no embedding: {shown(content)!r}")
        numbers = _numbers(cast("dict[str, Any]", entries[0]).get("embedding"))
        usage: Any = cast("dict[str, Any]", answer).get("usage")
        tokens: Any = cast("dict[str, Any]", usage).get("prompt_tokens") if isinstance(usage, dict) else None
        is_counted = isinstance(tokens, int) and tokens >= 0
        return [
            Completion(
                base64.b64encode(numbers.tobytes()).decode("ascii"),
                "stop",
                prompt_tokens=tokens if is_counted else 0,
                cost_usd=price.of(tokens, 0) if price is not None and is_counted else None,
            )
        ]


def embedding_of(kept: Completion) -> Embedding:
    """Return the vector that a completion of the store holds."""
    vector = tuple(np.frombuffer(base64.b64decode(kept.text), dtype="<f4").tolist())
    return Embedding(vector, kept.prompt_tokens, kept.reason, kept.cost_usd)


def _numbers(said: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a vector that came as a list of numbers, or in base64."""
    try:
        if isinstance(said, str):
            numbers = np.frombuffer(base64.b64decode(said, validate=True), dtype="<f4").astype(np.float64)
        else:
            numbers = np.asarray(said, dtype=np.float64)
    except (TypeError, ValueError, binascii.Error) as error:
        raise Unusable(f"an embedding cannot be read: {error}") from error
    largest = float(np.abs(numbers).max(initial=0))
    if numbers.ndim != 1 or not numbers.size or not largest <= _LARGEST:
        raise Unusable("an embedding is no list of numbers")
    return numbers.astype("<f4")
