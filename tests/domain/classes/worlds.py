"""A small fleet in every way of sharing, its pools, and a class for each: what classes and manifests are tried on."""

from __future__ import annotations

import functools
from typing import Any

import msgspec

from fleet.domain.classes.requirements import ClassInPool, class_in_pool, label_keys
from fleet.domain.classes.workload import ClassSpec, problems
from fleet.domain.devices.inspection import NodeInputs, inspect
from fleet.domain.label_selectors import parse
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.nodes import PlacementNode, placement_node
from fleet.domain.placement.requirement import Toleration
from fleet.domain.pools.policy import PoolPolicy, PoolSpec
from fleet.domain.pools.selection import PoolSelector
from fleet.domain.snapshot import Taint
from tests.builders import H100, make_allocation, make_dra_device, make_node, with_pools
from tests.domain.placement.fleets import real

TAINT = Taint("nvidia.com/gpu", "present", "NoSchedule")
SPOT = Taint("spot", "", "NoExecute")
CLIQUE = "nvidia.com/gpu.clique"
L40S, T4, A100, A10G = "NVIDIA-L40S", "Tesla-T4", "NVIDIA-A100-SXM4-40GB", "NVIDIA-A10G"


def dra(name: str, *, busy: int = 0, pool: str = "dra", cards: int = 4, **node: Any) -> PlacementNode:
    """A node whose cards are published by NVIDIA's DRA driver and offered under no resource name."""
    snapshot = make_node(name, gpus=0, gfd=False, labels={"pool": pool, "nvidia.com/gpu.present": "true"}, **node)
    devices = [make_dra_device(index, node=name) for index in range(cards)]
    held = [make_allocation(device, claim=f"claim-{device.name}") for device in devices[:busy]]
    seen = inspect(NodeInputs(node=snapshot, pods=[], plugin=None, devices=devices, allocations=held))
    return placement_node("east", snapshot, seen, verdict="ready")


def nodes() -> list[PlacementNode]:
    """Twenty-one nodes; all have taints but those of `bare`, which is no pool."""
    return list(_nodes())


@functools.cache
def _nodes() -> tuple[PlacementNode, ...]:
    def labelled(pool: str, **more: str) -> dict[str, Any]:
        return {"labels": {"pool": pool, **more}, "taints": (TAINT,)}

    rack = {CLIQUE: "cluster.1"}
    other = {CLIQUE: "cluster.2"}
    return (
        real("h0", used=4, **labelled("h100")),
        real("h1", used=6, **labelled("h100")),
        real("h2", **labelled("h100")),
        real("h-bad", verdict="not_ready", **labelled("h100")),
        real("t0", product=T4, gpus=1, sharing="time-slicing", replicas=4, used=1, **labelled("t4")),
        real("t1", product=T4, gpus=1, sharing="time-slicing", replicas=4, used=4, **labelled("t4")),
        real("a0", product=A10G, gpus=4, sharing="time-slicing", replicas=10, renamed=True, **labelled("a10g")),
        real("l0", product=L40S, gpus=2, sharing="mps", replicas=8, **labelled("l40s")),
        real("s0", product=A100, gpus=1, mig="1g.5gb", used=2, **labelled("a100-single")),
        real("m0", mig={"1g.10gb": 14, "3g.40gb": 2}, used=10, resource="nvidia.com/mig-1g.10gb", **labelled("h100-mixed")),
        real("r0", gpus=4, **labelled("racks", **rack)),
        real("r1", gpus=4, **labelled("racks", **rack)),
        real("r2", gpus=4, used=2, **labelled("racks", **rack)),
        real("r3", gpus=4, **labelled("racks", **other)),
        dra("d0", busy=1, taints=(TAINT,)),
        dra("d1", busy=4, taints=(TAINT,)),
        real("spot0", taints=(TAINT, SPOT), labels={"pool": "spot"}),
        # Nodes that differ by product or sharing only: no label names a pool.
        real("x0", cluster="west"),
        real("x1", cluster="west", product=L40S, gpus=4),
        real("x2", cluster="west", product=L40S, gpus=4, sharing="time-slicing", replicas=4),
        real("bare", labels={"pool": "none"}),
    )


def pool(slug: str, **policy: Any) -> PoolSpec:
    return PoolSpec(slug=slug, selector=PoolSelector(labels=parse(f"pool={slug}")), policy=PoolPolicy(taints=(TAINT,), **policy))


POOLS = (
    pool("h100"),
    pool("t4"),
    pool("a10g"),
    pool("l40s"),
    pool("a100-single"),
    pool("h100-mixed"),
    pool("racks", nvlink=True),
    pool("dra"),
    pool("spot", tolerations=(Toleration("spot", "Exists", "", "NoExecute"),)),
    PoolSpec(slug="west-l40s", selector=PoolSelector(clusters=("west",), products=(L40S,), sharing=("exclusive",))),
)


def fleet() -> Fleet:
    return Fleet(with_pools(POOLS, nodes()), label_keys(POOLS))


CLASSES = {
    item.slug: item
    for item in (
        ClassSpec(slug="full", title="Full H100", gpus=4, sizes=(1, 2, 8), products=(H100,), pools=("h100", "spot")),
        ClassSpec(slug="shared", isolation="time-sliced", pools=("t4",), max_hours=8),
        ClassSpec(slug="renamed", isolation="time-sliced", pools=("a10g",), priority_class="low", runtime_class="nvidia"),
        ClassSpec(slug="mps", isolation="mps", min_memory_mib=5000, pools=("l40s",)),
        ClassSpec(slug="single", isolation="mig", profile="1g.5gb", pools=("a100-single",)),
        ClassSpec(slug="mixed", isolation="mig", profile="1g.10gb", gpus=2, pools=("h100-mixed",)),
        ClassSpec(slug="gang", gpus=8, nodes=2, topology="several-nodes", pools=("racks",)),
        ClassSpec(slug="rack", gpus=8, nodes=2, topology="nvlink-domain", min_driver="570", pools=("racks",)),
        ClassSpec(slug="nvlink", gpus=4, topology="nvlink", pools=("racks",)),
        ClassSpec(slug="dra", gpus=2, min_memory_mib=80_000, pools=("dra",)),
        ClassSpec(slug="spot", gpus=8, pools=("spot",)),
        ClassSpec(slug="west", gpus=2, pools=("west-l40s",)),
    )
}
assert not [entry.slug for entry in CLASSES.values() if problems(entry)]

ROOM = {
    "full": 3 + 2,  # 4 of h0 and 8 of h2; 8 of spot0
    "shared": 3,
    "renamed": 40,
    "mps": 16,
    "single": 5,
    "mixed": 2,
    "gang": 1,  # r0, r1 and r3 are whole: one pair of three
    "rack": 1,
    "nvlink": 3,
    "dra": 1,
    "spot": 1,
    "west": 2,
}
"""Replicas of each class that could land now, counted manually."""


def asked(slug: str, pool: str = "", **changes: Any) -> ClassInPool:
    """What a class asks of its first pool (or another), optionally with some fields changed."""
    class_spec = msgspec.structs.replace(CLASSES[slug], **changes)
    (wanted,) = [item for item in POOLS if item.slug == (pool or class_spec.pools[0])]
    return class_in_pool(class_spec, wanted, fleet())
