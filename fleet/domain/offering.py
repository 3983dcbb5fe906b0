"""What a node offers the scheduler, resource by resource, and what its devices say it should offer."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fleet.domain import labels
from fleet.domain.layout import MIXED, SINGLE, Layout, devices_behind
from fleet.domain.reading import Offer, Reading, make_offer
from fleet.domain.requests import Amounts
from fleet.domain.sharing import MOST_CARDS, InForce, Verdict, in_force
from fleet.domain.slots import ResourceSlots, add, minus
from fleet.domain.sources.gfd import PLAUSIBLE

_UNKNOWN = InForce(replicas=None, verdict=Verdict.UNTESTED)


class Offering(msgspec.Struct, frozen=True, kw_only=True):
    """All GPU resources of a node."""

    resources: tuple[ResourceSlots, ...]
    leave_out: frozenset[str]
    """Resources that offer the same cards a second time (device plugin beside DRA, a renamed resource beside its old name)."""
    stale: tuple[str, ...]
    """Names that stayed behind after the node stopped offering them, most of them at 0."""


def forces(reading: Reading, layout: Layout) -> dict[str, InForce]:
    """How each resource with a capacity follows from its devices; without one, what is announced."""
    found = {name: _force(reading, layout, offer) for name, offer in reading.offers.items()}
    together = renamed(reading, layout)
    if together:
        found |= _together(reading, layout, together)
    if together or any(reading.offers[name].kind == "passthrough" for name in reading.capacity):
        # The cards are offered under other names: what stayed behind at 0 should offer none.
        idle = [name for name in found if labels.base_resource(name) == labels.NVIDIA_GPU and name not in reading.capacity]
        found |= {name: msgspec.structs.replace(found[name], devices=0) for name in idle}
    return found


def renamed(reading: Reading, layout: Layout) -> tuple[str, ...]:
    """Names that offer the node's whole cards between them, where one of them is a name of somebody's own: `nvidia.com/t4`.

    Labels count the cards, whatever they are called: it is the sum of these names that must follow from the count. A number
    that no machine has cards for is no card's (schedulers of fractions offer memory and cores under such names).
    """
    if reading.vendor != "nvidia" or reading.dra is not None or layout.partitioning in (SINGLE, MIXED) or reading.gfd.mig_invalid:
        return ()
    left_out = _doubled(reading) | layout.leftovers
    names = tuple(
        name
        for name, slots in sorted(reading.capacity.items())
        if name not in left_out
        and (labels.base_resource(name) == labels.NVIDIA_GPU or labels.resource_kind(labels.base_resource(name)) == "custom")
        and slots <= MOST_CARDS * max(1, *(told or 1 for told in _announced(reading, reading.offers[name])))
    )
    return names if any(labels.base_resource(name) != labels.NVIDIA_GPU for name in names) else ()


def _together(reading: Reading, layout: Layout, names: tuple[str, ...]) -> dict[str, InForce]:
    """What is in force for names that offer the same cards between them, judged by their sum."""
    announced = {_announced(reading, reading.offers[name]) for name in names}
    if len(announced) > 1:
        return {}  # shared in different ways, so that their sum follows from nothing
    slots = sum(reading.capacity[name] for name in names)
    summed = make_offer(labels.NVIDIA_GPU, slots, slots)
    force = _of_cards(layout, summed, devices_behind(reading, layout, summed), *announced.pop())
    return dict.fromkeys(names, msgspec.structs.replace(force, together=names))


def _force(reading: Reading, layout: Layout, offer: Offer) -> InForce:
    if labels.vendor_of_resource(offer.name) != reading.vendor:
        return _UNKNOWN  # asked for by a pod, and not offered here
    if offer.kind in ("passthrough", "vgpu"):
        return msgspec.structs.replace(_UNKNOWN, replicas=1)
    devices = devices_behind(reading, layout, offer)
    if reading.vendor != "nvidia":
        found = in_force(capacity=offer.capacity, devices=devices, label=None, config=None)
        shares_nothing = reading.vendor in ("amd", "habana")
        return msgspec.structs.replace(found, replicas=1) if shares_nothing and not found.replicas else found
    label, config = _announced(reading, offer)
    if layout.partitioning == MIXED and not offer.profile:
        return _beside_mig(offer, devices, label, config)
    return _of_cards(layout, offer, devices, label, config)


def _of_cards(layout: Layout, offer: Offer, devices: int | None, label: int | None, config: int | None) -> InForce:
    found = in_force(capacity=offer.capacity, devices=devices, label=label, config=config)
    cuttable = layout.model is None or layout.model.geometry
    if found.verdict == Verdict.OBSERVED and (found.replicas or 0) > 1 and layout.partitioning is None and cuttable:
        return msgspec.structs.replace(found, replicas=None)  # several slots per card: shares or MIG instances, who knows
    return found


def _announced(reading: Reading, offer: Offer) -> tuple[int | None, int | None]:
    """Replicas by label and by configuration."""
    config = reading.wanted.replicas(offer.name)
    if reading.cloud.gke and reading.cloud.sharing and reading.wanted.config is None:
        config = reading.cloud.replicas  # GKE's own plugin shares, which GFD does not know of
    if reading.labels_vanished and reading.previous is not None:
        return reading.previous.replicas, config
    if offer.profile in reading.gfd.mig:
        return reading.gfd.mig[offer.profile].replicas, config
    if reading.gfd.found:
        return (reading.gfd.replicas if reading.gfd.mig_profile == offer.profile or not offer.profile else None), config
    if reading.cloud.gke:
        return (reading.cloud.replicas if reading.cloud.sharing else 1), None
    return None, config


def _beside_mig(offer: Offer, most: int | None, label: int | None, config: int | None) -> InForce:
    """Whole cards beside MIG instances: their number has only an upper bound, so that fewer slots prove nothing."""
    found = in_force(capacity=offer.capacity, devices=most, label=label, config=config)
    announced = label or config
    if offer.capacity and most is not None and offer.capacity > most * (announced or 1):
        return msgspec.structs.replace(found, replicas=announced, verdict=Verdict.EXCESS)
    if found.verdict in (Verdict.AGREED, Verdict.CONFIGURED) or (found.verdict == Verdict.OBSERVED and found.replicas == 1):
        return found
    return msgspec.structs.replace(found, replicas=announced, verdict=Verdict.UNTESTED, devices=None)


def offer_slots(reading: Reading, layout: Layout, in_force_by_name: Mapping[str, InForce], held: Amounts | None) -> Offering:
    """The resources of the node with capacity, allocatable, requested and predicted; names that offer nothing are left away.

    `held` is what the node's pods request; None where pods could not be read.
    """
    offers = dict(reading.offers)
    reported = bool(reading.node.capacity)
    by_dra = reading.dra is not None
    # Where DRA serves the cards, a pod that asks for nvidia.com/gpu got a claim for it, which is counted there (KEP-5004).
    asked = [name for name in held or () if not (by_dra and labels.vendor_of_resource(name) == reading.vendor)]
    asked = [name for name in asked if name not in reading.others]
    missing = _expected(reading, layout)
    for name in (*missing, *asked):
        if name not in offers:
            amount = 0 if reported else None
            offers[name] = make_offer(name, amount, amount)
    doubled = _doubled(reading) | layout.leftovers
    resources: list[ResourceSlots] = []
    stale: list[ResourceSlots] = []
    empty: list[ResourceSlots] = []
    for name in sorted(offers):
        force = in_force_by_name.get(name) or _force(reading, layout, offers[name])
        slots = _slots(reading, layout, offers[name], force, held, doubled)
        numbers = (slots.capacity, slots.allocatable, slots.requested if held is not None else 0, slots.predicted or 0)
        if name in missing or any(number != 0 for number in numbers):
            resources.append(slots)
        else:
            (stale if offers[name].kind in ("mig", "mig-shared", "partition") else empty).append(slots)
    if not resources and not by_dra:
        resources = empty
    published = _published(reading, layout)
    second = {resource.name for resource in resources if by_dra and labels.vendor_of_resource(resource.name) == reading.vendor}
    return Offering(
        resources=(*published, *resources),
        leave_out=frozenset(second | doubled),
        stale=(*sorted(layout.leftovers), *(slots.name for slots in stale)),
    )


def _slots(
    reading: Reading, layout: Layout, offer: Offer, force: InForce, held: Amounts | None, doubled: frozenset[str]
) -> ResourceSlots:
    requested = None if held is None else held.get(offer.name, 0)
    single = layout.partitioning == SINGLE and labels.base_resource(offer.name) == labels.NVIDIA_GPU
    amd = reading.facts.partition if reading.facts.partition != "SPX" and offer.name.startswith("amd.com/") else ""
    return ResourceSlots(
        name=offer.name,
        kind="partition" if amd else _kind(offer, force, single=single),
        profile=offer.profile or amd or (layout.single_profile if single else ""),
        replicas=force.replicas,
        capacity=offer.capacity,
        allocatable=offer.allocatable,
        requested=requested,
        free=minus(offer.allocatable, requested),
        predicted=_predicted(reading, offer, force, doubled),
    )


def _kind(offer: Offer, force: InForce, *, single: bool) -> str:
    replicas = force.replicas or max(force.label or 1, force.config or 1)
    shared = offer.kind in ("shared", "mig-shared") or replicas > 1
    if offer.kind in ("gpu", "shared", "mig", "mig-shared"):
        if single or offer.kind.startswith("mig"):
            return "mig-shared" if shared else "mig"
        return "shared" if shared else "gpu"
    return offer.kind


def _predicted(reading: Reading, offer: Offer, force: InForce, doubled: frozenset[str]) -> int | None:
    if offer.name in doubled or (reading.vendor == "nvidia" and _other_name_is_used(reading, offer)):
        return 0
    if force.devices == 0:
        return 0
    if force.devices is None or force.replicas is None or force.verdict in (Verdict.EXCESS, Verdict.UNCLEAR):
        return None
    predicted = force.devices * force.replicas
    if len(force.together) > 1:
        # Only the sum is known: what is missing of it is missed under the usual name, if that is among them.
        if offer.name != labels.NVIDIA_GPU:
            return None
        predicted -= sum(reading.capacity[name] for name in force.together if name != offer.name)
    return predicted if predicted <= PLAUSIBLE else None


def _other_name_is_used(reading: Reading, offer: Offer) -> bool:
    """Whether the same devices are offered under the other name: with `.shared` or without it."""
    if offer.capacity:
        return False
    base = labels.base_resource(offer.name)
    other = base if offer.name != base else base + labels.SHARED_SUFFIX
    return other in reading.capacity or _shared_name(reading, base) == other


def _shared_name(reading: Reading, base: str) -> str:
    """The name under which a resource should be offered: renamed where replicas are, by configuration or by GFD's own rule."""
    config = reading.wanted.config
    if config is not None:
        renamed = config.rename_by_default and (reading.wanted.replicas(base) or 1) > 1
    else:
        renamed = base == labels.NVIDIA_GPU and (reading.gfd.replicas or 0) > 1 and not reading.gfd.shared_suffix
    return base + labels.SHARED_SUFFIX if renamed else base


def _expected(reading: Reading, layout: Layout) -> list[str]:
    """Names of resources that GFD's labels say should be offered, though the node does not know them."""
    if reading.vendor != "nvidia" or reading.dra is not None or reading.pools_missing:
        return []
    if not reading.gfd.found:
        return [labels.NVIDIA_GPU] if reading.cloud.count and reading.cloud.gke and not reading.capacity else []
    names = []
    if reading.gfd.mig:
        names = [labels.NVIDIA_MIG_PREFIX + profile.replace("+", ".") for profile, told in reading.gfd.mig.items() if told.count]
    elif reading.gfd.count and not any(reading.offers[name].kind == "passthrough" for name in reading.capacity):
        if renamed(reading, layout):
            return []
        names = [labels.NVIDIA_GPU]
    wanted = [_shared_name(reading, base) for base in names]
    offered = {labels.base_resource(name) for name in reading.capacity}  # with .shared or without, the devices are the same
    return [name for base, name in zip(names, wanted, strict=True) if base not in offered]


def _doubled(reading: Reading) -> frozenset[str]:
    """Of a resource that is there with and without `.shared`, the name that is the leftover."""
    left_over = set()
    for name in reading.capacity:
        base = labels.base_resource(name)
        if name != base and base in reading.capacity:
            plain, shared = reading.offers[base], reading.offers[name]
            if bool(plain.allocatable) != bool(shared.allocatable):
                left_over.add(base if shared.allocatable else name)
            else:
                left_over.add(base if _shared_name(reading, base) == name else name)
    return frozenset(left_over)


def _published(reading: Reading, layout: Layout) -> tuple[ResourceSlots, ...]:
    """DRA device classes; of pools that were not seen whole only that they are there, without numbers."""
    if reading.dra is None or reading.pools_missing:
        drivers = sorted({pool.driver for pool in reading.pools_missing})
        return tuple(ResourceSlots(name=driver, kind="dra-gpu") for driver in drivers)
    count = reading.gfd.count if layout.partitioning != MIXED and not reading.gfd.mig_profile else None
    return tuple(
        msgspec.structs.replace(slots, predicted=count) if slots.name == labels.DRA_NVIDIA_GPU else slots
        for slots in reading.dra.resources
    )


def advertised(reading: Reading, offering: Offering, in_force_by_name: Mapping[str, InForce], physical: int | None) -> str:
    """full, partial, none or unknown: what the scheduler is offered against what the devices predict.

    Where nothing independent predicts, the plugin's own capacity stands in for it, as long as it makes a number of cards.
    """
    counted = [slots for slots in offering.resources if slots.name not in offering.leave_out]
    offered = add(slots.allocatable for slots in counted)
    if offered is None or (not counted and not reading.node.capacity):
        return "unknown"
    if offered == 0:
        return "none"
    verdicts = {in_force_by_name[slots.name].verdict for slots in counted if slots.name in in_force_by_name}
    if any((slots.allocatable or 0) < max(slots.capacity or 0, slots.predicted or 0) for slots in counted):
        return "partial"
    if physical is None or verdicts & {Verdict.EXCESS, Verdict.UNCLEAR, Verdict.MISSING}:
        return "unknown"
    if any(slots.predicted is not None and (slots.allocatable or 0) > slots.predicted for slots in counted):
        return "unknown"
    return "full"
