"""Prices."""

from __future__ import annotations

import django_filters as filters

from fleet.filters.fields import AnyOf
from fleet.models import Price


class PriceFilters(filters.FilterSet):
    product = AnyOf(field_name="product", split=False)
    cluster = AnyOf(field_name="cluster", split=False)
    machine_type = AnyOf(field_name="machine_type", split=False)
    currency = AnyOf(field_name="currency")

    class Meta:
        model = Price
        fields: list[str] = []
