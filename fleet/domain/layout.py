"""How the cards of a node are partitioned, and how many devices stand behind each of its resources."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.gpus import GpuModel, find
from fleet.domain.leftovers import leftovers
from fleet.domain.mig import fewest_cards, fit
from fleet.domain.reading import Offer, Reading

NONE, SINGLE, MIXED = "none", "mig-single", "mig-mixed"


class Layout(msgspec.Struct, frozen=True, kw_only=True):
    """Partitioning of a node and what it was read from."""

    partitioning: str | None
    mig_instances: dict[str, int] | None
    """Instances by profile; {} is none, None is unknown."""
    single_profile: str = ""
    """The profile behind nvidia.com/gpu under the single strategy."""
    model: GpuModel | None = None
    leftovers: frozenset[str] = frozenset()
    """Resources from an earlier layout, which offer nothing."""


def lay_out(reading: Reading) -> Layout:
    """The partitioning by ResourceSlices, else by what is offered, else by labels, else by the cloud's and the plugin's word."""
    model = model_of(reading)
    if reading.dra is not None:
        return _by_dra(reading, model)
    behind = leftovers(reading, model)
    layout = _by_labels(reading, model, behind)
    return msgspec.structs.replace(layout, leftovers=behind) if behind else layout


def _by_labels(reading: Reading, model: GpuModel | None, behind: frozenset[str]) -> Layout:
    offered = [
        offer
        for name, offer in reading.offers.items()
        if offer.profile and (offer.capacity or offer.allocatable) and name not in behind
    ]
    by_label = {profile: told.count for profile, told in reading.gfd.mig.items() if told.count}
    if offered or by_label:
        return Layout(partitioning=MIXED, mig_instances=_mixed(reading, offered, by_label), model=model)
    single = reading.gfd.mig_profile or reading.cloud.partition
    if single:
        return Layout(partitioning=SINGLE, mig_instances=_single(reading, single, model), single_profile=single, model=model)
    if reading.gfd.mig_invalid:
        return Layout(partitioning=None, mig_instances=None, model=model)
    if reading.gfd.replicas == 0 and reading.gfd.mig_strategy == "mixed" and not reading.capacity:
        return Layout(partitioning=MIXED, mig_instances={}, model=model)  # cards in MIG mode, none of them cut yet
    if _known_whole(reading) or (model is not None and not model.geometry and reading.vendor == "nvidia"):
        return Layout(partitioning=NONE, mig_instances={}, model=model)
    return Layout(partitioning=None, mig_instances=None, model=model)


def model_of(reading: Reading) -> GpuModel | None:
    """The catalogue's entry for the node's cards; None also for vGPUs, which have a part of a card's memory."""
    if reading.gfd.vgpu:
        return None
    product = reading.gfd.product or (reading.dra.products[0] if reading.dra and reading.dra.products else "")
    product = product or reading.facts.product or reading.cloud.product
    return find(product) if product else None


def devices_behind(reading: Reading, layout: Layout, offer: Offer) -> int | None:
    """Devices that should stand behind a resource: cards, or MIG instances; None where nothing independent tells."""
    if offer.name in layout.leftovers:
        return 0
    if offer.profile:
        told = reading.gfd.mig.get(offer.profile)
        if told is not None:
            return told.count
        if reading.gfd.mig_profile == offer.profile:
            return reading.gfd.count
        return 0 if any(told.count for told in reading.gfd.mig.values()) else None
    if reading.vendor != "nvidia":
        facts = reading.facts
        if facts.count is not None:
            return facts.count
        return (reading.cloud.count or 0) * (facts.devices_per_card or 0) or None
    if labels.base_resource(offer.name) != labels.NVIDIA_GPU or reading.gfd.mig_invalid:
        return None
    if reading.labels_vanished and reading.previous is not None:
        return reading.previous.physical if reading.previous.partitioning == NONE else None
    if layout.partitioning == SINGLE:
        instances = layout.mig_instances or {}
        return instances.get(layout.single_profile)
    if layout.partitioning == MIXED:
        return whole_cards_beside_mig(reading, layout)
    return reading.gfd.count if reading.gfd.found else reading.cloud.count


def whole_cards_beside_mig(reading: Reading, layout: Layout) -> int | None:
    """The most cards that can be whole beside the node's MIG instances. Fewer are possible: a card may be cut only in part."""
    if reading.gfd.count is None:
        return None
    return max(0, reading.gfd.count - fewest_cards(layout.mig_instances or {}, layout.model))


def _by_dra(reading: Reading, model: GpuModel | None) -> Layout:
    seen = reading.dra
    if seen is None or not seen.instances_known:
        return Layout(partitioning=None, mig_instances=None, model=model)
    counts: dict[str, int] = {}
    for device in seen.mig_devices:
        counts[device.profile] = counts.get(device.profile, 0) + 1
    whole = None if seen.partitions else NONE
    return Layout(partitioning=MIXED if counts else whole, mig_instances=counts, model=model)


def _mixed(reading: Reading, offered: list[Offer], by_label: dict[str, int]) -> dict[str, int] | None:
    if by_label:
        return by_label
    counts: dict[str, int] = {}
    for offer in offered:
        replicas = reading.wanted.replicas(offer.name)
        if replicas is None and offer.kind == "mig":
            replicas = 1 if not reading.wanted.known or reading.wanted.config is None else None
        if not replicas or not offer.capacity or offer.capacity % replicas:
            return None
        counts[offer.profile] = counts.get(offer.profile, 0) + offer.capacity // replicas
    return counts


def _single(reading: Reading, profile: str, model: GpuModel | None) -> dict[str, int] | None:
    if reading.gfd.mig_profile:
        return {profile: reading.gfd.count} if reading.gfd.count else None
    room = fit(profile, model)
    if room is None:
        return None
    clients = reading.cloud.replicas or 1
    cards = reading.cloud.count or reading.gfd.count
    if cards:
        return {profile: cards * room.most}
    capacity = reading.capacity.get(labels.NVIDIA_GPU, 0)
    return {profile: capacity // clients} if capacity and capacity % clients == 0 else None


def _known_whole(reading: Reading) -> bool:
    """Whether something says that the cards are not cut: GFD, GKE, a passthrough resource, the configuration, other vendors."""
    if reading.vendor in ("amd", "intel", "habana"):
        return reading.facts.partition in ("", "SPX")
    if reading.vendor != "nvidia":
        return False
    if reading.gfd.found or reading.cloud.gke:
        return True
    kinds = {reading.offers[name].kind for name in reading.capacity}
    if kinds and kinds <= {"passthrough", "vgpu"}:
        return True
    if reading.cloud.count is not None and reading.capacity == {labels.NVIDIA_GPU: reading.cloud.count}:
        return True
    config = reading.wanted.config
    return config is not None and config.mig_strategy == "none"
