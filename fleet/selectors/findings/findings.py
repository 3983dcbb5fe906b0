"""Findings: lists, counts and facets, and which of them are silenced."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias, TypedDict

from django.db.models import (
    Case,
    Count,
    DateTimeField,
    Exists,
    F,
    Func,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Prefetch,
    Q,
    QuerySet,
    Value,
    When,
)
from django.http import QueryDict
from django.utils import timezone

from fleet.domain.evaluation import registry
from fleet.domain.findings import Severity
from fleet.filters import FINDING_STATUSES, FindingFilters, is_silenced
from fleet.models import FindingRow, Silence
from fleet.models.joined import joined
from fleet.selectors.facets import Facet, FacetValue, facets

WORST_FIRST = tuple(severity.value for severity in reversed(Severity))
_RANK = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(WORST_FIRST)),
    default=Value(len(WORST_FIRST)),
    output_field=IntegerField(),
)


class Ranked(TypedDict):
    """Columns beside a finding of `findings`."""

    opened_at: datetime
    resolved_at: datetime | None
    rank: int


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    RankedFindings: TypeAlias = QuerySet[WithAnnotations[FindingRow, Ranked]]


def findings() -> RankedFindings:
    """FindingRows of every time, open and resolved, of configured clusters.

    Each with `opened_at`, `resolved_at` (None while it is open) and `rank` (0 is fatal).
    """
    ranked: RankedFindings = (
        # the end of a current period is null, which the types of its columns do not show
        joined(  # type: ignore[assignment]
            FindingRow.objects.filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True)), "cluster", "node"
        ).annotate(
            opened_at=Func(F("period"), function="lower", output_field=DateTimeField()),
            resolved_at=Func(F("period"), function="upper", output_field=DateTimeField()),
            rank=_RANK,
        )
    )
    return ranked


def get_finding(pk: int) -> FindingRow | None:
    return findings().filter(pk=pk).first()


def open_findings(now: datetime) -> RankedFindings:
    """Returns open findings that are not silenced."""
    return findings().filter(period__endswith__isnull=True).exclude(is_silenced(now))


def ordered(queryset: RankedFindings, sort: str) -> RankedFindings:
    """`worst` (then longest open), `newest` by their opening, or `resolved` by their end, newest first."""
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


def by_rule(queryset: RankedFindings) -> list[RuleRow]:
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
            registry.title(row["rule"]),
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
    """Facets of the list of findings. A status is a condition, not a column: each of the three is counted separately."""
    rows = []
    for name in names:
        if name != "status":
            (facet,) = facets(FindingFilters, [name], params, findings())
            rows.append(_worst_first(facet) if name == "severity" else facet)
            continue
        others, chosen = params.copy(), [item for value in params.getlist(name) for item in value.split(",") if item]
        values = []
        for status in FINDING_STATUSES:
            others[name] = status
            values.append(FacetValue(status, FindingFilters(others, queryset=findings()).qs.count(), status in chosen))
        rows.append(Facet(name, tuple(values)))
    return rows


def _worst_first(facet: Facet) -> Facet:
    known = {value: place for place, value in enumerate(WORST_FIRST)}
    return Facet(facet.name, tuple(sorted(facet.values, key=lambda row: known.get(row.value, len(known)))))


class Silences:
    """The silences that are active at a moment, in one query, and which of them applies to a finding."""

    def __init__(self, now: datetime | None = None) -> None:
        rows = Silence.objects.filter(until__gt=now or timezone.now()).select_related("by").order_by("until", "pk")
        self._by_rule: dict[str, list[Silence]] = {}
        for row in rows:
            self._by_rule.setdefault(row.rule, []).append(row)

    def of(self, finding: FindingRow) -> Silence | None:
        """Returns the silence that ends last; None for a finding that is not silenced, or resolved."""
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
    """Number of rules over nodes and clusters."""
    return len(registry.NODE_RULES) + len(registry.CLUSTER_RULES)


def get_silence(pk: int) -> Silence | None:
    return Silence.objects.filter(pk=pk).first()


def silences_version(now: datetime) -> str:
    """Changes whenever something is silenced, unsilenced, or a silence runs out."""
    held = Silence.objects.filter(until__gt=now).order_by("pk").values_list("pk", "until")
    return ",".join(f"{pk}:{until.timestamp():.0f}" for pk, until in held)


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """A finding with the title of its rule and its silence."""

    finding: FindingRow
    title: str
    silence: Silence | None
    """The silence that hides it; None for a finding that is not silenced, or resolved."""


def shown(rows: Iterable[FindingRow], silences: Silences) -> list[ShownFinding]:
    """Returns the findings with the titles of their rules and their silences."""
    return [ShownFinding(row, registry.title(row.rule), silences.of(row)) for row in rows]


def open_by_severity(now: datetime) -> dict[tuple[str, str, bool], int]:
    """Returns (cluster, severity, silenced) to the number of open findings; one query."""
    silences = Silence.objects.filter(until__gt=now, rule=OuterRef("rule")).filter(
        Q(key="") | Q(key=OuterRef("key")),
        Q(node__isnull=True) | Q(node=OuterRef("node")),
        Q(cluster__isnull=True) | Q(cluster=OuterRef("cluster")),
    )
    rows = (
        FindingRow.objects.filter(period__endswith__isnull=True, cluster__removed_at__isnull=True, cluster__isnull=False)
        .order_by()
        .annotate(silenced=Exists(silences))
        .values_list("cluster__name", "severity", "silenced")
        .annotate(n=Count("pk"))
    )
    return {(cluster, severity, silenced): count for cluster, severity, silenced, count in rows}
