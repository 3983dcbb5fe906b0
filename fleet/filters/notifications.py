"""Notifications: targets, rules, and the log of what was sent."""

from __future__ import annotations

import django_filters as filters

from fleet.filters.fields import AnyOf, Moment, YesNo
from fleet.models import Delivery, NotificationRule, NotificationTarget


class DeliveryFilters(filters.FilterSet):
    state = AnyOf(field_name="state")
    target = AnyOf(field_name="target_name", split=False)
    rule = AnyOf(field_name="rule_name", split=False)
    test = YesNo(field_name="is_test")
    since = Moment(field_name="created_at", lookup_expr="gte")
    until = Moment(field_name="created_at", lookup_expr="lt")

    class Meta:
        model = Delivery
        fields: list[str] = []


class NotificationTargetFilters(filters.FilterSet):
    name = AnyOf(field_name="name", split=False)
    kind = AnyOf(field_name="kind")

    class Meta:
        model = NotificationTarget
        fields: list[str] = []


class NotificationRuleFilters(filters.FilterSet):
    name = AnyOf(field_name="name", split=False)
    target = AnyOf(field_name="target__name", split=False)
    enabled = YesNo()

    class Meta:
        model = NotificationRule
        fields: list[str] = []
