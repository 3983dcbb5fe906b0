"""Whether a node takes a pod, and every reason why not, in the order the scheduler and then the promise would say them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum

import msgspec

from fleet.domain import labels
from fleet.domain.label_selectors import Requirement, holds, to_text
from fleet.domain.mig import canonical
from fleet.domain.placement.nodes import MIG, MIG_SHARED, PlacementNode, slot_memory, slot_mode
from fleet.domain.placement.requirement import NODE_NAME, PodRequirement, version
from fleet.domain.slots import ResourceSlots
from fleet.domain.snapshot import Taint

MODE_WORDS = {
    "full": "a full card",
    "mig": "a MIG instance",
    "time-sliced": "a time-sliced share",
    "mps": "an MPS share",
    "mig-shared": "a share of a MIG instance",
}
_BROKEN = frozenset({"not_ready", "starting", "unknown"})
"""Verdicts that stand for something broken, which may come back; `excluded` is somebody's wish."""
_KEEPS_OUT = frozenset({"NoSchedule", "NoExecute"})


class When(IntEnum):
    """Which nodes are believed. Each counts at least what the one before it counts."""

    NOW = 0
    LAST_TRUTH = 1
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
    """Every reason why one pod does not land on this node; empty where it does."""
    return tuple(_standing(requirement, node, when)) + tuple(_room(requirement, node, when))


def first_reason(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> Reason | None:
    """The first reason that does not depend on how full the node is; None where only its room decides."""
    return next(_standing(requirement, node, when), None)


def static_reasons(requirement: PodRequirement, node: PlacementNode) -> tuple[Reason, ...]:
    """Reasons that stay when broken nodes are back and full ones are empty: what the node is, not how it is."""
    return tuple(_standing(requirement, node, When.BACK))


def short_of(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> Reason | None:
    """The first resource that is not offered, not known or not enough for one pod."""
    return next(_room(requirement, node, when), None)


def pods_that_fit(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> int:
    """How many such pods land on this node at once. Asks for nothing countable: 1."""
    if first_reason(requirement, node, when) is not None:
        return 0
    return room_for(requirement, node, when)


def room_for(requirement: PodRequirement, node: PlacementNode, when: When = When.NOW) -> int:
    """How many such pods the free slots hold, whatever else speaks against the node."""
    fits: int | None = None
    for name, needed in requirement.resources:
        if needed > 0:
            slots = node.slots(name)
            free = free_slots(slots, when) if slots else None
            here = max(free or 0, 0) // needed
            fits = here if fits is None else min(fits, here)
    return 1 if fits is None else fits


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
    cordon = Taint(labels.TAINT_UNSCHEDULABLE, "", "NoSchedule")
    if not node.schedulable and not any(one.tolerates(cordon) for one in requirement.tolerations):
        yield Reason("unschedulable", "It is cordoned.")


def _taints(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    for taint in node.taints:
        if taint.effect not in _KEEPS_OUT or taint.key == labels.TAINT_UNSCHEDULABLE:
            continue
        if when is When.BACK and labels.is_transient_taint(taint.key):
            continue
        if not any(one.tolerates(taint) for one in requirement.tolerations):
            written = f"{taint.key}={taint.value}" if taint.value else taint.key
            yield Reason("taint", f"Its taint {written}:{taint.effect} is not tolerated.")


def _selector(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    missed = [one for one in requirement.selector if not _holds(one, node)]
    if missed:
        yield Reason("selector", f"It does not match {to_text(missed)}.")
    if requirement.terms and not any(all(_holds(one, node) for one in term) for term in requirement.terms):
        if len(requirement.terms) == 1:
            missed = [one for one in requirement.terms[0] if not _holds(one, node)]
            yield Reason("selector", f"It does not match {to_text(missed)}.")
        else:
            yield Reason("selector", f"It matches none of the {len(requirement.terms)} terms of the node affinity.")


def _holds(one: Requirement, node: PlacementNode) -> bool:
    return holds(one, node.name if one.key == NODE_NAME else node.labels.get(one.key))


def _product(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if requirement.products and node.product not in requirement.products:
        yield Reason("product", f"Its product is {node.product}." if node.product else "Its product is unknown.")


def _device(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    """What one slot of the asked resources is. A resource the node does not offer is told by its room."""
    if not (requirement.modes or requirement.profile or requirement.min_memory_mib):
        return
    for name, needed in requirement.resources:
        slots = node.slots(name)
        if slots is None or needed <= 0:
            continue
        mode = slot_mode(node, slots)
        if requirement.modes and mode not in requirement.modes:
            yield Reason(
                "mode", f"One {name} there is {MODE_WORDS[mode]}." if mode else f"Nobody knows what one {name} there is."
            )
            continue
        if requirement.profile and (mode not in (MIG, MIG_SHARED) or canonical(slots.profile) != canonical(requirement.profile)):
            yield Reason("profile", f"Its MIG profile is {slots.profile}." if slots.profile else "Its MIG profile is unknown.")
        if requirement.min_memory_mib:
            memory = slot_memory(node, slots)
            if memory is None:
                yield Reason("memory", f"Nobody knows how much memory one {name} has there.")
            elif memory < requirement.min_memory_mib:
                yield Reason("memory", f"One {name} has {memory:,} MiB there, {requirement.min_memory_mib:,} MiB are needed.")


def _versions(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    for code, word, asked, told in (
        ("driver", "driver", requirement.min_driver, node.driver_version),
        ("cuda", "driver's CUDA", requirement.min_cuda, node.cuda_version),
    ):
        least, here = version(asked) if asked else None, version(told)
        if asked and here is None:
            yield Reason(code, f"The version of its {word} is unknown; at least {asked} is needed.")
        elif least and here and here < least:
            yield Reason(code, f"Its {word} is {told}; at least {asked} is needed.")


def _topology(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if requirement.nvlink and node.nvlink is not True:
        known = "Its cards are not joined by NVLink." if node.nvlink is False else "Nothing tells whether NVLink joins its cards."
        yield Reason("nvlink", known)
    if requirement.domain and not node.labels.get(requirement.domain):
        yield Reason("domain", f"It has no label {requirement.domain}.")


def _verdict(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    if not requirement.verdicts:
        return
    good = node.verdict in requirement.verdicts or (when is When.BACK and node.verdict in _BROKEN)
    if not good:
        yield Reason("verdict", f"Its verdict is {node.verdict.replace('_', ' ')}.")
    if node.stale and when is When.NOW:
        yield Reason("stale", "Its cluster has not been read lately: this is the last truth.")


_QUESTIONS: tuple[Callable[[PodRequirement, PlacementNode, When], Iterator[Reason]], ...] = (
    _membership,
    _cordon,
    _taints,
    _selector,
    _product,
    _device,
    _versions,
    _topology,
    _verdict,
)


def _room(requirement: PodRequirement, node: PlacementNode, when: When) -> Iterator[Reason]:
    for name, needed in requirement.resources:
        if needed <= 0:
            continue
        slots = node.slots(name)
        if slots is None:
            yield Reason("not_offered", f"It does not offer {name}.", name, needed, 0)
            continue
        free = free_slots(slots, when)
        if free is None:
            yield Reason("unknown_free", f"Nobody knows how many {name} are free there.", name, needed)
        elif free < needed:
            there = max(free, 0)
            text = f"Insufficient {name}: {needed} needed, {there} of {_whole(slots)} free."
            yield Reason("insufficient", text, name, needed, there)


def _whole(slots: ResourceSlots) -> str:
    return "an unknown number" if slots.allocatable is None else f"{slots.allocatable:,}"
