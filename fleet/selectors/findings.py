"""Findings: lists, counts and facets, and which of them somebody muted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Case, Count, DateTimeField, F, Func, IntegerField, Max, Min, Prefetch, Q, QuerySet, Value, When
from django.http import QueryDict
from django.utils import timezone

from fleet.domain import rulebook
from fleet.domain.findings import Severity
from fleet.filters import FINDING_STATUSES, FindingFilters, is_muted
from fleet.models import FindingRow, Mute
from fleet.selectors.facets import Facet, FacetValue, facets

WORST_FIRST = tuple(severity.value for severity in reversed(Severity))
_RANK = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(WORST_FIRST)),
    default=Value(len(WORST_FIRST)),
    output_field=IntegerField(),
)


def findings() -> QuerySet[Any]:
    """FindingRows of every time, open and resolved, of configured clusters; each with `opened_at`, `resolved_at` (None while
    it stands) and `rank` (0 is fatal)."""
    return (
        FindingRow.objects.filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True))
        .select_related("cluster", "node")
        .annotate(
            opened_at=Func(F("period"), function="lower", output_field=DateTimeField()),
            resolved_at=Func(F("period"), function="upper", output_field=DateTimeField()),
            rank=_RANK,
        )
    )


def get_finding(pk: int) -> FindingRow | None:
    found: FindingRow | None = findings().filter(pk=pk).first()
    return found


def open_findings(now: datetime) -> QuerySet[Any]:
    """What stands now and nobody muted."""
    return findings().filter(period__endswith__isnull=True).exclude(is_muted(now))


def ordered(queryset: QuerySet[Any], sort: str) -> QuerySet[Any]:
    """`worst` (then longest standing), `newest` by their opening, or `resolved` by their end, newest first."""
    if sort == "newest":
        return queryset.order_by("-opened_at", "rank", "id")
    if sort == "resolved":
        return queryset.order_by(F("resolved_at").desc(nulls_last=True), "rank", "id")
    return queryset.order_by("rank", "opened_at", "id")


def of_nodes() -> Prefetch:
    """The open findings of each node, worst first, as `open_findings`: one more query for any number of nodes."""
    rows = findings().filter(period__endswith__isnull=True).order_by("rank", "opened_at", "id")
    return Prefetch("findings", rows, to_attr="open_findings")


@dataclass(frozen=True, slots=True)
class RuleRow:
    """All findings of one rule under the current filter."""

    rule: str
    title: str
    severity: str
    """The worst among them."""
    count: int
    nodes: int
    clusters: int
    oldest: datetime | None
    newest: datetime | None


def by_rule(queryset: QuerySet[Any]) -> list[RuleRow]:
    """Findings counted by their rule, worst first, then by number."""
    rows = (
        queryset.order_by()
        .values("rule")
        .annotate(
            worst=Min("rank"),
            number=Count("pk"),
            nodes=Count("node", distinct=True),
            clusters=Count("cluster", distinct=True),
            oldest=Min("opened_at"),
            newest=Max("opened_at"),
        )
        .order_by("worst", "-number", "rule")
    )
    return [
        RuleRow(
            row["rule"],
            rulebook.title(row["rule"]),
            WORST_FIRST[row["worst"]] if row["worst"] < len(WORST_FIRST) else "",
            row["number"],
            row["nodes"],
            row["clusters"],
            row["oldest"],
            row["newest"],
        )
        for row in rows
    ]


def finding_facets(names: Sequence[str], params: QueryDict) -> list[Facet]:
    """Facets of the list of findings. A status stands for a condition, not a column: each of the three is counted by itself."""
    found = []
    for name in names:
        if name != "status":
            (facet,) = facets(FindingFilters, [name], params, findings())
            found.append(_worst_first(facet) if name == "severity" else facet)
            continue
        others, chosen = params.copy(), [one for value in params.getlist(name) for one in value.split(",") if one]
        values = []
        for status in FINDING_STATUSES:
            others[name] = status
            values.append(FacetValue(status, FindingFilters(others, queryset=findings()).qs.count(), status in chosen))
        found.append(Facet(name, tuple(values)))
    return found


def _worst_first(facet: Facet) -> Facet:
    known = {value: place for place, value in enumerate(WORST_FIRST)}
    return Facet(facet.name, tuple(sorted(facet.values, key=lambda one: known.get(one.value, len(known)))))


class Mutes:
    """The mutes that hold at a moment, in one query, and which of them applies to a finding."""

    def __init__(self, now: datetime | None = None) -> None:
        rows = Mute.objects.filter(until__gt=now or timezone.now()).select_related("by").order_by("until", "pk")
        self._by_rule: dict[str, list[Mute]] = {}
        for row in rows:
            self._by_rule.setdefault(row.rule, []).append(row)

    def of(self, finding: FindingRow) -> Mute | None:
        """The one that ends last; None for a finding that nobody muted, or that is over."""
        if finding.period.upper is not None:
            return None
        fitting = [
            row
            for row in self._by_rule.get(finding.rule, ())
            if row.cluster_id in (None, finding.cluster_id)
            and row.node_id in (None, finding.node_id)
            and row.key in ("", finding.key)
        ]
        return fitting[-1] if fitting else None


def rule_count() -> int:
    """How many rules look at nodes and clusters."""
    return len(rulebook.NODE_RULES) + len(rulebook.CLUSTER_RULES)


def get_mute(pk: int) -> Mute | None:
    return Mute.objects.filter(pk=pk).first()


def mutes_version(now: datetime) -> str:
    """Changes whenever something is muted, unmuted, or a mute runs out."""
    held = Mute.objects.filter(until__gt=now).order_by("pk").values_list("pk", "until")
    return ",".join(f"{pk}:{until.timestamp():.0f}" for pk, until in held)


def alert_count(now: datetime) -> int:
    """Open critical and fatal findings that nobody muted: what the navigation shows."""
    return open_findings(now).filter(severity__in=(Severity.CRITICAL, Severity.FATAL)).count()


def decorated(rows: Iterable[FindingRow], mutes: Mutes) -> list[FindingRow]:
    """The rows with `mute` (Mute or None) and `title`, for pages."""
    shown: list[Any] = list(rows)
    for row in shown:
        row.mute, row.title = mutes.of(row), rulebook.title(row.rule)
    return shown
