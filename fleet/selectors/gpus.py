"""The cards of one node as its page shows them: place, newest values, why a value is missing, Xids, pods, MIG instances."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from fleet.domain.catalog import metrics
from fleet.models import DeviceTelemetry, Exporter, FindingRow, Gpu, Node, Pod, XidBurstRow

SHOWN = ("gpu_util", "fb_used", "gpu_temp", "power", "ecc_dbe_volatile")
"""Metrics of the table, in its order."""
XID_WINDOW = timedelta(hours=24)
BUSY_MIB = 512
"""Memory beyond what an idle card's driver keeps: somebody computes there."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value, or why there is none."""

    value: float | None
    why: str = ""
    """In a word or two, where the value is None."""
    enable: str = ""
    """The line of the exporter's counters CSV that switches it on; empty where that is not the reason."""


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
    exporters = list(Exporter.objects.filter(cluster=node.cluster_id, node_name=node.name))
    context = _Context(node, now, exporters, samples, list(pods))
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
        pods_on = context.pods(sample)
        readings = {metric: context.reading(newest, metric, silent) for metric in SHOWN}
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
                unclaimed=not silent and not pods_on and not migs and context.names_pods and _in_use(readings),
                migs=migs,
                findings=tuple(by_card.get(uuid, ())),
                curve_key=uuid,
            )
        )
    return GpuTable(
        rows=tuple(sorted(rows, key=lambda row: (int(row.index) if row.index.isdigit() else 10**6, row.uuid))),
        why_none="" if samples else context.why_none,
        off=tuple((metrics.by_id()[name].title, metrics.by_id()[name].csv) for name in context.off) if samples else (),
        cards=tuple(known),
        newest=max((one.at for one in samples), default=None),
        sources=tuple(sorted({one.source for one in samples if one.source})),
        measured=bool(samples),
    )


def telemetry_version(node: Node) -> str:
    """Changes whenever a newer sample of this node came."""
    newest = DeviceTelemetry.objects.filter(node=node).order_by("-at").values_list("at", flat=True).first()
    return newest.isoformat() if newest else ""


class _Context:
    """What all cards of one node share: who reads them, how old a sample may be, which pods hold slots."""

    def __init__(
        self, node: Node, now: datetime, exporters: list[Exporter], samples: list[DeviceTelemetry], pods: list[Pod]
    ) -> None:
        self.now = now
        self.limit = 3 * settings.TELEMETRY_INTERVAL + settings.COLLECT_INTERVAL
        answering = [one.report for one in exporters if one.report.get("outcome") == "collected"]
        self.exported = {name for report in answering for name in report.get("metrics") or ()}
        self.exported |= {name for one in samples for name in one.sample.get("values") or ()}
        self.off = [name for name in SHOWN if samples and name not in self.exported]
        failed = next((one.report for one in exporters if one.report.get("outcome") != "collected"), None)
        self.why_none = (
            failed.get("reason") or f"The exporter could not be read ({failed.get('outcome')})."
            if failed
            else "No exporter has been seen on this node, so nothing about its cards is measured."
        )
        self.holders = {(pod.namespace, pod.name) for pod in pods if pod.holds and pod.slots != 0}
        self.known = {(pod.namespace, pod.name) for pod in pods}
        self.names_pods = any(one.sample.get("pods") for one in samples)

    def fresh(self, at: datetime | None) -> bool:
        return at is not None and self.now - at <= self.limit

    def reading(self, one: DeviceTelemetry | None, metric: str, silent: bool) -> Reading:
        if one is None or silent:
            return Reading(None, "no sample")
        value = (one.sample.get("values") or {}).get(metric)
        if value is not None:
            return Reading(float(value))
        if metric not in self.exported:
            return Reading(None, "not enabled", metrics.by_id()[metric].csv)
        if one.gi_id or metrics.by_id()[metric].scope == "card":
            return Reading(None, "not told")
        return Reading(None, "blank")

    def pods(self, sample: Mapping[str, Any]) -> tuple[PodOn, ...]:
        found = []
        for one in sample.get("pods") or ():
            named = (one.get("namespace", ""), one.get("pod", ""))
            found.append(PodOn(*named, squatter=named in self.known and named not in self.holders))
        return tuple(dict.fromkeys(found))

    def mig(self, one: DeviceTelemetry) -> MigRow:
        silent = not self.fresh(one.at)
        engine = self.reading(one, "gr_engine_active", silent)
        values = one.sample.get("values") or {}
        return MigRow(
            profile=one.sample.get("profile") or "profile not told",
            instance=one.gi_id,
            fb_used=self.reading(one, "fb_used", silent),
            fb_total=_memory(values),
            engine=engine if engine.value is None else Reading(100 * engine.value),
            pods=self.pods(one.sample),
        )


def _memory(values: Mapping[str, float]) -> float | None:
    """A card's memory in MiB: told, or used + free + reserved."""
    if values.get("fb_total"):
        return float(values["fb_total"])
    if "fb_used" in values and "fb_free" in values:
        return float(values["fb_used"] + values["fb_free"] + values.get("fb_reserved", 0))
    return None


def _in_use(readings: Mapping[str, Reading]) -> bool:
    used, util = readings["fb_used"].value, readings["gpu_util"].value
    return (used is not None and used > BUSY_MIB) or (util is not None and util > 0)


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
