"""Model configurations in Hugging Face's shape (config.json), reduced to what memory depends on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from fleet.domain.refusals import FieldError

Json: TypeAlias = bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"] | None

MOST_LAYERS, MOST_SIZE = 1_000, 100_000_000
"""Upper bounds of what a configuration may state; larger values are refused as implausible."""


class Experts(msgspec.Struct, frozen=True, kw_only=True):
    """The mixture of experts of one layer."""

    count: int
    per_token: int
    size: int
    """Intermediate size of one routed expert."""
    shared_size: int = 0
    """Intermediate size of all shared experts together, which every token passes."""
    has_shared_gate: bool = False


class Latent(msgspec.Struct, frozen=True, kw_only=True):
    """Multi-head latent attention (MLA): keys and values are cached as one compressed vector per layer."""

    kv_rank: int
    query_rank: int
    """0 where queries are not compressed."""
    nope_dim: int
    rope_dim: int
    value_dim: int


class LinearAttention(msgspec.Struct, frozen=True, kw_only=True):
    """Linear attention or a state space: a state of fixed size per sequence instead of a cache that grows."""

    parameters: int
    """Of one such layer, without its MLP."""
    state_values: int
    """Values of one layer's state for one sequence, convolution state included."""


class ModelConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What the memory of a model depends on."""

    model_type: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    intermediate: int
    """Of the dense MLP; also of the dense layers of a mixture of experts."""
    tied_embeddings: bool = False
    gated_mlp: bool = True
    """Three matrices (gate, up, down) instead of two."""
    attention_bias: bool = False
    """Bias of the query, key and value projections."""
    output_bias: bool = False
    """Bias of every other linear layer."""
    positions: int = 0
    """Learned position embeddings."""
    norms_per_layer: int = 2
    norm_parameters: int = 1
    """Vectors per norm: 2 with a bias."""
    query_key_norm: bool = False
    gated_attention: bool = False
    """A gate as wide as the queries beside them."""
    sinks: bool = False
    """One learned attention sink per head."""
    experts: Experts | None = None
    expert_layers: int = 0
    """How many layers have experts instead of the dense MLP."""
    latent: Latent | None = None
    window: int = 0
    """Tokens that a sliding-window layer keeps; 0 without one."""
    window_layers: int = 0
    linear: LinearAttention | None = None
    linear_layers: int = 0
    extra_parameters: int = 0
    """Beside the language model: a vision tower and its projector."""
    has_head: bool = True
    """False for embedding models, which have no output projection."""
    weights_dtype: str = "bf16"
    """Precision of the weights, by the configuration."""
    max_context: int | None = None

    @property
    def full_layers(self) -> int:
        """Layers whose cache grows with the whole context."""
        return self.layers - self.window_layers - self.linear_layers


def integer(config: Mapping[str, Json], key: str, default: int | None = None, *, most: int = MOST_SIZE) -> int:
    """Returns a field that must be a whole number from 0 on. Raises FieldError."""
    value = config.get(key)
    if value is None:
        if default is None:
            raise FieldError(key, f"{key} is missing. It is needed to compute parameters and cache size.")
        return default
    if isinstance(value, list) and value and all(item == value[0] for item in value):
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise FieldError(key, f"{key} must be a whole number from 0 to {most:,}.")
    return value


def text(config: Mapping[str, Json], key: str) -> str:
    """Returns a field that is a text, else an empty one."""
    value = config.get(key)
    return value if isinstance(value, str) else ""


def section(config: Mapping[str, Json], key: str) -> Mapping[str, Json]:
    """Returns a field that is an object, else an empty one."""
    value = config.get(key)
    return value if isinstance(value, Mapping) else {}
