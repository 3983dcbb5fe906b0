"""Whether the claims of a pod can be had on a node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy
from fractions import Fraction

import msgspec

from fleet.domain.dra.allocated import Allocated
from fleet.domain.dra.allocator import allocate
from fleet.domain.dra.choices import Chosen, NodeAllocation
from fleet.domain.dra.extended import ContainerNeed, claim_for, classes_by_resource
from fleet.domain.dra.resource_pools import DraNode, Inventory, meets_terms
from fleet.domain.snapshot.dra import DeviceClass, DraAllocation, DraClaim

CLAIM_IN_USE = "resourceclaim in use"
MOST_CONSUMERS = 256
"""Pods that may share one claim; Kubernetes reserves it for no more."""
CLAIM_DELETED = 'resourceclaim "{}" is being deleted'
CLAIM_ELSEWHERE = "resourceclaim not available on the node"
_INSUFFICIENT = "Insufficient {}"


class PodDevices(msgspec.Struct, frozen=True, kw_only=True):
    """What one pod asks of DRA: its claims in order, and extended resources by container."""

    claims: tuple[DraClaim, ...] = ()
    containers: tuple[ContainerNeed, ...] = ()
    namespace: str = ""


class ClusterDevices:
    """The devices, classes and allocations of one cluster: what the scheduler decides by."""

    def __init__(self, inventory: Inventory, classes: Iterable[DeviceClass], allocations: Iterable[DraAllocation]) -> None:
        self.inventory = inventory
        self.classes: Mapping[str, DeviceClass] = {device_class.name: device_class for device_class in classes}
        self.allocated = Allocated(allocations)
        self._by_resource = classes_by_resource(self.classes.values())

    def copy(self) -> ClusterDevices:
        """Returns the same devices with allocations of their own."""
        copied = copy(self)
        copied.allocated = self.allocated.copy()
        return copied

    def check(self, pod: PodDevices, node: DraNode, plugin: Mapping[str, int] | None = None) -> NodeAllocation:
        """Returns the devices of the pod's unallocated claims on the node, or why it has none.

        `plugin` is what the node's device plugin has allocatable: a resource named there with more than zero is not asked of
        DRA. Raises AllocationError and UnknownAllocationError.
        """
        for claim in pod.claims:
            if claim.deleting:
                return NodeAllocation(chosen=None, reason=CLAIM_DELETED.format(claim.name))
            if claim.allocated and claim.reserved_for >= MOST_CONSUMERS:
                return NodeAllocation(chosen=None, reason=CLAIM_IN_USE)
            if claim.allocated and claim.node_terms and not meets_terms(claim.node_terms, node):
                return NodeAllocation(chosen=None, reason=CLAIM_ELSEWHERE)
        claims = [claim for claim in pod.claims if not claim.allocated]
        by_dra = {name: klass for name, klass in self._by_resource.items() if not (plugin or {}).get(name)}
        asked = {name for container in pod.containers for name in container.amounts}
        for name in sorted(asked):
            if name not in by_dra and not (plugin or {}).get(name):
                return NodeAllocation(chosen=None, reason=_INSUFFICIENT.format(name))
        extended = claim_for(pod.containers, by_dra, pod.namespace)
        if extended is not None:
            claims.append(extended)
        if not claims:
            return NodeAllocation(chosen=())
        return allocate(claims, self.inventory.pools(node), self.classes, self.allocated)

    def hold(self, chosen: Iterable[Chosen]) -> None:
        """Counts chosen devices as allocated from now on."""
        for device in chosen:
            self.allocated.add(allocation_of(device))


def allocation_of(chosen: Chosen) -> DraAllocation:
    """Returns the allocation that the scheduler would write for a chosen device."""
    device, consumed = chosen.device, chosen.consumed
    return DraAllocation(
        namespace="",
        claim="",
        driver=device.driver,
        pool=device.pool,
        device=device.name,
        admin_access=chosen.admin_access,
        share_id="" if consumed is None else "share",
        consumed={} if consumed is None else {name: _text(amount) for name, amount in consumed.items()},
    )


def _text(amount: Fraction) -> str:
    return str(amount.numerator) if amount.denominator == 1 else str(float(amount))
