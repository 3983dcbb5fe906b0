"""Workload class: a definition of GPU workloads for developers."""

from __future__ import annotations

import re
from math import ceil

import msgspec

from fleet.domain.devices.mig import parse_profile
from fleet.domain.placement.nodes import FULL, MIG, MPS, OTHER_RESOURCES, PARTITION, TIME_SLICED
from fleet.domain.placement.requirement import version
from fleet.domain.pod_resources import amount_of

ISOLATIONS = {
    FULL: "Whole GPUs for one pod. Memory and faults are isolated.",
    MIG: "A hardware partition of a GPU with its own memory. Memory and faults are isolated.",
    TIME_SLICED: "A time-sliced GPU. Not isolated: neighbours can fill its memory, slow it down or crash it.",
    MPS: "A GPU shared at the same time, with a memory limit per client. Faults are not isolated: one client's crash can crash "
    "the others.",
    PARTITION: "A partition of a GPU with its own compute units, as AMD's DPX, QPX or CPX. Its memory is its own only where the "
    "memory mode splits it (NPS); a fault of the GPU ends every partition.",
}
"""Meaning of each isolation. Only MIG and whole GPUs isolate memory and faults."""


def is_isolated(isolation: str) -> bool:
    """Returns whether memory and faults of neighbours cannot reach a workload."""
    return isolation in (FULL, MIG)


NODE, NVLINK, NVLINK_DOMAIN, NODES = "one-node", "nvlink", "nvlink-domain", "several-nodes"
TOPOLOGIES = {
    NODE: "All GPUs of a replica in one node.",
    NVLINK: "All GPUs of a replica in one node, joined by NVLink.",
    NVLINK_DOMAIN: "The pods of a replica on nodes of one NVLink domain (nvidia.com/gpu.clique).",
    NODES: "The pods of a replica on several nodes of one cluster.",
}
MOST_GPUS, MOST_NODES = 4096, 512
_MODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._ -]{0,37}[A-Za-z0-9])?", re.ASCII)


PER_SLOT = ("cpu_per_slot", "memory_per_slot", "storage_per_slot", "hugepages_2mi_per_slot", "hugepages_1gi_per_slot")
"""Fields of a class in the order of OTHER_RESOURCES."""
_PAGES = {"hugepages_2mi_per_slot": 2**21, "hugepages_1gi_per_slot": 2**30}


class ClassSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Definition of a class. The default is one whole GPU of any kind on one node."""

    slug: str
    title: str = ""
    purpose: str = ""
    """Purpose, in a sentence."""
    isolation: str = FULL
    gpus: int = 1
    """Slots per replica, over all of its pods."""
    sizes: tuple[int, ...] = ()
    """Other numbers of slots per replica that a developer may choose; empty for only `gpus`."""
    min_memory_mib: int | None = None
    """Per slot."""
    profile: str = ""
    """MIG profile or partition mode of one slot: isolation mig and partition need it, the others have none."""
    products: tuple[str, ...] = ()
    cpu_per_slot: str = ""
    """What a pod requests for each of its slots beside them, as a quantity; empty for nothing."""
    memory_per_slot: str = ""
    storage_per_slot: str = ""
    """Ephemeral storage."""
    hugepages_2mi_per_slot: str = ""
    """Huge pages, in bytes as a quantity: a multiple of the page."""
    hugepages_1gi_per_slot: str = ""
    topology: str = NODE
    nodes: int = 1
    """Pods per replica, each with an equal part of the slots."""
    min_driver: str = ""
    min_cuda: str = ""
    priority_class: str = ""
    runtime_class: str = ""
    max_replicas: int | None = None
    """Replicas that a team may have without approval; None: every request needs approval."""
    max_hours: int | None = None
    """Longest duration of a request."""
    pools: tuple[str, ...] = ()
    """Slugs, in order of preference."""

    @property
    def slots_per_pod(self) -> int:
        return self.gpus // self.nodes

    @property
    def other_requests(self) -> tuple[tuple[str, int], ...]:
        """Returns what one pod requests beside its slots: cpu in millicores, memory and storage in bytes."""
        written = tuple(getattr(self, field) for field in PER_SLOT)
        amounts = [(name, amount_of(name, text)) for name, text in zip(OTHER_RESOURCES, written, strict=True) if text]
        return tuple((name, ceil(amount * self.slots_per_pod)) for name, amount in amounts if amount)

    @property
    def choices(self) -> tuple[int, ...]:
        """Returns every number of slots per replica that a developer may choose."""
        return tuple(sorted({self.gpus, *self.sizes}))


def sized(class_spec: ClassSpec, gpus: int) -> ClassSpec:
    """Returns the class with another number of slots per replica."""
    return msgspec.structs.replace(class_spec, gpus=gpus)


def problems(class_spec: ClassSpec) -> tuple[tuple[str, str], ...]:
    """Returns contradictions in a class: field and sentence; empty for a valid one."""
    rows: list[tuple[str, str]] = []
    if class_spec.isolation not in ISOLATIONS:
        rows.append(("isolation", f"Choose from {', '.join(ISOLATIONS)}."))
    if class_spec.topology not in TOPOLOGIES:
        rows.append(("topology", f"Choose from {', '.join(TOPOLOGIES)}."))
    rows += _numbers(class_spec)
    if class_spec.isolation in (TIME_SLICED, MPS):
        if class_spec.choices != (1,):
            rows.append(("gpus", "A shared class has exactly one slot per replica: more shares give no more of a GPU."))
        if class_spec.nodes > 1:
            rows.append(("nodes", "A shared class has one pod per replica."))
    if class_spec.isolation == MIG and not class_spec.profile:
        rows.append(("profile", "A class of MIG instances names its profile: 1g.10gb, 3g.40gb …"))
    if class_spec.isolation == PARTITION and not _MODE.fullmatch(class_spec.profile):
        rows.append(("profile", "A class of partitions names their mode: CPX, DPX, cpx_nps4 …"))
    if class_spec.isolation not in (MIG, PARTITION) and class_spec.profile:
        rows.append(("profile", "Only a class with isolation mig or partition has a profile."))
    if class_spec.isolation == MIG and class_spec.profile and parse_profile(class_spec.profile) is None:
        rows.append(("profile", f"“{class_spec.profile}” is not a MIG profile: use a profile such as 1g.10gb."))
    rows += _amounts(class_spec)
    for name in ("min_driver", "min_cuda"):
        text = getattr(class_spec, name)
        if text and version(text) is None:
            rows.append((name, f"“{text}” is not a version: use numbers separated by dots."))
    if len(set(class_spec.pools)) != len(class_spec.pools):
        rows.append(("pools", "A pool is named twice."))
    return tuple(rows)


def _amounts(class_spec: ClassSpec) -> list[tuple[str, str]]:
    rows = []
    for name in PER_SLOT:
        text = getattr(class_spec, name)
        amount = amount_of("cpu" if name == "cpu_per_slot" else "memory", text) if text else None
        if text and not amount:
            rows.append((name, f"“{text}” is not a quantity above 0: use 8 or 500m for cores, 64Gi for bytes."))
        elif amount and name in _PAGES:
            if amount % _PAGES[name]:
                rows.append((name, f"“{text}” is not a multiple of the page of {_PAGES[name] // 2**20} MiB."))
            # the API server refuses a container with huge pages and neither (validation.go: "HugePages require cpu or memory")
            if not (class_spec.cpu_per_slot or class_spec.memory_per_slot):
                rows.append((name, "Kubernetes requires CPU or memory beside huge pages: state one of them as well."))
    return rows


def _numbers(class_spec: ClassSpec) -> list[tuple[str, str]]:
    numbers = []
    if not all(1 <= count <= MOST_GPUS for count in class_spec.choices):
        numbers.append(("gpus", f"Enter a whole number from 1 to {MOST_GPUS}."))
    if not 1 <= class_spec.nodes <= MOST_NODES:
        numbers.append(("nodes", f"Enter a whole number from 1 to {MOST_NODES}."))
    elif any(count % class_spec.nodes for count in class_spec.choices):
        numbers.append(("nodes", "Every pod of a replica gets the same number of slots: nodes must divide gpus and every size."))
    if class_spec.topology in (NODE, NVLINK) and class_spec.nodes > 1:
        numbers.append(
            (
                "nodes",
                f"With the topology {class_spec.topology} a replica is one pod; for more, write {NODES} or {NVLINK_DOMAIN}.",
            )
        )
    if class_spec.topology in (NODES, NVLINK_DOMAIN) and class_spec.nodes < 2:
        numbers.append(("nodes", f"The topology {class_spec.topology} needs at least 2 nodes."))
    if class_spec.min_memory_mib is not None and class_spec.min_memory_mib < 1:
        numbers.append(("min_memory_mib", "Write MiB above 0, or leave it out."))
    if class_spec.max_replicas is not None and class_spec.max_replicas < 0:
        numbers.append(("max_replicas", "Write 0 or more, or leave it out."))
    if class_spec.max_hours is not None and class_spec.max_hours < 1:
        numbers.append(("max_hours", "Write 1 hour or more, or leave it out."))
    return numbers
