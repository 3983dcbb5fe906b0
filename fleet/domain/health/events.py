"""What outside monitors tell in Kubernetes Events: Xids and warnings that make no condition.

Each writes them its own way. EKS' agent gives its condition's type as reason, and its own word before the message's colon
(aws/eks-node-monitoring-agent pkg/manager/node_exporter.go); NVSentinel its check's name as type, and as reason with
"IsNotHealthy" behind it (NVIDIA/NVSentinel platform-connectors process_node_events.go); node-problem-detector quotes the line
of the kernel's log. Normal Events tell that something is well, or over.
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


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """What one monitor tells in one Event about a GPU."""

    monitor: str
    area: str
    word: str
    """What it calls it: NvidiaXID13Warning, GpuThermalWatch, or Xid for a line of the kernel's log."""
    since: datetime
    at: datetime
    count: int
    codes: tuple[int, ...] = ()
    """Xid codes it names."""
    uuids: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()
    """Places of the cards it names, as monitor_text.pci_places writes them."""
    advice: str = ""
    """The action it recommends, in its own word."""


class Spell(msgspec.Struct, frozen=True):
    """Events of one kind without a longer break; where it is not `unbroken`, only its two ends are known."""

    since: datetime
    at: datetime
    count: int
    unbroken: bool = True


def matters(event: NodeEvent) -> bool:
    """Whether it tells anything of a GPU: what a known monitor warns of, or an Xid in a line of the kernel's log."""
    return _read(event) is not None


def heard(events: Iterable[NodeEvent]) -> tuple[Heard, ...]:
    """What these Events tell of GPUs, oldest first."""
    return tuple(sorted(filter(None, map(_read, events)), key=lambda one: (one.at, one.monitor, one.word)))


def of_node(node: NodeSnapshot, events: Iterable[NodeEvent]) -> tuple[NodeEvent, ...]:
    """Those of this node's name that are about this very node object: one made anew under its name bears none of the old
    one's. NVSentinel and node-problem-detector give the name for the uid; then the time decides."""
    return tuple(
        event
        for event in events
        if event.node_uid == node.uid
        or (event.node_uid in ("", node.name) and (node.created_at is None or event.last_at >= node.created_at))
    )


def _read(event: NodeEvent) -> Heard | None:
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
    return Heard(
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


def spells(told: Sequence[Heard], quiet: timedelta) -> Iterator[Spell]:
    """One voice's Events as spells, oldest first: two with no more than `quiet` between them are one.

    Of an Event that was told over a longer time the first and the last moment are known: it gives a spell for either.
    """
    open_: Spell | None = None
    for one in sorted(told, key=lambda one: (one.since, one.at)):
        if one.at - one.since > quiet:
            yield Spell(one.since, one.since, 1)
            yield Spell(one.since, one.at, one.count, unbroken=False)
        elif open_ is not None and one.since - open_.at <= quiet:
            open_ = Spell(open_.since, max(open_.at, one.at), open_.count + one.count)
        else:
            if open_ is not None:
                yield open_
            open_ = Spell(one.since, one.at, one.count)
    if open_ is not None:
        yield open_
