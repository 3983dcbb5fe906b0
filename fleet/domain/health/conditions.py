"""What outside monitors say in node conditions, read with their own polarity."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.domain.catalog import monitors
from fleet.domain.health import monitor_text
from fleet.domain.snapshot import Condition, NodeSnapshot

GPU_AREAS = frozenset(
    {"gpu", "memory", "thermal", "power", "pcie", "nvlink", "sm", "mcu", "pmu", "inforom", "driver", "xid", "count"}
)
"""What a monitor may watch that belongs to the GPU itself."""

NAMES_XIDS = frozenset({"xid", "gpu", "count"})
"""Areas in which the code that a monitor gives is an Xid: NVSwitch's SXid is another number space."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one monitor says in one condition."""

    monitor: str
    type: str
    area: str
    status: str
    bad: bool | None
    """None where the monitor itself does not know."""
    reason: str
    at: datetime | None
    """Since when it says so, by the API server's clock."""
    codes: tuple[int, ...] = ()
    """Xid codes in its reason or message."""
    uuids: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()
    """Places of the cards it names, as monitor_text.pci_places writes them."""
    advice: str = ""
    """The action it recommends, in its own word."""


def told(node: NodeSnapshot) -> tuple[Told, ...]:
    """Every condition of a known outside monitor, by type. Others' conditions (the kubelet's own) are left out."""
    known = monitors.by_type()
    found = [_read(condition, known[condition.type]) for condition in node.conditions if condition.type in known]
    return tuple(sorted(found, key=lambda one: one.type))


def _read(condition: Condition, monitor: monitors.Monitor) -> Told:
    area = monitor.types[condition.type]
    text = f"{condition.reason} {condition.message}"
    return Told(
        monitor=monitor.name,
        type=condition.type,
        area=area,
        status=condition.status,
        bad=condition.status == monitor.bad if condition.status in ("True", "False") else None,
        reason=condition.reason,
        at=condition.last_transition_at,
        codes=monitor_text.xid_codes(text, error_codes=True) if area in NAMES_XIDS else (),
        uuids=monitor_text.uuids(text),
        pci=tuple(sorted(monitor_text.pci_places(text))),
        advice=monitor_text.advice(condition.message),
    )
