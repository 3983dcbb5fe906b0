"""The one function behind page, API and command line: what a model needs, and where it fits."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from fleet.domain.sizing.config import ModelConfig
from fleet.domain.sizing.layouts import Layout, Load, Product, best, minimum_gpus
from fleet.domain.sizing.memory import Cache, Weights, cache, weight_bytes
from fleet.domain.sizing.model_parameters import ModelParameters, count

OVERHEAD_BYTES = 2 * 2**30
UTILIZATION = 0.9
"""What vLLM's gpu_memory_utilization is without a setting."""


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """A model, how it is stored, and what it has to serve."""

    config: ModelConfig
    weights_dtype: str = ""
    """Empty: as the configuration says."""
    kv_dtype: str = "bf16"
    context_tokens: int = 8192
    concurrency: int = 1
    overhead_bytes: int = OVERHEAD_BYTES
    utilization: float = UTILIZATION


class Sizing(msgspec.Struct, frozen=True, kw_only=True):
    """The answer. Bytes are whole bytes; `minimum_gpus` is a floor by memory alone, `layouts` are what servers can run."""

    parameters: ModelParameters
    weights_dtype: str
    weights: Weights
    cache: Cache
    kv_per_token: int
    """Bytes of one token in all layers, while no sliding window is full."""
    kv_total: int
    """Bytes of `concurrency` sequences of `context_tokens`, recurrent state included."""
    overhead_bytes: int
    minimum_gpus: dict[str, int]
    layouts: tuple[Layout, ...]
    assumptions: tuple[str, ...]


def size(question: Question, products: Sequence[Product]) -> Sizing:
    """Returns what the model needs and its layouts on each product, the products in the order given."""
    config = question.config
    parameters = count(config)
    dtype = question.weights_dtype or config.weights_dtype
    weights, kept = weight_bytes(parameters, dtype), cache(config, question.kv_dtype)
    load = Load(
        config=config,
        weights=weights,
        cache=kept,
        context_tokens=question.context_tokens,
        concurrency=question.concurrency,
        overhead_bytes=question.overhead_bytes,
        utilization=question.utilization,
    )
    floors = {product.name: minimum_gpus(load, product) for product in products}
    return Sizing(
        parameters=parameters,
        weights_dtype=dtype,
        weights=weights,
        cache=kept,
        kv_per_token=kept.per_token + kept.per_window_token,
        kv_total=load.sequence_bytes * question.concurrency,
        overhead_bytes=question.overhead_bytes,
        minimum_gpus={name: gpus for name, gpus in floors.items() if gpus},
        layouts=tuple(layout for product in products for layout in best(load, product)),
        assumptions=_assumptions(question, dtype),
    )


def _assumptions(question: Question, dtype: str) -> tuple[str, ...]:
    config = question.config
    lines = [
        "A minimum for memory, not a recommendation: speed is not considered.",
        f"Overhead of {question.overhead_bytes / 2**30:.1f} GiB per GPU for activations, CUDA graphs and communication buffers.",
        f"The server may use {question.utilization:.0%} of a GPU's memory.",
        "No sequences share a prefix; each uses its whole context.",
    ]
    if dtype in ("fp8", "int8", "int4", "nvfp4", "mxfp4"):
        kept = "everything but the experts" if dtype == "mxfp4" and config.experts else "embeddings and norms"
        lines.append(f"With {dtype.upper()} weights, {kept} stay in 16 bits.")
    if config.latent is not None:
        lines.append("The compressed cache (MLA) is repeated on every GPU of a tensor-parallel group.")
    if config.extra_parameters:
        lines.append("The vision tower is counted as a plain transformer; images take tokens of the context.")
    if config.linear is not None:
        lines.append("The state of linear layers is kept in 16 bits.")
    if config.max_context and question.context_tokens > config.max_context:
        lines.append(f"The context is longer than the {config.max_context:,} tokens that the configuration states.")
    return tuple(lines)
