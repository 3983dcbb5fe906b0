"""Starter classes: classes that the current fleet meets, built from pools that advertise the resources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec

from fleet.domain.classes.workload import NODE, NODES, NVLINK_DOMAIN, ClassSpec
from fleet.domain.devices.mig import sort_key
from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.devices.sources.gfd import short_form
from fleet.domain.placement.fleet import Fleet, Shape
from fleet.domain.placement.nodes import FULL, MIG, MPS, TIME_SLICED, PlacementNode, slot_mode
from fleet.domain.pools.policy import PoolSpec

_WHOLE_NODE = 4
"""GPUs from which a node is worth training on as a whole."""


class Starter(msgspec.Struct, frozen=True, kw_only=True):
    """A class that could be created unchanged, and why it is suggested."""

    class_spec: ClassSpec
    because: str


class _Offer(msgspec.Struct, frozen=True):
    """One kind of slot of one product in one pool."""

    pool: PoolSpec
    mode: str
    product: str
    profile: str
    slots: int
    per_node: Counter[int]
    """Slots of a node to nodes that have as many."""
    cliques: Counter[tuple[str, str]]
    """Cluster and NVLink domain to nodes in it."""
    clusters: Counter[str]
    memory_mib: int | None


def starters(pools: Sequence[PoolSpec], fleet: Fleet) -> tuple[Starter, ...]:
    """Returns at most one class of each kind, without those that the fleet cannot meet. Pools may be suggested ones."""
    offers = [offer for pool in pools for offer in _offers(pool, fleet.of_pool(pool.slug))]
    return tuple(starter for kind in _KINDS for starter in kind(offers))


def _offers(pool: PoolSpec, shapes: Sequence[Shape]) -> Iterator[_Offer]:
    offers: dict[tuple[str, str, str], list[tuple[Shape, ResourceSlots]]] = {}
    for shape in shapes:
        for slots in shape.node.resources:
            mode = slot_mode(shape.node, slots)
            if mode is not None and slots.capacity and shape.node.product:
                offers.setdefault((mode, shape.node.product, slots.profile), []).append((shape, slots))
    for (mode, product, profile), seen in offers.items():
        if mode == MIG and not profile:
            continue
        per_node: Counter[int] = Counter()
        cliques: Counter[tuple[str, str]] = Counter()
        clusters: Counter[str] = Counter()
        for shape, slots in seen:
            per_node[slots.capacity or 0] += len(shape.nodes)
            clusters[shape.node.cluster] += len(shape.nodes)
            if shape.node.clique:
                cliques[shape.node.cluster, shape.node.clique] += len(shape.nodes)
        total = sum(count * nodes for count, nodes in per_node.items())
        memory = _least_memory([shape.node for shape, _ in seen])
        yield _Offer(pool, mode, product, profile, total, per_node, cliques, clusters, memory)


def _least_memory(nodes: Sequence[PlacementNode]) -> int | None:
    rows = [node.gpu_memory_mib for node in nodes if node.gpu_memory_mib]
    return min(rows) if len(rows) == len(nodes) else None


def _small_inference(offers: Sequence[_Offer]) -> Iterator[Starter]:
    best = _best([offer for offer in offers if offer.mode in (TIME_SLICED, MPS)], "inference", "small-model")
    if best:
        yield _starter(
            best,
            offers,
            slug="small-shared-inference",
            title=f"Small shared inference, {short_form(best.product)}",
            purpose="Small models and test servers that may wait for their turn.",
        )


def _slice_inference(offers: Sequence[_Offer]) -> Iterator[Starter]:
    best = _best([offer for offer in offers if offer.mode == MIG], "MIG", "inference")
    if best:
        yield _starter(
            best,
            offers,
            slug="mig-slice-inference",
            title=f"{short_form(best.product)} slice {best.profile}, inference",
            purpose="Models that fit a slice and must not be disturbed by neighbours.",
        )


def _full_inference(offers: Sequence[_Offer]) -> Iterator[Starter]:
    best = _best([offer for offer in offers if offer.mode == FULL], "online", "inference", "serving")
    if best:
        largest = max(best.per_node)
        yield _starter(
            best,
            offers,
            slug="full-gpu-inference",
            title=f"Full {short_form(best.product)}, production inference",
            purpose="User-facing models on full GPUs, not shared.",
            sizes=tuple(size for size in (2, 4, 8) if size <= largest),
        )


def _node_training(offers: Sequence[_Offer]) -> Iterator[Starter]:
    best = _best(_whole_nodes(offers), "training")
    if best:
        count = _usual(best)
        yield _starter(
            best,
            offers,
            slug="whole-node-training",
            title=f"Whole-node training, {count} × {short_form(best.product)}",
            purpose="Training and fine-tuning on all GPUs of one node.",
            gpus=count,
        )


def _multi_node_training(offers: Sequence[_Offer]) -> Iterator[Starter]:
    able = [offer for offer in offers if offer.mode == FULL and offer.cliques and max(offer.cliques.values()) > 1]
    topology = NVLINK_DOMAIN
    if not able:
        able, topology = [offer for offer in _whole_nodes(offers) if max(offer.clusters.values()) > 1], NODES
    best = _best(able, "training")
    if best:
        count = _usual(best)
        within = "one NVLink domain" if topology == NVLINK_DOMAIN else "one cluster"
        yield _starter(
            best,
            able,
            slug="multi-node-training",
            title=f"Multi-node training, 2 × {count} × {short_form(best.product)}",
            purpose=f"Training over two whole nodes of {within}.",
            gpus=2 * count,
            nodes=2,
            topology=topology,
        )


def _notebook(offers: Sequence[_Offer]) -> Iterator[Starter]:
    shared = [offer for offer in offers if offer.mode == TIME_SLICED]
    smallest = sorted((offer for offer in offers if offer.mode == MIG), key=lambda offer: sort_key(offer.profile))
    best = _best(shared, "notebook") or (smallest[0] if smallest else None)
    if best:
        yield _starter(
            best,
            offers,
            slug="notebook",
            title=f"Notebook, {short_form(best.product)}{' slice ' + best.profile if best.profile else ''}",
            purpose="Notebooks and experiments that are idle most of the time.",
            max_hours=72,
        )


_KINDS: tuple[Callable[[Sequence[_Offer]], Iterator[Starter]], ...] = (
    _small_inference,
    _slice_inference,
    _full_inference,
    _node_training,
    _multi_node_training,
    _notebook,
)


def _whole_nodes(offers: Sequence[_Offer]) -> list[_Offer]:
    return [offer for offer in offers if offer.mode == FULL and _usual(offer) >= _WHOLE_NODE]


def _usual(offer: _Offer) -> int:
    """Returns the GPUs of most of its nodes; the larger number where two are as frequent."""
    return max(offer.per_node, key=lambda count: (offer.per_node[count], count))


def _best(offers: Sequence[_Offer], *words: str) -> _Offer | None:
    """Returns the offer whose pool has this purpose, else the one with most slots; the pool's name decides between equals."""
    if not offers:
        return None
    return min(
        offers,
        key=lambda offer: (not any(word in offer.pool.policy.purpose for word in words), -offer.slots, offer.pool.slug),
    )


def _starter(  # noqa: PLR0913 the fields of a starter class
    best: _Offer,
    offers: Sequence[_Offer],
    *,
    slug: str,
    title: str,
    purpose: str,
    gpus: int = 1,
    nodes: int = 1,
    sizes: tuple[int, ...] = (),
    topology: str = NODE,
    max_hours: int | None = None,
) -> Starter:
    alike = [offer for offer in offers if (offer.mode, offer.product, offer.profile) == (best.mode, best.product, best.profile)]
    able = [item for item in alike if any(count >= gpus // nodes for count in item.per_node)]
    others = sorted((entry for entry in able if entry.pool.slug != best.pool.slug), key=lambda row: (-row.slots, row.pool.slug))
    class_spec = ClassSpec(
        slug=slug,
        title=title,
        purpose=purpose,
        isolation=best.mode,
        gpus=gpus,
        sizes=sizes,
        nodes=nodes,
        topology=topology,
        profile=best.profile,
        products=(best.product,),
        min_memory_mib=best.memory_mib if best.mode == FULL else None,
        priority_class=best.pool.policy.priority_class,
        pools=(best.pool.slug, *(other.pool.slug for other in others)),
        max_hours=max_hours,
    )
    units = {FULL: "whole GPUs", MIG: f"MIG instances {best.profile}", TIME_SLICED: "time-sliced slots", MPS: "MPS slots"}
    count = sum(result.slots for result in able)
    pools = "pool" if len(able) == 1 else f"{len(able)} pools, first"
    return Starter(
        class_spec=class_spec,
        because=f"{count} {units.get(best.mode, 'slots')} of {short_form(best.product)} in {pools} {best.pool.slug}.",
    )
