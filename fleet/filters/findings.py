"""Findings, by whether they stand, are muted or over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import django_filters as filters
from django.core.exceptions import ValidationError
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from fleet.filters.fields import AnyOf, ValuesField, Words, words_of
from fleet.models import FindingRow, Mute

FINDING_STATUSES = ("open", "muted", "resolved")


RESOLVED_WITHIN = timedelta(days=30)


def is_muted(now: datetime) -> Exists:
    """Whether somebody muted a finding (of the outer query), for itself or for a scope it lies in, and the mute still holds."""
    return Exists(
        Mute.objects.filter(
            Q(cluster__isnull=True) | Q(cluster=OuterRef("cluster")),
            Q(node__isnull=True) | Q(node=OuterRef("node")),
            Q(key="") | Q(key=OuterRef("key")),
            rule=OuterRef("rule"),
            until__gt=now,
        )
    )


class _StatusesField(ValuesField):
    def clean(self, value: Any) -> list[str]:
        wanted = [part for one in super().clean(value) for part in one.split(",") if part]
        wrong = sorted(set(wanted) - set(FINDING_STATUSES))
        if wrong:
            raise ValidationError(f"There is no status {wrong[0]!r}. Choose from {', '.join(FINDING_STATUSES)}.")
        return wanted


class _Statuses(AnyOf):
    field_class = _StatusesField


class FindingFilters(filters.FilterSet):
    """Without `status`, `since` or `until`: what is open now and not muted."""

    status = _Statuses(
        field_name="status",
        method="with_status",
        label="open, muted or resolved (within the last 30 days, unless since or until say otherwise)",
    )
    severity = AnyOf(field_name="severity")
    cluster = AnyOf(field_name="cluster__name")
    node = AnyOf(field_name="node__name")
    rule = AnyOf(field_name="rule")
    subject = AnyOf(field_name="subject")
    rung = AnyOf(field_name="rung")
    product = AnyOf(field_name="node__product")
    since = filters.IsoDateTimeFilter(method="with_since", label="Stood at this moment or later")
    until = filters.IsoDateTimeFilter(method="with_until", label="Was opened before this moment")
    q = Words(method="search", label="Words in text, rule, key, node or cluster")

    class Meta:
        model = FindingRow
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet) -> QuerySet:
        queryset = super().filter_queryset(queryset)
        told = self.form.cleaned_data
        if told.get("status") or told.get("since") or told.get("until"):
            return queryset
        return self.with_status(queryset, "status", ["open"])

    def with_status(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        wanted = set(value)
        if not wanted:
            return queryset
        now, stands = timezone.now(), Q(period__endswith__isnull=True)
        query = Q(pk__in=[])
        if {"open", "muted"} <= wanted:
            query |= stands
        elif "open" in wanted:
            query |= stands & ~Q(is_muted(now))
        elif "muted" in wanted:
            query |= stands & Q(is_muted(now))
        if "resolved" in wanted:
            told = self.form.cleaned_data
            bounded = told.get("since") or told.get("until")
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
