"""How a class selects devices of a DRA pool: its DeviceClass, CEL over what the devices publish, and what a share takes.

Every expression is evaluated over the devices of the pool before it is believed. An attribute that a device lacks is an error
that refuses the pod on every node (KEP-4381), so whatever some device lacks is guarded by `has`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from fleet.domain import labels
from fleet.domain.classes.workload import ClassSpec
from fleet.domain.devices.detection import is_gpu_device
from fleet.domain.devices.mig import canonical
from fleet.domain.devices.sources.dra import ClaimedDevices, sort_devices
from fleet.domain.devices.sources.gfd import label_form
from fleet.domain.dra.pods import ClusterDevices
from fleet.domain.dra.resource_pools import DraNode
from fleet.domain.dra.selectors import DeviceSelectorError, UnknownSelectorError, meets
from fleet.domain.placement.nodes import FULL, MIG, PARTITION, TIME_SLICED, PlacementNode, driver_of, partition_profile
from fleet.domain.placement.scheduler.devices import ClusterClaims
from fleet.domain.quantities import parse_quantity
from fleet.domain.snapshot.dra import DeviceClass, DraDevice

_PRODUCT = ("productName", "model")
"""Attributes that name a product: NVIDIA's and AMD's drivers, Intel's."""
_PROFILE = ("profile", "partitionProfile")
"""Attributes that name a MIG profile or a partition mode: NVIDIA's driver, AMD's."""
_OF_ONE_DEVICE = frozenset(
    {"uuid", "parentUUID", "index", "minor", "gpuIndex", "cardIndex", "renderIndex", "pciAddr", "parentPciAddr", "pciBusID"}
    | {f"resource.kubernetes.io/{name}" for name in ("pciBusID", "pcieRoot")}
)
"""Attributes by which devices of one kind differ: one of each kind is evaluated."""
_MOST_KINDS = 500


class DeviceSelection(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim of the class asks of one pool's devices."""

    device_class: str
    selectors: tuple[str, ...] = ()
    capacity: tuple[tuple[str, str], ...] = ()
    """Capacity that one share takes, as quantities; empty for a whole device or the default share."""
    warnings: tuple[str, ...] = ()
    is_empty: bool = False
    """Whether the devices of the pool are known and none is what the class wants."""


class _Kind(msgspec.Struct, frozen=True):
    """Devices that differ in nothing a selector may ask: one of them, their number, and whether the class wants them."""

    device: DraDevice
    number: int
    wanted: bool


def select_devices(
    class_spec: ClassSpec, resource: str, nodes: Sequence[PlacementNode], clusters: Mapping[str, ClusterClaims]
) -> DeviceSelection | None:
    """Returns the selection of a class on the nodes of a pool; None where the devices of one of their clusters are unknown.

    `resource` is the slots' name on the nodes, `clusters` are by name.
    """
    names = sorted({node.cluster for node in nodes})
    known: dict[str, ClusterDevices] = {}
    for name in names:
        claims = clusters.get(name)
        if claims is None or claims.devices is None:
            return None
        known[name] = claims.devices
    kinds = _kinds(class_spec, resource, nodes, known)
    if kinds is None:
        return None
    if not any(kind.wanted for kind in kinds):
        return DeviceSelection(device_class=driver_of(resource), selectors=("false",), is_empty=True) if kinds else None
    device_class, warnings = _device_class(resource, kinds, list(known.values()))
    reached = (
        kinds if device_class is None else [kind for kind in kinds if _meets(kind.device, device_class.selectors) is not False]
    )
    selectors = _selectors(class_spec, reached)
    missed = sum(kind.number for kind in reached if kind.wanted and _meets(kind.device, selectors) is not True)
    strays = sum(kind.number for kind in reached if not kind.wanted and _meets(kind.device, selectors) is not False)
    if missed:
        warnings.append(f"The claim cannot select {missed} devices that the class wants: what they publish is not enough.")
    if strays:
        warnings.append(f"The claim also selects {strays} devices that the class does not want: they publish the same.")
    capacity = _share(class_spec, reached)
    without = sum(kind.number for kind in reached for name, _ in capacity if kind.wanted and name not in kind.device.capacity)
    if without:
        warnings.append(f"{without} devices do not publish how much memory a share has: the claim cannot have them.")
    return DeviceSelection(
        device_class=driver_of(resource) if device_class is None else device_class.name,
        selectors=selectors,
        capacity=capacity,
        warnings=tuple(warnings),
    )


def _kinds(
    class_spec: ClassSpec, resource: str, nodes: Iterable[PlacementNode], clusters: Mapping[str, ClusterDevices]
) -> list[_Kind] | None:
    """Returns the kinds of devices on the nodes; None where there are too many to look at."""
    kinds: dict[bytes, _Kind] = {}
    counted: set[tuple[str, str, str, str]] = set()
    for node in nodes:
        for pool in clusters[node.cluster].inventory.pools(DraNode(name=node.name, labels=node.labels)):
            new = [device for device in pool.devices if (node.cluster, pool.driver, pool.name, device.name) not in counted]
            counted.update((node.cluster, pool.driver, pool.name, device.name) for device in new)
            wanted = _wanted(class_spec, resource, new, ClaimedDevices(counter_sets=pool.counter_sets))
            for device in new:
                key = _key(device) + bytes([id(device) in wanted])
                old = kinds.get(key)
                kinds[key] = _Kind(device, 1 + (old.number if old else 0), id(device) in wanted)
            if len(kinds) > _MOST_KINDS:
                return None
    return list(kinds.values())


def _key(device: DraDevice) -> bytes:
    attributes = sorted((name, value) for name, value in device.attributes.items() if name not in _OF_ONE_DEVICE)
    unique = sorted(name for name in device.attributes if name in _OF_ONE_DEVICE)
    capacity = sorted(device.capacity.items())
    return msgspec.json.encode([device.driver, device.shareable, attributes, unique, capacity])


def _wanted(class_spec: ClassSpec, resource: str, devices: Sequence[DraDevice], claimed: ClaimedDevices) -> set[int]:
    """Returns the id() of each device that is a slot of the class."""
    own = [device for device in devices if is_gpu_device(device)]
    if not own:
        return set()
    groups = sort_devices(own, claimed, None)
    if class_spec.isolation == MIG:
        offered = [
            device
            for device in (*groups.instances, *groups.placements)
            if canonical(device.profile) == canonical(class_spec.profile)
        ]
        offered = [device for device in offered if not device.shareable and resource == labels.DRA_NVIDIA_MIG_CLASS]
    elif class_spec.isolation == PARTITION:
        parts = (*groups.partitions.existing, *groups.partitions.on_demand)
        offered = [
            device
            for device in parts
            if not device.shareable and device.driver == driver_of(resource) and _is_mode(device.profile, class_spec.profile)
        ]
    else:
        shared = class_spec.isolation == TIME_SLICED
        offered = [device for device in groups.whole if device.driver == resource and device.type != "vfio"]
        offered = [device for device in offered if device.shareable is shared] if shared or class_spec.isolation == FULL else []
    return {
        id(device)
        for device in offered
        if (not class_spec.products or label_form(device.product) in class_spec.products) and _has_memory(class_spec, device)
    }


def _is_mode(profile: str, wanted: str) -> bool:
    """Returns whether a partition is of the mode: `CPX` is any memory mode, `cpx_nps4` this one."""
    if partition_profile(wanted) != wanted.upper():
        return profile.lower() == wanted.lower()
    return partition_profile(profile) == partition_profile(wanted)


def _has_memory(class_spec: ClassSpec, device: DraDevice) -> bool:
    least = class_spec.min_memory_mib
    return least is None or (device.memory_bytes is not None and device.memory_bytes >= least * 2**20)


def _device_class(
    resource: str, kinds: Sequence[_Kind], clusters: Sequence[ClusterDevices]
) -> tuple[DeviceClass | None, list[str]]:
    """Returns the DeviceClass to ask by, of those in every cluster: first the one that misses no wanted device.

    Of these the driver's own, then the one that lets the fewest others in. None where no class selects a wanted device.
    """
    first, *others = clusters
    best: tuple[tuple[int, bool, int, str], DeviceClass] | None = None
    resource = driver_of(resource)
    for name, device_class in sorted(first.classes.items()):
        if any(name not in other.classes or other.classes[name].selectors != device_class.selectors for other in others):
            continue
        answers = [(kind, _meets(kind.device, device_class.selectors)) for kind in kinds]
        missed = sum(kind.number for kind, answer in answers if kind.wanted and answer is not True)
        if not any(kind.wanted and answer is True for kind, answer in answers):
            continue
        strays = sum(kind.number for kind, answer in answers if not kind.wanted and answer is not False)
        rank = (missed, name != resource, strays, name)
        if best is None or rank < best[0]:
            best = rank, device_class
    if best is None:
        return None, [f"No DeviceClass of the cluster selects these devices. The claim names {resource}, the driver's own."]
    missed = best[0][0]
    warned = [f"DeviceClass {best[1].name} leaves {missed} devices out that the class wants."] if missed else []
    return best[1], warned


def _meets(device: DraDevice, selectors: Sequence[str]) -> bool | None:
    """Returns whether the selectors hold for the device; None where they fail or cannot be evaluated."""
    try:
        return meets(device, selectors, "class")
    except (DeviceSelectorError, UnknownSelectorError):
        return None


def _selectors(class_spec: ClassSpec, kinds: Sequence[_Kind]) -> tuple[str, ...]:
    """Returns the expressions that the class needs, in the order in which they protect each other: the driver first.

    Driver and type are asked for although nothing else is published today, and what devices may lack is always guarded: the
    template is copied once, and other devices join later.
    """
    wanted = [kind.device for kind in kinds if kind.wanted]
    driver = wanted[0].driver
    others = [kind.device for kind in kinds if not kind.wanted and kind.device.driver == driver]
    rows = [f"device.driver == {_quoted(driver)}"]
    if types := _texts(wanted, "type"):
        rows.append(_one_of(driver, "type", types))
    shareable = wanted[0].shareable
    if any(device.shareable != shareable for device in others):  # API servers before 1.34 do not know the field
        rows.append("device.allowMultipleAllocations" if shareable else "!device.allowMultipleAllocations")
    if class_spec.products:
        name = next((name for name in _PRODUCT if _texts(wanted, name)), "")
        if name:
            rows.append(_one_of(driver, name, _texts(wanted, name)))
    if class_spec.isolation in (MIG, PARTITION):
        name = next((name for name in _PROFILE if _texts(wanted, name)), "")
        if name:
            rows.append(_one_of(driver, name, _texts(wanted, name)))
    if class_spec.min_memory_mib:
        memory = f"device.capacity[{_quoted(driver)}].memory"
        rows.append(f'has({memory}) && {memory}.compareTo(quantity("{class_spec.min_memory_mib}Mi")) >= 0')
    return tuple(rows)


def _one_of(driver: str, name: str, values: Collection[str]) -> str:
    """Returns the expression that an attribute of the driver is one of these texts."""
    attribute = f"device.attributes[{_quoted(driver)}].{name}"
    listed = sorted(values)
    if len(listed) == 1:
        return f"has({attribute}) && {attribute} == {_quoted(listed[0])}"
    return f"has({attribute}) && {attribute} in [{', '.join(map(_quoted, listed))}]"


def _quoted(text: str) -> str:
    """Returns a string literal; CEL has no surrogate pairs, which JSON escapes other planes by."""
    return json.dumps(text, ensure_ascii=False)


def _text(device: DraDevice, name: str) -> str | None:
    """Returns an attribute of the driver's own domain, where it is text."""
    attribute = device.attributes.get(name) or device.attributes.get(f"{device.driver}/{name}")
    return str(attribute.value) if attribute is not None and attribute.kind == "string" else None


def _texts(devices: Iterable[DraDevice], name: str) -> set[str]:
    """Returns the texts of an attribute; none where one of the devices lacks it."""
    values = [_text(device, name) for device in devices]
    return set() if None in values else {value for value in values if value is not None}


def _share(class_spec: ClassSpec, kinds: Iterable[_Kind]) -> tuple[tuple[str, str], ...]:
    """Returns the capacity a share asks for: the class's memory, where the default share of some device has less.

    Names are as the devices publish them: a request for a capacity that a device does not have is not for this device. A device
    whose memory is not divided gives the amount that is asked.
    """
    if class_spec.isolation != TIME_SLICED or not class_spec.min_memory_mib:
        return ()
    names = set()
    for kind in kinds:
        name = next((name for name in ("memory", f"{kind.device.driver}/memory") if name in kind.device.capacity), "")
        policy = kind.device.capacity[name].policy if name else None
        if not kind.wanted or policy is None or not (policy.has_range or policy.values):
            continue
        default = parse_quantity(policy.default)
        if default is None or default < class_spec.min_memory_mib * 2**20:
            names.add(name)
    return tuple((name, f"{class_spec.min_memory_mib}Mi") for name in sorted(names)) if len(names) == 1 else ()
