"""Parallel layouts: over how many GPUs a model is spread, and whether it fits on them.

One GPU if the model fits; else tensor parallel inside a node, in a power of two that divides the attention heads; else tensor
parallel over the GPUs of a node × pipeline parallel over nodes. A mixture of experts has one more way: experts spread over all
GPUs, and attention repeated on each (expert and data parallel). It suits models with MLA, whose cache heads cannot divide.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from fleet.domain.sizing.config import ModelConfig
from fleet.domain.sizing.memory import Cache, Weights

MOST_NODES = 16
"""Nodes that a layout may span."""


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """A GPU product, or a MIG instance of one, that a fleet has."""

    name: str
    memory_bytes: int
    gpus_per_node: int
    """The most that one node has; 1 for MIG instances, which do not work together."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A model in bytes, and what it has to serve."""

    config: ModelConfig
    weights: Weights
    cache: Cache
    context_tokens: int
    concurrency: int
    overhead_bytes: int
    """Per GPU: activations, CUDA graphs, communication buffers. An assumption."""
    utilization: float
    """Share of a GPU's memory that the server may use."""

    @property
    def sequence_bytes(self) -> int:
        return self.cache.of_sequence(self.context_tokens)


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """One way to spread a model over GPUs of a product."""

    product: str
    gpus_per_node: int
    nodes: int
    tensor_parallel: int
    pipeline_parallel: int = 1
    expert_parallel: int = 1
    data_parallel: int = 1
    fits: bool
    weights_bytes_per_gpu: int
    cache_bytes_per_gpu: int
    free_bytes_per_gpu: int | None = None
    """What is left after weights, the requested cache and overhead; None where it does not fit."""
    max_sequences: int | None = None
    """Sequences of the requested context that fit; None without a cache that grows, or where it does not fit."""
    why_not: str | None = None

    @property
    def gpus(self) -> int:
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel


def best(load: Load, product: Product) -> tuple[Layout, ...]:
    """Returns the smallest layout that fits on this product, and for a mixture of experts also the one by expert parallelism.

    If none fits, the largest that was tried, with the reason.
    """
    tried = [layout_of(load, product, tensor, pipeline) for tensor, pipeline in _sizes(load.config, product)]
    chosen = next((layout for layout in tried if layout.fits), None)
    layouts = [chosen] if chosen else []
    spread = _by_experts(load, product)
    layouts += [spread] if spread is not None and (chosen is None or spread.gpus != chosen.gpus or load.config.latent) else []
    if layouts:
        return tuple(layouts)
    return (tried[-1],)


def minimum_gpus(load: Load, product: Product) -> int:
    """Returns how few GPUs of this product hold weights, requested cache and overhead together, whatever divides: a floor."""
    usable = int(product.memory_bytes * load.utilization) - load.overhead_bytes
    if usable <= 0:
        return 0
    return max(1, -(-(load.weights.total + load.sequence_bytes * load.concurrency) // usable))


def _sizes(config: ModelConfig, product: Product) -> Iterator[tuple[int, int]]:
    """(tensor, pipeline) parallel sizes, smallest first."""
    tensors = [tensor for tensor in (1, 2, 4, 8, 16) if tensor <= product.gpus_per_node and _divides(config, tensor)]
    for tensor in tensors:
        yield tensor, 1
    if product.gpus_per_node > 1:
        for nodes in range(2, min(MOST_NODES, config.layers) + 1):
            yield tensors[-1], nodes


def _divides(config: ModelConfig, tensor: int) -> bool:
    """Returns whether so many GPUs can share the attention heads. With fewer KV heads than GPUs, KV heads are repeated."""
    if not config.heads:
        return True
    if config.heads % tensor:
        return False
    return config.latent is not None or config.kv_heads % tensor == 0 or tensor % max(config.kv_heads, 1) == 0


def layout_of(load: Load, product: Product, tensor: int, pipeline: int) -> Layout:
    """Returns the layout with tensor and pipeline parallelism of these sizes, whether it fits or not."""
    config, weights = load.config, load.weights
    layers = -(-config.layers // pipeline)
    share = layers / config.layers / tensor
    per_gpu = int((weights.attention + weights.dense_mlp + weights.experts) * share + weights.other / tensor)
    per_gpu += weights.embeddings // (tensor * min(pipeline, 2))
    parts = 1 if config.latent is not None else min(tensor, max(config.kv_heads, 1))
    sequence = int(load.sequence_bytes * layers / config.layers / parts)
    return _fitted(load, product, per_gpu, sequence, load.concurrency, {"tensor_parallel": tensor, "pipeline_parallel": pipeline})


def _by_experts(load: Load, product: Product) -> Layout | None:
    experts = load.config.experts
    if experts is None or product.gpus_per_node < 2:
        return None
    weights = load.weights
    for gpus in (product.gpus_per_node * nodes for nodes in range(1, MOST_NODES + 1)):
        if gpus > experts.count:
            return None
        spread = weights.experts * (-(-experts.count // gpus)) // experts.count
        per_gpu = weights.total - weights.experts + spread
        each = -(-load.concurrency // gpus)
        sizes = {"tensor_parallel": 1, "expert_parallel": gpus, "data_parallel": gpus}
        layout = _fitted(load, product, per_gpu, load.sequence_bytes, each, sizes)
        if layout.fits:
            return layout
    return None


def _fitted(load: Load, product: Product, weights: int, sequence: int, sequences: int, sizes: dict[str, int]) -> Layout:
    """The layout with what is left on each GPU. `sequence`: bytes of one sequence on one GPU; `sequences`: how many it holds."""
    usable = int(product.memory_bytes * load.utilization)
    free = usable - load.overhead_bytes - weights - sequence * sequences
    gpus = sizes["tensor_parallel"] * sizes.get("pipeline_parallel", 1) * sizes.get("data_parallel", 1)
    repeated = sizes.get("data_parallel", 1)
    room = (usable - load.overhead_bytes - weights) // sequence if sequence else None
    why = None
    if free < 0:
        needed = (weights + sequence * sequences + load.overhead_bytes) / 2**30
        why = f"Needs {needed:.1f} GiB per GPU on {gpus} GPUs; {usable / 2**30:.1f} GiB of {product.name} are usable."
    return Layout(
        product=product.name,
        gpus_per_node=min(gpus, product.gpus_per_node),
        nodes=-(-gpus // product.gpus_per_node),
        fits=free >= 0,
        weights_bytes_per_gpu=weights,
        cache_bytes_per_gpu=sequence * sequences,
        free_bytes_per_gpu=free if free >= 0 else None,
        max_sequences=room * repeated if room is not None and free >= 0 else None,
        why_not=why,
        **sizes,
    )
