"""Revisions of a node."""

from __future__ import annotations

import django_filters as filters
from django.db.models import Q, QuerySet

from fleet.filters.fields import AnyOf
from fleet.models import NodeRevision


class RevisionFilters(filters.FilterSet):
    section = AnyOf(field_name="changes", method="with_section", label="Where something changed, as labels or taints")

    class Meta:
        model = NodeRevision
        fields: list[str] = []

    def with_section(self, queryset: QuerySet, name: str, value: list[str]) -> QuerySet:
        wanted = Q()
        for section in (part for item in value for part in item.split(",") if part):
            wanted |= Q(changes__contains=[{"section": section}])
        return queryset.filter(wanted)
