"""Partitioning of a node's GPUs, and the number of devices behind each of its resources."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.gpus import GpuModel, find
from fleet.domain.devices.claims import NodeClaims, StatusResource
from fleet.domain.devices.mig import fewest_cards, fit
from fleet.domain.devices.stale_resources import find_stale

NONE, SINGLE, MIXED = "none", "mig-single", "mig-mixed"


class PartitionLayout(msgspec.Struct, frozen=True, kw_only=True):
    """Partitioning of a node and what it was read from."""

    partitioning: str | None
    mig_instances: dict[str, int] | None
    """Instances by profile; {} is none, None is unknown."""
    single_profile: str = ""
    """The profile behind nvidia.com/gpu under the single strategy."""
    model: GpuModel | None = None
    stale: frozenset[str] = frozenset()
    """Resources from an earlier layout, which advertise nothing."""


def lay_out(claims: NodeClaims) -> PartitionLayout:
    """Returns the partitioning by ResourceSlices, else by resources, else by labels, else by cloud and plugin configuration."""
    model = model_of(claims)
    if claims.dra is not None:
        return _by_dra(claims, model)
    stale = find_stale(claims, model)
    layout = _by_labels(claims, model, stale)
    return msgspec.structs.replace(layout, stale=stale) if stale else layout


def _by_labels(claims: NodeClaims, model: GpuModel | None, stale: frozenset[str]) -> PartitionLayout:
    offered = [
        resource
        for name, resource in claims.resources.items()
        if resource.profile and (resource.capacity or resource.allocatable) and name not in stale
    ]
    by_label = {profile: labelled.count for profile, labelled in claims.gfd.mig.items() if labelled.count}
    if offered or by_label:
        return PartitionLayout(partitioning=MIXED, mig_instances=_mixed(claims, offered, by_label), model=model)
    single = claims.gfd.mig_profile or claims.cloud.partition
    if single:
        return PartitionLayout(
            partitioning=SINGLE, mig_instances=_single(claims, single, model), single_profile=single, model=model
        )
    if claims.gfd.mig_invalid:
        return PartitionLayout(partitioning=None, mig_instances=None, model=model)
    if claims.gfd.replicas == 0 and claims.gfd.mig_strategy == "mixed" and not claims.capacity:
        return PartitionLayout(partitioning=MIXED, mig_instances={}, model=model)  # cards in MIG mode, none of them cut yet
    if _is_known_whole(claims) or (model is not None and not model.geometry and claims.vendor == "nvidia"):
        return PartitionLayout(partitioning=NONE, mig_instances={}, model=model)
    return PartitionLayout(partitioning=None, mig_instances=None, model=model)


def model_of(claims: NodeClaims) -> GpuModel | None:
    """Returns the catalogue's entry for the node's GPUs; None also for vGPUs, which have a part of a GPU's memory."""
    if claims.gfd.vgpu:
        return None
    product = claims.gfd.product or (claims.dra.products[0] if claims.dra and claims.dra.products else "")
    named = claims.named_products
    product = product or claims.facts.product or claims.cloud.product or (named[0] if len(named) == 1 else "")
    return find(product) if product else None


def devices_behind(claims: NodeClaims, layout: PartitionLayout, resource: StatusResource) -> int | None:
    """Returns the devices behind a resource: GPUs, or MIG instances; None where nothing independent counts them."""
    if resource.name in layout.stale:
        return 0
    if resource.name == claims.fractions.resource:
        return len(claims.fractions.gpus) if claims.fractions.shares else None
    if labels.is_share_resource(resource.name):
        return None if labels.is_part_of_gpus(resource.name) else claims.gfd.count or len(claims.seen) or None
    if resource.profile:
        labelled = claims.gfd.mig.get(resource.profile)
        if labelled is not None:
            return labelled.count
        if claims.gfd.mig_profile == resource.profile:
            return claims.gfd.count
        return 0 if any(labelled.count for labelled in claims.gfd.mig.values()) else None
    if claims.vendor != "nvidia":
        facts = claims.facts
        if facts.count is not None:
            return facts.count
        return (claims.cloud.count or 0) * (facts.devices_per_card or 0) or None
    if labels.base_resource(resource.name) != labels.NVIDIA_GPU or claims.gfd.mig_invalid:
        return None
    if claims.labels_vanished and claims.previous is not None:
        return claims.previous.physical if claims.previous.partitioning == NONE else None
    if any(labels.is_share_resource(name) for name in claims.capacity):
        return None if resource.capacity else 0  # other GPUs of the node are handed out in shares
    if claims.fractions.names and not resource.capacity:
        return 0
    if claims.fractions.is_one_device or (claims.fractions.integrated and not claims.gfd.count):
        return 1
    if layout.partitioning == SINGLE:
        instances = layout.mig_instances or {}
        return instances.get(layout.single_profile)
    if layout.partitioning == MIXED:
        return whole_cards_beside_mig(claims, layout)
    return claims.gfd.count if claims.gfd.is_present else claims.cloud.count or len(claims.seen) or None


def whole_cards_beside_mig(claims: NodeClaims, layout: PartitionLayout) -> int | None:
    """Returns the most GPUs that can be whole beside the node's MIG instances.

    Fewer are possible: a GPU may be partitioned in part.
    """
    if claims.gfd.count is None:
        return None
    gpus = max(claims.gfd.count, len(claims.seen))  # labels count one model, telemetry all
    return max(0, gpus - fewest_cards(layout.mig_instances or {}, layout.model))


def _by_dra(claims: NodeClaims, model: GpuModel | None) -> PartitionLayout:
    seen = claims.dra
    if seen is None:
        return PartitionLayout(partitioning=None, mig_instances=None, model=model)
    # an instance that was cut on demand goes with its claim: it does not partition the node
    fixed = MIXED if any(device.uuid for device in seen.mig_devices) else None if seen.partitions else NONE
    if not seen.instances_known:
        return PartitionLayout(partitioning=fixed, mig_instances=None, model=model)
    counts: dict[str, int] = {}
    for device in seen.mig_devices:
        counts[device.profile] = counts.get(device.profile, 0) + 1
    return PartitionLayout(partitioning=fixed, mig_instances=counts, model=model)


def _mixed(claims: NodeClaims, offered: list[StatusResource], by_label: dict[str, int]) -> dict[str, int] | None:
    if by_label:
        return by_label
    counts: dict[str, int] = {}
    for resource in offered:
        replicas = claims.wanted.replicas(resource.name)
        if replicas is None and resource.kind == "mig":
            replicas = 1 if not claims.wanted.known or claims.wanted.config is None else None
        if not replicas or not resource.capacity or resource.capacity % replicas:
            return None
        counts[resource.profile] = counts.get(resource.profile, 0) + resource.capacity // replicas
    return counts


def _single(claims: NodeClaims, profile: str, model: GpuModel | None) -> dict[str, int] | None:
    if claims.gfd.mig_profile:
        return {profile: claims.gfd.count} if claims.gfd.count else None
    room = fit(profile, model)
    if room is None:
        return None
    clients = claims.cloud.replicas or 1
    cards = claims.cloud.count or claims.gfd.count
    if cards:
        return {profile: cards * room.most}
    capacity = claims.capacity.get(labels.NVIDIA_GPU, 0)
    return {profile: capacity // clients} if capacity and capacity % clients == 0 else None


def _is_known_whole(claims: NodeClaims) -> bool:
    """Returns whether a source shows that the GPUs are not partitioned.

    GFD, GKE, a passthrough resource, the configuration, other vendors.
    """
    if claims.vendor in ("amd", "intel", "habana"):
        return claims.facts.partition in ("", "SPX")
    if claims.vendor != "nvidia":
        return False
    if claims.gfd.is_present or claims.cloud.gke or claims.fractions.integrated or claims.fractions.is_one_device:
        return True
    kinds = {claims.resources[name].kind for name in claims.capacity}
    if kinds and kinds <= {"passthrough", "vgpu"}:
        return True
    if claims.cloud.count is not None and claims.capacity == {labels.NVIDIA_GPU: claims.cloud.count}:
        return True
    config = claims.wanted.config
    return config is not None and config.mig_strategy == "none"
