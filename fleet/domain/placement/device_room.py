"""Room for a class whose GPUs are requested through DRA: what the allocator finds on each node, pod after pod."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.dra.pods import PodDevices
from fleet.domain.dra.resource_pools import DraNode
from fleet.domain.placement.fleet import Fleet
from fleet.domain.placement.headroom import Placement
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import GOOD, PodRequirement
from fleet.domain.placement.scheduler.devices import HAS_DEVICES, ClusterClaims
from fleet.domain.snapshot.dra import DraClaim

MOST_PODS = 1_000
"""Pods counted on one node whose number of places for pods is unknown: unlimited shares have no end."""


def with_device_room(fleet: Fleet, requirement: PodRequirement, claim: DraClaim, clusters: Mapping[str, ClusterClaims]) -> Fleet:
    """Returns the fleet with the free slots of the requested device class as the allocator counts them for such pods.

    Free slots are those that pods of the requirement can have: of three free devices two, where each pod asks for two. They are
    unknown where devices or claims of the cluster are. `clusters` are by name.
    """
    (resource, needed), *_ = requirement.resources
    held = {name: claims.copy() for name, claims in clusters.items()}
    asked = PodDevices(claims=(claim,), namespace=claim.namespace)
    counted: dict[tuple[str, str], int | None] = {}
    # A pool that several nodes use is counted for ready ones first.
    members = [node for shape in fleet.of_pool(requirement.pool) for node in shape.nodes]
    for node in sorted(members, key=lambda node: (node.verdict not in GOOD, not node.schedulable)):
        if node.slots(resource) is not None:
            counted[node.key] = _count(asked, node, held.get(node.cluster))
    of_own_size = any(request.capacity for request in claim.requests)
    nodes = []
    for node in fleet.nodes:
        if node.key not in counted:
            nodes.append(node)
            continue
        pods = counted[node.key]
        free = None if pods is None else pods * needed
        slots = node.slots(resource)
        alike = not of_own_size and (not requirement.profile or bool(slots and slots.profile))
        nodes.append(_with_free(node, resource, free, alike=alike))
    return Fleet(nodes, fleet.keys)


def holding(placements: Iterable[Placement], claim: DraClaim, clusters: Mapping[str, ClusterClaims]) -> dict[str, ClusterClaims]:
    """Returns the clusters with the devices of these placements held, a claim for each pod."""
    held = {name: claims.copy() for name, claims in clusters.items()}
    asked = PodDevices(claims=(claim,), namespace=claim.namespace)
    for placement in placements:
        for node in placement.nodes:
            if node.cluster in held:
                held[node.cluster].hold(asked, DraNode(name=node.name, labels=node.labels), {})
    return held


def _count(asked: PodDevices, node: PlacementNode, claims: ClusterClaims | None) -> int | None:
    """Returns how many such pods the node has devices for; None where that is unknown."""
    if claims is None:
        return None
    most = MOST_PODS if node.pods_free is None else min(max(node.pods_free, 0), MOST_PODS)
    return room_on(asked, DraNode(name=node.name, labels=node.labels), claims, most)


def room_on(asked: PodDevices, place: DraNode, claims: ClusterClaims, most: int) -> int | None:
    """Returns how many such pods a node has devices for, up to `most`, and counts them as allocated; None where unknown."""
    for number in range(most):
        answer = claims.hold(asked, place, {})
        if answer != HAS_DEVICES:
            return None if answer.unknown else number
    return most


def _with_free(node: PlacementNode, resource: str, free: int | None, *, alike: bool) -> PlacementNode:
    return msgspec.structs.replace(
        node, resources=tuple(_free(slots, free, alike=alike) if slots.name == resource else slots for slots in node.resources)
    )


def _free(slots: ResourceSlots, free: int | None, *, alike: bool) -> ResourceSlots:
    """Returns the slots with what is free of them for such pods.

    Where slots are not alike to the pods (they ask for one profile of several, or for shares of their own size), numbers of slots
    do not show what would be free once all devices are back: then only what is free counts.
    """
    return msgspec.structs.replace(slots, free=free, requested=slots.requested if alike else None)
