"""A small DRA world in which cases of the enhancement proposals are written; objects go through Muster's parsers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from fleet.collectors import device_classes, device_taint_rules, resource_claims, resource_slices
from fleet.collectors.resource_slice_wires import SliceWire
from fleet.domain.dra.choices import AllocationError, UnknownAllocationError
from fleet.domain.dra.extended import ContainerNeed
from fleet.domain.dra.pods import ClusterDevices, PodDevices
from fleet.domain.dra.resource_pools import DraNode, Inventory
from fleet.domain.dra.wire import read_claim_spec

Raw = dict[str, Any]
DRIVER = "gpu.example.com"
NODES = [DraNode(name=name, labels={"zone": zone}) for name, zone in (("a", "east"), ("b", "east"), ("c", "west"))]
ANY = {"any": "true", "big": f"device.attributes['{DRIVER}'].kind == 'big'"}


def device(name: str, *, capacity: Raw | None = None, uses: Mapping[str, Raw] | None = None, **more: Any) -> Raw:
    """A device; keywords of text, numbers and lists are attributes, the others fields of the device."""
    attributes, fields = {}, {}
    for key, value in more.items():
        match value:
            case bool() | dict():
                fields[key] = value
            case int():
                attributes[key] = {"int": value}
            case str():
                attributes[key.replace("__", "/")] = {"string": value}
            case [int(), *_]:
                attributes[key] = {"ints": value}
            case [str(), *_]:
                attributes[key] = {"strings": value}
            case _:
                fields[key] = value
    if uses:
        fields["consumesCounters"] = [
            {"counterSet": name, "counters": {key: {"value": str(amount)} for key, amount in counters.items()}}
            for name, counters in uses.items()
        ]
    return {"name": name, "attributes": attributes, "capacity": capacity or {}, **fields}


def shared(name: str, value: str, policy: Raw | None = None, **more: Any) -> Raw:
    memory: Raw = {"value": value} | ({"requestPolicy": policy} if policy else {})
    return device(name, capacity={"memory": memory}, allowMultipleAllocations=True, **more)


def piece(
    devices: Sequence[Raw],
    *,
    on: Raw | str = "a",
    driver: str = DRIVER,
    pool: str = "p",
    generation: int = 1,
    of: int = 1,
    name: str = "",
    counters: Mapping[str, Raw] | None = None,
) -> Raw:
    place = {"nodeName": on} if isinstance(on, str) else on
    spec: Raw = {"driver": driver, "pool": {"name": pool, "generation": generation, "resourceSliceCount": of}, **place}
    spec["devices"] = list(devices)
    if counters:
        spec["sharedCounters"] = [
            {"name": key, "counters": {part: {"value": str(amount)} for part, amount in values.items()}}
            for key, values in counters.items()
        ]
    return {"metadata": {"name": name or f"{driver}-{pool}-{generation}"}, "spec": spec}


def world(*slices: Raw, rules: Sequence[Raw] = (), held: Sequence[Raw] = (), classes: Mapping[str, Any] = ANY) -> ClusterDevices:
    parsed = []
    for name, expression in classes.items():
        spec: Raw = {"selectors": [{"cel": {"expression": expression}}]}
        if name.startswith("ext-"):
            spec["extendedResourceName"] = "example.com/gpu"
        parsed.append(device_classes.parse(msgspec.convert({"metadata": {"name": name}, "spec": spec}, device_classes.ClassWire)))
    taint_rules = [
        device_taint_rules.parse(msgspec.convert({"metadata": {"name": f"r{number}"}, "spec": spec}, device_taint_rules.RuleWire))
        for number, spec in enumerate(rules)
    ]
    wires = [msgspec.convert(raw, SliceWire) for raw in slices]
    inventory = Inventory(resource_slices.parse(wires, "v1"), [rule for rule in taint_rules if rule], parsed)
    allocations = []
    for number, results in enumerate(held):
        raw = {
            "metadata": {"name": f"h{number}", "namespace": "x"},
            "status": {"allocation": {"devices": {"results": [results]}}},
        }
        allocations += resource_claims.parse(msgspec.convert(raw, resource_claims.ClaimWire))
    return ClusterDevices(inventory, parsed, allocations)


def hold(name: str, *, pool: str = "p", driver: str = DRIVER, **more: Any) -> Raw:
    return {"request": "r", "driver": driver, "pool": pool, "device": name, **more}


def request(name: str = "r", device_class: str = "any", **more: Any) -> Raw:
    cel = more.pop("cel", None)
    if cel:
        more["selectors"] = [{"cel": {"expression": cel}}]
    return {"name": name, "exactly": {"deviceClassName": device_class, "allocationMode": "ExactCount", **more}}


def either(*alternatives: Raw, name: str = "r") -> Raw:
    return {"name": name, "firstAvailable": [{"name": item["name"], **item["exactly"]} for item in alternatives]}


def claim(*requests: Raw, **constraint: Any) -> PodDevices:
    spec: Raw = {"devices": {"requests": list(requests)}}
    if constraint:
        spec["devices"]["constraints"] = [constraint]
    return PodDevices(claims=(read_claim_spec("x", "c", spec),), namespace="x")


def containers(*amounts: int, resource: str = "example.com/gpu", init: Sequence[bool] = ()) -> PodDevices:
    needs = [
        ContainerNeed(amounts={resource: amount}, init=bool(init) and init[number], sidecar=False)
        for number, amount in enumerate(amounts)
    ]
    return PodDevices(containers=tuple(needs), namespace="x")


def answer(devices: ClusterDevices, pod: PodDevices) -> dict[str, list[str]] | str:
    """Devices by node that takes the pod; the error where the scheduler fails."""
    answers = {}
    try:
        for node in NODES:
            chosen = devices.check(pod, node).chosen
            if chosen is not None:
                answers[node.name] = [f"{item.request}:{item.device.name}" for item in chosen]
    except AllocationError:
        return "error"
    except UnknownAllocationError:
        return "unknown"
    return answers


SEVEN = {"gpu-0": {"compute": 7, "memory": 8}}
THREE, ONE = {"gpu-0": {"compute": 3, "memory": 4}}, {"gpu-0": {"compute": 1, "memory": 1}}
STEPS = {"default": "2Gi", "validRange": {"min": "2Gi", "max": "6Gi", "step": "2Gi"}}
VALUES = {"default": "1Gi", "validValues": ["1Gi", "4Gi", "8Gi"]}
PLAIN = [device("d0", kind="big"), device("d1", kind="small")]
TAINT = [{"key": "ill", "value": "x", "effect": "NoExecute"}]
ZONE = {"nodeSelector": {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["east"]}]}]}}


def amount(text: str) -> Raw:
    return {"capacity": {"requests": {"memory": text}}}


Cases = dict[str, tuple[ClusterDevices, PodDevices, dict[str, list[str]] | str]]
"""Name to world, pod, and the devices per node, or error or unknown."""
