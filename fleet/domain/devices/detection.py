"""Detection of GPU nodes, with evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from fleet.domain import labels, pci
from fleet.domain.devices.sources import cloud, fractions
from fleet.domain.findings import Evidence
from fleet.domain.quantities import parse_count, parse_quantity
from fleet.domain.snapshot import DraDevice, IncompletePool, NodeSnapshot

_NVIDIA_FOUND = frozenset({labels.GPU_PRODUCT, labels.GPU_FAMILY, labels.GPU_COUNT})
_CLOUD_NAMES = frozenset({labels.GKE_ACCELERATOR, labels.AWS_ACCELERATOR})
_VENDOR_NAMES = frozenset({labels.AKS_ACCELERATOR, labels.ACCELERATOR_OLD})
_CLOUD_COUNTS = frozenset({labels.NVSENTINEL_GPU_COUNT_EXPECTED, labels.NVSENTINEL_GPU_COUNT_CURRENT})
_DISTRIBUTIONS = frozenset({"k3s", "rke2"})
# DMI product names of virtual machines of any size (GFD writes it with dashes for blanks).
_ANY_MACHINE = ("unknown", "Virtual-Machine", "Google-Compute-Engine", "Standard-PC-", "KVM", "VMware", "OpenStack-", "HVM-domU")
_ANY_NUMBER = ("n1-", "custom-")
_Proves = Callable[[str], bool]


def gpu_evidence(node: NodeSnapshot, dra_devices: Sequence[DraDevice] = ()) -> tuple[Evidence, ...]:
    """Returns the evidence that this node has, or should have, GPUs; empty for a node that is not a GPU node.

    A node whose GPU is expected (by the machine type, the PCI bus, the operator) but not advertised is one. The mere name of a
    resource proves nothing: stale names stay behind at 0. `nvidia.com/gpu.present=false` voids what GFD left behind. GKE's
    accelerator count proves nothing by itself: GKE writes it on TPU nodes too, for their chips. `dra_devices` may hold other
    nodes' devices too.
    """
    evidence = [
        Evidence(source, name, text)
        for source, resources in (("capacity", node.capacity), ("allocatable", node.allocatable))
        for name, text in resources.items()
        if labels.is_gpu_resource(name) and (parse_quantity(text) or 0) > 0
    ]
    evidence += [
        Evidence("capacity", name, text)
        for name, text in node.capacity.items()
        if fractions.counts_gpus(name, node.capacity) and (parse_quantity(text) or 0) > 0
    ]
    if fractions.is_integrated(node):
        evidence.append(Evidence("node", "kernel", node.node_info.kernel))
    gone = node.labels.get(labels.GPU_PRESENT) == "false"
    for key, value in node.labels.items():
        proves = _test_of(key)
        if proves is not None and proves(value) and not (gone and _is_gfd(key)):
            evidence.append(Evidence("label", key, value))
    published = sum(1 for device in dra_devices if node_of(device) == node.name and is_gpu_device(device))
    if published:
        evidence.append(Evidence("resource_slice", "devices", str(published)))
    return tuple(evidence)


def node_of(published: DraDevice | IncompletePool) -> str:
    """Returns the node of a DRA device or pool. Drivers that name no node name their pool after it."""
    return published.node_name or published.pool


def is_gpu_device(device: DraDevice) -> bool:
    """Returns whether a DRA device is a GPU or a part of one; ComputeDomain channels and daemons are not."""
    if device.driver == labels.DRA_NVIDIA_COMPUTE_DOMAIN or device.type in ("channel", "daemon"):
        return False
    return labels.is_gpu_driver(device.driver) or device.type in ("gpu", "mig", "vfio")


@lru_cache(maxsize=16384)
def _test_of(key: str) -> _Proves | None:
    """Returns the test that a label's value must pass as evidence of a GPU; None for other labels.

    A fleet has few distinct keys.
    """
    if key == labels.GPU_PRESENT:
        return _is_true
    if _is_gfd(key):
        return _is_positive if key.endswith("count") else bool
    if key.startswith(labels.NFD):
        return _is_true if key in labels.NFD_AMD_GPU or pci.pci_gpu_vendor(key) else None
    if key in _CLOUD_COUNTS:
        return _is_positive
    if key in _VENDOR_NAMES:
        return _names_a_vendor
    if key in _CLOUD_NAMES:
        return labels.names_a_gpu
    if key.startswith(labels.COREWEAVE_GPU_PREFIX):
        return _CLOUD_ATTRIBUTES.get(key.removeprefix(labels.COREWEAVE_GPU_PREFIX))
    if attribute := labels.karpenter_gpu_attribute(key):
        return _CLOUD_ATTRIBUTES.get(attribute)
    return _test_of_other_vendors(key)


def _test_of_other_vendors(key: str) -> _Proves | None:
    if key.startswith((labels.AMD_LABEL, labels.AMD_LABEL_OLD, labels.GAUDI)):
        return _is_something
    if key == labels.INTEL_DEVICE_COUNT:
        return _is_positive
    if key in labels.NFD_VENDOR_GPU or (key.startswith(labels.INTEL_DEVICE_ID) and key.endswith(".present")):
        return _is_true
    return bool if key in (labels.INTEL_PRODUCT, labels.INTEL_FAMILY) else None


def _is_gfd(key: str) -> bool:
    """Returns whether GPU feature discovery writes this label only where it detected a GPU."""
    return key in _NVIDIA_FOUND or (key.startswith(labels.MIG_LABEL_PREFIX) and key.endswith(".count"))


def _is_true(value: str) -> bool:
    return value == "true"


def _is_something(value: str) -> bool:
    return value not in ("", "0")


def _is_positive(value: str) -> bool:
    return (parse_count(value) or 0) > 0


def _names_a_vendor(value: str) -> bool:
    return value.lower().startswith(("nvidia", "amd"))


_CLOUD_ATTRIBUTES: dict[str, _Proves] = {
    "count": _is_positive,
    "name": bool,
    "model": bool,
    "class": bool,
    "manufacturer": bool,
}


def machine_type(node_labels: Mapping[str, str]) -> str:
    """Returns the machine or instance type, by its current or its old label; empty if unknown.

    Machines of one type are expected to have the same number of GPUs. K3s and RKE2 write their own name on every node, which does
    not identify the machine: GFD's label is used then, unless it names only a hypervisor. GCE's N1 machines take any number of
    GPUs: the number is part of their type.
    """
    declared_type = node_labels.get(labels.INSTANCE_TYPE) or node_labels.get(labels.INSTANCE_TYPE_OLD, "")
    if declared_type in _DISTRIBUTIONS:
        machine = node_labels.get(labels.GPU_MACHINE, "")
        return "" if machine.startswith(_ANY_MACHINE) else machine
    if declared_type.startswith(_ANY_NUMBER) and labels.GKE_ACCELERATOR in node_labels:
        ordered = cloud.read(node_labels).count
        return f"{declared_type} ×{ordered} GPU{'s' if ordered > 1 else ''}" if ordered else declared_type
    return declared_type


def zone(node_labels: Mapping[str, str]) -> str:
    """Returns the zone, by its current or its old label; empty if unknown."""
    return node_labels.get(labels.ZONE) or node_labels.get(labels.ZONE_OLD, "")
