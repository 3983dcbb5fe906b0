"""Xid events out of telemetry: the gauge is the last code and sticks, so only a change or a counter that grew is an event."""

from __future__ import annotations

from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.subject import ClusterMemory


def watch(snapshot: ClusterSnapshot, memory: ClusterMemory) -> ClusterMemory:
    """The memory with this look's Xid events added to its bursts."""
    return memory
