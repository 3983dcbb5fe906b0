"""Linear attention and state-space layers: their parameters, and the state that they keep per sequence."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.domain.sizing.config import Json, LinearAttention, integer


def read(family: str, config: Mapping[str, Json], hidden: int) -> LinearAttention | None:
    """Returns what one such layer has; None for a model without them. Raises FieldError."""
    if family == "qwen3_next":
        return _gated_delta(config, hidden)
    if family in ("mamba", "falcon_mamba"):
        return _mamba(config, hidden)
    return _mamba2(config, hidden) if family in ("mamba2", "granitemoehybrid", "nemotron_h", "bamba") else None


def layers(family: str, config: Mapping[str, Json], total: int) -> int:
    """Returns how many of the layers are such."""
    kinds = config.get("layer_types") or config.get("layers_block_type")
    if isinstance(kinds, list):
        return sum(kind in ("linear_attention", "mamba") for kind in kinds[:total])
    interval = integer(config, "full_attention_interval", 4) if family == "qwen3_next" else 0
    return total - total // interval if interval else total


def _gated_delta(config: Mapping[str, Json], hidden: int) -> LinearAttention:
    """Gated DeltaNet of Qwen3-Next: query, key, value, gate and two scalars per head; the state is a matrix per head."""
    key_heads, value_heads = integer(config, "linear_num_key_heads"), integer(config, "linear_num_value_heads")
    key_dim, value_dim = integer(config, "linear_key_head_dim"), integer(config, "linear_value_head_dim")
    kernel = integer(config, "linear_conv_kernel_dim", 4)
    keys, values = key_heads * key_dim, value_heads * value_dim
    channels = 2 * keys + values
    parameters = (
        hidden * (2 * keys + 2 * values + 2 * value_heads) + channels * kernel + values * hidden + 2 * value_heads + value_dim
    )
    return LinearAttention(parameters=parameters, state_values=value_heads * key_dim * value_dim + channels * (kernel - 1))


def _mamba(config: Mapping[str, Json], hidden: int) -> LinearAttention:
    """Mamba: a state of `state_size` values for each of `intermediate_size` channels."""
    inner = integer(config, "intermediate_size", integer(config, "expand", 2) * hidden)
    size, kernel = integer(config, "state_size", 16), integer(config, "conv_kernel", 4)
    rank = integer(config, "time_step_rank", -(-hidden // 16))
    parameters = (
        2 * hidden * inner + inner * (kernel + 1) + inner * (rank + 2 * size) + rank * inner + inner + inner * size + inner
    )
    return LinearAttention(parameters=parameters + inner * hidden, state_values=inner * (size + kernel))


def _mamba2(config: Mapping[str, Json], hidden: int) -> LinearAttention:
    """Mamba 2: a matrix of head dimension × state size per head."""
    heads = integer(config, "num_heads", integer(config, "mamba_n_heads", integer(config, "mamba_num_heads", 0)))
    dim = integer(config, "mamba_d_head", integer(config, "mamba_head_dim", integer(config, "head_dim", 64)))
    size = integer(config, "mamba_d_state", integer(config, "ssm_state_size", integer(config, "state_size", 128)))
    groups = integer(config, "mamba_n_groups", integer(config, "n_groups", 1))
    kernel = integer(config, "mamba_d_conv", integer(config, "conv_kernel", 4))
    inner = heads * dim
    channels = inner + 2 * groups * size
    parameters = hidden * (inner + channels + heads) + channels * (kernel + 1) + 3 * heads + inner + inner * hidden
    return LinearAttention(parameters=parameters, state_values=inner * size + channels * (kernel - 1))
