"""Kubernetes Events of external monitors: Xids and warnings that are in no condition.

Formats: EKS' agent writes its condition's type as reason and its own name before the message's colon
(aws/eks-node-monitoring-agent pkg/manager/node_exporter.go); NVSentinel its check's name as type, and as reason with
"IsNotHealthy" appended (NVIDIA/NVSentinel platform-connectors process_node_events.go); node-problem-detector quotes the line of
the kernel's log. Normal Events report recovery.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from fleet.domain.catalog import monitors
from fleet.domain.health import monitor_text
from fleet.domain.health.conditions import GPU_AREAS, NAMES_XIDS
from fleet.domain.snapshot import NodeEvent, NodeSnapshot

_WORD = re.compile(r"^(?:\(combined from similar events\): )?([A-Za-z][A-Za-z0-9]*):")
_UNHEALTHY = "IsNotHealthy"


class MonitorEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One Event of one monitor about a GPU."""

    monitor: str
    area: str
    word: str
    """The monitor's name for it: NvidiaXID13Warning, GpuThermalWatch, or Xid for a line of the kernel's log."""
    since: datetime
    at: datetime
    count: int
    codes: tuple[int, ...] = ()
    """Xid codes it names."""
    uuids: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()
    """PCI addresses of the GPUs it names, as monitor_text.pci_places writes them."""
    advice: str = ""
    """Recommended action, as the monitor writes it."""


class Spell(msgspec.Struct, frozen=True):
    """Events of one kind without a longer break; where it is not `unbroken`, only its two ends are known."""

    since: datetime
    at: datetime
    count: int
    unbroken: bool = True


def matters(event: NodeEvent) -> bool:
    """Returns whether an Event concerns a GPU: a warning of a known monitor, or an Xid in a line of the kernel's log."""
    return _read(event) is not None


def monitor_events(events: Iterable[NodeEvent]) -> tuple[MonitorEvent, ...]:
    """Returns the GPU-related content of these Events, oldest first."""
    return tuple(sorted(filter(None, map(_read, events)), key=lambda event: (event.at, event.monitor, event.word)))


def of_node(node: NodeSnapshot, events: Iterable[NodeEvent]) -> tuple[NodeEvent, ...]:
    """Returns the Events about this very node object, not about an earlier one with its name.

    NVSentinel and node-problem-detector give the name for the uid; then the time decides.
    """
    return tuple(
        event
        for event in events
        if event.node_uid == node.uid
        or (event.node_uid in ("", node.name) and (node.created_at is None or event.last_at >= node.created_at))
    )


def _read(event: NodeEvent) -> MonitorEvent | None:
    if event.type == "Normal":
        return None
    known = monitors.by_type()
    kind = next((name for name in (event.type, event.reason.removesuffix(_UNHEALTHY)) if name in known), "")
    text = f"{event.reason} {event.message}"
    if kind:
        monitor, area = known[kind].name, known[kind].types[kind]
        codes = monitor_text.xid_codes(text, error_codes=True) if area in NAMES_XIDS else ()
        own = _WORD.match(event.message) if kind == event.reason else None
        word = own[1] if own else kind
    else:
        monitor, area, word = event.component or "A monitor", "xid", "Xid"
        codes = monitor_text.kernel_codes(event.message)
    if not codes and (not kind or area not in GPU_AREAS):
        return None
    return MonitorEvent(
        monitor=monitor,
        area=area,
        word=word,
        since=event.first_at,
        at=event.last_at,
        count=event.count,
        codes=codes,
        uuids=monitor_text.uuids(text),
        pci=tuple(sorted(monitor_text.pci_places(text))),
        advice=monitor_text.advice(event.message),
    )


def spells(events: Sequence[MonitorEvent], quiet: timedelta) -> Iterator[Spell]:
    """Returns the Events of one source as spells, oldest first: two with no more than `quiet` between them are one spell.

    Of an Event that repeated over a longer time the first and the last moment are known: it makes a spell for either.
    """
    open_: Spell | None = None
    for item in sorted(events, key=lambda row: (row.since, row.at)):
        if item.at - item.since > quiet:
            yield Spell(item.since, item.since, 1)
            yield Spell(item.since, item.at, item.count, unbroken=False)
        elif open_ is not None and item.since - open_.at <= quiet:
            open_ = Spell(open_.since, max(open_.at, item.at), open_.count + item.count)
        else:
            if open_ is not None:
                yield open_
            open_ = Spell(item.since, item.at, item.count)
    if open_ is not None:
        yield open_
