"""The cards of one node as its page shows them: place, newest values, why a value is missing, Xids, pods, MIG instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from fleet.domain.attribution import is_computing
from fleet.domain.catalog import metrics
from fleet.domain.measured import measure
from fleet.domain.telemetry import DeviceSample
from fleet.models import DeviceTelemetry, FindingRow, Gpu, Node, Pod, XidBurstRow
from fleet.selectors import telemetry

SHOWN = ("gpu_util", "fb_used", "gpu_temp", "power", "ecc_dbe_volatile")
"""Metrics of the table, in its order."""
XID_WINDOW = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Reading:
    """One value, or why there is none."""

    value: float | None
    why: str = ""
    """In a word or two, where the value is None."""
    enable: str = ""
    """The line of the exporter's counters CSV that switches it on; empty where that is not the reason."""
    reason: str = ""
    """Why, as one plain sentence."""


@dataclass(frozen=True, slots=True)
class Xid:
    code: int
    last_at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class PodOn:
    """A pod that the exporter names on a card, as far as Muster knows it too."""

    namespace: str
    name: str
    squatter: bool = False
    """It uses the card and holds no slot."""


@dataclass(frozen=True, slots=True)
class MigRow:
    profile: str
    instance: str
    fb_used: Reading
    fb_total: float | None
    engine: Reading
    """Share of time in which its graphics engine was active, in percent: instances have no GPU use of their own."""
    pods: tuple[PodOn, ...]


@dataclass(frozen=True, slots=True)
class GpuRow:
    """One physical card."""

    index: str
    uuid: str
    product: str
    memory_mib: float | None
    readings: Mapping[str, Reading]
    at: datetime | None
    """Moment of its newest sample."""
    silent: bool
    """It was measured before and is not any more: everything about it is unmeasured."""
    gone: bool
    """Silent, while the node's other cards still report: the card itself is lost."""
    xids: tuple[Xid, ...]
    pods: tuple[PodOn, ...]
    unclaimed: bool
    """In use, though the exporter, which names pods on this node, names none on it."""
    migs: tuple[MigRow, ...]
    findings: tuple[FindingRow, ...]
    curve_key: str

    @property
    def broken(self) -> bool:
        """It is lost, or a rule says that it must not be used."""
        return self.gone or any(one.severity in ("fatal", "critical") for one in self.findings)

    @property
    def squatted(self) -> bool:
        return self.unclaimed or any(pod.squatter for pod in self.pods)


@dataclass(frozen=True, slots=True)
class GpuTable:
    rows: tuple[GpuRow, ...]
    why_none: str
    """Why there is no telemetry at all; empty where there is."""
    off: tuple[tuple[str, str], ...]
    """(title, line of the counters CSV) of metrics that the exporter does not export."""
    cards: tuple[Gpu, ...]
    """What was known of the cards without telemetry."""
    newest: datetime | None
    sources: tuple[str, ...]
    measured: bool


def gpu_table(node: Node, now: datetime, findings: Iterable[FindingRow] = (), pods: Iterable[Pod] = ()) -> GpuTable:
    """The cards of `node`, known by telemetry, by ResourceSlices, or only counted. Four queries."""
    samples = list(DeviceTelemetry.objects.filter(node=node).order_by("uuid", "gi_id"))
    cards = [one for one in samples if not one.gi_id]
    instances: dict[str, list[DeviceTelemetry]] = defaultdict(list)
    for one in samples:
        if one.gi_id:
            instances[one.uuid].append(one)
    known = list(node.gpus.all())
    context = _Context(node, now, samples, list(pods))
    bursts = _bursts(node, now)
    by_card = _by_card(findings)
    by_uuid = {gpu.uuid: gpu for gpu in known if gpu.uuid}
    seen = {one.uuid: one for one in cards}
    for uuid in instances:
        seen.setdefault(uuid, DeviceTelemetry(node=node, uuid=uuid, at=instances[uuid][0].at, sample={}))
    named = [*seen, *(uuid for uuid in [*by_uuid, *node.known_uuids] if uuid not in seen)]
    named = list(dict.fromkeys(named))
    talking = any(context.fresh(one.at) for one in samples)
    rows = []
    for place, uuid in enumerate(named):
        newest, gpu = seen.get(uuid), by_uuid.get(uuid)
        sample = newest.sample if newest else {}
        index = sample.get("index")
        silent = bool(samples) and (newest is None or not context.fresh(newest.at))
        pods_on = context.pods(uuid, sample)
        readings = context.readings(newest, SHOWN)
        migs = tuple(context.mig(instance) for instance in instances.get(uuid, ()))
        rows.append(
            GpuRow(
                index=str(index if index is not None else gpu.position if gpu else place),
                uuid=uuid,
                product=sample.get("model") or (gpu.product if gpu else "") or node.product,
                memory_mib=_memory(sample.get("values") or {}) or (gpu.memory_mib if gpu else None) or node.gpu_memory_mib,
                readings=readings,
                at=newest.at if newest else None,
                silent=silent,
                gone=silent and talking,
                xids=bursts.get(uuid, ()),
                pods=pods_on,
                unclaimed=not silent and not pods_on and not migs and context.names_pods and _computes(sample),
                migs=migs,
                findings=tuple(by_card.get(uuid, ())),
                curve_key=uuid,
            )
        )
    return GpuTable(
        rows=tuple(sorted(rows, key=lambda row: (int(row.index) if row.index.isdigit() else 10**6, row.uuid))),
        why_none="" if samples else context.why_none,
        off=tuple((metrics.by_id()[name].title, line) for name, line in _off(rows).items()),
        cards=tuple(known),
        newest=max((one.at for one in samples), default=None),
        sources=tuple(sorted({one.source for one in samples if one.source})),
        measured=bool(samples),
    )


def _off(rows: Iterable[GpuRow]) -> dict[str, str]:
    """Metrics that the exporter does not export, each with the line that switches it on."""
    return {name: reading.enable for row in rows for name, reading in row.readings.items() if reading.enable}


_WHY = {
    "not_enabled": "not enabled",
    "not_told": "not told",
    "stale": "no sample",
    "exporter_failed": "not read",
    "not_collected": "not measured",
}


def telemetry_version(node: Node) -> str:
    """Changes whenever a newer sample of this node came."""
    newest = DeviceTelemetry.objects.filter(node=node).order_by("-at").values_list("at", flat=True).first()
    return newest.isoformat() if newest else ""


class _Context:
    """What all cards of one node share: who reads them, how old a sample may be, which pods hold slots."""

    def __init__(self, node: Node, now: datetime, samples: list[DeviceTelemetry], pods: list[Pod]) -> None:
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
        told = bool(self.by_kubelet) or any(one.sample.get("pods") for one in samples)
        self.names_pods = told or not any(pod.holds and pod.slots and not pod.component for pod in alive)
        """Whether a busy card without a pod proves anything: somebody says which pod has which, or none holds any."""

    @property
    def why_none(self) -> str:
        return self.readings(None, SHOWN[:1])[SHOWN[0]].reason

    def fresh(self, at: datetime | None) -> bool:
        return at is not None and self.now - at <= telemetry.stale_after()

    def readings(self, one: DeviceTelemetry | None, names: Iterable[str]) -> dict[str, Reading]:
        """Each of these metrics of a device, or why there is none: the same words as the API's."""
        sample = msgspec.convert(one.sample, DeviceSample, strict=False) if one and one.sample else None
        told = measure(
            sample, self.report, now=self.now, stale_after=telemetry.stale_after(), nvidia=self.nvidia,
            metrics=[metrics.by_id()[name] for name in names],
        )  # fmt: skip
        return {each.metric.id: Reading(each.value, _WHY.get(each.why, each.why), each.turn_on, each.reason) for each in told}

    def pods(self, uuid: str, sample: Mapping[str, Any]) -> tuple[PodOn, ...]:
        """Pods on a device: by the kubelet's word, else by the exporter's, which goes on naming pods that are gone."""
        named = [] if sample.get("gi_id") else list(self.by_kubelet.get(uuid, ()))
        named += [(one.get("namespace", ""), one.get("pod", "")) for one in sample.get("pods") or ()]
        return tuple(
            PodOn(*pod, squatter=pod in self.running and pod not in self.holders)
            for pod in dict.fromkeys(named)
            if pod in self.alive or not self.pods_known
        )

    def mig(self, one: DeviceTelemetry) -> MigRow:
        readings = self.readings(one, ("gr_engine_active", "fb_used"))
        engine = readings["gr_engine_active"]
        values = one.sample.get("values") or {}
        return MigRow(
            profile=one.sample.get("profile") or "profile not told",
            instance=one.gi_id,
            fb_used=readings["fb_used"],
            fb_total=_memory(values),
            engine=engine if engine.value is None else Reading(100 * engine.value),
            pods=self.pods(one.uuid, one.sample),
        )


def _memory(values: Mapping[str, float]) -> float | None:
    """A card's memory in MiB: told, or used + free + reserved."""
    if values.get("fb_total"):
        return float(values["fb_total"])
    if "fb_used" in values and "fb_free" in values:
        return float(values["fb_used"] + values["fb_free"] + values.get("fb_reserved", 0))
    return None


def _computes(sample: Mapping[str, Any]) -> bool:
    return bool(sample) and bool(is_computing(msgspec.convert(sample, DeviceSample, strict=False)))


def _bursts(node: Node, now: datetime) -> dict[str, tuple[Xid, ...]]:
    found: dict[str, dict[int, Xid]] = defaultdict(dict)
    for burst in XidBurstRow.objects.filter(node=node, last_at__gte=now - XID_WINDOW, last_at__lte=now).order_by("-last_at"):
        before = found[burst.uuid].get(burst.code)
        total = burst.count + (before.count if before else 0)
        found[burst.uuid][burst.code] = Xid(burst.code, before.last_at if before else burst.last_at, total)
    return {uuid: tuple(codes.values()) for uuid, codes in found.items()}


def _by_card(findings: Iterable[FindingRow]) -> dict[str, list[FindingRow]]:
    """Findings whose key is a card's UUID, or begins with it."""
    found: dict[str, list[FindingRow]] = defaultdict(list)
    for one in findings:
        if one.key.startswith("GPU-"):
            found[one.key.split("/")[0].split("|")[0]].append(one)
    return found
