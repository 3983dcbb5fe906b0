"""A workload class: what a developer is promised."""

from __future__ import annotations

import msgspec

from fleet.domain.mig import parse_profile
from fleet.domain.placement.nodes import FULL, MIG, MPS, TIME_SLICED
from fleet.domain.placement.requirement import version

ISOLATIONS = {
    FULL: "Whole cards, yours alone. Memory and faults of others cannot reach you.",
    MIG: "A slice of a card cut by the hardware, with its own memory and its own faults. Neighbours cannot see or crash it.",
    TIME_SLICED: "A share of a card, by turns. Nothing is isolated: neighbours can fill its memory, slow you down or crash it.",
    MPS: "A share of a card at the same time as others, with a limit on its memory. Faults are not isolated: one client's crash "
    "can take the others with it.",
}
"""What each isolation means, in plain words. Only MIG and whole cards isolate memory and faults."""

NODE, NVLINK, NVLINK_DOMAIN, NODES = "one-node", "nvlink", "nvlink-domain", "several-nodes"
TOPOLOGIES = {
    NODE: "All GPUs of a replica in one node.",
    NVLINK: "All GPUs of a replica in one node, joined by NVLink.",
    NVLINK_DOMAIN: "The pods of a replica on nodes of one NVLink domain (nvidia.com/gpu.clique).",
    NODES: "The pods of a replica on several nodes of one cluster.",
}
MOST_GPUS, MOST_NODES = 4096, 512


class WorkloadClass(msgspec.Struct, frozen=True, kw_only=True):
    """The default is one whole card of any kind on one node."""

    slug: str
    title: str = ""
    purpose: str = ""
    """What it is for, in a sentence."""
    isolation: str = FULL
    gpus: int = 1
    """Slots per replica, over all of its pods."""
    sizes: tuple[int, ...] = ()
    """Other numbers of slots per replica that a developer may choose; empty for only `gpus`."""
    min_memory_mib: int | None = None
    """Per slot."""
    profile: str = ""
    """MIG profile of one slot: isolation mig needs it, the others have none."""
    products: tuple[str, ...] = ()
    topology: str = NODE
    nodes: int = 1
    """Pods per replica, each with an equal part of the slots."""
    min_driver: str = ""
    min_cuda: str = ""
    priority_class: str = ""
    runtime_class: str = ""
    max_replicas: int | None = None
    """Replicas that a team may have without anybody's approval; None leaves every request to an approver."""
    max_hours: int | None = None
    """Longest time a request lives."""
    pools: tuple[str, ...] = ()
    """Slugs, in order of preference."""

    @property
    def slots_per_pod(self) -> int:
        return self.gpus // self.nodes

    @property
    def choices(self) -> tuple[int, ...]:
        """Every number of slots per replica that a developer may choose."""
        return tuple(sorted({self.gpus, *self.sizes}))


def sized(promise: WorkloadClass, gpus: int) -> WorkloadClass:
    """The class with another number of slots per replica."""
    return msgspec.structs.replace(promise, gpus=gpus)


def problems(promise: WorkloadClass) -> tuple[tuple[str, str], ...]:
    """What does not go together in a class: field and sentence; empty for a sound one."""
    found: list[tuple[str, str]] = []
    if promise.isolation not in ISOLATIONS:
        found.append(("isolation", f"Write one of {', '.join(ISOLATIONS)}."))
    if promise.topology not in TOPOLOGIES:
        found.append(("topology", f"Write one of {', '.join(TOPOLOGIES)}."))
    found += _numbers(promise)
    if promise.isolation in (TIME_SLICED, MPS):
        if promise.choices != (1,):
            found.append(
                ("gpus", "More than one share gives no more of a card: a shared class has exactly one slot per replica.")
            )
        if promise.nodes > 1:
            found.append(("nodes", "A shared class has one pod per replica."))
    if promise.isolation == MIG and not promise.profile:
        found.append(("profile", "A class of MIG instances names its profile: 1g.10gb, 3g.40gb …"))
    if promise.isolation != MIG and promise.profile:
        found.append(("profile", "Only a class with isolation mig has a profile."))
    if promise.profile and parse_profile(promise.profile) is None:
        found.append(("profile", f"“{promise.profile}” is no MIG profile: write it like 1g.10gb."))
    for name in ("min_driver", "min_cuda"):
        text = getattr(promise, name)
        if text and version(text) is None:
            found.append((name, f"“{text}” is no version: write numbers with dots between them."))
    if len(set(promise.pools)) != len(promise.pools):
        found.append(("pools", "A pool is named twice."))
    return tuple(found)


def _numbers(promise: WorkloadClass) -> list[tuple[str, str]]:
    found = []
    if not all(1 <= count <= MOST_GPUS for count in promise.choices):
        found.append(("gpus", f"Write a whole number from 1 to {MOST_GPUS}."))
    if not 1 <= promise.nodes <= MOST_NODES:
        found.append(("nodes", f"Write a whole number from 1 to {MOST_NODES}."))
    elif any(count % promise.nodes for count in promise.choices):
        found.append(("nodes", "Every pod of a replica gets the same number of slots: nodes must divide gpus and every size."))
    if promise.topology in (NODE, NVLINK) and promise.nodes > 1:
        found.append(
            ("nodes", f"With the topology {promise.topology} a replica is one pod; for more, write {NODES} or {NVLINK_DOMAIN}.")
        )
    if promise.topology in (NODES, NVLINK_DOMAIN) and promise.nodes < 2:
        found.append(("nodes", f"The topology {promise.topology} needs at least 2 nodes."))
    if promise.min_memory_mib is not None and promise.min_memory_mib < 1:
        found.append(("min_memory_mib", "Write MiB above 0, or leave it out."))
    if promise.max_replicas is not None and promise.max_replicas < 0:
        found.append(("max_replicas", "Write 0 or more, or leave it out."))
    if promise.max_hours is not None and promise.max_hours < 1:
        found.append(("max_hours", "Write 1 hour or more, or leave it out."))
    return found
