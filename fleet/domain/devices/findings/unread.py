"""Findings on sections that could not be read, and what is unknown because of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.resources import NodeResources
from fleet.domain.findings import Evidence, Finding, Severity
from fleet.domain.snapshot import DraAllocation, PodSnapshot


def about_unread(
    claims: NodeClaims,
    resources_of_node: NodeResources,
    *,
    pods: Sequence[PodSnapshot] | None,
    allocations: Sequence[DraAllocation] | None,
    sharing: str | None,
) -> Iterator[Finding]:
    """Yields one finding per unread section that leaves figures of this node unknown."""
    if pods is None:
        yield Finding(
            rule="pods_unread",
            severity=Severity.WARNING,
            text="Pods could not be read: requested and free slots are unknown.",
        )
    if claims.dra is not None and allocations is None:
        yield Finding(
            rule="claims_unread",
            severity=Severity.WARNING,
            text="ResourceClaims could not be read: the number of allocated DRA devices is unknown.",
        )
    if not claims.dra_known and not claims.capacity:
        yield Finding(
            rule="slices_unread",
            severity=Severity.WARNING,
            text="ResourceSlices could not be read: whether DRA advertises this node's GPUs is unknown.",
        )
    for pool in claims.pools_missing:
        yield Finding(
            rule="slices_incomplete",
            severity=Severity.WARNING,
            text=f"Only {pool.seen} of {pool.expected} ResourceSlices of pool {pool.pool} were read: its devices are unknown.",
            evidence=(Evidence("resource_slice", f"{pool.driver}/{pool.pool}", f"{pool.seen} of {pool.expected}"),),
        )
    if not claims.wanted.known and sharing is None and resources_of_node.resources and claims.dra is None:
        yield Finding(
            rule="plugin_config_unread",
            severity=Severity.INFO,
            text="The device-plugin configuration could not be read, and no label shows how the GPUs are shared.",
        )
