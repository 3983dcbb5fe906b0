"""GPU resources of a node: capacity, allocatable, requested, and the slots that its devices predict."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims, StatusResource, make_resource
from fleet.domain.devices.partitioning import MIXED, SINGLE, PartitionLayout
from fleet.domain.devices.resource_sharing import doubled, effective_of, renamed, shared_name
from fleet.domain.devices.sharing import EffectiveSharing, SharingVerdict
from fleet.domain.devices.slots import ResourceSlots, minus
from fleet.domain.devices.sources.gfd import plausible
from fleet.domain.pod_resources import Amounts


class NodeResources(msgspec.Struct, frozen=True, kw_only=True):
    """All GPU resources of a node."""

    resources: tuple[ResourceSlots, ...]
    duplicates: frozenset[str]
    """Resources that advertise the same GPUs a second time (device plugin beside DRA, a renamed resource beside its old name)."""
    stale: tuple[str, ...]
    """Names left after the node stopped advertising them, most of them at 0."""


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
    left_out = doubled(claims) | layout.stale
    resources: list[ResourceSlots] = []
    stale: list[ResourceSlots] = []
    empty: list[ResourceSlots] = []
    for name in sorted(by_name):
        effective = effective_by_name.get(name) or effective_of(claims, layout, by_name[name])
        slots = _slots(claims, layout, by_name[name], effective, held, left_out)
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
        duplicates=frozenset(second | left_out),
        stale=(*sorted(layout.stale), *(slots.name for slots in stale)),
    )


def _slots(
    claims: NodeClaims,
    layout: PartitionLayout,
    status: StatusResource,
    effective: EffectiveSharing,
    held: Amounts | None,
    left_out: frozenset[str],
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
        predicted=_predicted(claims, status, effective, left_out),
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


def _predicted(claims: NodeClaims, status: StatusResource, effective: EffectiveSharing, left_out: frozenset[str]) -> int | None:
    if status.name in left_out or (claims.vendor == "nvidia" and _other_name_is_used(claims, status)):
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
    return other in claims.capacity or shared_name(claims, base) == other


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
    wanted = [shared_name(claims, base) for base in names]
    offered = {labels.base_resource(name) for name in claims.capacity}  # with .shared or without, the devices are the same
    return [name for base, name in zip(names, wanted, strict=True) if base not in offered]


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
