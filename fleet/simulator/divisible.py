"""GPUs that the simulated DRA driver shares or partitions on demand: its devices, and the devices of claims."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fleet.simulator.world import Claim, Gpu, Instance, Node

SHARES = "dra-shares"
"""Node.sharing of a node whose GPUs are given out in shares, Node.replicas to a GPU."""
ON_DEMAND, PLACEMENTS = "dynamic", "placements"
"""Node.strategy of a node whose GPUs are cut on demand, published whole as well, or only as the ways to cut them."""
CUT = frozenset({ON_DEMAND, PLACEMENTS})
UNBOUNDED = 0
"""Node.replicas of a node whose GPUs are given out in any number of shares."""
_SLICES = 8
_ORDER = ("-mig-3g", "-mig-1g", "-mig-1g", "")
"""What pods on a node that cuts on demand ask for, one after the other; empty: a whole GPU."""


def placements(gpu: Gpu) -> list[Instance]:
    """Every way to cut a GPU: instances without a uuid, for they do not exist yet."""
    parts = []
    for profile in gpu.model.profiles:
        step = _SLICES // profile.most if profile.slices > 1 else 1
        parts += [Instance("", profile, number, number * step) for number in range(profile.most)]
    return parts


def counters(gpu: Gpu) -> dict[str, Any]:
    """The counter set of one GPU."""
    return {"name": f"gpu-{gpu.index}-counter-set", "counters": _amounts(7, range(_SLICES))}


def consumed(gpu: Gpu, instance: Instance | None) -> list[dict[str, Any]]:
    """The counters that a whole GPU, or a part of it, takes."""
    amounts = _amounts(7, range(_SLICES))
    if instance is not None:
        compute = int(instance.profile.name.split("g", 1)[0])
        amounts = _amounts(compute, range(instance.start, instance.start + _width(instance)))
    return [{"counterSet": f"gpu-{gpu.index}-counter-set", "counters": amounts}]


def share_capacity(gpu: Gpu, shares: int) -> dict[str, Any]:
    """Capacity of a GPU that several claims may hold: a number of shares, each with its part of the memory."""
    if shares == UNBOUNDED:
        return {"memory": {"value": f"{gpu.model.memory_mib}Mi", "requestPolicy": {"default": "0"}}}
    part = gpu.model.memory_mib // shares
    return {
        "memory": {
            "value": f"{gpu.model.memory_mib}Mi",
            "requestPolicy": {"default": f"{part}Mi", "validRange": {"min": "1Mi", "step": "1Mi"}},
        },
        "shares": {"value": str(shares), "requestPolicy": {"default": "1", "validRange": {"min": "1", "step": "1"}}},
    }


def share_taken(gpu: Gpu, shares: int) -> dict[str, str]:
    """What a claim of the default size takes."""
    if shares == UNBOUNDED:
        return {"memory": "0"}
    return {"memory": f"{gpu.model.memory_mib // shares}Mi", "shares": "1"}


def free(node: Node, devices: Iterable[tuple[str, Gpu, Instance | None]], claims: Iterable[Claim]) -> list[str]:
    """Names of the devices that one more claim could have, the one to take first."""
    held = [name for claim in claims if claim.node == node.name for name in claim.devices]
    rows = list(devices)
    if node.sharing == SHARES:
        return [name for name, _, _ in rows if node.replicas == UNBOUNDED or held.count(name) < node.replicas]
    taken: dict[int, set[int]] = {}
    for name, gpu, instance in rows:
        if name in held:
            taken.setdefault(gpu.index, set()).update(_range(instance))
    fitting = [name for name, gpu, instance in rows if taken.get(gpu.index, set()).isdisjoint(_range(instance))]
    wanted = _ORDER[len(held) % len(_ORDER)]
    if node.strategy == PLACEMENTS:
        wanted = wanted or "-mig-"
    return sorted(fitting, key=lambda name: (wanted not in name) if wanted else "-mig-" in name)


def taint_rule(node: Node) -> dict[str, Any]:
    """Keeps the node's last GPU from the scheduler by a DeviceTaintRule, with no taint in the slices."""
    selector = {"driver": "gpu.nvidia.com", "pool": node.name, "device": f"gpu-{node.gpus[-1].index}"}
    return {"deviceSelector": selector, "taint": {"key": "example.com/inspection", "value": "fan", "effect": "NoSchedule"}}


def _amounts(compute: int, slices: Iterable[int]) -> dict[str, Any]:
    return {"compute-slices": {"value": str(compute)}, **{f"memory-slice-{number}": {"value": "1"} for number in slices}}


def _width(instance: Instance) -> int:
    """Memory slices of an instance: 1, 2, 4 or 8, as real GPUs have it."""
    return {1: 1, 2: 2, 3: 4}.get(int(instance.profile.name.split("g", 1)[0]), _SLICES)


def _range(instance: Instance | None) -> range:
    return range(_SLICES) if instance is None else range(instance.start, instance.start + _width(instance))
