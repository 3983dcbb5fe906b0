"""Clusters and their collection runs."""

from __future__ import annotations

import django_filters as filters

from fleet.filters.fields import AnyOf, Moment
from fleet.models import Cluster, CollectionRun


class RunFilters(filters.FilterSet):
    cluster = AnyOf(field_name="cluster__name")
    outcome = AnyOf(field_name="outcome")
    trigger = AnyOf(field_name="trigger")
    since = Moment(field_name="started_at", lookup_expr="gte")
    until = Moment(field_name="started_at", lookup_expr="lt")

    class Meta:
        model = CollectionRun
        fields: list[str] = []


class ClusterFilters(filters.FilterSet):
    name = AnyOf(field_name="name")
    platform = AnyOf(field_name="platform")
    outcome = AnyOf(field_name="outcome")

    class Meta:
        model = Cluster
        fields: list[str] = []
