"""How many physical GPUs a node has, and who says so. Replicas are never counted."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.gpu_nodes import gpu_evidence
from fleet.domain.layout import MIXED, SINGLE, Layout
from fleet.domain.mig import fewest_cards, fit
from fleet.domain.quantities import ceil_div
from fleet.domain.reading import Reading
from fleet.domain.sharing import MOST_CARDS, InForce, Verdict


class Physical(msgspec.Struct, frozen=True, kw_only=True):
    """A count with its origin. `why_unknown` and `assumed` are short reasons for the reader, in words."""

    count: int | None
    source: str = ""
    """resource_slice, dcgm, previous, label, cloud, config or capacity; empty when unknown."""
    lower_bound: bool = False
    assumed: str = ""
    """What had to be taken for granted; empty when nothing was."""
    why_unknown: str = ""


def count(reading: Reading, layout: Layout, in_force: dict[str, InForce]) -> Physical:
    """Physical GPUs of the node by the best evidence there is.

    ResourceSlices, then the cards that DCGM names (never fewer than the other sources count: a card that fell off the bus is
    still in the machine), then (while GFD rewrites its labels) what was known before, then GFD's labels, then what the cloud
    says the machine was ordered with, then capacity ÷ replicas where replicas are known, then the bare capacity.
    """
    if reading.dra is not None and not reading.pools_missing:
        if not reading.dra.cards_known:
            return Physical(count=None, why_unknown="parts of cards are published, and nothing tells of which cards")
        return Physical(count=len(reading.dra.cards), source="resource_slice")
    told = _without_telemetry(reading, layout, in_force)
    return _with_telemetry(reading, told) if reading.seen and reading.vendor == "nvidia" else told


def _with_telemetry(reading: Reading, told: Physical) -> Physical:
    """Named cards are certain, and may be too few. A count that rests on an assumption gives way to them."""
    named = len(reading.seen)
    if told.count is None or told.assumed or named >= told.count:
        return Physical(count=named, source="dcgm")
    return told


def _without_telemetry(reading: Reading, layout: Layout, in_force: dict[str, InForce]) -> Physical:
    if reading.labels_vanished and reading.previous is not None and reading.previous.physical is not None:
        before = reading.previous
        return Physical(count=before.physical, source="previous", lower_bound=before.physical_is_lower_bound)
    if reading.node.labels.get(labels.GPU_PRESENT) == "false" and not gpu_evidence(reading.node):
        return Physical(count=0, source="label")
    found = _by_labels(reading, layout, in_force) if reading.vendor == "nvidia" else _by_vendor(reading)
    if found is None and reading.cloud.count:
        found = Physical(count=reading.cloud.count, source="cloud")
    if found is None and reading.others and reading.capacity:
        return Physical(count=None, why_unknown="two vendors' GPUs are offered, and no source counts both")
    return found or _by_capacity(reading, layout)


def _by_labels(reading: Reading, layout: Layout, in_force: dict[str, InForce]) -> Physical | None:
    gfd = reading.gfd
    if not gfd.found:
        return None
    if gfd.mig_invalid:
        if reading.cloud.count:
            return Physical(count=reading.cloud.count, source="cloud")
        return Physical(count=None, why_unknown="the MIG layout is invalid, and the labels then count nothing")
    if gfd.count is None:
        return None
    if gfd.mig_profile:
        return _single(reading, layout, gfd.count)
    for offer in in_force.values():
        if offer.verdict == Verdict.EXCESS and layout.partitioning != MIXED:
            return _more_than_labelled(reading, offer)
    if gfd.count == 0 and reading.capacity:
        return Physical(count=None, why_unknown="the labels count no GPU, and yet slots are offered")
    return Physical(count=gfd.count, source="label")


def _single(reading: Reading, layout: Layout, instances: int) -> Physical:
    """Under the single strategy the label counts instances: they are divided by what one card holds."""
    profile, cloud = reading.gfd.mig_profile, reading.cloud.count
    room = fit(profile, layout.model)
    if room is None or instances == 0:
        return Physical(count=cloud, source="cloud") if cloud else Physical(count=None, why_unknown=f"{profile} is unknown")
    least = max(fewest_cards({profile: instances}, layout.model), ceil_div(instances, room.most))
    whole = instances % room.most == 0
    desired, state = reading.node.labels.get(labels.MIG_CONFIG, ""), reading.node.labels.get(labels.MIG_CONFIG_STATE, "")
    confirmed = desired == f"all-{profile}" and state == "success"
    if whole and room.certain and (confirmed or cloud in (None, least)):
        return Physical(
            count=least,
            source="label",
            assumed="" if confirmed or cloud else f"every card carries its full {room.most} instances of {profile}",
        )
    if cloud and cloud >= least:
        return Physical(count=cloud, source="cloud")
    return Physical(count=least, source="label", lower_bound=True)


def _more_than_labelled(reading: Reading, offer: InForce) -> Physical:
    """More slots than the labelled product can make: labels describe one product, the node may hold several."""
    usual = [name for name in reading.capacity if labels.base_resource(name) == labels.NVIDIA_GPU]
    slots = sum(reading.capacity[name] for name in offer.together or usual)
    cards = slots // (offer.replicas or 1)
    if reading.cloud.count == cards:
        return Physical(count=cards, source="cloud")
    if offer.label is not None and offer.label == offer.config:
        return Physical(count=cards, source="config")
    return Physical(
        count=None, why_unknown=f"the labels describe {offer.devices} of them, and more slots are offered than those make"
    )


def _by_vendor(reading: Reading) -> Physical | None:
    facts = reading.facts
    if facts.count is None:
        return None
    if facts.devices_per_card and facts.count % facts.devices_per_card == 0:
        return Physical(count=facts.count // facts.devices_per_card, source="label")
    return None


def _by_capacity(reading: Reading, layout: Layout) -> Physical:
    capacity = reading.capacity
    if reading.pools_missing:
        return Physical(count=None, why_unknown="their ResourceSlices were not seen whole")
    if not capacity:
        return Physical(count=None, why_unknown="no source counts them and nothing is offered")
    if layout.partitioning == MIXED:
        least = fewest_cards(layout.mig_instances or {}, layout.model)
        whole = capacity.get(labels.NVIDIA_GPU, 0)
        if least and whole + least <= MOST_CARDS:
            told = reading.wanted.config is not None
            assumed = "" if told else "no slot is a share of an instance or card"
            return Physical(count=whole + least, source="capacity", lower_bound=True, assumed=assumed)
        return Physical(count=None, why_unknown="MIG instances are offered and nobody counts the cards")
    cards, source, assumptions = 0, "capacity", []
    for name, slots in capacity.items():
        per_card, taken = _slots_per_card(reading, layout, name)
        if per_card is None:
            return Physical(count=None, why_unknown=taken)
        if slots % per_card:
            return Physical(count=None, why_unknown=f"{slots} slots of {name} do not divide by {per_card} per card")
        cards += slots // per_card
        assumptions += [taken] if taken else []
        source = _source(reading, name, source)
    if cards > MOST_CARDS:
        return Physical(count=None, why_unknown=f"{cards} slots are more than a machine has cards: they are shares or parts")
    return Physical(count=cards, source=source, assumed="; ".join(dict.fromkeys(assumptions)))


def _slots_per_card(reading: Reading, layout: Layout, resource: str) -> tuple[int | None, str]:
    """Slots that one card makes of a resource, and what that takes for granted; None, and why, where it cannot be said."""
    kind = reading.offers[resource].kind
    if kind == "vgpu":
        return None, "vGPUs are parts of cards, and nobody counts the cards"
    if kind == "passthrough":
        return 1, ""
    if reading.vendor in ("amd", "habana"):
        # Their plugins share nothing; AMD cards may be partitioned.
        return reading.facts.devices_per_card, "" if reading.facts.devices_per_card else "cards are partitioned in unknown ways"
    if layout.partitioning == SINGLE:
        room = fit(layout.single_profile, layout.model)
        if room is None:
            return None, f"{layout.single_profile} is unknown"
        return room.most * (reading.cloud.replicas or 1), "" if room.certain else "every card is cut into as many as it can hold"
    if reading.cloud.gke and not reading.gfd.found:
        if not reading.cloud.sharing:
            return 1, ""
        return reading.cloud.replicas, "" if reading.cloud.replicas else "no label tells the number of clients per card"
    config = reading.wanted.config
    replicas = reading.wanted.replicas(resource)
    if config is not None and replicas:
        return replicas, "no card is cut by MIG" if config.mig_strategy == "single" else ""
    if kind == "shared":
        return None, "the slots are shares, and nobody says how many a card has"
    return 1, "each slot is one card"


def _source(reading: Reading, resource: str, before: str) -> str:
    if reading.cloud.gke and not reading.gfd.found:
        return "cloud"
    return "config" if reading.vendor == "nvidia" and reading.wanted.replicas(resource) else before
