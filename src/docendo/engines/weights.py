"""The weights of a Llama-like model, read and laid out for `docendo.engines.decode`.

What can be worked into them is: the factors of the norms, the scale of the attention, and an order of the
rows of queries and keys in which the rotation by position is one complex product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from docendo.engines.checkpoints import read_config, weight_files
from docendo.engines.shapes import Shape, UnsupportedError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(slots=True)
class Layer:
    """One layer; the norms before its two halves are in their first matrices."""

    qkv: Tensor
    qkv_bias: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    gate_up: Tensor
    gate_up_bias: Tensor | None
    down: Tensor
    down_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None


@dataclass(slots=True)
class LlamaWeights:
    """All weights of a model."""

    shape: Shape
    embedding: Tensor
    norm: Tensor
    head: Tensor
    layers: list[Layer]

    @classmethod
    def read(cls, folder: Path, precision: str) -> LlamaWeights:
        """Read a checkpoint directory.

        Args:
            folder: With ``config.json`` and safetensors.
            precision: ``fp32`` or ``bf16``.

        Raises:
            UnsupportedError: It is no model that `docendo.engines.decode` can decode.
        """
        config = read_config(folder)
        shape, dtype = Shape.of(config), DTYPES[precision]
        handles = [safe_open(str(path), framework="pt") for path in weight_files(folder)]
        files = {name: handle for handle in handles for name in handle.keys()}  # noqa: SIM118 (no mapping)

        def tensor(name: str) -> Tensor | None:
            return files[name].get_tensor(name).to(dtype) if name in files else None

        def needed(name: str) -> Tensor:
            found = tensor(name)
            if found is None:
                raise UnsupportedError(f"the weights have no {name!r}")
            return found

        embedding = needed("model.embed_tokens.weight")
        return cls(
            shape=shape,
            embedding=embedding,
            norm=needed("model.norm.weight"),
            head=embedding if config.get("tie_word_embeddings", False) else needed("lm_head.weight"),
            layers=[_layer(shape, needed, tensor, f"model.layers.{k}.") for k in range(shape.layers)],
        )


def _layer(
    shape: Shape, needed: Callable[[str], Tensor], tensor: Callable[[str], Tensor | None], name: str
) -> Layer:
    half = shape.head_size // 2
    # Dimension k and dimension k + half are turned together; side by side they are one complex number.
    # Products of queries and keys do not change when both are put in the same new order.
    order = torch.arange(shape.head_size).view(2, half).t().reshape(-1)

    def turned(part: Tensor, heads: int) -> Tensor:
        return part.view(heads, shape.head_size, -1)[:, order].reshape(part.shape)

    attention, inner = name + "self_attn.", name + "mlp."
    before_attention = needed(name + "input_layernorm.weight")
    before_inner = needed(name + "post_attention_layernorm.weight")
    scale = shape.head_size**-0.5
    query_norm, key_norm = tensor(attention + "q_norm.weight"), tensor(attention + "k_norm.weight")
    query_scale = 1.0 if shape.has_head_norms else scale

    def joined_bias(names: Sequence[str]) -> list[Tensor] | None:
        parts = [tensor(part + ".bias") for part in names]
        return [part for part in parts if part is not None] if parts[0] is not None else None

    q, k, v = (needed(f"{attention}{part}_proj.weight") for part in "qkv")
    qkv = torch.cat([turned(q, shape.heads) * query_scale, turned(k, shape.kv_heads), v])
    qkv_bias = None
    if biases := joined_bias([f"{attention}{part}_proj" for part in "qkv"]):
        qkv_bias = torch.cat(
            [turned(biases[0], shape.heads) * query_scale, turned(biases[1], shape.kv_heads), biases[2]]
        )
    gate_up = torch.cat([needed(f"{inner}{part}_proj.weight") for part in ("gate", "up")])
    gate_up_biases = joined_bias([f"{inner}{part}_proj" for part in ("gate", "up")])
    return Layer(
        qkv=qkv * before_attention,
        qkv_bias=qkv_bias,
        out=needed(attention + "o_proj.weight"),
        out_bias=tensor(attention + "o_proj.bias"),
        gate_up=gate_up * before_inner,
        gate_up_bias=None if gate_up_biases is None else torch.cat(gate_up_biases),
        down=needed(inner + "down_proj.weight"),
        down_bias=tensor(inner + "down_proj.bias"),
        query_norm=None if query_norm is None else query_norm[order] * scale,
        key_norm=None if key_norm is None else key_norm[order],
    )
