"""Tags of the pages about notifications: `{% load notification_ui %}`."""

from __future__ import annotations

from typing import Any

from django import template

from fleet.templatetags import words

register = template.Library()


@register.inclusion_tag("components/_status.html")
def delivery_state(key: str | None) -> dict[str, Any]:
    """How a message fared, as shape and word."""
    return {"word": words.word("delivery", key), "key": key}


@register.filter
def shown_state(delivery: Any) -> str:
    """A message that failed and still waits is being tried again."""
    return "retrying" if delivery.state == "waiting" and delivery.error else str(delivery.state)


@register.filter
def headline(delivery: Any) -> str:
    """What a message is about, in one line."""
    if delivery.is_test:
        return "Test"
    items = list(delivery.items.all())
    if not items:
        return "What it told of is gone"
    first = items[0].notice.title
    return first if len(items) == 1 else f"{first} and {len(items) - 1} more"


@register.filter
def scope(rule: Any) -> str:
    """Which part of the fleet a rule is about, in words."""
    parts = [", ".join(names) for names in (rule.clusters, rule.pools, rule.products) if names]
    return " · ".join(parts) or "Whole fleet"


@register.filter
def asks_for(rule: Any) -> str:
    """What a rule tells, in words."""
    kinds = rule.kinds or ["verdict", "finding", "cluster", "promise"]
    kinds = rule.kinds or ["verdict", "finding", "cluster", "request"]
    said = []
    for kind in kinds:
        match kind:
            case "verdict":
                said.append(f"nodes {' or '.join(v.replace('_', ' ') for v in rule.verdicts) or 'not ready or unknown'}")
            case "finding":
                said.append(f"findings {rule.min_severity}{'' if rule.min_severity == 'fatal' else ' and worse'}")
            case "cluster":
                said.append("clusters that cannot be read")
            case "promise":
                said.append("promises at risk or broken")
            case "request":
                said.append("requests for classes")
            case other:
                said.append(other)
    if not rule.kinds:
        said.append("anything else")
    text = ", ".join(said)
    return text[:1].upper() + text[1:] + (", and recoveries" if rule.recoveries else "")


@register.filter
def timing(rule: Any) -> str:
    """When a rule tells it, in words."""
    said = ["At once" if not rule.group_s else f"Together within {_seconds(rule.group_s)}"]
    if rule.quiet_from is not None and rule.quiet_from != rule.quiet_until:
        said.append(f"quiet {rule.quiet_from:%H:%M} to {rule.quiet_until:%H:%M} UTC")
    if rule.repeat_s:
        said.append(f"repeats after {_seconds(rule.repeat_s)}")
    return ", ".join(said)


def _seconds(seconds: int) -> str:
    if seconds % 3600 == 0:
        return f"{seconds // 3600} h"
    return f"{seconds // 60} min" if seconds % 60 == 0 else f"{seconds} s"


@register.filter
def holds(field: Any, value: Any) -> bool:
    """Whether a bound field's value is, or holds, this one."""
    given = field.value()
    if isinstance(given, list | tuple):
        return str(value) in {str(one) for one in given}
    return given is not None and str(given) == str(value)
