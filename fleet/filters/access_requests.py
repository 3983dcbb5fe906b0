"""Requests for classes, and the teams that create them."""

from __future__ import annotations

import django_filters as filters

from fleet.filters.fields import AnyOf, Moment
from fleet.models import AccessRequest, Team


class RequestFilters(filters.FilterSet):
    state = AnyOf(field_name="state")
    team = AnyOf(field_name="team__slug")
    workload_class = AnyOf(field_name="class_version__workload_class__slug")
    namespace = AnyOf(field_name="namespace")
    since = Moment(field_name="created_at", lookup_expr="gte")
    until = Moment(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = AccessRequest
        fields: list[str] = []


class TeamFilters(filters.FilterSet):
    slug = AnyOf(field_name="slug")

    class Meta:
        model = Team
        fields: list[str] = []
