"""Tags of what people decide: `{% load decision_ui %}`."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context
from django.utils import timezone

from fleet.selectors import decisions

register = template.Library()


@register.inclusion_tag("nodes/_decisions.html", takes_context=True)
def node_decisions(context: Context, node: Any) -> dict[str, Any]:
    """Maintenance and declared count of a node, with forms for operators."""
    user = context["request"].user
    return {
        "node": node,
        "maintenance": decisions.maintenance_of(node, timezone.now()),
        "declared": decisions.expected_of(node),
        "may_decide": user.is_authenticated and user.may("operator") and node.removed_at is None,
        "csrf_token": context.get("csrf_token"),
        "now": context.get("now"),
    }


@register.filter
def lines(text: str) -> list[str]:
    """The steps of a remedy."""
    return [line for line in (text or "").splitlines() if line]
