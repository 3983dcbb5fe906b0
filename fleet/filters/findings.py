"""Filters of findings: open, silenced or resolved."""

from __future__ import annotations

from datetime import datetime, timedelta

import django_filters as filters
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from fleet.filters.fields import AnyOf, Moment, ValuesField, Words, words_of
from fleet.models import FindingRow, Silence

FINDING_STATUSES = ("open", "silenced", "resolved")


RESOLVED_WITHIN = timedelta(days=30)


def is_silenced(now: datetime) -> Exists:
    """Returns whether a finding of the outer query is silenced, by itself or by a scope it lies in, at `now`."""
    return Exists(
        Silence.objects.filter(
            Q(cluster__isnull=True) | Q(cluster=OuterRef("cluster")),
            Q(node__isnull=True) | Q(node=OuterRef("node")),
            Q(key="") | Q(key=OuterRef("key")),
            rule=OuterRef("rule"),
            until__gt=now,
        )
    )


class _StatusesField(ValuesField):
    def clean(self, value: object) -> list[str]:
        wanted = [part for item in super().clean(value) for part in item.split(",") if part]
        wrong = sorted(set(wanted) - set(FINDING_STATUSES))
        if wrong:
            raise ValidationError(f"Unknown status {wrong[0]!r}. Choose from {', '.join(FINDING_STATUSES)}.")
        return wanted


class StatusesFilter(AnyOf):
    """Any of the statuses of a finding or incident; another word is an error."""

    field_class = _StatusesField


class FindingFilters(filters.FilterSet):
    """Without `status`, `since` or `until`: what is open now and not silenced."""

    status = StatusesFilter(
        field_name="status",
        method="with_status",
        label="open, silenced or resolved (within the last 30 days, unless since or until say otherwise)",
    )
    severity = AnyOf(field_name="severity")
    cluster = AnyOf(field_name="cluster__name")
    node = AnyOf(field_name="node__name")
    rule = AnyOf(field_name="rule")
    subject = AnyOf(field_name="subject")
    rung = AnyOf(field_name="rung")
    product = AnyOf(field_name="node__product")
    since = Moment(method="with_since", label="Open at this time or later")
    until = Moment(method="with_until", label="Opened before this time")
    q = Words(method="search", label="Words in text, rule, key, node or cluster")

    class Meta:
        model = FindingRow
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        queryset = super().filter_queryset(queryset)
        cleaned_data = self.form.cleaned_data
        if cleaned_data.get("status") or cleaned_data.get("since") or cleaned_data.get("until"):
            return queryset
        return self.with_status(queryset, "status", ["open"])

    def with_status(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        wanted = set(value)
        if not wanted:
            return queryset
        now, stands = timezone.now(), Q(period__endswith__isnull=True)
        query = Q(pk__in=[])
        if {"open", "silenced"} <= wanted:
            query |= stands
        elif "open" in wanted:
            query |= stands & ~Q(is_silenced(now))
        elif "silenced" in wanted:
            query |= stands & Q(is_silenced(now))
        if "resolved" in wanted:
            cleaned_data = self.form.cleaned_data
            bounded = cleaned_data.get("since") or cleaned_data.get("until")
            query |= Q(period__endswith__isnull=False) if bounded else Q(period__endswith__gte=now - RESOLVED_WITHIN)
        return queryset.filter(query)

    def with_since(self, queryset: QuerySet, name: str, value: datetime) -> QuerySet:
        return queryset.filter(Q(period__endswith__isnull=True) | Q(period__endswith__gt=value))

    def with_until(self, queryset: QuerySet, name: str, value: datetime) -> QuerySet:
        return queryset.filter(period__startswith__lt=value)

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in words_of(value):
            queryset = queryset.filter(
                Q(text__icontains=word)
                | Q(rule__icontains=word)
                | Q(key__icontains=word)
                | Q(node__name__icontains=word)
                | Q(cluster__name__icontains=word)
            )
        return queryset
