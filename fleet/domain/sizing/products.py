"""The GPU products of a fleet as layouts need them, from the nodes of placement."""

from __future__ import annotations

from collections.abc import Iterable

from fleet.domain.placement.nodes import FULL, MIG, PlacementNode, slot_memory, slot_mode
from fleet.domain.sizing.layouts import Product

MIB = 2**20


def products(nodes: Iterable[PlacementNode]) -> tuple[Product, ...]:
    """Returns the whole GPUs and MIG instances that these nodes have, by name.

    Shares of a GPU are left out: their memory is not their own. A product whose memory no source reports is left out too.
    """
    memory: dict[str, int] = {}
    most: dict[str, int] = {}
    for node in nodes:
        for slots in node.resources:
            mode, mib, count = slot_mode(node, slots), slot_memory(node, slots), slots.capacity or slots.predicted or 0
            if not node.product or mode not in (FULL, MIG) or not mib or not count:
                continue
            name = product_name(node.product, slots.profile if mode == MIG else "")
            memory[name] = min(memory.get(name, mib), mib)
            most[name] = max(most.get(name, 1), count if mode == FULL else 1)
    return tuple(Product(name=name, memory_bytes=memory[name] * MIB, gpus_per_node=most[name]) for name in sorted(memory))


def product_name(product: str, profile: str = "") -> str:
    """Returns the name of a whole GPU, or of a MIG instance of one: `NVIDIA-H100-80GB-HBM3 1g.10gb`."""
    return f"{product} {profile}" if profile else product
