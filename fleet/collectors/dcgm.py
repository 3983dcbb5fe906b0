"""What exporters say of GPUs, as DeviceSamples: NVIDIA's DCGM exporter in all its spellings, and AMD's device metrics exporter.

Sources: NVIDIA/dcgm-exporter internal/pkg/rendermetrics and internal/pkg/transformation (main of 2026-05, releases before it);
sentinels from NVIDIA/go-dcgm pkg/dcgm/dcgm_structs.h; ROCm/device-metrics-exporter docs/configuration/metricslist.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from fleet.collectors.exposition import Sample
from fleet.domain.catalog.metrics import Metric, by_amd_wire, by_wire, special_by_wire
from fleet.domain.telemetry import DeviceSample, PodRef

# BLANK, NOT_FOUND, NOT_SUPPORTED, NOT_PERMISSIONED of each of DCGM's types. Current exporters drop them; older ones and
# others' do not.
_SENTINELS = frozenset(float(base + offset) for base in (9223372036854775792, 2147483632, 140737488355328) for offset in range(4))
# No other measurement comes near: these are counters of millijoules, bytes and nanoseconds.
_LARGEST = 1.4e14
_UNBOUNDED = frozenset({"mJ", "ns", "B/s"})
_UNBOUNDED_IDS = frozenset({"nvlink_bandwidth"})

_DRIVER_LABELS = ("DCGM_FI_DRIVER_VERSION", "DCGM_FI_SYSTEM_DRIVER_VERSION", "driver_version")
_POD_LABELS = (
    ("exported_pod", "exported_namespace", "exported_container"),
    ("pod", "namespace", "container"),
    ("pod_name", "pod_namespace", "container_name"),
)
_EXPORTER = "dcgm-exporter"
_AMD_PREFIXES = ("gpu_", "pcie_")


class _Device:
    """One device while its series come in."""

    __slots__ = ("at", "clock_events", "first", "pods", "values", "watches", "xids")

    def __init__(self, first: Mapping[str, str], at: datetime) -> None:
        self.first = first
        self.at = at
        self.values: dict[str, float] = {}
        self.xids: dict[str, float] = {}
        self.watches: dict[str, float] = {}
        self.clock_events: dict[str, float] = {}
        self.pods: dict[PodRef, None] = {}


class Devices:
    """Gathers series into devices. A series that comes twice counts once: with virtual GPUs the exporter repeats a card's value
    for every pod that shares it, and two exporters on one node tell the same; the highest stands, nothing is added up."""

    def __init__(self, *, renamed: bool = False) -> None:
        """`renamed`: a Prometheus server kept its own pod labels, so that only exported_pod names a GPU's holder."""
        self._renamed = renamed
        self._devices: dict[tuple[str, str, str], _Device] = {}
        self._told: dict[str, dict[str, None]] = {}

    def add(self, name: str, labels: Mapping[str, str], value: float, node_name: str, at: datetime) -> None:
        """One series. What Muster has no name for, what names no device, and what is no value is passed over."""
        special = special_by_wire().get(name)
        known = None if special else _metric(name, labels)
        if known is None and special is None:
            return
        uuid = labels.get("UUID") or labels.get("uuid") or labels.get("gpu_uuid")
        if not uuid:
            return
        told = self._told.setdefault(node_name, {})
        if special is not None:
            told[special.field] = None
        elif known is not None:
            told[known[0].id] = None
        device = self._device(node_name, uuid, labels, at)
        holder = self._holder(labels)
        if holder is not None:
            device.pods[holder] = None
        if known is not None:
            metric, factor = known
            measured = _value(metric, value, factor)
            if measured is not None:
                device.values[metric.id] = max(measured, device.values.get(metric.id, measured))
        elif special is not None and not math.isnan(value):
            kept = {"xid_counts": device.xids, "watches": device.watches, "clock_events": device.clock_events}[special.field]
            of = labels.get(special.label, "")
            if of:
                kept[of] = max(value, kept.get(of, value))

    def _device(self, node_name: str, uuid: str, labels: Mapping[str, str], at: datetime) -> _Device:
        key = (node_name, uuid, labels.get("GPU_I_ID", ""))
        device = self._devices.get(key)
        if device is None:
            device = self._devices[key] = _Device(labels, at)
        device.at = max(device.at, at)
        return device

    def _holder(self, labels: Mapping[str, str]) -> PodRef | None:
        for pod, namespace, container in _POD_LABELS[:1] if self._renamed else _POD_LABELS:
            name = labels.get(pod)
            if name:
                # Where Prometheus adds its target's labels to a series without a pod, they name the exporter's own.
                own = _EXPORTER in name or "metrics-exporter" in name
                return None if own else PodRef(labels.get(namespace, ""), name, labels.get(container, ""))
        return None

    def samples(self) -> tuple[DeviceSample, ...]:
        """What was gathered, by node and device."""
        return tuple(
            _sample(node_name, uuid, gi_id, device)
            for (node_name, uuid, gi_id), device in sorted(self._devices.items(), key=_first)
        )

    def told(self, node_name: str) -> tuple[str, ...]:
        """Ids of the metrics, and fields of the exporter's own series, that this node's exporter tells of any device."""
        return tuple(sorted(self._told.get(node_name, ())))


def _first(item: tuple[tuple[str, str, str], _Device]) -> tuple[str, str, str]:
    return item[0]


def parse(page: Iterable[Sample], node_name: str, at: datetime) -> Devices:
    """The devices of one exporter's page. `node_name` is where its pod runs: its Hostname label may be the pod's name."""
    devices = Devices()
    for sample in page:
        devices.add(sample.name, sample.labels, sample.value, node_name, at)
    return devices


def _metric(name: str, labels: Mapping[str, str]) -> tuple[Metric, float] | None:
    found = by_wire().get(name)
    if found is not None or name.startswith("DCGM_"):
        return found
    lower = name.lower().removeprefix("amd_")
    if not lower.startswith(_AMD_PREFIXES):
        return None
    if lower == "gpu_clock":
        return _amd_clock(labels)
    return by_amd_wire().get(lower)


def _amd_clock(labels: Mapping[str, str]) -> tuple[Metric, float] | None:
    """One series for all clocks of a card, told apart by a label."""
    wires = {"system": "DCGM_FI_DEV_SM_CLOCK", "memory": "DCGM_FI_DEV_MEM_CLOCK"}
    wire = wires.get(labels.get("clock_type", "").lower())
    return by_wire()[wire] if wire else None


def _value(metric: Metric, value: float, factor: float) -> float | None:
    """The value in the metric's unit; None for DCGM's ways to say that there is none."""
    if not math.isfinite(value) or value in _SENTINELS:
        return None
    bounded = metric.unit not in _UNBOUNDED and metric.id not in _UNBOUNDED_IDS
    if (bounded and abs(value) >= _LARGEST) or (metric.zero_is_absent and value == 0):
        return None
    return value * factor


def _sample(node_name: str, uuid: str, gi_id: str, device: _Device) -> DeviceSample:
    labels = device.first
    return DeviceSample(
        node_name=node_name,
        uuid=uuid,
        gi_id=gi_id,
        profile=labels.get("GPU_I_PROFILE", ""),
        index=_index(labels.get("gpu") or labels.get("gpu_id") or ""),
        pci_bus_id=pci_bus_id(labels.get("pci_bus_id", "")),
        model=_text(labels.get("modelName") or labels.get("model_name") or labels.get("card_series") or ""),
        driver_version=_text(next((labels[name] for name in _DRIVER_LABELS if labels.get(name)), "")),
        at=device.at,
        values=device.values,
        xid_counts={xid: int(count) for xid, count in device.xids.items() if xid.isdecimal()},
        watches={watch: int(value) for watch, value in device.watches.items()},
        clock_events=device.clock_events,
        pods=tuple(device.pods),
    )


def _index(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _text(text: str) -> str:
    """A label's text; DCGM writes <<<NULL>>> and the like for none."""
    return "" if text.startswith("<<<") else text


def pci_bus_id(text: str) -> str:
    """As Linux, Xid messages and DRA write it: DCGM's 00000000:18:00.0 is 0000:18:00.0."""
    domain, colon, rest = _text(text).lower().partition(":")
    if not colon or len(domain) <= 4:
        return domain + colon + rest
    return f"{domain[-4:] if domain[:-4].strip('0') == '' else domain}:{rest}"
