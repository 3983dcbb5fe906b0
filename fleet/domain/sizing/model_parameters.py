"""The number of parameters of a model, computed from its configuration."""

from __future__ import annotations

import msgspec

from fleet.domain.sizing.config import ModelConfig


class ModelParameters(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters by part. `experts` are all routed experts of all layers."""

    embeddings: int
    """Token and position embeddings and the output projection: kept in 16 bits by every quantisation that is sized here."""
    attention: int
    dense_mlp: int
    """Dense layers, shared experts and routers."""
    experts: int
    active_experts: int
    """The part of `experts` that one token passes."""
    other: int
    """Norms and the vision tower."""
    tied: int
    """Embedding parameters that stand for two matrices: counted once."""

    @property
    def total(self) -> int:
        """Returns all parameters: they take the memory."""
        return self.embeddings + self.attention + self.dense_mlp + self.experts + self.other

    @property
    def active(self) -> int:
        """Parameters that one token passes: they take the compute."""
        return self.total - self.experts + self.active_experts

    @property
    def quantised(self) -> int:
        """Parameters of linear layers, which a quantisation of weights shrinks."""
        return self.attention + self.dense_mlp + self.experts


def count(config: ModelConfig) -> ModelParameters:
    """Returns the parameters of a model."""
    embedding = config.vocab * config.hidden
    head = embedding if config.has_head and not config.tied_embeddings else 0
    attention_layers = config.layers - config.linear_layers
    attention = attention_layers * _attention(config)
    if config.linear is not None:
        attention += config.linear_layers * config.linear.parameters
    dense, experts, active = _mlp(config)
    norms = config.layers * config.norms_per_layer + 1
    return ModelParameters(
        embeddings=embedding + head + config.positions * config.hidden,
        attention=attention,
        dense_mlp=dense,
        experts=experts,
        active_experts=active,
        other=norms * config.norm_parameters * config.hidden + config.extra_parameters,
        tied=embedding if config.tied_embeddings else 0,
    )


def _attention(config: ModelConfig) -> int:
    """Projections of one layer with attention over all cached tokens."""
    if config.latent is not None:
        return _latent_attention(config)
    queries, keys = config.heads * config.head_dim, config.kv_heads * config.head_dim
    parameters = config.hidden * (queries + 2 * keys) + queries * config.hidden
    parameters += config.hidden * queries if config.gated_attention else 0
    parameters += queries + 2 * keys if config.attention_bias else 0
    parameters += config.hidden if config.output_bias else 0
    parameters += 2 * config.head_dim if config.query_key_norm else 0
    return parameters + (config.heads if config.sinks else 0)


def _latent_attention(config: ModelConfig) -> int:
    latent = config.latent
    if latent is None:
        return 0
    query_dim = config.heads * (latent.nope_dim + latent.rope_dim)
    queries = config.hidden * query_dim
    if latent.query_rank:
        queries = config.hidden * latent.query_rank + latent.query_rank + latent.query_rank * query_dim
    compressed = config.hidden * (latent.kv_rank + latent.rope_dim) + latent.kv_rank
    expanded = latent.kv_rank * config.heads * (latent.nope_dim + latent.value_dim)
    return queries + compressed + expanded + config.heads * latent.value_dim * config.hidden


def _mlp(config: ModelConfig) -> tuple[int, int, int]:
    """Parameters of dense MLPs (with shared experts and routers), of all routed experts, and of those that one token passes."""
    matrices = 3 if config.gated_mlp else 2
    bias = config.intermediate * (matrices - 1) + config.hidden if config.output_bias else 0
    dense_layers = config.layers - config.expert_layers
    dense = dense_layers * (matrices * config.hidden * config.intermediate + bias) if config.intermediate else 0
    experts = config.experts
    if experts is None:
        return dense, 0, 0
    router = config.hidden * experts.count + (experts.count if config.output_bias else 0)
    gate = config.hidden if experts.has_shared_gate else 0
    dense += config.expert_layers * (router + gate + matrices * config.hidden * experts.shared_size)
    expert = matrices * config.hidden * experts.size
    expert += experts.size * (matrices - 1) + config.hidden if config.output_bias else 0
    return dense, config.expert_layers * experts.count * expert, config.expert_layers * experts.per_token * expert
