"""Turns exporters' series into DeviceSamples: NVIDIA's DCGM exporter in all its spellings, and AMD's device metrics exporter.

Sources: NVIDIA/dcgm-exporter internal/pkg/rendermetrics and internal/pkg/transformation (main of 2026-05, releases before it);
sentinels from NVIDIA/go-dcgm pkg/dcgm/dcgm_structs.h; ROCm/device-metrics-exporter docs/configuration/metricslist.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime

from fleet.collectors.exposition import Sample, moment
from fleet.domain.catalog import thresholds
from fleet.domain.catalog.metrics import Metric, Range, by_amd_wire, by_wire, range_of, special_by_wire
from fleet.domain.snapshot.telemetry import DeviceSample, PodRef

# BLANK, NOT_FOUND, NOT_SUPPORTED, NOT_PERMISSIONED of each of DCGM's types. Current exporters drop them; older ones and
# others' do not.
_SENTINELS = frozenset(float(base + offset) for base in (9223372036854775792, 2147483632, 140737488355328) for offset in range(4))
_MOST_EVENTS = 10**9
"""Of the exporter's own series: counts within a window, and states of at most 20."""
_LONGEST = {"uuid": 80, "gi_id": 10, "profile": 60, "pci": 30, "model": 200, "version": 60, "pod": 253}
"""Characters that the rows of a device have room for; no exporter writes longer ones."""

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

    __slots__ = ("at", "clock_events", "first", "pods", "refused", "sampled_at", "values", "watches", "xids")

    def __init__(self, first: Mapping[str, str], at: datetime) -> None:
        self.first = first
        self.at = at
        self.values: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self.sampled_at: dict[str, datetime] = {}
        self.xids: dict[str, float] = {}
        self.watches: dict[str, float] = {}
        self.clock_events: dict[str, float] = {}
        self.pods: dict[PodRef, None] = {}


class Devices:
    """Gathers series into devices.

    A series that comes twice counts once: with virtual GPUs the exporter repeats a GPU's value for every pod that shares it,
    and two exporters on one node report the same; the highest counts, nothing is summed.
    """

    def __init__(self, read_at: datetime, *, renamed: bool = False) -> None:
        """`read_at`: when the series were read: no sample can be newer.

        `renamed`: a Prometheus server kept its own pod labels, so that only exported_pod names a GPU's holder.
        """
        self._read_at = read_at
        self._newest = read_at + thresholds.load().telemetry.fresh
        self._renamed = renamed
        self._devices: dict[tuple[str, str, str], _Device] = {}
        self._reported: dict[str, dict[str, None]] = {}

    def __len__(self) -> int:
        return len(self._devices)

    def add(self, name: str, labels: Mapping[str, str], value: float, node_name: str, at: datetime) -> None:
        """Adds one series; `at` is when its value was sampled.

        A series that Muster does not know, or that names no device, is ignored. An invalid value is refused,
        with the reason: the device still exists.
        """
        special = special_by_wire().get(name)
        known = None if special else _metric(name, labels)
        if known is None and special is None:
            return
        uuid = labels.get("UUID") or labels.get("uuid") or labels.get("gpu_uuid")
        if not uuid or len(uuid) > _LONGEST["uuid"] or not uuid.isprintable():
            return
        reported = self._reported.setdefault(node_name, {})
        if special is not None:
            reported[special.field] = None
        elif known is not None:
            reported[known[0].id] = None
        ahead = at > self._newest
        at = min(at, self._read_at)
        device = self._device(node_name, uuid, labels, at)
        holder = self._holder(labels)
        if holder is not None:
            device.pods[holder] = None
        if known is not None:
            metric, factor = known
            if ahead:
                device.refused[metric.id] = "sampled in the future, by the exporter's clock"
            else:
                _take(device, metric, value, factor, at)
        elif special is not None and not ahead and 0 <= value <= _MOST_EVENTS:
            kept = {"xid_counts": device.xids, "watches": device.watches, "clock_events": device.clock_events}[special.field]
            label = labels.get(special.label, "")[: _LONGEST["profile"]]
            if label:
                kept[label] = max(value, kept.get(label, value))

    def _device(self, node_name: str, uuid: str, labels: Mapping[str, str], at: datetime) -> _Device:
        key = (node_name, uuid, labels.get("GPU_I_ID", "")[: _LONGEST["gi_id"]])
        device = self._devices.get(key)
        if device is None:
            device = self._devices[key] = _Device(labels, at)
        device.at = max(device.at, at)
        return device

    def _holder(self, labels: Mapping[str, str]) -> PodRef | None:
        longest = _LONGEST["pod"]
        for pod, namespace, container in _POD_LABELS[:1] if self._renamed else _POD_LABELS:
            name = labels.get(pod, "")[:longest]
            if name:
                # Where Prometheus adds its target's labels to a series without a pod, they name the exporter's own.
                own = _EXPORTER in name or "metrics-exporter" in name
                return None if own else PodRef(labels.get(namespace, "")[:longest], name, labels.get(container, "")[:longest])
        return None

    def samples(self) -> tuple[DeviceSample, ...]:
        """Returns what was gathered, by node and device."""
        return tuple(
            _sample(node_name, uuid, gi_id, device)
            for (node_name, uuid, gi_id), device in sorted(self._devices.items(), key=_first)
        )

    def reported(self, node_name: str) -> tuple[str, ...]:
        """Returns ids of the metrics, and fields of the exporter's own series, that this node's exporter has for any device."""
        return tuple(sorted(self._reported.get(node_name, ())))


def _first(item: tuple[tuple[str, str, str], _Device]) -> tuple[str, str, str]:
    return item[0]


def parse(page: Iterable[Sample], node_name: str, at: datetime) -> Devices:
    """Returns the devices of one exporter's page, read at `at`.

    `node_name` is where its pod runs: its Hostname label may be the pod's name. A sample with its own timestamp is as old as
    that.
    """
    devices = Devices(at)
    for sample in page:
        when = at if sample.at_ms is None else moment(sample.at_ms)
        devices.add(sample.name, sample.labels, sample.value, node_name, when)
    return devices


def _take(device: _Device, metric: Metric, value: float, factor: float, at: datetime) -> None:
    """Adds a metric's value to its device, or the reason why it is none."""
    measured, refused = _value(metric, value, factor)
    if refused:
        device.refused[metric.id] = refused
    if measured is None:
        return
    previous = device.sampled_at.get(metric.id)
    if previous is not None and at < previous:
        return
    newer = previous is not None and at > previous
    device.sampled_at[metric.id] = at
    device.values[metric.id] = measured if newer else max(measured, device.values.get(metric.id, measured))


def _metric(name: str, labels: Mapping[str, str]) -> tuple[Metric, float] | None:
    result = by_wire().get(name)
    if result is not None or name.startswith("DCGM_"):
        return result
    lower = name.lower().removeprefix("amd_")
    if not lower.startswith(_AMD_PREFIXES):
        return None
    if lower == "gpu_clock":
        return _amd_clock(labels)
    return by_amd_wire().get(lower)


def _amd_clock(labels: Mapping[str, str]) -> tuple[Metric, float] | None:
    """One series for all clocks of a GPU, distinguished by a label."""
    wires = {"system": "DCGM_FI_DEV_SM_CLOCK", "memory": "DCGM_FI_DEV_MEM_CLOCK"}
    wire = wires.get(labels.get("clock_type", "").lower())
    return by_wire()[wire] if wire else None


def _value(metric: Metric, value: float, factor: float) -> tuple[float | None, str]:
    """Returns the value in the metric's unit, or why it is none; neither for a 0 that stands for "none"."""
    if math.isnan(value):
        return None, "NaN"
    if value in _SENTINELS:
        return None, "DCGM has no value for it"
    if metric.zero_is_absent and value == 0:
        return None, ""
    limits = range_of(metric.id)
    scaled = value * factor
    if not limits.least <= scaled <= limits.most:
        return None, _outside(scaled, limits)
    if metric.whole and not scaled.is_integer():
        return None, f"{scaled:g}, not a whole number"
    return scaled, ""


def _outside(value: float, limits: Range) -> str:
    unit = f" {limits.unit}" if limits.unit and limits.unit != "ratio" else ""
    return f"{value:g}{unit}, outside {limits.least:g} to {limits.most:g}"


def _sample(node_name: str, uuid: str, gi_id: str, device: _Device) -> DeviceSample:
    labels = device.first
    fresh = thresholds.load().telemetry.fresh
    behind = {name: at for name, at in device.sampled_at.items() if device.at - at > fresh}
    old = {name: f"sampled at {at:%Y-%m-%d %H:%M:%S} UTC" for name, at in behind.items()}
    values = device.values if not behind else {name: value for name, value in device.values.items() if name not in behind}
    refused = {name: reason for name, reason in device.refused.items() if name not in values} | old
    return DeviceSample(
        node_name=node_name,
        uuid=uuid,
        gi_id=gi_id,
        profile=labels.get("GPU_I_PROFILE", "")[: _LONGEST["profile"]],
        index=_index(labels.get("gpu") or labels.get("gpu_id") or ""),
        pci_bus_id=pci_bus_id(labels.get("pci_bus_id", "")[: _LONGEST["pci"]]),
        model=_text(labels.get("modelName") or labels.get("model_name") or labels.get("card_series") or "")[: _LONGEST["model"]],
        driver_version=_text(next((labels[name] for name in _DRIVER_LABELS if labels.get(name)), ""))[: _LONGEST["version"]],
        at=device.at,
        values=values,
        refused=refused,
        xid_counts={xid: int(count) for xid, count in device.xids.items() if _is_number(xid)},
        watches={watch: int(value) for watch, value in device.watches.items()},
        clock_events=device.clock_events,
        pods=tuple(device.pods),
    )


def _index(text: str) -> int | None:
    return int(text) if _is_number(text) else None


def _is_number(text: str) -> bool:
    return len(text) <= 9 and text.isascii() and text.isdecimal()


def _text(text: str) -> str:
    """A label's text; DCGM writes <<<NULL>>> and the like for none."""
    return "" if text.startswith("<<<") else text


def pci_bus_id(text: str) -> str:
    """As Linux, Xid messages and DRA write it: DCGM's 00000000:18:00.0 is 0000:18:00.0."""
    domain, colon, rest = _text(text).lower().partition(":")
    if not colon or len(domain) <= 4:
        return domain + colon + rest
    return f"{domain[-4:] if domain[:-4].strip('0') == '' else domain}:{rest}"
