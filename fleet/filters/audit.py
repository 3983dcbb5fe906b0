"""The audit log."""

from __future__ import annotations

import django_filters as filters
from django.db.models import Q, QuerySet

from fleet.filters.fields import AnyOf, Moment, Words, words_of
from fleet.models import AuditEntry


class AuditFilters(filters.FilterSet):
    actor = AnyOf(field_name="actor_name")
    action = AnyOf(field_name="action")
    via = AnyOf(field_name="via")
    address = AnyOf(field_name="address")
    request_id = AnyOf(field_name="request_id")
    since = Moment(field_name="at", lookup_expr="gte")
    until = Moment(field_name="at", lookup_expr="lt")
    q = Words(method="search", label="Words in subject, reason, address or request id")

    class Meta:
        model = AuditEntry
        fields: list[str] = []

    def search(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        for word in words_of(value):
            text = Q(subject__icontains=word) | Q(reason__icontains=word) | Q(actor_name__icontains=word)
            queryset = queryset.filter(text | Q(address__icontains=word) | Q(request_id=word))
        return queryset
