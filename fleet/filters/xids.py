"""Xid bursts."""

from __future__ import annotations

import django_filters as filters

from fleet.filters.fields import AnyCode, AnyOf, Moment
from fleet.models import XidBurstRow


class XidBurstFilters(filters.FilterSet):
    cluster = AnyOf(field_name="node__cluster__name")
    node = AnyOf(field_name="node__name")
    uuid = AnyOf(field_name="uuid")
    code = AnyCode(field_name="code")
    severity = AnyOf(field_name="severity")
    source = AnyOf(field_name="source")
    job = AnyOf(field_name="job")
    incident = AnyOf(field_name="incident")
    since = Moment(field_name="last_at", lookup_expr="gte", label="Not ended before this time")
    until = Moment(field_name="started_at", lookup_expr="lt", label="Started before this time")

    class Meta:
        model = XidBurstRow
        fields: list[str] = []
