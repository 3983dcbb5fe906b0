"""Which devices of a node claims hold, and which of them more than one workload holds."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import msgspec

from fleet.domain.snapshot import DraAllocation, DraDevice

Key = tuple[str, str, str]
"""Driver, pool and name: what a device is called by in a claim."""


class Sharers(msgspec.Struct, frozen=True, kw_only=True):
    """Devices that are held by more than one."""

    by_claims: int = 0
    """Devices that several claims hold: the driver hands them out more than once."""
    by_pods: int = 0
    """Devices of one claim that several pods use: its owner shares what the node handed out whole."""


def key_of(device: DraDevice) -> Key:
    """What a claim calls the device by."""
    return (device.driver, device.pool, device.name)


def held_by_claims(mine: Sequence[DraDevice], allocations: Sequence[DraAllocation] | None) -> set[Key] | None:
    """Devices of this node's pools that claims hold, also such as are no longer published; None where claims are unread."""
    if allocations is None:
        return None
    return {(claim.driver, claim.pool, claim.device) for claim in _holding(mine, allocations)}


def sharers(
    mine: Sequence[DraDevice], allocations: Sequence[DraAllocation] | None, *, divisible: Collection[Key]
) -> Sharers | None:
    """How many devices more than one holds; None where claims are unread. Claims (one to a part) do not share `divisible`
    devices, which stand for several parts. Two claims of one pod are one workload."""
    if allocations is None:
        return None
    claims: dict[Key, dict[tuple[str, str], set[str]]] = {}
    for one in _holding(mine, allocations):
        of_device = claims.setdefault((one.driver, one.pool, one.device), {})
        of_device.setdefault((one.namespace, one.claim), set()).update(one.pod_uids)
    by_claims = by_pods = 0
    for key, pods_of in claims.items():
        one_pod = all(pods_of.values()) and len(set().union(*pods_of.values())) == 1
        if len(pods_of) > 1 and not one_pod and key not in divisible:
            by_claims += 1
        elif any(len(users) > 1 for users in pods_of.values()):
            by_pods += 1
    return Sharers(by_claims=by_claims, by_pods=by_pods)


def _holding(mine: Sequence[DraDevice], allocations: Sequence[DraAllocation]) -> Iterator[DraAllocation]:
    """Claims on this node's pools, without those that only watch."""
    pools = {(device.driver, device.pool) for device in mine}
    return (one for one in allocations if not one.admin_access and (one.driver, one.pool) in pools)
