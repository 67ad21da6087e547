"""The shapes of Llama-like models, read off their configuration; no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_FAMILIES = {"llama", "qwen2", "qwen3", "mistral"}


class UnsupportedError(Exception):
    """This model is not for the own decode path; the message says why."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama-like model, and what sets its family apart."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_size: int
    inner: int
    vocabulary: int
    context: int
    epsilon: float
    frequencies: tuple[float, ...]
    """Of the rotation by position, radians a token, one for each pair of a head's dimensions."""
    has_head_norms: bool
    """Qwen 3: queries and keys are normed head by head."""

    @classmethod
    def of(cls, config: dict[str, Any]) -> Shape:
        """Read the sizes off a ``config.json``.

        Raises:
            UnsupportedError: It is no model that this module can decode.
        """
        family = config.get("model_type")
        if family not in _FAMILIES:
            raise UnsupportedError(f"model type {family!r}")
        if not str((config.get("architectures") or [""])[0]).endswith("ForCausalLM"):
            raise UnsupportedError(f"architecture {config.get('architectures')}")
        if config.get("hidden_act", "silu") != "silu":
            raise UnsupportedError(f"activation {config['hidden_act']!r}")
        if config.get("quantization_config"):
            raise UnsupportedError("quantized weights")
        slides = config.get("use_sliding_window", family == "mistral")
        if slides and config.get("sliding_window") is not None:
            raise UnsupportedError("sliding window attention")
        if "sliding_attention" in (config.get("layer_types") or []):
            raise UnsupportedError("sliding window attention")
        heads = config["num_attention_heads"]
        head_size = config.get("head_dim") or config["hidden_size"] // heads
        return cls(
            layers=config["num_hidden_layers"],
            hidden=config["hidden_size"],
            heads=heads,
            kv_heads=config.get("num_key_value_heads") or heads,
            head_size=head_size,
            inner=config["intermediate_size"],
            vocabulary=config["vocab_size"],
            context=config["max_position_embeddings"],
            epsilon=config.get("rms_norm_eps", 1e-6),
            frequencies=_frequencies(config, head_size),
            has_head_norms=family == "qwen3",
        )

    @property
    def cache_numbers_per_token(self) -> int:
        """Numbers that the cache holds for one token of one row."""
        return 2 * self.layers * self.kv_heads * self.head_size

    @property
    def layer_weights(self) -> int:
        """Number of weights of one layer."""
        attention = self.hidden * self.head_size * (2 * self.heads + 2 * self.kv_heads)
        return attention + 3 * self.hidden * self.inner


def _frequencies(config: dict[str, Any], head_size: int) -> tuple[float, ...]:
    """Return the rotation's frequencies.

    Raises:
        UnsupportedError: A kind of scaling other than linear and Llama 3's.
    """
    rope = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    theta = rope.get("rope_theta") or config.get("rope_theta") or 10_000.0
    kind = rope.get("rope_type") or rope.get("type") or "default"
    if rope.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0)) != 1.0:
        raise UnsupportedError("rotation of a part of each head")
    frequencies = [theta ** (-place / head_size) for place in range(0, head_size, 2)]
    if kind == "default":
        return tuple(frequencies)
    if kind == "linear":
        return tuple(frequency / rope["factor"] for frequency in frequencies)
    if kind == "llama3":
        first = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
        return tuple(_llama3(frequency, rope, first) for frequency in frequencies)
    raise UnsupportedError(f"rotation scaling {kind!r}")


def _llama3(frequency: float, rope: dict[str, Any], first_context: int) -> float:
    """Slow low frequencies down, keep high ones, go over smoothly between them (as Llama 3.1 does)."""
    low, high, factor = rope["low_freq_factor"], rope["high_freq_factor"], rope["factor"]
    # Full turns within the context that the model was first trained with.
    turns = first_context * frequency / (2 * math.pi)
    if turns < low:
        return frequency / factor
    if turns > high:
        return frequency
    smooth = (turns - low) / (high - low)
    return (1 - smooth) * frequency / factor + smooth * frequency
