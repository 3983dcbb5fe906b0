"""Filters of physical GPUs and MIG instances."""

from __future__ import annotations

import django_filters as filters
from django.db.models import QuerySet

from fleet.filters.fields import AnyOf, Selector, label_query
from fleet.models import Gpu, MigInstance, Node


class _OfNode(filters.FilterSet):
    cluster = AnyOf(field_name="node__cluster__name")
    node = AnyOf(field_name="node__name")
    product = AnyOf(field_name="node__product")
    zone = AnyOf(field_name="node__zone")
    state = AnyOf(field_name="node__state")
    mode = AnyOf(field_name="node__mode", split=False)
    label = Selector(method="with_label", label="Kubernetes label selector over the node's labels")

    def with_label(self, queryset: QuerySet, name: str, value: str) -> QuerySet:
        return queryset.filter(node__in=Node.objects.filter(label_query(value)))


class GpuFilters(_OfNode):
    product = AnyOf(field_name="product")
    uuid = AnyOf(field_name="uuid")

    class Meta:
        model = Gpu
        fields: list[str] = []


class MigInstanceFilters(_OfNode):
    profile = AnyOf(field_name="profile")
    gpu_uuid = AnyOf(field_name="gpu_uuid")

    class Meta:
        model = MigInstance
        fields: list[str] = []
