"""Dynamic Resource Allocation: the ResourceSlices a node publishes, the claims on them, and the device classes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fleet.simulator import divisible, dra_mode, managed
from fleet.simulator.flavours import Flavour
from fleet.simulator.pods import stamp
from fleet.simulator.seeds import Seed
from fleet.simulator.world import Claim, Gpu, Instance, Node

DRIVER = "gpu.nvidia.com"
_IMEX_DRIVER = "compute-domain.nvidia.com"
_API = "resource.k8s.io/v1"


def device_name(gpu: Gpu, instance: Instance | None = None) -> str:
    if instance is None:
        return f"gpu-{gpu.index}"
    profile = instance.profile.name.replace(".", "")
    return f"gpu-{gpu.index}-mig-{profile}-{instance.profile.gi_profile}-{instance.start}"


def _semver(version: str) -> str:
    """A driver version as the DRA driver writes it: without leading zeros."""
    parts = [str(int(part)) for part in version.split(".")]
    return ".".join([*parts, "0", "0"][:3])


def _device(node: Node, gpu: Gpu, instance: Instance | None, flavour: Flavour, tainted_at: str | None) -> dict[str, Any]:
    model = gpu.model
    attributes: dict[str, Any] = {
        "architecture": {"string": model.architecture},
        "brand": {"string": "Nvidia"},
        "cudaComputeCapability": {"version": f"{model.compute[0]}.{model.compute[1]}.0"},
        "cudaDriverVersion": {"version": _semver(flavour.cuda)},
        "driverVersion": {"version": _semver(flavour.driver)},
        "productName": {"string": model.name},
        "resource.kubernetes.io/pciBusID": {"string": gpu.pci},
        "resource.kubernetes.io/pcieRoot": {"string": f"pci{gpu.pci.split(':')[0]}:00"},
    }
    if instance is None:
        attributes |= {"type": {"string": "gpu"}, "uuid": {"string": gpu.uuid}}
        capacity = {"memory": {"value": f"{model.memory_mib}Mi"}}
    else:
        profile = instance.profile
        attributes |= {
            "parentUUID": {"string": gpu.uuid},
            "profile": {"string": profile.name},
            "type": {"string": "mig"},
        }
        if instance.uuid:
            attributes["uuid"] = {"string": instance.uuid}
        capacity = {
            "copyEngines": {"value": str(profile.copy)},
            "decoders": {"value": str(profile.decoder)},
            "encoders": {"value": "0"},
            "jpegEngines": {"value": str(profile.jpeg)},
            "memory": {"value": f"{profile.memory_mib}Mi"},
            f"memorySlice{instance.start}": {"value": "1"},
            "multiprocessors": {"value": str(profile.multiprocessors)},
            "ofaEngines": {"value": "0"},
        }
    device: dict[str, Any] = {"name": device_name(gpu, instance), "attributes": attributes, "capacity": capacity}
    if node.sharing == divisible.SHARES:
        device |= {"allowMultipleAllocations": True, "capacity": divisible.share_capacity(gpu, node.replicas)}
    if node.strategy in divisible.CUT:
        device["consumesCounters"] = divisible.consumed(gpu, instance)
    if not gpu.healthy:
        taint = {"key": f"{DRIVER}/xid", "value": str(gpu.xid), "effect": "NoSchedule", "timeAdded": tainted_at}
        device["taints"] = [taint]
    return device


def names(node: Node) -> list[tuple[str, Gpu, Instance | None]]:
    """The names of the devices a node publishes, each with its GPU."""
    if dra_mode.is_amd(node):
        return [(device["name"], gpu, None) for gpu in node.gpus for device in dra_mode.amd_devices(gpu)]
    return [(device_name(gpu, part), gpu, part) for gpu, part in devices(node)]


def devices(node: Node) -> list[tuple[Gpu, Instance | None]]:
    """The devices a node publishes: whole cards and MIG instances; a card cut into none is not published.

    A node that cuts on demand publishes each card whole and in every way it could be cut.
    """
    rows: list[tuple[Gpu, Instance | None]] = []
    if node.strategy == divisible.ON_DEMAND:
        return [(gpu, part) for gpu in node.gpus for part in (None, *divisible.placements(gpu))]
    if node.strategy == divisible.PLACEMENTS:
        return [(gpu, part) for gpu in node.gpus for part in divisible.placements(gpu)]
    for gpu in node.gpus:
        rows += [(gpu, instance) for instance in gpu.instances] if gpu.mig else [(gpu, None)]
    return rows


def slices(node: Node, flavour: Flavour, seed: Seed, now: datetime) -> list[dict[str, Any]]:
    """A node's ResourceSlices: one for its GPUs, or two when there are many devices, and one for the IMEX channels.

    While `slices_missing`, the newest generation says two slices and only the first is there.
    """
    if dra_mode.is_amd(node):
        listed = [device for gpu in node.gpus for device in dra_mode.amd_devices(gpu)]
        return [_slice(node, dra_mode.AMD_DRIVER, listed, 1, "0", seed)]
    listed = [_device(node, gpu, instance, flavour, stamp(now)) for gpu, instance in devices(node)]
    count = 2 if node.slices_missing or len(listed) > 16 else 1
    half = -(-len(listed) // count)
    parts = [listed[number * half : (number + 1) * half] for number in range(count)]
    on_demand = node.strategy in divisible.CUT
    made = [
        _slice(node, DRIVER, part, count + on_demand, f"{number}", seed)
        for number, part in enumerate(parts)
        if not (node.slices_missing and number)
    ]
    if on_demand:
        counted = _slice(node, DRIVER, [], count + 1, "counters", seed)
        counted["spec"]["sharedCounters"] = [divisible.counters(gpu) for gpu in node.gpus]
        made.append(counted)
    imex = [{"name": f"{kind}-0", "attributes": {"id": {"int": 0}, "type": {"string": kind}}} for kind in ("channel", "daemon")]
    return [*made, _slice(node, _IMEX_DRIVER, imex, 1, "imex", seed)]


def _slice(node: Node, driver: str, listed: list[dict[str, Any]], count: int, part: str, seed: Seed) -> dict[str, Any]:
    generation = node.slice_generation if driver == DRIVER else 1
    spec = {
        "driver": driver,
        "pool": {"name": node.name, "generation": generation, "resourceSliceCount": count},
        "nodeName": node.name,
        "devices": listed,
    }
    plugin = "amd-gpu-kubelet-plugin" if driver == dra_mode.AMD_DRIVER else "gpu-kubelet-plugin"
    name = f"{node.name}-{driver}-{seed.suffix(5, 'slice', node.uid, driver, part)}"
    created = stamp(node.booted) or ""
    owner = {"apiVersion": "v1", "kind": "Node", "name": node.name, "uid": node.uid, "controller": True}
    metadata = {
        "name": name,
        "generateName": f"{node.name}-{driver}-",
        "uid": seed.uuid("slice", node.uid, driver, part),
        "resourceVersion": "",
        "generation": generation,
        "creationTimestamp": created,
        "ownerReferences": [owner],
        "managedFields": [managed.entry(plugin, {"spec": {**spec, "devices": []}}, created, _API)],
    }
    return {"metadata": metadata, "spec": spec}


def claim(claimed: Claim, seed: Seed) -> dict[str, Any]:
    """A ResourceClaim, allocated when it has devices, reserved when a pod holds it."""
    created = stamp(claimed.created) or ""
    spec = {"devices": {"requests": dra_mode.claim_requests(claimed)}}
    status: dict[str, Any] = {}
    if claimed.devices:
        field = {"key": "metadata.name", "operator": "In", "values": [claimed.node]}
        status["allocation"] = {
            "devices": {
                "results": [
                    {"request": dra_mode.request_of(claimed), "driver": claimed.driver, "pool": claimed.node, "device": name}
                    | _share(claimed, name, seed)
                    | ({"adminAccess": True} if claimed.admin else {})
                    for name in claimed.devices
                ]
            },
            "nodeSelector": {"nodeSelectorTerms": [{"matchFields": [field]}]},
        }
    if claimed.pod:
        status["reservedFor"] = [{"resource": "pods", "name": claimed.pod[0], "uid": claimed.pod[1]}]
    metadata = {
        "name": claimed.name,
        "namespace": claimed.namespace,
        "uid": claimed.uid,
        "resourceVersion": "",
        "creationTimestamp": created,
        "managedFields": [
            managed.entry("kube-scheduler", {"status": status}, created, _API, "status"),
            managed.entry("kubectl", {"spec": spec}, created, _API),
        ],
    }
    return {"metadata": metadata, "spec": spec, "status": status}


def _share(claimed: Claim, device: str, seed: Seed) -> dict[str, Any]:
    if not claimed.consumed:
        return {}
    return {"shareID": seed.uuid("share", claimed.uid, device), "consumedCapacity": claimed.consumed}


def taint_rule(node: Node, seed: Seed, created: datetime) -> dict[str, Any]:
    """A DeviceTaintRule on one of the node's cards."""
    spec = divisible.taint_rule(node)
    metadata = {
        "name": f"inspect-{node.name}"[:253],
        "uid": seed.uuid("devicetaintrule", node.name),
        "resourceVersion": "",
        "generation": 1,
        "creationTimestamp": stamp(created),
        "managedFields": [managed.entry("kubectl", {"spec": spec}, stamp(created) or "", _API)],
    }
    return {"metadata": metadata, "spec": spec}


def device_classes(seed: Seed, created: datetime) -> list[dict[str, Any]]:
    """The DRA driver's device classes: whole cards and MIG instances."""
    made = []
    for name, kind in ((DRIVER, "gpu"), ("mig.nvidia.com", "mig")):
        expression = f"device.driver == '{DRIVER}' && device.attributes['{DRIVER}'].type == '{kind}'"
        spec = {"selectors": [{"cel": {"expression": expression}}]}
        metadata = {
            "name": name,
            "uid": seed.uuid("deviceclass", name),
            "resourceVersion": "",
            "generation": 1,
            "creationTimestamp": stamp(created),
            "managedFields": [managed.entry("helm", {"spec": spec}, stamp(created) or "", _API)],
        }
        made.append({"metadata": metadata, "spec": spec})
    return made
