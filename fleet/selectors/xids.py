"""Xid errors: bursts of the fleet or a node, the last day of each GPU, and what each code means here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db.models import Case, CharField, Count, Max, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from fleet.domain.catalog import thresholds, xids
from fleet.domain.findings import Severity
from fleet.domain.health.xids import last_code
from fleet.domain.subject import XidPolicy
from fleet.domain.telemetry import DeviceSample
from fleet.models import DeviceTelemetry, Node, XidBurstRow, XidOverride


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """What one code means here, what the catalogue says, and who sees it otherwise."""

    code: int
    name: str
    family: str
    severity: str
    action: str
    audience: str
    raised: str
    note: str
    says: dict[str, str]
    nvidia_then: str
    """NVIDIA's bucket for the investigation that follows its immediate action."""
    disagree: tuple[str, ...]
    default_severity: str
    default_action: str
    override: XidOverride | None
    bursts: int
    """Bursts within the last 24 hours, over the whole fleet."""

    @property
    def action_text(self) -> str:
        return xids.ACTIONS.get(self.action, self.action)


@dataclass(frozen=True, slots=True)
class GpuXids:
    """The last 24 hours of one GPU."""

    uuid: str
    bursts: tuple[XidBurstRow, ...]
    """Newest first."""
    last_code: int | None
    """What the gauge tells now: 0 for none since DCGM's start, None where it is not told."""
    last_at: datetime | None
    """When that code last came; None where nobody knows, because it was there before Muster looked."""

    @property
    def age_unknown(self) -> bool:
        """A code stands in the gauge, and nobody saw it come: it may be weeks old."""
        return bool(self.last_code) and self.last_at is None

    @property
    def codes(self) -> tuple[int, ...]:
        return tuple(sorted({burst.code for burst in self.bursts}))


def bursts() -> QuerySet[XidBurstRow]:
    """Every burst of the configured clusters, with its node and cluster, each with the `severity` its code has here now."""
    return (
        XidBurstRow.objects.filter(node__cluster__removed_at__isnull=True)
        .select_related("node", "node__cluster")
        .only(
            "uuid",
            "code",
            "started_at",
            "last_at",
            "count",
            "source",
            "pods",
            "job",
            "incident",
            "node__name",
            "node__cluster__name",
        )
        .annotate(severity=_severity())
    )


def bursts_of(node: Node, since: datetime, until: datetime) -> list[XidBurstRow]:
    """Bursts of one node that were going on at some time of [since, until), newest first."""
    return list(bursts().filter(node=node, last_at__gte=since, started_at__lt=until).order_by("-started_at", "uuid", "code"))


def bursts_between(since: datetime, until: datetime) -> QuerySet[XidBurstRow]:
    """Bursts of the fleet that were going on at some time of [since, until), newest first."""
    return bursts().filter(last_at__gte=since, started_at__lt=until).order_by("-started_at", "node__name", "uuid", "code")


def of_gpus(node: Node, now: datetime) -> dict[str, GpuXids]:
    """The last 24 hours of every GPU of a node that telemetry knows or that had a burst, by UUID; two queries.

    A burst that names no card is not among them: `bursts_of` has it.
    """
    day: dict[str, list[XidBurstRow]] = defaultdict(list)
    for burst in bursts_of(node, now - thresholds.load().xid.memory, now):
        if burst.uuid:
            day[burst.uuid].append(burst)
    told: dict[str, DeviceSample] = {}
    for sample in _samples(node):
        if sample.uuid not in told or last_code(told[sample.uuid]) is None:
            told[sample.uuid] = sample
    ever = _last_times(node, told)
    return {uuid: _of_gpu(uuid, day[uuid], told.get(uuid), ever) for uuid in sorted({*told, *day})}


def _samples(node: Node) -> Iterable[DeviceSample]:
    rows = DeviceTelemetry.objects.filter(node=node).order_by("uuid", "gi_id").values_list("sample", flat=True)
    return (msgspec.convert(row, DeviceSample, strict=False) for row in rows)


def _last_times(node: Node, told: dict[str, DeviceSample]) -> dict[tuple[str, int], datetime]:
    """When each code that stands in a gauge was last seen to come, however long ago."""
    codes = {code for sample in told.values() if (code := last_code(sample))}
    if not codes:
        return {}
    rows = (
        XidBurstRow.objects.filter(node=node, code__in=codes).order_by().values_list("uuid", "code").annotate(at=Max("last_at"))
    )
    return {(uuid, code): at for uuid, code, at in rows}


def _of_gpu(uuid: str, day: list[XidBurstRow], sample: DeviceSample | None, ever: dict[tuple[str, int], datetime]) -> GpuXids:
    code = last_code(sample) if sample else None
    return GpuXids(uuid=uuid, bursts=tuple(day), last_code=code, last_at=ever.get((uuid, code or 0)))


def overrides() -> dict[int, XidOverride]:
    """Code to what an operator decided about it."""
    return {row.code: row for row in XidOverride.objects.select_related("by")}


def policies(now: datetime) -> list[PolicyRow]:
    """Every code of the catalogue, those that an operator decided about, and those that were seen, by code; two queries."""
    decided = overrides()
    since = now - thresholds.load().xid.memory
    recent = XidBurstRow.objects.filter(last_at__gte=since, node__cluster__removed_at__isnull=True)
    counts = dict(recent.order_by().values_list("code").annotate(n=Count("pk")))
    codes = sorted({*xids.by_code(), *decided, *counts})
    return [_policy_row(code, decided.get(code), counts.get(code, 0)) for code in codes]


def policy(code: int, now: datetime) -> PolicyRow:
    """One code, whether the catalogue holds it or not."""
    since = now - thresholds.load().xid.memory
    seen = XidBurstRow.objects.filter(code=code, last_at__gte=since, node__cluster__removed_at__isnull=True).count()
    return _policy_row(code, XidOverride.objects.select_related("by").filter(code=code).first(), seen)


def found(rows: Iterable[PolicyRow], q: str = "", *, show: str = "") -> list[PolicyRow]:
    """The rows that have every word of `q` in code, name, family, severity, action or audience.

    show: decided (an operator did), disagree (sources see it otherwise), seen (within 24 hours), or empty for all.
    """
    words = q.lower().replace("xid", " ").split()
    keep = {"decided": lambda row: row.override, "disagree": lambda row: row.disagree, "seen": lambda row: row.bursts}.get(show)
    return [row for row in rows if (keep is None or keep(row)) and all(_has(row, word) for word in words)]


def version() -> str:
    """Changes when an operator decides something about a code."""
    return ",".join(f"{row.code}:{row.at.timestamp()}" for row in XidOverride.objects.all())


def sources() -> dict[str, str]:
    """Whose word stands in the table, to where it was read."""
    return xids.load().source


def _has(row: PolicyRow, word: str) -> bool:
    if word.isdecimal():
        return word == str(row.code)
    text = " ".join([row.name, row.family, row.severity, row.action, row.action.replace("_", " "), row.audience])
    return word in text.lower()


def _policy_row(code: int, decided: XidOverride | None, seen: int) -> PolicyRow:
    known, entry = xids.meaning(code), xids.by_code().get(code)
    given = {code: XidPolicy(code=code, name="", severity=decided.severity, action=decided.action)} if decided else {}
    here = xids.policy(code, given)
    return PolicyRow(
        code=code,
        name=known.name,
        family=known.family,
        severity=here.severity,
        action=here.action,
        audience=here.audience,
        raised="once" if decided else known.raised,
        note=known.note,
        says=entry.says if entry else {},
        nvidia_then=entry.nvidia_then if entry else "",
        disagree=xids.disagreeing(code, here.severity),
        default_severity=known.severity.value,
        default_action=known.action,
        override=decided,
        bursts=seen,
    )


def _severity() -> Coalesce:
    """The severity in force as a column: an operator's decision, then the catalogue's, then its word for the unknown."""
    by_severity: dict[str, list[int]] = {severity.value: [] for severity in Severity}
    for code, entry in xids.by_code().items():
        by_severity[entry.severity.value].append(code)
    catalogue = Case(
        *(When(code__in=codes, then=Value(severity)) for severity, codes in by_severity.items() if codes),
        default=Value(xids.load().unknown.severity.value),
        output_field=CharField(),
    )
    return Coalesce(Subquery(XidOverride.objects.filter(code=OuterRef("code")).values("severity")), catalogue)
