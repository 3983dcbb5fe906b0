"""Pods of a node."""

from __future__ import annotations

import django_filters as filters

from fleet.filters.fields import AnyOf, YesNo
from fleet.models import Pod


class PodFilters(filters.FilterSet):
    namespace = AnyOf(field_name="namespace")
    phase = AnyOf(field_name="phase")
    component = AnyOf(field_name="component", label="Its part in the GPU stack; unknown: none, a workload")
    holds = YesNo()

    class Meta:
        model = Pod
        fields: list[str] = []
