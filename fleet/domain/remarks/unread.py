"""Remarks on what could not be read, and what stays unknown because of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.domain.findings import Evidence, Remark, Severity
from fleet.domain.offering import Offering
from fleet.domain.reading import Reading
from fleet.domain.snapshot import DraAllocation, PodSnapshot


def about_unread(
    reading: Reading,
    offering: Offering,
    *,
    pods: Sequence[PodSnapshot] | None,
    allocations: Sequence[DraAllocation] | None,
    sharing: str | None,
) -> Iterator[Remark]:
    """One remark per section whose absence leaves a hole in this node's answers."""
    if pods is None:
        yield Remark(
            id="pods_unread",
            severity=Severity.WARNING,
            text="Pods could not be read: how many slots are requested and free is unknown.",
        )
    if reading.dra is not None and allocations is None:
        yield Remark(
            id="claims_unread",
            severity=Severity.WARNING,
            text="ResourceClaims could not be read: how many DRA devices are held is unknown.",
        )
    if not reading.dra_known and not reading.capacity:
        yield Remark(
            id="slices_unread",
            severity=Severity.WARNING,
            text="ResourceSlices could not be read: whether DRA offers this node's GPUs is unknown.",
        )
    for pool in reading.pools_missing:
        yield Remark(
            id="slices_incomplete",
            severity=Severity.WARNING,
            text=f"Only {pool.seen} of {pool.expected} ResourceSlices of pool {pool.pool} were seen: its devices are unknown.",
            evidence=(Evidence("resource_slice", f"{pool.driver}/{pool.pool}", f"{pool.seen} of {pool.expected}"),),
        )
    if not reading.wanted.known and sharing is None and offering.resources and reading.dra is None:
        yield Remark(
            id="plugin_config_unread",
            severity=Severity.INFO,
            text="The device-plugin configuration could not be read, and no label tells how the cards are shared.",
        )
