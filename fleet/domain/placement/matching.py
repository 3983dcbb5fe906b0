"""Whether a node takes a pod, and every reason why not, in the order the scheduler and then the promise would say them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum

import msgspec

from fleet.domain import labels
from fleet.domain.catalog.node_taints import is_transient
from fleet.domain.devices.mig import canonical
from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.label_selectors import Requirement, holds, to_text
from fleet.domain.placement.amounts import amount_text, number_text
from fleet.domain.placement.anti_affinity import keeps_out
from fleet.domain.placement.nodes import (
    MIG,
    MIG_SHARED,
    OTHER_RESOURCES,
    PARTITION,
    PlacementNode,
    partition_profile,
    slot_memory,
    slot_mode,
    slot_profiles,
)
from fleet.domain.placement.requirement import NODE_NAME, PodRequirement, version
from fleet.domain.placement.scheduler.node_filters import tolerates_cordon, untolerated
from fleet.domain.placement.scheduler.specs import with_defaults

MODE_WORDS = {
    "full": "a whole GPU",
    "mig": "a MIG instance",
    "time-sliced": "a time-sliced share",
    "mps": "an MPS share",
    "mig-shared": "a share of a MIG instance",
    "partition": "a partition of a card",
}
_BROKEN = frozenset({"not_ready", "starting", "unknown"})
"""Verdicts of broken nodes, which may recover; `excluded` is intentional."""
PODS = "pods"
"""The resource every pod takes one of."""


class When(IntEnum):
    """Which nodes are believed. Each counts at least what the one before it counts."""

    NOW = 0
    LAST_KNOWN = 1
    """Also nodes of clusters that were not read lately, as they were last seen."""
    BACK = 2
    """Also broken nodes, as if all of their devices were back. Cordoned and excluded nodes stay out."""


class Reason(msgspec.Struct, frozen=True):
    """Why a node does not take the pod. Codes are an open set of slugs; the text is one sentence without the node's name."""

    code: str
    text: str
    resource: str = ""
    needed: int | None = None
    free: int | None = None


def reasons(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> tuple[Reason, ...]:
    """Returns every reason why one pod does not land on this node; empty where it does."""
    return tuple(_standing(requirement, node, when)) + tuple(_room(requirement, node, when))


def first_reason(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> Reason | None:
    """Returns the first reason that does not depend on how full the node is; None where only its room decides."""
    return next(_standing(requirement, node, when), None)


def static_reasons(requirement: PodRequirement, node: PlacementNode) -> tuple[Reason, ...]:
    """Reasons that stay when broken nodes are back and full ones are empty: what the node is, not how it is."""
    return tuple(_standing(requirement, node, When.BACK))


def short_of(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> Reason | None:
    """Returns the first resource that is not offered, not known or not enough for one pod."""
    return next(_room(requirement, node, when), None)


def pods_that_fit(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> int:
    """Returns how many such pods land on this node at once. Asks for nothing countable: 1."""
    if first_reason(requirement, node, when) is not None:
        return 0
    return room_for(requirement, node, when)


def room_for(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> int:
    """Returns how many such pods the free slots hold, whatever else speaks against the node."""
    fits: int | None = None
    for name, needed in requirement.resources:
        if needed > 0:
            result = max(_free_of(node, name, when) or 0, 0) // needed
            fits = result if fits is None else min(fits, result)
    fits = 1 if fits is None else fits
    return fits if node.pods_free is None else min(fits, max(node.pods_free, 0))


def _free_of(node: PlacementNode, name: str, when: When) -> int | None:
    if name in OTHER_RESOURCES:
        return node.other_free(name)
    slots = node.slots(name)
    return free_slots(slots, when) if slots else None


def free_slots(slots: ResourceSlots, when: When = When.NOW) -> int | None:
    """Free slots; None where they are unknown. For BACK with every device that the node has or should have."""
    if when is not When.BACK or slots.requested is None:
        return slots.free
    whole = [number for number in (slots.capacity, slots.predicted, slots.allocatable) if number is not None]
    return max(whole) - slots.requested if whole else slots.free


def _standing(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    for ask in _QUESTIONS:
        yield from ask(requirement, node, when)


def _membership(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if requirement.clusters and node.cluster not in requirement.clusters:
        yield Reason("cluster", f"It is in cluster {node.cluster}.")
    if requirement.pool and requirement.pool not in node.pools:
        yield Reason("pool", f"It is not in pool {requirement.pool}.")


def _cordon(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if not node.schedulable and not tolerates_cordon(requirement.tolerations):
        yield Reason("unschedulable", "It is cordoned.")


def _taints(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    for taint in untolerated(node.taints, with_defaults(requirement.tolerations)):
        if taint.key == labels.TAINT_UNSCHEDULABLE and not node.schedulable:
            continue  # reported by _cordon
        if when is When.BACK and is_transient(taint):
            continue
        yield Reason("taint", f"Its taint {taint} is not tolerated.")


def _selector(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    missed = [item for item in requirement.selector if not _holds(item, node)]
    if missed:
        yield Reason("selector", f"It does not match {to_text(missed)}.")
    if requirement.terms and not any(all(_holds(entry, node) for entry in term) for term in requirement.terms):
        if len(requirement.terms) == 1:
            missed = [row for row in requirement.terms[0] if not _holds(row, node)]
            yield Reason("selector", f"It does not match {to_text(missed)}.")
        else:
            yield Reason("selector", f"It matches none of the {len(requirement.terms)} terms of the node affinity.")


def _holds(requirement: Requirement, node: PlacementNode) -> bool:
    return holds(requirement, node.name if requirement.key == NODE_NAME else node.labels.get(requirement.key))


def _kept_out(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if not requirement.labels:
        return
    written = dict(requirement.labels)
    if any(keeps_out(item, written, requirement.namespace) for item in node.keeps_out):
        yield Reason("anti_affinity", "Anti-affinity of a pod that runs there or nearby keeps such pods out.")


def _product(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if requirement.products and node.product not in requirement.products:
        yield Reason("product", f"Its product is {node.product}." if node.product else "Its product is unknown.")


def _device(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    """Compares one slot of the requested resources. `_room` reports a resource that the node does not advertise."""
    if not (requirement.modes or requirement.profile or requirement.min_memory_mib):
        return
    for name, needed in requirement.resources:
        slots = node.slots(name)
        if slots is None or needed <= 0:
            continue
        mode = slot_mode(node, slots)
        if requirement.modes and mode not in requirement.modes:
            yield Reason(
                "mode",
                f"Each {name} of this node is {MODE_WORDS[mode]}."
                if mode
                else f"Whether one {name} is a GPU, an instance or a share is unknown.",
            )
            continue
        profiles = slot_profiles(node, slots)
        wanted = partition_profile(canonical(requirement.profile))
        if requirement.profile and (mode not in (MIG, MIG_SHARED, PARTITION) or wanted not in profiles):
            yield Reason("profile", _profile_text(profiles, slots, "partition mode" if mode == PARTITION else "MIG profile"))
        if requirement.min_memory_mib:
            memory = slot_memory(node, slots, requirement.profile)
            if memory is None:
                yield Reason("memory", f"The memory of one {name} on this node is unknown.")
            elif memory < requirement.min_memory_mib:
                yield Reason(
                    "memory", f"One {name} on this node has {memory:,} MiB; {requirement.min_memory_mib:,} MiB are needed."
                )


def _profile_text(profiles: frozenset[str], slots: ResourceSlots, word: str) -> str:
    if len(profiles) > 1:
        return f"Its {word}s are {', '.join(sorted(profiles))}."
    return f"Its {word} is {slots.profile or next(iter(profiles))}." if profiles else f"Its {word} is unknown."


def _versions(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    for code, word, asked, values in (
        ("driver", "driver", requirement.min_driver, node.driver_version),
        ("cuda", "driver's CUDA", requirement.min_cuda, node.cuda_version),
    ):
        least, result = version(asked) if asked else None, version(values)
        if asked and result is None:
            yield Reason(code, f"The version of its {word} is unknown; at least {asked} is needed.")
        elif least and result and result < least:
            yield Reason(code, f"Its {word} is {values}; at least {asked} is needed.")


def _topology(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if requirement.nvlink and node.nvlink is not True:
        known = "Its GPUs are not connected by NVLink." if node.nvlink is False else "Unknown whether NVLink connects its GPUs."
        yield Reason("nvlink", known)
    if requirement.domain and not node.labels.get(requirement.domain):
        yield Reason("domain", f"It has no label {requirement.domain}.")


def _verdict(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if not requirement.verdicts:
        return
    verdict = node.verdict
    if node.stale and when is not When.NOW and verdict == "unknown":
        # The verdict turned unknown because the cluster is unreachable: what was known before it is believed here.
        verdict = node.last_verdict or verdict
    good = verdict in requirement.verdicts or (when is When.BACK and verdict in _BROKEN)
    if not good:
        yield Reason("verdict", f"Its verdict is {node.verdict.replace('_', ' ')}.")
    if node.stale and when is When.NOW:
        yield Reason("stale", "Its cluster was not read recently: this is last known data.")


_QUESTIONS: tuple[Callable[[PodRequirement, PlacementNode, When], Iterator[Reason]], ...] = (
    _membership,
    _cordon,
    _taints,
    _selector,
    _kept_out,
    _product,
    _device,
    _versions,
    _topology,
    _verdict,
)


def _room(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if node.pods_free is not None and node.pods_free < 1:
        yield Reason("pods", "It runs its maximum number of pods.", PODS, 1, 0)
    for name, needed in requirement.resources:
        if needed <= 0:
            continue
        if name in OTHER_RESOURCES:
            yield from _other_room(node, name, needed)
            continue
        slots = node.slots(name)
        if slots is None:
            yield Reason("not_offered", f"It does not offer {name}.", name, needed, 0)
            continue
        free = free_slots(slots, when)
        if free is None:
            yield Reason("unknown_free", f"The number of free {name} on this node is unknown.", name, needed)
        elif free < needed:
            there = max(free, 0)
            text = f"Insufficient {name}: {needed} needed, {there} of {_whole(slots)} free."
            yield Reason("insufficient", text, name, needed, there)


def _other_room(node: PlacementNode, name: str, needed: int) -> Iterator[Reason]:
    free = node.other_free(name)
    if free is None:
        yield Reason("unknown_free", f"How much {name} is free on this node is unknown.", name, needed)
    elif free < needed:
        there = max(free, 0)
        text = f"Insufficient {name}: {amount_text(name, needed)} needed, {number_text(name, there)} free."
        yield Reason("insufficient", text, name, needed, there)


def _whole(slots: ResourceSlots) -> str:
    return "an unknown number" if slots.allocatable is None else f"{slots.allocatable:,}"
