"""Filters of incidents: by any of its findings, by its own status and severity, and by what it affects."""

from __future__ import annotations

from datetime import datetime

import django_filters as filters
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import QueryDict
from django.utils import timezone

from fleet.filters.fields import AnyOf, Moment, Words
from fleet.filters.findings import RESOLVED_WITHIN, FindingFilters, StatusesFilter, is_silenced
from fleet.filters.teams import nodes_in_use
from fleet.models import ClassVersion, FindingRow, PoolMembership, Team

_OF_FINDINGS = ("node", "rule", "subject", "rung", "product", "q")
"""Filters that a finding of the incident must meet, all of them the same one."""


def open_member(now: datetime, *, silenced: bool | None = None) -> Exists:
    """Returns whether the incident of the outer query has an open finding; with `silenced`, one that is so or not."""
    rows = FindingRow.objects.filter(incident=OuterRef("pk"), period__endswith__isnull=True)
    if silenced is None:
        return Exists(rows)
    return Exists(rows.filter(is_silenced(now)) if silenced else rows.exclude(is_silenced(now)))


class IncidentFilters(filters.FilterSet):
    """Without `status`, `since` or `until`: what is open now and not silenced as a whole."""

    status = StatusesFilter(
        field_name="status",
        method="with_status",
        label="open, silenced (every open finding is) or resolved (within the last 30 days, unless since or until say otherwise)",
    )
    severity = AnyOf(field_name="worst_severity", label="Severity of the cause")
    cluster = AnyOf(field_name="cluster__name")
    node = AnyOf(field_name="node__name")
    rule = AnyOf(field_name="rule")
    subject = AnyOf(field_name="subject")
    rung = AnyOf(field_name="rung")
    product = AnyOf(field_name="node__product")
    pool = AnyOf(field_name="pool", method="with_pool", label="One of its nodes is in this pool")
    team = AnyOf(field_name="team", method="with_team", label="Pods of this team are on one of its nodes")
    workload_class = AnyOf(field_name="class", method="with_class", label="One of its nodes is in a pool of this workload class")
    since = Moment(method="with_since", label="Open at this time or later")
    until = Moment(method="with_until", label="First evidence before this time")
    began_since = Moment(field_name="first_evidence_at", lookup_expr="gte", label="First evidence at or after")
    q = Words(label="Words in text, rule, key, node or cluster of one of its findings")

    class Meta:
        model = FindingRow
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        cleaned = self.form.cleaned_data
        for name, value in cleaned.items():
            if name not in _OF_FINDINGS:
                queryset = self.filters[name].filter(queryset, value)
        if not (cleaned.get("status") or cleaned.get("since") or cleaned.get("until")):
            queryset = self.with_status(queryset, "status", ["open"])
        asked = QueryDict(mutable=True)
        for name in _OF_FINDINGS:
            values = cleaned.get(name) or []
            asked.setlist(name, [values] if isinstance(values, str) else values)
        if not any(asked.get(name) for name in _OF_FINDINGS):
            return queryset
        asked["until"] = "9999-12-31T00:00:00Z"  # of any time: the status is the incident's
        members = FindingFilters(asked, queryset=FindingRow.objects.all()).qs
        return queryset.filter(pk__in=members.order_by().values("incident"))

    def with_status(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        wanted, now = set(value), timezone.now()
        if not wanted:
            return queryset
        query = Q(pk__in=[])
        if "open" in wanted:
            query |= Q(open_member(now, silenced=False))
        if "silenced" in wanted:
            query |= Q(open_member(now)) & ~Q(open_member(now, silenced=False))
        if "resolved" in wanted:
            cleaned = self.form.cleaned_data
            bounded = cleaned.get("since") or cleaned.get("until") or cleaned.get("began_since")
            recent = Q() if bounded else Q(last_ended_at__gte=now - RESOLVED_WITHIN)
            query |= ~Q(open_member(now)) & recent
        return queryset.filter(query)

    def with_since(self, queryset: QuerySet, name: str, value: datetime) -> QuerySet:
        members = FindingRow.objects.filter(incident=OuterRef("pk"))
        return queryset.filter(Exists(members.filter(Q(period__endswith__isnull=True) | Q(period__endswith__gt=value))))

    def with_until(self, queryset: QuerySet, name: str, value: datetime) -> QuerySet:
        return queryset.filter(first_evidence_at__lt=value)

    def with_pool(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        slugs = [part for item in value or [] for part in item.split(",") if part]
        if not slugs:
            return queryset
        nodes = PoolMembership.objects.filter(pool__slug__in=slugs, period__endswith__isnull=True).values("node")
        return queryset.filter(Exists(FindingRow.objects.filter(incident=OuterRef("pk"), node__in=nodes)))

    def with_class(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        slugs = [part for item in value or [] for part in item.split(",") if part]
        if not slugs:
            return queryset
        newest = ClassVersion.objects.filter(workload_class__slug__in=slugs, workload_class__removed_at__isnull=True)
        specs = newest.order_by("workload_class_id", "-number").distinct("workload_class_id").values_list("spec", flat=True)
        pools = sorted({pool for spec in specs for pool in spec.get("pools", ())})
        return self.with_pool(queryset, name, pools) if pools else queryset.none()

    def with_team(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        slugs = [part for item in value or [] for part in item.split(",") if part]
        if not slugs:
            return queryset
        namespaces = {name for row in Team.objects.filter(slug__in=slugs) for name in row.namespaces}
        members = FindingRow.objects.filter(incident=OuterRef("pk"), node__in=nodes_in_use(namespaces))
        return queryset.filter(Exists(members))
