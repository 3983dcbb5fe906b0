"""GPU resources of a node: capacity, allocatable, requested, and the slots that its devices predict."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet.domain import labels
from fleet.domain.devices import intel_drivers
from fleet.domain.devices.claims import NodeClaims, StatusResource, make_resource
from fleet.domain.devices.partitioning import MIXED, SINGLE, PartitionLayout, devices_behind
from fleet.domain.devices.sharing import MOST_CARDS, EffectiveSharing, SharingVerdict, effective_sharing
from fleet.domain.devices.slots import ResourceSlots, minus
from fleet.domain.devices.sources.gfd import plausible
from fleet.domain.pod_resources import Amounts

_UNKNOWN = EffectiveSharing(replicas=None, verdict=SharingVerdict.UNTESTED)


class NodeResources(msgspec.Struct, frozen=True, kw_only=True):
    """All GPU resources of a node."""

    resources: tuple[ResourceSlots, ...]
    duplicates: frozenset[str]
    """Resources that advertise the same GPUs a second time (device plugin beside DRA, a renamed resource beside its old name)."""
    stale: tuple[str, ...]
    """Names left after the node stopped advertising them, most of them at 0."""


def effective_by_name(claims: NodeClaims, layout: PartitionLayout) -> dict[str, EffectiveSharing]:
    """Returns how each resource with a capacity follows from its devices; without one, what is declared."""
    result = {name: _effective(claims, layout, status) for name, status in claims.resources.items()}
    together = renamed(claims, layout) or intel_drivers.divided(claims)
    if together:
        result |= _together(claims, layout, together)
    if together or any(claims.resources[name].kind == "passthrough" for name in claims.capacity):
        # The GPUs are advertised under other names: a stale name at 0 should advertise none.
        idle = [name for name in result if labels.base_resource(name) == labels.NVIDIA_GPU and name not in claims.capacity]
        result |= {name: msgspec.structs.replace(result[name], devices=0) for name in idle}
    return result


def renamed(claims: NodeClaims, layout: PartitionLayout) -> tuple[str, ...]:
    """Returns names that advertise the node's whole GPUs between them, where one is not a standard name: `nvidia.com/t4`.

    Labels count the cards, whatever they are called: it is the sum of these names that must follow from the count. A number
    that no machine has cards for is no card's (schedulers of fractions offer memory and cores under such names).
    """
    if claims.vendor != "nvidia" or claims.dra is not None or layout.partitioning in (SINGLE, MIXED) or claims.gfd.mig_invalid:
        return ()
    left_out = _doubled(claims) | layout.stale
    names = tuple(
        name
        for name, slots in sorted(claims.capacity.items())
        if name not in left_out
        and (labels.base_resource(name) == labels.NVIDIA_GPU or labels.resource_kind(labels.base_resource(name)) == "custom")
        and slots <= MOST_CARDS * max(1, *(replicas or 1 for replicas in _announced(claims, claims.resources[name])))
    )
    return names if any(labels.base_resource(name) != labels.NVIDIA_GPU for name in names) else ()


def _together(claims: NodeClaims, layout: PartitionLayout, names: tuple[str, ...]) -> dict[str, EffectiveSharing]:
    """Returns effective sharing of names that advertise the same GPUs between them, by their sum."""
    announced = {_announced(claims, claims.resources[name]) for name in names}
    if len(announced) > 1:
        return {}  # shared in different ways: their sum has no explanation
    slots = sum(claims.capacity[name] for name in names)
    summed = make_resource(labels.NVIDIA_GPU if claims.vendor == "nvidia" else names[0], slots, slots)
    effective = _of_cards(layout, summed, devices_behind(claims, layout, summed), *announced.pop())
    return dict.fromkeys(names, msgspec.structs.replace(effective, together=names))


def _effective(claims: NodeClaims, layout: PartitionLayout, status: StatusResource) -> EffectiveSharing:
    if labels.vendor_of_resource(status.name) != claims.vendor:
        return _UNKNOWN  # requested by a pod, not advertised here
    if status.kind in ("passthrough", "vgpu"):
        return msgspec.structs.replace(_UNKNOWN, replicas=1)
    devices = devices_behind(claims, layout, status)
    if claims.vendor != "nvidia":
        result = effective_sharing(capacity=status.capacity, devices=devices, label=None, config=None)
        shares_nothing = claims.vendor in ("amd", "habana")
        return msgspec.structs.replace(result, replicas=1) if shares_nothing and not result.replicas else result
    if status.name == claims.fractions.resource:
        return effective_sharing(capacity=status.capacity, devices=devices, label=None, config=claims.fractions.shares)
    label, config = _announced(claims, status)
    if labels.is_share_resource(status.name):
        label = config = None
    if layout.partitioning == MIXED and not status.profile:
        return _beside_mig(status, devices, label, config)
    return _of_cards(layout, status, devices, label, config)


def _of_cards(
    layout: PartitionLayout, status: StatusResource, devices: int | None, label: int | None, config: int | None
) -> EffectiveSharing:
    result = effective_sharing(capacity=status.capacity, devices=devices, label=label, config=config)
    cuttable = layout.model is None or layout.model.geometry
    if result.verdict == SharingVerdict.OBSERVED and (result.replicas or 0) > 1 and layout.partitioning is None and cuttable:
        return msgspec.structs.replace(result, replicas=None)  # several slots per GPU: shares or MIG instances
    return result


def _announced(claims: NodeClaims, status: StatusResource) -> tuple[int | None, int | None]:
    """Returns the replicas by label and by configuration."""
    config = claims.wanted.replicas(status.name)
    if claims.cloud.gke and claims.cloud.sharing and claims.wanted.config is None:
        config = claims.cloud.replicas  # GKE's plugin shares GPUs, and GFD does not know it
    if claims.labels_vanished and claims.previous is not None:
        return claims.previous.replicas, config
    if status.profile in claims.gfd.mig:
        return claims.gfd.mig[status.profile].replicas, config
    if claims.gfd.is_present:
        return (claims.gfd.replicas if claims.gfd.mig_profile == status.profile or not status.profile else None), config
    if claims.cloud.gke:
        return (claims.cloud.replicas if claims.cloud.sharing else 1), None
    return None, config


def _beside_mig(status: StatusResource, most: int | None, label: int | None, config: int | None) -> EffectiveSharing:
    """Returns the sharing of whole GPUs beside MIG instances.

    Their number has only an upper bound, so fewer slots are no evidence.
    """
    result = effective_sharing(capacity=status.capacity, devices=most, label=label, config=config)
    announced = label or config
    if status.capacity and most is not None and status.capacity > most * (announced or 1):
        return msgspec.structs.replace(result, replicas=announced, verdict=SharingVerdict.EXCESS)
    if result.verdict in (SharingVerdict.AGREED, SharingVerdict.CONFIGURED) or (
        result.verdict == SharingVerdict.OBSERVED and result.replicas == 1
    ):
        return result
    return msgspec.structs.replace(result, replicas=announced, verdict=SharingVerdict.UNTESTED, devices=None)


def list_resources(
    claims: NodeClaims, layout: PartitionLayout, effective_by_name: Mapping[str, EffectiveSharing], held: Amounts | None
) -> NodeResources:
    """Returns the resources of the node with capacity, allocatable, requested and predicted.

    Names that advertise nothing are left out.

    `held` is what the node's pods request; None where pods could not be read.
    """
    by_name = dict(claims.resources)
    reported = bool(claims.node.capacity)
    by_dra = claims.dra is not None
    # Where DRA serves the GPUs, a pod that requests nvidia.com/gpu has a claim for it, which is counted there (KEP-5004).
    asked = [name for name in held or () if not (by_dra and labels.vendor_of_resource(name) == claims.vendor)]
    asked = [name for name in asked if name not in claims.others]
    missing = _expected(claims, layout)
    for name in (*missing, *asked):
        if name not in by_name:
            amount = 0 if reported else None
            by_name[name] = make_resource(name, amount, amount)
    doubled = _doubled(claims) | layout.stale
    resources: list[ResourceSlots] = []
    stale: list[ResourceSlots] = []
    empty: list[ResourceSlots] = []
    for name in sorted(by_name):
        effective = effective_by_name.get(name) or _effective(claims, layout, by_name[name])
        slots = _slots(claims, layout, by_name[name], effective, held, doubled)
        numbers = (slots.capacity, slots.allocatable, slots.requested if held is not None else 0, slots.predicted or 0)
        if name in missing or any(number != 0 for number in numbers):
            resources.append(slots)
        else:
            (stale if by_name[name].kind in ("mig", "mig-shared", "partition") else empty).append(slots)
    if not resources and not by_dra:
        resources = empty
    published = _published(claims, layout)
    second = {resource.name for resource in resources if by_dra and labels.vendor_of_resource(resource.name) == claims.vendor}
    return NodeResources(
        resources=(*published, *resources),
        duplicates=frozenset(second | doubled),
        stale=(*sorted(layout.stale), *(slots.name for slots in stale)),
    )


def _slots(
    claims: NodeClaims,
    layout: PartitionLayout,
    status: StatusResource,
    effective: EffectiveSharing,
    held: Amounts | None,
    doubled: frozenset[str],
) -> ResourceSlots:
    requested = None if held is None else held.get(status.name, 0)
    if claims.fractions.held_unnamed:
        requested = None  # pods hold memory or compute of these GPUs instead of slots
    single = layout.partitioning == SINGLE and labels.base_resource(status.name) == labels.NVIDIA_GPU
    amd = claims.facts.partition if claims.facts.partition != "SPX" and status.name.startswith("amd.com/") else ""
    return ResourceSlots(
        name=status.name,
        kind="partition" if amd else _kind(claims, status, effective, single=single),
        profile=status.profile or amd or (layout.single_profile if single else ""),
        replicas=effective.replicas,
        capacity=status.capacity,
        allocatable=status.allocatable,
        requested=requested,
        free=minus(status.allocatable, requested),
        predicted=_predicted(claims, status, effective, doubled),
    )


def _kind(claims: NodeClaims, status: StatusResource, effective: EffectiveSharing, *, single: bool) -> str:
    replicas = effective.replicas or max(effective.label or 1, effective.config or 1)
    shared = (
        status.kind in ("shared", "mig-shared")
        or replicas > 1
        or (status.kind == "gpu" and effective.replicas != 1 and bool(claims.fractions.hints))
    )
    if status.kind in ("gpu", "shared", "mig", "mig-shared"):
        if single or status.kind.startswith("mig"):
            return "mig-shared" if shared else "mig"
        return "shared" if shared else "gpu"
    return status.kind


def _predicted(claims: NodeClaims, status: StatusResource, effective: EffectiveSharing, doubled: frozenset[str]) -> int | None:
    if status.name in doubled or (claims.vendor == "nvidia" and _other_name_is_used(claims, status)):
        return 0
    if effective.devices == 0:
        return 0
    if (
        effective.devices is None
        or effective.replicas is None
        or effective.verdict in (SharingVerdict.EXCESS, SharingVerdict.UNCLEAR)
    ):
        return None
    predicted = effective.devices * effective.replicas
    if len(effective.together) > 1:
        # Only the sum is known: the difference is reported under the standard name, if that is among them.
        if status.name != labels.NVIDIA_GPU:
            return None
        predicted -= sum(claims.capacity[name] for name in effective.together if name != status.name)
    return plausible(predicted)


def _other_name_is_used(claims: NodeClaims, status: StatusResource) -> bool:
    """Returns whether the same devices are advertised under the other name: with `.shared` or without it."""
    if status.capacity:
        return False
    base = labels.base_resource(status.name)
    other = base if status.name != base else base + labels.SHARED_SUFFIX
    return other in claims.capacity or _shared_name(claims, base) == other


def _shared_name(claims: NodeClaims, base: str) -> str:
    """Returns the name under which a resource should be advertised: renamed with replicas, by configuration or GFD."""
    config = claims.wanted.config
    if config is not None:
        renamed = config.rename_by_default and (claims.wanted.replicas(base) or 1) > 1
    else:
        renamed = base == labels.NVIDIA_GPU and (claims.gfd.replicas or 0) > 1 and not claims.gfd.shared_suffix
    return base + labels.SHARED_SUFFIX if renamed else base


def _expected(claims: NodeClaims, layout: PartitionLayout) -> list[str]:
    """Returns names of resources that GFD's labels imply and the node does not have."""
    if claims.vendor != "nvidia" or claims.dra is not None or claims.pools_missing:
        return []
    if claims.fractions.names or any(labels.is_share_resource(name) for name in claims.capacity):
        return []  # advertised by another scheduler under its own names
    if not claims.gfd.is_present:
        return [labels.NVIDIA_GPU] if claims.cloud.count and claims.cloud.gke and not claims.capacity else []
    names = []
    if claims.gfd.mig:
        names = [
            labels.NVIDIA_MIG_PREFIX + profile.replace("+", ".") for profile, replicas in claims.gfd.mig.items() if replicas.count
        ]
    elif claims.gfd.count and not any(claims.resources[name].kind == "passthrough" for name in claims.capacity):
        if renamed(claims, layout):
            return []
        names = [labels.NVIDIA_GPU]
    wanted = [_shared_name(claims, base) for base in names]
    offered = {labels.base_resource(name) for name in claims.capacity}  # with .shared or without, the devices are the same
    return [name for base, name in zip(names, wanted, strict=True) if base not in offered]


def _doubled(claims: NodeClaims) -> frozenset[str]:
    """Returns the stale name of each resource that exists with and without `.shared`."""
    left_over = {name for name in claims.capacity if labels.is_count_resource(name) and labels.NVIDIA_GPU in claims.capacity}
    left_over |= {intel_drivers.doubled(claims)} - {""}
    for name in claims.capacity:
        base = labels.base_resource(name)
        if name != base and base in claims.capacity:
            plain, shared = claims.resources[base], claims.resources[name]
            if bool(plain.allocatable) != bool(shared.allocatable):
                left_over.add(base if shared.allocatable else name)
            else:
                left_over.add(base if _shared_name(claims, base) == name else name)
    return frozenset(left_over)


def _published(claims: NodeClaims, layout: PartitionLayout) -> tuple[ResourceSlots, ...]:
    """Returns DRA device classes; without numbers for pools that were not read completely."""
    if claims.dra is None or claims.pools_missing:
        drivers = sorted({pool.driver for pool in claims.pools_missing})
        return tuple(ResourceSlots(name=driver, kind="dra-gpu") for driver in drivers)
    believed = layout.partitioning != MIXED and not claims.gfd.mig_profile and not claims.gfd_left_behind
    count = claims.gfd.count if believed else None
    return tuple(
        msgspec.structs.replace(slots, predicted=count)
        if slots.name == labels.DRA_NVIDIA_GPU and slots.kind != "dra-share"
        else slots
        for slots in claims.dra.resources
    )
