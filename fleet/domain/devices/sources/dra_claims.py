"""Devices of a node in ResourceClaims, and devices shared by several workloads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from fleet.domain.snapshot import DraAllocation, DraDevice

Key = tuple[str, str, str]
"""Driver, pool and name of a device, as claims reference it."""


class Sharers(msgspec.Struct, frozen=True, kw_only=True):
    """Numbers of devices with more than one user."""

    by_claims: int = 0
    """Devices in several claims: the driver allocates them more than once."""
    by_pods: int = 0
    """Devices of one claim that several pods use: its owner shares what was allocated whole."""


def key_of(device: DraDevice) -> Key:
    """Returns the key by which a claim references the device."""
    return (device.driver, device.pool, device.name)


def held_by_claims(own: Sequence[DraDevice], allocations: Sequence[DraAllocation] | None) -> set[Key] | None:
    """Returns the allocated devices of this node's pools, also those no longer advertised; None where claims are unread."""
    if allocations is None:
        return None
    return {(claim.driver, claim.pool, claim.device) for claim in _holding(own, allocations)}


def sharers(
    own: Sequence[DraDevice], allocations: Sequence[DraAllocation] | None, *, divisible: Collection[Key]
) -> Sharers | None:
    """Returns how many devices have several users; None where claims were not read.

    Claims (one to a part) do not share `divisible` devices, which make several parts. Two claims of one pod are one workload.
    """
    if allocations is None:
        return None
    claims: dict[Key, dict[tuple[str, str], set[str]]] = {}
    for allocation in _holding(own, allocations):
        of_device = claims.setdefault((allocation.driver, allocation.pool, allocation.device), {})
        of_device.setdefault((allocation.namespace, allocation.claim), set()).update(allocation.pod_uids)
    by_claims = by_pods = 0
    for key, pods_of in claims.items():
        one_pod = all(pods_of.values()) and len(set().union(*pods_of.values())) == 1
        if len(pods_of) > 1 and not one_pod and key not in divisible:
            by_claims += 1
        elif any(len(users) > 1 for users in pods_of.values()):
            by_pods += 1
    return Sharers(by_claims=by_claims, by_pods=by_pods)


def _holding(own: Sequence[DraDevice], allocations: Sequence[DraAllocation]) -> Iterator[DraAllocation]:
    """Yields the claims on this node's pools, without those with admin access."""
    pools = {(device.driver, device.pool) for device in own}
    return (
        allocation for allocation in allocations if not allocation.admin_access and (allocation.driver, allocation.pool) in pools
    )
