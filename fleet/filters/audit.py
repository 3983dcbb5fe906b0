"""The audit log."""

from __future__ import annotations

import django_filters as filters
from django.db.models import Q, QuerySet

from fleet.filters.fields import AnyOf, Words, words_of
from fleet.models import AuditEntry


class AuditFilters(filters.FilterSet):
    actor = AnyOf(field_name="actor_name")
    action = AnyOf(field_name="action")
    since = filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")
    q = Words(method="search", label="Words in subject or reason")

    class Meta:
        model = AuditEntry
        fields: list[str] = []

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in words_of(value):
            queryset = queryset.filter(Q(subject__icontains=word) | Q(reason__icontains=word))
        return queryset
