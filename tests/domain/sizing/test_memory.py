"""Bytes of weights and caches against published arithmetic."""

from __future__ import annotations

import pytest

from fleet.domain.catalog import models
from fleet.domain.sizing.config import ModelConfig
from fleet.domain.sizing.memory import BYTES, SCALES, cache, weight_bytes
from fleet.domain.sizing.model_parameters import count
from fleet.domain.sizing.reading import read_config

GB = 10**9


def config_of(name: str) -> ModelConfig:
    return read_config(models.by_id()[name].config)


@pytest.mark.parametrize(
    ("name", "per_token"),
    [
        ("llama-3.1-8b", 131_072),
        ("llama-3.1-70b", 327_680),
        ("deepseek-v3", 70_272),
        ("llama-2-7b", 524_288),
        ("mistral-7b-v0.3", 131_072),
        ("qwen2.5-72b", 327_680),
    ],
)
def test_published_cache_bytes_per_token_at_bf16(name: str, per_token: int) -> None:
    kept = cache(config_of(name), "bf16")
    assert (kept.per_token, kept.per_window_token, kept.state) == (per_token, 0, 0)
    assert cache(config_of(name), "fp8").per_token * 2 == per_token


def test_a_sliding_window_stops_growing_exactly_at_its_size() -> None:
    kept = cache(config_of("gemma-2-9b"), "bf16")
    assert kept.window == 4_096
    assert kept.per_token == kept.per_window_token, "every second layer has a window"
    grown = [kept.of_sequence(tokens + 1) - kept.of_sequence(tokens) for tokens in (4_095, 4_096)]
    assert grown == [kept.per_token + kept.per_window_token, kept.per_token]


def test_layers_of_gemma_3_attend_to_everything_one_in_six() -> None:
    config = config_of("gemma-3-27b")
    assert (config.layers, config.full_layers, config.window_layers) == (62, 10, 52)


def test_a_hybrid_keeps_a_state_beside_the_cache_of_its_attention_layers() -> None:
    config = config_of("qwen3-next-80b-a3b")
    kept = cache(config, "bf16")
    assert (config.full_layers, config.linear_layers) == (12, 36)
    assert kept.per_token == 12 * 2 * 2 * 256 * 2
    assert kept.state == 36 * (32 * 128 * 128 + (2 * 16 * 128 + 32 * 128) * 3) * 2


def test_a_state_space_model_needs_the_same_memory_for_any_context() -> None:
    kept = cache(config_of("falcon-mamba-7b"), "bf16")
    assert kept.of_sequence(1) == kept.of_sequence(1_000_000) > 0


def test_an_encoder_keeps_nothing_between_requests() -> None:
    assert cache(config_of("bge-m3"), "bf16").of_sequence(8_192) == 0


def test_a_window_that_the_configuration_switches_off_is_none() -> None:
    assert config_of("qwen2.5-7b").window_layers == 0


def test_quantisation_leaves_embeddings_in_16_bits_and_adds_scales() -> None:
    parameters = count(config_of("llama-3.1-70b"))
    weights = weight_bytes(parameters, "int4")
    assert weights.embeddings == parameters.embeddings * 2
    assert weights.attention == int(parameters.attention * (0.5 + 2.5 / 128))
    assert 39e9 < weights.total < 41e9, "published AWQ checkpoints of 70B have 39.8 GB"


def test_mxfp4_of_a_mixture_quantises_the_experts_only() -> None:
    weights = weight_bytes(count(config_of("gpt-oss-120b")), "mxfp4")
    assert 64e9 < weights.total < 66e9, "the published checkpoint has 65.2 GB"


def test_fp8_of_deepseek_is_close_to_its_published_checkpoint() -> None:
    assert 670e9 < weight_bytes(count(config_of("deepseek-v3")), "fp8").total < 690e9


def test_every_precision_is_smaller_than_the_one_above() -> None:
    parameters = count(config_of("qwen3-32b"))
    totals = [weight_bytes(parameters, dtype).total for dtype in ("fp32", "bf16", "fp8", "nvfp4")]
    assert totals == sorted(totals, reverse=True)
    assert set(SCALES) < set(BYTES)
