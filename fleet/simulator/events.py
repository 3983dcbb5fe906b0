"""Kubernetes Events about nodes, as EKS' node monitoring agent, NVSentinel and node-problem-detector write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from fleet.simulator import managed, resources
from fleet.simulator.flavours import Flavour
from fleet.simulator.pods import stamp
from fleet.simulator.seeds import Seed
from fleet.simulator.store import Store
from fleet.simulator.world import Node

NAMESPACE = "default"
LIFE = timedelta(hours=1)
"""An API server's --event-ttl: so long after its last occurrence, an Event is dropped."""


class EventText(NamedTuple):
    """A component's report about a node."""

    component: str
    type: str
    reason: str
    message: str
    by_name: bool = False
    """Whether it gives the node's name for its uid, as all do that do not write through client-go's recorder."""


def xid_warning(flavour: Flavour, node: Node, xid: int, index: int | None) -> EventText:
    """An Xid that makes no condition.

    EKS' agent names no card; elsewhere NVSentinel names none, and node-problem-detector quotes the kernel's line of the card
    it is asked for.
    """
    if flavour.name == "eks":
        text = f"NvidiaXID{xid}Warning: detected unknown XID-{xid} on the instance, review kernel logs for more."
        return EventText("eks-node-monitoring-agent", "Warning", "AcceleratedHardwareReady", text)
    if index is not None:
        pci = node.gpus[index].pci.removesuffix(".0")
        text = f"NVRM: Xid (PCI:{pci}): {xid}, pid='<unknown>', name=<unknown>, Ch 00000008"
        return EventText("kernel-monitor", "Warning", "XidError", text, by_name=True)
    text = f"ErrorCode:{xid} GPU:0 Recommended Action=NONE;"
    return EventText("syslog-health-monitor", "SysLogsXIDError", "SysLogsXIDErrorIsNotHealthy", text, by_name=True)


def thermal_warning(node: Node, index: int) -> EventText:
    """NVSentinel warns of a GPU's temperature: not a fault yet."""
    text = f"ErrorCode:DCGM_FR_CLOCK_THROTTLE_THERMAL GPU:{index} GPU_UUID:{node.gpus[index].uuid} Recommended Action=NONE;"
    return EventText("gpu-health-monitor", "GpuThermalWatch", "GpuThermalWatchIsNotHealthy", text, by_name=True)


@dataclass(slots=True)
class _EventRecord:
    name: str
    first: datetime
    last: datetime
    count: int = 1


class Events:
    """The Events of one cluster. The same report again within an Event's life only raises its count."""

    def __init__(self, store: Store, seed: Seed, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._seed = seed
        self._clock = clock
        self._records: dict[tuple[str, EventText], _EventRecord] = {}

    def tell(self, node: Node, what: EventText, at: datetime | None = None) -> None:
        """An Event about a node, now or at a moment of the past."""
        at = at or self._clock()
        record = self._records.get((node.uid, what))
        if record is None:
            # client-go names Events like this: the object's name and the moment, in hexadecimal nanoseconds
            name = f"{node.name}.{int(at.timestamp() * 1_000_000) * 1000 + len(self._records):x}"
            record = self._records[node.uid, what] = _EventRecord(name, at, at)
        else:
            record.count, record.last = record.count + 1, at
        self._store.put(resources.EVENTS, *_event(node, what, record, self._seed))

    def forget(self) -> None:
        """Drop what has outlived its time."""
        limit = self._clock() - LIFE
        for key, record in [(key, record) for key, record in self._records.items() if record.last < limit]:
            del self._records[key]
            self._store.delete(resources.EVENTS, f"{NAMESPACE}/{record.name}")


def _event(node: Node, what: EventText, record: _EventRecord, seed: Seed) -> tuple[dict[str, Any], dict[str, str]]:
    """The object, and the fields it can be selected by."""
    first, last = stamp(record.first) or "", stamp(record.last) or ""
    about = {"kind": "Node", "name": node.name, "uid": node.name if what.by_name else node.uid}
    body: dict[str, Any] = {
        "involvedObject": about | ({} if what.by_name else {"apiVersion": "v1"}),
        "reason": what.reason,
        "message": what.message,
        "source": {"component": what.component, "host": node.name},
        "firstTimestamp": first,
        "lastTimestamp": last,
        "count": record.count,
        "type": what.type,
        "eventTime": None,
        "reportingComponent": what.component,
        "reportingInstance": node.name,
    }
    metadata = {
        "name": record.name,
        "namespace": NAMESPACE,
        "uid": seed.uuid("event", record.name),
        "resourceVersion": "",
        "creationTimestamp": first,
        "managedFields": [managed.entry(what.component, body, last)],
    }
    fields = {f"involvedObject.{key}": value for key, value in body["involvedObject"].items()}
    fields |= {"reason": what.reason, "type": what.type}
    fields |= {"reportingComponent": what.component, "source": what.component}
    return {"metadata": metadata, **body}, fields
