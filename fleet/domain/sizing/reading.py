"""Reads config.json of the model families that people serve into a ModelConfig.

Field names are Hugging Face transformers'. A family that stores keys or values in a way that is not known here is refused:
a guess would be wrong by a multiple.
"""

from __future__ import annotations

from collections.abc import Mapping

from fleet.domain.refusals import FieldError
from fleet.domain.sizing import states
from fleet.domain.sizing.config import MOST_LAYERS, Experts, Json, Latent, ModelConfig, integer, section, text

_TWO_MATRICES = frozenset(
    {
        "falcon",
        "bloom",
        "opt",
        "gpt2",
        "gpt_neox",
        "gptj",
        "mpt",
        "starcoder2",
        "phi",
        "bert",
        "roberta",
        "xlm-roberta",
        "nemotron",
    }
)
_TIED_BY_DEFAULT = frozenset({"gemma", "gemma2", "gemma3", "gemma3_text", "cohere", "cohere2", "bloom", "opt", "gpt2", "falcon"})
_ENCODERS = frozenset({"bert", "roberta", "xlm-roberta"})
_BIASED_QKV = frozenset({"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen2_vl_text", "qwen2_5_vl_text", "glm", "chatglm"})
_QUERY_KEY_NORM = frozenset({"qwen3", "qwen3_moe", "qwen3_next", "gemma3", "gemma3_text", "qwen3_vl_text", "qwen3_vl_moe_text"})
_FOUR_NORMS = frozenset({"gemma2", "gemma3", "gemma3_text"})
_ONE_NORM = frozenset({"cohere", "falcon", "phi"})
_BIASED = frozenset({"bloom", "opt", "gpt2", "gpt_neox", "gpt_oss", "starcoder2", "phi", "bert", "roberta", "xlm-roberta"})
_UNKNOWN_CACHE = frozenset({"jamba", "zamba", "zamba2", "rwkv", "rwkv6", "recurrent_gemma", "mllama", "t5", "whisper"})
_DTYPES = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float8_e4m3fn": "fp8"}


def read_config(document: Mapping[str, Json]) -> ModelConfig:
    """Returns the configuration behind a parsed config.json. Raises FieldError with the field that cannot be used."""
    outer = document
    inner = section(outer, "text_config") or section(outer, "llm_config") or section(outer, "language_config")
    config: dict[str, Json] = {**{key: outer[key] for key in _SHARED if key in outer}, **(inner or outer)}
    family = text(config, "model_type") or text(outer, "model_type")
    if family in _UNKNOWN_CACHE:
        raise FieldError("model_type", f"Models of type {family} are not supported: the size of their cache is not known.")
    layers = integer(config, _first(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers"), most=MOST_LAYERS)
    hidden = integer(config, _first(config, "hidden_size", "n_embd", "d_model"))
    if not layers or not hidden:
        raise FieldError(
            "num_hidden_layers" if not layers else "hidden_size", "A model has at least one layer and one dimension."
        )
    linear = states.read(family, config, hidden)
    heads = integer(config, _first(config, "num_attention_heads", "n_head", "n_heads"), 0 if linear else None)
    experts = _experts(config)
    linear_layers = states.layers(family, config, layers) if linear else 0
    window, window_layers = _window(family, config, layers)
    return ModelConfig(
        model_type=family,
        hidden=hidden,
        layers=layers,
        heads=heads,
        kv_heads=_kv_heads(family, config, heads),
        head_dim=integer(config, "head_dim", hidden // heads if heads else 0),
        vocab=integer(config, "vocab_size"),
        intermediate=0 if linear_layers == layers and family != "qwen3_next" else _intermediate(family, config, hidden),
        tied_embeddings=_tied(family, config, outer),
        gated_mlp=family not in _TWO_MATRICES,
        attention_bias=config.get("attention_bias") is True or config.get("qkv_bias") is True or family in _BIASED_QKV | _BIASED,
        output_bias=family in _BIASED or config.get("mlp_bias") is True,
        positions=integer(config, "max_position_embeddings", 0) if family in _ENCODERS | {"opt", "gpt2"} else 0,
        norms_per_layer=4 if family in _FOUR_NORMS else 1 if family in _ONE_NORM or linear_layers == layers else 2,
        norm_parameters=2 if family in _TWO_MATRICES else 1,
        query_key_norm=family in _QUERY_KEY_NORM or config.get("use_qk_norm") is True,
        gated_attention=family == "qwen3_next",
        sinks=family == "gpt_oss",
        experts=experts,
        expert_layers=_expert_layers(config, layers) if experts else 0,
        latent=_latent(config),
        window=window,
        window_layers=window_layers,
        linear=linear,
        linear_layers=linear_layers,
        extra_parameters=_vision(section(outer, "vision_config"), hidden),
        has_head=family not in _ENCODERS and not _is_embedding_model(outer),
        weights_dtype=_weights_dtype(config, outer),
        max_context=integer(config, "max_position_embeddings", 0) or integer(config, "n_positions", 0) or None,
    )


_SHARED = ("torch_dtype", "dtype", "quantization_config", "tie_word_embeddings", "architectures", "vocab_size")


def _first(config: Mapping[str, Json], *keys: str) -> str:
    """Returns the first of several names of one field that the configuration has, else the usual one."""
    return next((key for key in keys if config.get(key) is not None), keys[0])


def _kv_heads(family: str, config: Mapping[str, Json], heads: int) -> int:
    if config.get("multi_query") is True and config.get("new_decoder_architecture") is not True:
        return 1
    default = heads
    if family in ("chatglm", "glm") and config.get("multi_query_attention") is True:
        return integer(config, "multi_query_group_num", default)
    return integer(config, _first(config, "num_key_value_heads", "num_kv_heads"), default)


def _intermediate(family: str, config: Mapping[str, Json], hidden: int) -> int:
    if family == "llama4_text":
        return integer(config, "intermediate_size_mlp", integer(config, "intermediate_size"))
    key = _first(config, "intermediate_size", "ffn_dim", "n_inner", "ffn_hidden_size")
    return integer(config, key, 4 * hidden if family in _TWO_MATRICES else None)


def _tied(family: str, config: Mapping[str, Json], outer: Mapping[str, Json]) -> bool:
    value = config.get("tie_word_embeddings", outer.get("tie_word_embeddings"))
    return value if isinstance(value, bool) else family in _TIED_BY_DEFAULT


def _experts(config: Mapping[str, Json]) -> Experts | None:
    nested = section(config, "ffn_config")  # DBRX
    if nested.get("moe_num_experts"):
        size = integer(nested, "ffn_hidden_size")
        return Experts(count=integer(nested, "moe_num_experts"), per_token=integer(nested, "moe_top_k"), size=size)
    count = integer(config, _first(config, "n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts"), 0)
    if count < 2:
        return None
    key = _first(config, "num_experts_per_tok", "experts_per_token", "moe_topk", "top_k_experts")
    size = integer(config, _first(config, "moe_intermediate_size", "expert_ffn_hidden_size", "intermediate_size"))
    shared = integer(config, "n_shared_experts", 0) or integer(config, "num_shared_experts", 0)
    shared_size = integer(config, "shared_expert_intermediate_size", 0) or shared * size
    if text(config, "model_type") == "llama4_text":
        shared_size = size
    return Experts(
        count=count,
        per_token=integer(config, key),
        size=size,
        shared_size=shared_size,
        has_shared_gate="shared_expert_intermediate_size" in config,
    )


def _expert_layers(config: Mapping[str, Json], layers: int) -> int:
    dense = integer(config, "first_k_dense_replace", 0, most=layers)
    only = config.get("mlp_only_layers")
    dense += len(only) if isinstance(only, list) else 0
    step = integer(config, _first(config, "decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq"), 1) or 1
    return max(0, (layers - dense) // step)


def _latent(config: Mapping[str, Json]) -> Latent | None:
    rank = integer(config, "kv_lora_rank", 0)
    if not rank:
        return None
    return Latent(
        kv_rank=rank,
        query_rank=integer(config, "q_lora_rank", 0),
        nope_dim=integer(config, "qk_nope_head_dim"),
        rope_dim=integer(config, "qk_rope_head_dim"),
        value_dim=integer(config, "v_head_dim"),
    )


def _window(family: str, config: Mapping[str, Json], layers: int) -> tuple[int, int]:
    """Tokens that a sliding-window layer keeps, and how many layers are such."""
    window = integer(config, "sliding_window", 0) or integer(config, "attention_chunk_size", 0)
    if not window or config.get("use_sliding_window") is False:
        return 0, 0
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        count = sum(kind in ("sliding_attention", "chunked_attention") for kind in kinds[:layers])
        return (window, count) if count else (0, 0)
    pattern = integer(config, "sliding_window_pattern", {"gemma2": 2, "gemma3": 6, "gemma3_text": 6, "cohere2": 4}.get(family, 0))
    if pattern:
        return window, layers - layers // pattern
    if family == "llama4_text":
        return window, layers - layers // 4
    if family == "gpt_oss":
        return window, (layers + 1) // 2
    return window, layers


def _vision(config: Mapping[str, Json], hidden: int) -> int:
    """Parameters of a vision tower and its projector; 0 without one. A plain transformer, within a few per cent of any tower."""
    width = integer(config, _first(config, "hidden_size", "embed_dim", "width"), 0)
    layers = integer(config, _first(config, "num_hidden_layers", "depth", "layers"), 0, most=MOST_LAYERS)
    if not width or not layers:
        return 0
    if "embed_dim" in config and "hidden_size" in config:  # Qwen2-VL: hidden_size is the language model's
        width = integer(config, "embed_dim")
    size = integer(config, "intermediate_size", 0) or int(width * _ratio(config))
    merge = integer(config, "spatial_merge_size", 1) ** 2
    patch = integer(config, "patch_size", 14) ** 2 * integer(config, "in_channels", 3)
    matrices = 3 if text(config, "model_type").startswith("qwen2_5_vl") else 2
    projector = width * merge * width * merge + width * merge * hidden
    return layers * (4 * width * width + matrices * width * size) + patch * width + projector


def _ratio(config: Mapping[str, Json]) -> float:
    ratio = config.get("mlp_ratio")
    return float(ratio) if isinstance(ratio, int | float) and 0 < ratio < 100 else 4.0


def _is_embedding_model(config: Mapping[str, Json]) -> bool:
    """Returns whether the architecture ends in hidden states: transformers names such classes `…Model`."""
    names = config.get("architectures")
    listed = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return any("Embedding" in name or name.endswith("Model") for name in listed)


def _weights_dtype(config: Mapping[str, Json], outer: Mapping[str, Json]) -> str:
    quantised = section(config, "quantization_config") or section(outer, "quantization_config")
    method = text(quantised, "quant_method").lower()
    if method in ("awq", "gptq"):
        return "int8" if integer(quantised, "bits", 4) == 8 else "int4"
    if method == "mxfp4":
        return "mxfp4"
    if method == "fp8" or text(quantised, "quant_algo").upper() == "FP8" or "float-quantized" in text(quantised, "format"):
        return "fp8"
    if "NVFP4" in text(quantised, "quant_algo").upper() or "nvfp4" in text(quantised, "format"):
        return "nvfp4"
    if text(quantised, "format") == "int-quantized":
        return "int8"
    if text(quantised, "format") == "pack-quantized":
        return "int4"
    return _DTYPES.get(text(config, "torch_dtype") or text(config, "dtype"), "bf16")
