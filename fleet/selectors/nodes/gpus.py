"""The GPUs of one node as its page shows them: place, newest values, why a value is missing, Xids, pods, MIG instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from fleet.domain.catalog import metrics
from fleet.domain.devices.attribution import is_computing
from fleet.domain.health.measurements import measure
from fleet.domain.history.staleness import is_recent
from fleet.domain.snapshot.telemetry import DeviceSample
from fleet.models import DeviceTelemetry, FindingRow, Node, Pod, XidBurstRow
from fleet.selectors.nodes import telemetry
from fleet.selectors.nodes.gpu_rows import GpuRow, GpuTable, MigRow, PodOn, Reading, Xid

SHOWN = ("gpu_util", "fb_used", "gpu_temp", "power", "ecc_dbe_volatile")
"""Metrics of the table, in its order."""
XID_WINDOW = timedelta(hours=24)


def gpu_table(node: Node, now: datetime, findings: Iterable[FindingRow] = (), pods: Iterable[Pod] = ()) -> GpuTable:
    """The GPUs of `node`, known by telemetry, by ResourceSlices, or only counted. Four queries."""
    samples = [_Sampled.of(row) for row in DeviceTelemetry.objects.filter(node=node).order_by("uuid", "gi_id")]
    instances: dict[str, list[_Sampled]] = defaultdict(list)
    for item in samples:
        if item.gi_id:
            instances[item.uuid].append(item)
    known = list(node.gpus.all())
    context = _Context(node, now, samples, list(pods))
    bursts = _bursts(node, now)
    by_card = _by_card(findings)
    by_uuid = {gpu.uuid: gpu for gpu in known if gpu.uuid}
    seen = {card.uuid: card for card in samples if not card.gi_id}
    for uuid, parts in instances.items():
        seen.setdefault(uuid, _Sampled(uuid, "", parts[0].at, "", None))
    named = list(dict.fromkeys([*seen, *by_uuid, *node.known_uuids]))
    talking = any(context.fresh(item.at) and (item.sample is None or item.sample.is_measured) for item in samples)
    rows = []
    for place, uuid in enumerate(named):
        newest, gpu = seen.get(uuid), by_uuid.get(uuid)
        sample = newest.sample if newest else None
        silent = bool(samples) and (newest is None or not context.fresh(newest.at))
        # Of a GPU that fell off the bus the exporter keeps one series, its last Xid.
        bare = sample is not None and not sample.is_measured and uuid not in instances
        pods_on = context.pods(uuid, sample)
        migs = tuple(context.mig(instance) for instance in instances.get(uuid, ()))
        rows.append(
            GpuRow(
                index=str(sample.index if sample and sample.index is not None else gpu.position if gpu else place),
                uuid=uuid,
                product=(sample.model if sample else "") or (gpu.product if gpu else "") or node.product,
                memory_mib=_memory(sample) or (gpu.memory_mib if gpu else None) or node.gpu_memory_mib,
                readings=context.readings(sample, SHOWN),
                at=newest.at if newest else None,
                silent=silent,
                gone=talking and (silent or bare),
                xids=bursts.get(uuid, ()),
                pods=pods_on,
                unclaimed=not silent and not bare and not pods_on and not migs and context.names_pods and _computes(sample),
                migs=migs,
                findings=tuple(by_card.get(uuid, ())),
            )
        )
    return GpuTable(
        rows=tuple(sorted(rows, key=lambda row: (int(row.index) if row.index.isdigit() else 10**6, row.uuid))),
        why_none="" if samples else context.why_none,
        off=tuple((metrics.by_id()[name].title, line) for name, line in _off(rows).items()),
        cards=tuple(known),
        newest=max((value.at for value in samples), default=None),
        sources=tuple(sorted({values.source for values in samples if values.source})),
        measured=bool(samples),
    )


def _off(rows: Iterable[GpuRow]) -> dict[str, str]:
    """Metrics that the exporter does not export, each with the line that enables it."""
    return {name: reading.enable for row in rows for name, reading in row.readings.items() if reading.enable}


_WHY = {
    "not_enabled": "not enabled",
    "not_reported": "not reported",
    "refused": "invalid",
    "stale": "no sample",
    "exporter_failed": "not read",
    "not_collected": "not measured",
}


def telemetry_version(node: Node) -> str:
    """Changes with every newer sample of this node."""
    newest = DeviceTelemetry.objects.filter(node=node).order_by("-at").values_list("at", flat=True).first()
    return newest.isoformat() if newest else ""


@dataclass(frozen=True, slots=True)
class _Sampled:
    """A device with its newest sample; None where only instances of the GPU were sampled."""

    uuid: str
    gi_id: str
    at: datetime
    source: str
    sample: DeviceSample | None

    @classmethod
    def of(cls, row: DeviceTelemetry) -> _Sampled:
        sample = msgspec.convert(row.sample, DeviceSample, strict=False) if row.sample else None
        return cls(row.uuid, row.gi_id, row.at, row.source, sample)


class _Context:
    """What all GPUs of one node share: who reads them, how old a sample may be, which pods hold slots."""

    def __init__(self, node: Node, now: datetime, samples: list[_Sampled], pods: list[Pod]) -> None:
        self.now = now
        self.nvidia = node.vendor in ("", "nvidia")
        self.report = telemetry.report_of(node)
        alive = [pod for pod in pods if pod.phase not in ("Succeeded", "Failed")]
        self.alive = {(pod.namespace, pod.name) for pod in alive}
        self.pods_known = node.slots_requested is not None
        self.holders = {(pod.namespace, pod.name) for pod in alive if pod.holds and pod.slots != 0}
        self.running = {(pod.namespace, pod.name) for pod in alive if pod.phase == "Running"}
        self.by_kubelet: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for pod in alive:
            for device in (pod.snapshot or {}).get("devices") or ():
                self.by_kubelet[str(device.get("device_id", "")).partition("::")[0]].append((pod.namespace, pod.name))
        result = bool(self.by_kubelet) or any(item.sample.pods for item in samples if item.sample)
        self.names_pods = result or not any(pod.holds and pod.slots and not pod.component for pod in alive)
        """Whether a busy GPU without a pod is evidence: pods are attributed to GPUs, or no pod holds one."""

    @property
    def why_none(self) -> str:
        return self.readings(None, SHOWN[:1])[SHOWN[0]].reason

    def fresh(self, at: datetime | None) -> bool:
        return at is not None and is_recent(at, self.now, telemetry.stale_after())

    def readings(self, sample: DeviceSample | None, names: Iterable[str]) -> dict[str, Reading]:
        """Each of these metrics of a device, or why there is none: the same reasons as in the API."""
        result = measure(
            sample, self.report, now=self.now, stale_after=telemetry.stale_after(), nvidia=self.nvidia,
            metrics=[metrics.by_id()[name] for name in names],
        )  # fmt: skip
        return {each.metric.id: Reading(each.value, _WHY.get(each.why, each.why), each.turn_on, each.reason) for each in result}

    def pods(self, uuid: str, sample: DeviceSample | None) -> tuple[PodOn, ...]:
        """Returns the pods on a device: from the kubelet, else from the exporter, which keeps naming removed pods."""
        named = [] if sample and sample.gi_id else list(self.by_kubelet.get(uuid, ()))
        named += [(pod.namespace, pod.pod) for pod in (sample.pods if sample else ())]
        return tuple(
            PodOn(*pod, squatter=pod in self.running and pod not in self.holders)
            for pod in dict.fromkeys(named)
            if pod in self.alive or not self.pods_known
        )

    def mig(self, item: _Sampled) -> MigRow:
        readings = self.readings(item.sample, ("gr_engine_active", "fb_used"))
        engine = readings["gr_engine_active"]
        return MigRow(
            profile=(item.sample.profile if item.sample else "") or "unknown profile",
            instance=item.gi_id,
            fb_used=readings["fb_used"],
            fb_total=_memory(item.sample),
            engine=engine if engine.value is None else Reading(100 * engine.value),
            pods=self.pods(item.uuid, item.sample),
        )


def _memory(sample: DeviceSample | None) -> float | None:
    """Returns a GPU's memory in MiB: as reported, or used + free + reserved."""
    values = sample.values if sample else {}
    if values.get("fb_total"):
        return float(values["fb_total"])
    if "fb_used" in values and "fb_free" in values:
        return float(values["fb_used"] + values["fb_free"] + values.get("fb_reserved", 0))
    return None


def _computes(sample: DeviceSample | None) -> bool:
    return sample is not None and bool(is_computing(sample))


def _bursts(node: Node, now: datetime) -> dict[str, tuple[Xid, ...]]:
    bursts: dict[str, dict[int, Xid]] = defaultdict(dict)
    for burst in XidBurstRow.objects.filter(node=node, last_at__gte=now - XID_WINDOW, last_at__lte=now).order_by("-last_at"):
        before = bursts[burst.uuid].get(burst.code)
        total = burst.count + (before.count if before else 0)
        bursts[burst.uuid][burst.code] = Xid(burst.code, before.last_at if before else burst.last_at, total)
    return {uuid: tuple(codes.values()) for uuid, codes in bursts.items()}


def _by_card(findings: Iterable[FindingRow]) -> dict[str, list[FindingRow]]:
    """Findings with a key that is a GPU's UUID, or begins with it."""
    result: dict[str, list[FindingRow]] = defaultdict(list)
    for finding in findings:
        if finding.key.startswith("GPU-"):
            result[finding.key.split("/")[0].split("|")[0]].append(finding)
    return result
