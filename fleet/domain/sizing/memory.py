"""Bytes of weights, KV cache and recurrent state. A floor: servers also need activations, graphs and fragmentation."""

from __future__ import annotations

import msgspec

from fleet.domain.sizing.config import ModelConfig
from fleet.domain.sizing.model_parameters import ModelParameters

BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "fp8": 1.0, "int8": 1.0, "int4": 0.5, "nvfp4": 0.5, "mxfp4": 0.5}
"""Bytes of one value, by precision."""
SCALES = {"fp8": 4 / (128 * 128), "int8": 2 / 128, "int4": 2.5 / 128, "nvfp4": 1 / 16, "mxfp4": 1 / 32}
"""Bytes of scales per value: FP8 one FP32 per block of 128 × 128 (DeepSeek's recipe); INT8 and INT4 (GPTQ, AWQ) one FP16 per
group of 128, INT4 with a 4-bit zero point; NVFP4 one FP8 per 16 values; MXFP4 one 8-bit exponent per 32 (OCP Microscaling)."""
KV_DTYPES = ("bf16", "fp16", "fp8", "fp32")


class Weights(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of a model's weights by part."""

    embeddings: int
    attention: int
    dense_mlp: int
    experts: int
    other: int

    @property
    def total(self) -> int:
        return self.embeddings + self.attention + self.dense_mlp + self.experts + self.other


def weight_bytes(parameters: ModelParameters, dtype: str) -> Weights:
    """Returns the bytes of the weights in a precision.

    Embeddings, norms and vision towers stay in 16 bits when linear layers are quantised below that; MXFP4 as published for
    gpt-oss quantises the experts only.
    """
    fine = max(BYTES["bf16"], BYTES[dtype])
    linear = BYTES[dtype] + SCALES.get(dtype, 0)
    dense = fine if dtype == "mxfp4" and parameters.experts else linear
    return Weights(
        embeddings=int(parameters.embeddings * fine),
        attention=int(parameters.attention * dense),
        dense_mlp=int(parameters.dense_mlp * dense),
        experts=int(parameters.experts * linear),
        other=int(parameters.other * fine),
    )


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """What one sequence keeps in GPU memory, in bytes."""

    per_token: int
    """Of each token, in layers that attend to the whole context."""
    per_window_token: int
    """Of each token of the sliding window, in layers that have one."""
    window: int
    state: int
    """Of the sequence as a whole: linear attention and state-space layers."""

    def of_sequence(self, tokens: int) -> int:
        """Returns the bytes of one sequence of so many tokens."""
        return self.per_token * tokens + self.per_window_token * min(tokens, self.window) + self.state


def cache(config: ModelConfig, dtype: str) -> Cache:
    """Returns what one sequence keeps per layer and token: 2 × KV heads × head dimension values, or a compressed vector (MLA)."""
    value = BYTES[dtype]
    per_layer = 2 * config.kv_heads * config.head_dim
    if config.latent is not None:
        per_layer = config.latent.kv_rank + config.latent.rope_dim
    if not config.has_head and config.positions:
        per_layer = 0  # an encoder has no state between requests
    state = config.linear.state_values * config.linear_layers * BYTES["bf16"] if config.linear is not None else 0
    return Cache(
        per_token=int(per_layer * value * config.full_layers),
        per_window_token=int(per_layer * value * config.window_layers),
        window=config.window,
        state=int(state),
    )
