"""Counts the physical GPUs of a node, with the source. Replicas are never counted."""

from __future__ import annotations

import msgspec

from fleet.domain import labels
from fleet.domain.devices import intel_drivers
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.detection import gpu_evidence
from fleet.domain.devices.mig import fewest_cards, fit
from fleet.domain.devices.partitioning import MIXED, SINGLE, PartitionLayout
from fleet.domain.devices.sharing import MOST_CARDS, EffectiveSharing, SharingVerdict
from fleet.domain.quantities import ceil_div


class Physical(msgspec.Struct, frozen=True, kw_only=True):
    """Number of physical GPUs with its source. `why_unknown` and `assumed` are short reasons for readers."""

    count: int | None
    source: str = ""
    """resource_slice, dcgm, previous, annotation, kernel, label, cloud, config or capacity; empty when unknown."""
    lower_bound: bool = False
    assumed: str = ""
    """Assumption behind the count; empty without one."""
    why_unknown: str = ""
    why_least: str = ""
    """Why it is a lower bound, other than MIG instances that may be spread over more GPUs."""


def count(claims: NodeClaims, layout: PartitionLayout, effective_sharing: dict[str, EffectiveSharing]) -> Physical:
    """Returns the physical GPUs of the node by the best evidence.

    ResourceSlices, then the GPUs that DCGM lists (never fewer than other sources count: a GPU that fell off the bus is still
    installed), then (while GFD rewrites its labels) the previous count, then GFD's labels, then the number the machine was
    ordered with, then capacity ÷ replicas where replicas are known, then the bare capacity.
    """
    if claims.dra is not None and not claims.pools_missing:
        if not claims.dra.cards_known:
            return Physical(count=None, why_unknown="parts of GPUs are published without the GPUs they belong to")
        return Physical(count=len(claims.dra.cards), source="resource_slice")
    counted = _without_telemetry(claims, layout, effective_sharing)
    return _with_telemetry(claims, counted) if claims.seen and claims.vendor == "nvidia" else counted


def _with_telemetry(claims: NodeClaims, counted: Physical) -> Physical:
    """Returns the count with telemetry.

    GPUs that telemetry lists are certain, and may be too few. A count by assumption yields to them; where it is larger, they are
    the least there are.
    """
    named = len(claims.seen)
    if counted.assumed and named < (counted.count or 0):
        # More slots than these GPUs make, and nothing says that slots are shares: others may be hidden from the exporter.
        least = "DCGM lists that many, and nothing explains why more slots are advertised"
        return Physical(count=named, source="dcgm", lower_bound=True, why_least=least)
    if counted.count is None or counted.assumed or named >= counted.count:
        return Physical(count=named, source="dcgm")
    return counted


def _without_telemetry(claims: NodeClaims, layout: PartitionLayout, effective_sharing: dict[str, EffectiveSharing]) -> Physical:
    if claims.labels_vanished and claims.previous is not None and claims.previous.physical is not None:
        before = claims.previous
        return Physical(count=before.physical, source="previous", lower_bound=before.physical_is_lower_bound)
    if claims.node.labels.get(labels.GPU_PRESENT) == "false" and not gpu_evidence(claims.node):
        return Physical(count=0, source="label")
    counted_by_source = _by_labels(claims, layout, effective_sharing) if claims.vendor == "nvidia" else _by_vendor(claims)
    registered = _by_register(claims)
    if registered is not None and (
        counted_by_source is None
        or counted_by_source.count is None
        or counted_by_source.lower_bound
        or (registered.count or 0) > counted_by_source.count
    ):
        return registered
    if counted_by_source is None and claims.cloud.count:
        counted_by_source = Physical(count=claims.cloud.count, source="cloud")
    if counted_by_source is None and claims.others and claims.capacity:
        return Physical(count=None, why_unknown="two vendors' GPUs are advertised, and no source counts both")
    return counted_by_source or _by_capacity(claims, layout)


def _by_labels(claims: NodeClaims, layout: PartitionLayout, effective_sharing: dict[str, EffectiveSharing]) -> Physical | None:
    gfd = claims.gfd
    if not gfd.is_present:
        return None
    if gfd.mig_invalid:
        if claims.cloud.count:
            return Physical(count=claims.cloud.count, source="cloud")
        return Physical(count=None, why_unknown="the MIG layout is invalid, and the labels then count nothing")
    if gfd.count is None:
        return None
    if gfd.mig_profile:
        return _single(claims, layout, gfd.count)
    for effective in effective_sharing.values():
        if effective.verdict == SharingVerdict.EXCESS and layout.partitioning != MIXED:
            return _more_than_labelled(claims, effective)
        if effective.verdict == SharingVerdict.EXCESS and claims.capacity.get(labels.NVIDIA_GPU, 0) > gfd.count:
            return Physical(
                count=None, why_unknown=f"the labels describe {gfd.count} of them, and more whole ones are advertised"
            )
    if gfd.count == 0 and claims.capacity:
        return Physical(count=None, why_unknown="the labels count no GPU, but slots are advertised")
    return Physical(count=gfd.count, source="label")


def _single(claims: NodeClaims, layout: PartitionLayout, instances: int) -> Physical:
    """Returns the count under the single strategy, where the label counts instances: they are divided by those of one GPU."""
    profile, cloud = claims.gfd.mig_profile, claims.cloud.count
    room = fit(profile, layout.model)
    if room is None or instances == 0:
        return Physical(count=cloud, source="cloud") if cloud else Physical(count=None, why_unknown=f"{profile} is unknown")
    least = max(fewest_cards({profile: instances}, layout.model), ceil_div(instances, room.most))
    whole = instances % room.most == 0
    desired, state = claims.node.labels.get(labels.MIG_CONFIG, ""), claims.node.labels.get(labels.MIG_CONFIG_STATE, "")
    confirmed = desired == f"all-{profile}" and state == "success"
    if whole and room.certain and (confirmed or cloud in (None, least)):
        return Physical(
            count=least,
            source="label",
            assumed="" if confirmed or cloud else f"every GPU has its full {room.most} instances of {profile}",
        )
    if cloud and cloud >= least:
        return Physical(count=cloud, source="cloud")
    return Physical(count=least, source="label", lower_bound=True)


def _more_than_labelled(claims: NodeClaims, effective: EffectiveSharing) -> Physical:
    """Returns the count with more slots than the labelled product can make.

    Labels describe one product, the node may have several.
    """
    usual = [name for name in claims.capacity if labels.base_resource(name) == labels.NVIDIA_GPU]
    slots = sum(claims.capacity[name] for name in effective.together or usual)
    if effective.replicas is None:
        return Physical(
            count=None, why_unknown=f"the labels describe {effective.devices} of them, and nothing explains {slots} slots"
        )
    cards = slots // effective.replicas
    if claims.cloud.count == cards:
        return Physical(count=cards, source="cloud")
    if effective.label is not None and effective.label == effective.config:
        return Physical(count=cards, source="config")
    return Physical(
        count=None,
        why_unknown=f"the labels describe {effective.devices} of them, and more slots are advertised than those provide",
    )


def _by_register(claims: NodeClaims) -> Physical | None:
    """Returns the GPUs that a scheduler's annotation lists, or the number of shares where it lists too few; None without one."""
    register = claims.fractions
    slots, listed = claims.capacity.get(register.resource, 0), sum(gpu.shares for gpu in register.gpus)
    if not register.gpus or slots <= listed:
        return Physical(count=len(register.gpus), source="annotation") if register.gpus else None
    if register.shares and slots % register.shares == 0 and slots // register.shares <= MOST_CARDS:
        assumed = f"every GPU has {register.shares} shares, as those that {register.annotation} lists"
        return Physical(count=slots // register.shares, source="annotation", assumed=assumed)
    return Physical(
        count=None, why_unknown=f"{register.annotation} lists {len(register.gpus)} of them, and there are more shares"
    )


def _by_vendor(claims: NodeClaims) -> Physical | None:
    facts = claims.facts
    if facts.count is None:
        return None
    if facts.devices_per_card and facts.count % facts.devices_per_card == 0:
        return Physical(count=facts.count // facts.devices_per_card, source="label")
    return None


def _by_capacity(claims: NodeClaims, layout: PartitionLayout) -> Physical:
    capacity, fractions = claims.capacity, claims.fractions
    if claims.pools_missing:
        return Physical(count=None, why_unknown="their ResourceSlices were not read completely")
    if fractions.integrated:
        return Physical(count=1, source="kernel")
    if fractions.is_one_device and capacity:
        return Physical(count=1, source="kernel", assumed="under WSL2 all GPUs are one device")
    if fractions.count:
        return Physical(count=fractions.count, source="capacity")
    if fractions.hints and layout.partitioning != MIXED and claims.wanted.config is None:
        hint = fractions.hints[0]
        return Physical(count=None, why_unknown=f"slots may be shares ({hint.source} {hint.key}), and no source counts the GPUs")
    if not capacity:
        return Physical(count=None, why_unknown="no source counts them and nothing is advertised")
    if layout.partitioning == MIXED:
        least = fewest_cards(layout.mig_instances or {}, layout.model)
        whole = capacity.get(labels.NVIDIA_GPU, 0)
        if least and whole + least <= MOST_CARDS:
            counted = claims.wanted.config is not None
            assumed = "" if counted else "no slot is a share of an instance or GPU"
            return Physical(count=whole + least, source="capacity", lower_bound=True, assumed=assumed)
        return Physical(count=None, why_unknown="MIG instances are advertised and no source counts the GPUs")
    if intel_drivers.both(claims.capacity):
        return Physical(count=None, why_unknown="i915 and xe are advertised, and no label shows whether for the same GPUs")
    cards, source, assumptions = 0, "capacity", []
    for name, slots in capacity.items():
        per_card, taken = _slots_per_card(claims, layout, name)
        if per_card is None:
            return Physical(count=None, why_unknown=taken)
        if slots % per_card:
            return Physical(count=None, why_unknown=f"{slots} slots of {name} are not a multiple of {per_card} per GPU")
        cards += slots // per_card
        assumptions += [taken] if taken else []
        source = _source(claims, name, source)
    if cards > MOST_CARDS:
        return Physical(count=None, why_unknown=f"{cards} slots are more than any machine has GPUs: they are shares or parts")
    return Physical(count=cards, source=source, assumed="; ".join(dict.fromkeys(assumptions)))


def _slots_per_card(claims: NodeClaims, layout: PartitionLayout, resource: str) -> tuple[int | None, str]:
    """Returns the slots that one GPU makes of a resource, with what that assumes; None, with the reason, where unknown."""
    kind = claims.resources[resource].kind
    if resource in labels.DIRECTX:
        return None, "a GPU can be given to several containers through DirectX, and no source counts the GPUs"
    if kind == "vgpu":
        return None, "vGPUs are parts of GPUs, and no source counts the GPUs"
    if kind == "passthrough":
        return 1, ""
    if claims.vendor in ("amd", "habana"):
        # Their plugins share nothing; AMD GPUs may be partitioned.
        return claims.facts.devices_per_card, "" if claims.facts.devices_per_card else "GPUs are partitioned in unknown ways"
    if layout.partitioning == SINGLE:
        room = fit(layout.single_profile, layout.model)
        if room is None:
            return None, f"{layout.single_profile} is unknown"
        return room.most * (claims.cloud.replicas or 1), "" if room.certain else "every GPU has its maximum number of instances"
    if claims.cloud.gke and not claims.gfd.is_present:
        if not claims.cloud.sharing:
            return 1, ""
        return claims.cloud.replicas, "" if claims.cloud.replicas else "no label has the number of clients per GPU"
    config = claims.wanted.config
    replicas = claims.wanted.replicas(resource)
    if config is not None and replicas:
        return replicas, "no GPU is partitioned by MIG" if config.mig_strategy == "single" else ""
    if kind == "shared":
        return None, "the slots are shares, and no source says how many a GPU has"
    return 1, "each slot is one GPU"


def _source(claims: NodeClaims, resource: str, before: str) -> str:
    if claims.cloud.gke and not claims.gfd.is_present:
        return "cloud"
    return "config" if claims.vendor == "nvidia" and claims.wanted.replicas(resource) else before
