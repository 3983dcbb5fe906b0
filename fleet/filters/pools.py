"""Pools and workload classes."""

from __future__ import annotations

import django_filters as filters

from fleet.filters.fields import AnyOf
from fleet.models import CompliancePeriod, Pool, WorkloadClass


class PoolFilters(filters.FilterSet):
    slug = AnyOf(field_name="slug")
    purpose = AnyOf(field_name="purpose", split=False)
    owner = AnyOf(field_name="owner", split=False)
    managed_by = AnyOf(field_name="managed_by", split=False)

    class Meta:
        model = Pool
        fields: list[str] = []


class ClassFilters(filters.FilterSet):
    slug = AnyOf(field_name="slug")
    managed_by = AnyOf(field_name="managed_by", split=False)

    class Meta:
        model = WorkloadClass
        fields: list[str] = []


class CompliancePeriodFilters(filters.FilterSet):
    state = AnyOf(field_name="state")

    class Meta:
        model = CompliancePeriod
        fields: list[str] = []
