"""Xid errors: bursts of the fleet or a node, the last day of each GPU, and the effective policy of each code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Case, CharField, Count, Max, OuterRef, QuerySet, Subquery, Value, When
from django.db.models.functions import Coalesce

from fleet.domain.catalog import thresholds, xids
from fleet.domain.evaluation.subject import XidPolicy
from fleet.domain.findings import Severity
from fleet.models import XidBurstRow, XidOverride


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One code: effective policy, the catalogue's policy, and differing sources."""

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
    """Bursts within the time that was asked for, over the whole fleet; by default the last 24 hours."""
    gpus: int = 0
    """GPUs that they were on."""
    last_at: datetime | None = None
    """The newest event of them."""

    @property
    def action_text(self) -> str:
        return xids.ACTIONS.get(self.action, self.action)


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


def overrides() -> dict[int, XidOverride]:
    """Code to its override by an operator."""
    return {row.code: row for row in XidOverride.objects.select_related("by")}


def policies(now: datetime, since: datetime | None = None, until: datetime | None = None) -> list[PolicyRow]:
    """Returns every code of the catalogue, those that an operator decided about, and those ever seen, by code; three queries.

    Bursts are counted that were going on between `since` (by default 24 hours ago) and `until` (now).
    """
    decided = overrides()
    every = XidBurstRow.objects.filter(node__cluster__removed_at__isnull=True).order_by()
    begin = now - thresholds.load().xid.memory if since is None else since
    recent = every.filter(last_at__gte=begin, started_at__lte=until or now)
    counts = {
        code: (bursts, gpus, last_at)
        for code, bursts, gpus, last_at in recent.values_list("code").annotate(
            n=Count("pk"), gpus=Count("uuid", distinct=True), last=Max("last_at")
        )
    }
    ever = set(every.values_list("code", flat=True).distinct())
    return [_policy_row(code, decided.get(code), *counts.get(code, (0,))) for code in sorted({*xids.by_code(), *decided, *ever})]


def policy(code: int, now: datetime) -> PolicyRow:
    """Returns the policy of one code, also of a code that is not in the catalogue."""
    since = now - thresholds.load().xid.memory
    seen = XidBurstRow.objects.filter(code=code, last_at__gte=since, node__cluster__removed_at__isnull=True).count()
    return _policy_row(code, XidOverride.objects.select_related("by").filter(code=code).first(), seen)


def matching(rows: Iterable[PolicyRow], q: str = "", *, show: str = "") -> list[PolicyRow]:
    """Returns the rows with every word of `q` in code, name, family, severity, action or audience.

    show: decided (an operator did), disagree (sources see it otherwise), seen (in the time that was asked for, the most severe
    first), or anything else for all.
    """
    words = q.lower().replace("xid", " ").split()
    keep = {"decided": lambda row: row.override, "disagree": lambda row: row.disagree, "seen": lambda row: row.bursts}.get(show)
    result = [row for row in rows if (keep is None or keep(row)) and all(_has(row, word) for word in words)]
    if show == "seen":
        result.sort(key=lambda row: (-Severity(row.severity).rank, -row.bursts, row.code))
    return result


def version() -> str:
    """Changes when an operator overrides a code."""
    return ",".join(f"{row.code}:{row.at.timestamp()}" for row in XidOverride.objects.all())


def sources() -> dict[str, str]:
    """Source of the table's entries, to its address."""
    return xids.load().source


def _has(row: PolicyRow, word: str) -> bool:
    if word.isdecimal():
        return word == str(row.code)
    text = " ".join([row.name, row.family, row.severity, row.action, row.action.replace("_", " "), row.audience])
    return word in text.lower()


def _policy_row(code: int, decided: XidOverride | None, seen: int, gpus: int = 0, last_at: datetime | None = None) -> PolicyRow:
    known, entry = xids.meaning(code), xids.by_code().get(code)
    given = {code: XidPolicy(code=code, name="", severity=decided.severity, action=decided.action)} if decided else {}
    policy = xids.policy(code, given)
    return PolicyRow(
        code=code,
        name=known.name,
        family=known.family,
        severity=policy.severity,
        action=policy.action,
        audience=policy.audience,
        raised="once" if decided else known.raised,
        note=known.note,
        says=entry.says if entry else {},
        nvidia_then=entry.nvidia_then if entry else "",
        disagree=xids.disagreeing(code, policy.severity),
        default_severity=known.severity.value,
        default_action=known.action,
        override=decided,
        bursts=seen,
        gpus=gpus,
        last_at=last_at,
    )


def _severity() -> Coalesce:
    """The effective severity as a column: an operator's override, then the catalogue's, then its default."""
    by_severity: dict[str, list[int]] = {severity.value: [] for severity in Severity}
    for code, entry in xids.by_code().items():
        by_severity[entry.severity.value].append(code)
    catalogue = Case(
        *(When(code__in=codes, then=Value(severity)) for severity, codes in by_severity.items() if codes),
        default=Value(xids.load().unknown.severity.value),
        output_field=CharField(),
    )
    return Coalesce(Subquery(XidOverride.objects.filter(code=OuterRef("code")).values("severity")), catalogue)
