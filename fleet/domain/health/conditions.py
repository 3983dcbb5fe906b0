"""Node conditions of external monitors, read with their own polarity."""

from __future__ import annotations

from datetime import datetime

import msgspec

from fleet.domain.catalog import monitors
from fleet.domain.health import monitor_text
from fleet.domain.snapshot import Condition, NodeSnapshot

GPU_AREAS = frozenset(
    {"gpu", "memory", "thermal", "power", "pcie", "nvlink", "sm", "mcu", "pmu", "inforom", "driver", "xid", "count"}
)
"""Areas of monitors that belong to the GPU itself."""

FAULT_AREAS = GPU_AREAS | {"throttling"}
"""Areas in which a monitor's report is of a fault of a GPU, not of its driver pods, its telemetry, the node or planned work."""

NAMES_XIDS = frozenset({"xid", "gpu", "count"})
"""Areas in which a monitor's code is an Xid: NVSwitch's SXids are numbered separately."""


class MonitorCondition(msgspec.Struct, frozen=True, kw_only=True):
    """One condition of one monitor."""

    monitor: str
    type: str
    area: str
    status: str
    bad: bool | None
    """None where the monitor reports Unknown."""
    reason: str
    at: datetime | None
    """Last transition, by the API server's clock."""
    critical: bool = False
    """Whether its monitor sets it for fatal faults only."""
    codes: tuple[int, ...] = ()
    """Xid codes in its reason or message."""
    uuids: tuple[str, ...] = ()
    pci: tuple[str, ...] = ()
    """PCI addresses of the GPUs it names, as monitor_text.pci_places writes them."""
    advice: str = ""
    """Recommended action, as the monitor writes it."""


def monitor_conditions(node: NodeSnapshot) -> tuple[MonitorCondition, ...]:
    """Returns every condition of a known external monitor, by type, without those of others (the kubelet's own)."""
    known = monitors.by_type()
    conditions = [_read(condition, known[condition.type]) for condition in node.conditions if condition.type in known]
    return tuple(sorted(conditions, key=lambda row: row.type))


def _read(condition: Condition, monitor: monitors.Monitor) -> MonitorCondition:
    area = monitor.types[condition.type]
    text = f"{condition.reason} {condition.message}"
    return MonitorCondition(
        monitor=monitor.name,
        type=condition.type,
        area=area,
        status=condition.status,
        bad=condition.status == monitor.bad if condition.status in ("True", "False") else None,
        reason=condition.reason,
        at=condition.last_transition_at,
        critical=condition.type in monitor.critical,
        codes=monitor_text.xid_codes(text, error_codes=True) if area in NAMES_XIDS else (),
        uuids=monitor_text.uuids(text),
        pci=tuple(sorted(monitor_text.pci_places(text))),
        advice=monitor_text.advice(condition.message),
    )
