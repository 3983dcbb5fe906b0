"""Tags of the pages about notifications: `{% load notification_ui %}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template

from fleet.selectors.notifications.notifications import shown_state
from fleet.templatetags import words

if TYPE_CHECKING:
    from django.forms import BoundField

    from fleet.models import Delivery, NotificationRule

register = template.Library()


@register.inclusion_tag("components/_status.html")
def delivery_state(key: str | None) -> dict[str, object]:
    """The state of a delivery, as shape and word."""
    return {"word": words.word("delivery", key), "key": key}


register.filter("shown_state", shown_state)


@register.filter
def headline(delivery: Delivery) -> str:
    """Subject of a message, in one line."""
    if delivery.is_test:
        return "Test"
    items = list(delivery.items.all())
    if not items:
        return "Event removed"
    first = items[0].notice.title
    return first if len(items) == 1 else f"{first} and {len(items) - 1} more"


@register.filter
def scope(rule: NotificationRule) -> str:
    """Part of the fleet that a rule applies to, in words."""
    parts = [", ".join(names) for names in (rule.clusters, rule.pools, rule.products) if names]
    return " · ".join(parts) or "Whole fleet"


@register.filter
def asks_for(rule: NotificationRule) -> str:
    """Returns the events of a rule, in words."""
    kinds = rule.kinds or ["verdict", "finding", "cluster", "compliance", "request"]
    asks = []
    for kind in kinds:
        match kind:
            case "verdict":
                asks.append(f"nodes {' or '.join(v.replace('_', ' ') for v in rule.verdicts) or 'not ready or unknown'}")
            case "finding":
                asks.append(f"findings {rule.min_severity}{'' if rule.min_severity == 'fatal' else ' and worse'}")
            case "cluster":
                asks.append("unreachable clusters")
            case "compliance":
                asks.append("compliance of pools and classes")
            case "request":
                asks.append("requests for classes")
            case other:
                asks.append(other)
    if not rule.kinds:
        asks.append("anything else")
    text = ", ".join(asks)
    return text[:1].upper() + text[1:] + (", and recoveries" if rule.recoveries else "")


@register.filter
def timing(rule: NotificationRule) -> str:
    """Returns the timing of a rule, in words."""
    rows = ["At once" if not rule.group_s else f"Together within {_seconds(rule.group_s)}"]
    if rule.quiet_from is not None and rule.quiet_from != rule.quiet_until:
        rows.append(f"quiet {rule.quiet_from:%H:%M} to {rule.quiet_until:%H:%M} UTC")
    if rule.repeat_s:
        rows.append(f"repeats after {_seconds(rule.repeat_s)}")
    return ", ".join(rows)


def _seconds(seconds: int) -> str:
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


@register.filter
def holds(field: BoundField, value: object) -> bool:
    """Returns whether a bound field's value is, or contains, this one."""
    given = field.value()
    if isinstance(given, list | tuple):
        return str(value) in {str(item) for item in given}
    return given is not None and str(given) == str(value)
