"""How each GPU resource of a node follows from its devices."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.devices import intel_drivers
from fleet.domain.devices.claims import NodeClaims, StatusResource, make_resource
from fleet.domain.devices.partitioning import MIXED, SINGLE, PartitionLayout, devices_behind
from fleet.domain.devices.sharing import MOST_CARDS, EffectiveSharing, SharingVerdict, effective_sharing

_UNKNOWN = EffectiveSharing(replicas=None, verdict=SharingVerdict.UNTESTED)


def effective_by_name(claims: NodeClaims, layout: PartitionLayout) -> dict[str, EffectiveSharing]:
    """Returns how each resource with a capacity follows from its devices; without one, what is declared."""
    result = {name: effective_of(claims, layout, status) for name, status in claims.resources.items()}
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
    left_out = doubled(claims) | layout.stale
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


def effective_of(claims: NodeClaims, layout: PartitionLayout, status: StatusResource) -> EffectiveSharing:
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


def doubled(claims: NodeClaims) -> frozenset[str]:
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
                left_over.add(base if shared_name(claims, base) == name else name)
    return frozenset(left_over)


def shared_name(claims: NodeClaims, base: str) -> str:
    """Returns the name under which a resource should be advertised: renamed with replicas, by configuration or GFD."""
    config = claims.wanted.config
    if config is not None:
        renamed = config.rename_by_default and (claims.wanted.replicas(base) or 1) > 1
    else:
        renamed = base == labels.NVIDIA_GPU and (claims.gfd.replicas or 0) > 1 and not claims.gfd.shared_suffix
    return base + labels.SHARED_SUFFIX if renamed else base
