"""What outside monitors say in node conditions, read with their own polarity; and what the devices' DRA taints say."""

from __future__ import annotations

import re
from datetime import datetime

import msgspec

from fleet.domain.catalog import monitors
from fleet.domain.snapshot import Condition, NodeSnapshot

GPU_AREAS = frozenset(
    {"gpu", "memory", "thermal", "power", "pcie", "nvlink", "sm", "mcu", "pmu", "inforom", "driver", "xid", "count"}
)
"""What a monitor may watch that belongs to the GPU itself."""

_EKS_REASON = re.compile(r"^NvidiaXID(\d{1,4})(?:Error|Warning)$")
_XID_WORD = re.compile(r"\bXid(?:\s+(?:errors?|codes?))?(?:\s*\(PCI:[^)]*\))?\s*[:=]?\s*(\d{1,4})\b", re.IGNORECASE)
_ERROR_CODE = re.compile(r"\bErrorCode:(\d{1,4})\b")
_UUID = re.compile(r"\bGPU-[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_PCI = re.compile(r"\b([0-9a-fA-F]{8}|[0-9a-fA-F]{4}):([0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-7])?\b")
_ADVICE = re.compile(r"\bRecommended ?Action[=:]\s*([A-Z][A-Z_]{2,40})")


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
    """Places of the cards it names, as pci_places writes them."""
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
    advice = _ADVICE.search(condition.message)
    return Told(
        monitor=monitor.name,
        type=condition.type,
        area=area,
        status=condition.status,
        bad=condition.status == monitor.bad if condition.status in ("True", "False") else None,
        reason=condition.reason,
        at=condition.last_transition_at,
        codes=_codes(condition) if area in ("xid", "gpu", "count") else (),
        uuids=tuple(sorted(set(_UUID.findall(text)))),
        pci=tuple(sorted(pci_places(text))),
        advice=advice[1] if advice else "",
    )


def pci_places(text: str) -> set[str]:
    """domain:bus:device of every PCI address in a text: DCGM writes the domain with eight digits, the kernel with four."""
    return {f"{int(domain, 16):x}:{rest.lower()}" for domain, rest in _PCI.findall(text)}


def _codes(condition: Condition) -> tuple[int, ...]:
    """Xid codes it names. NVSwitch's SXid is another number space and is not among them."""
    found = {int(code) for code in _XID_WORD.findall(condition.message)}
    found |= {int(code) for code in _ERROR_CODE.findall(condition.message)}
    if named := _EKS_REASON.match(condition.reason):
        found.add(int(named[1]))
    return tuple(sorted(code for code in found if code))
