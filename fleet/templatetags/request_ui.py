"""Tags of requests, approvals and teams: `{% load request_ui %}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import template

from fleet.selectors.access_requests.access_requests import checked_total
from fleet.templatetags import formats, words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet.models import AccessRequest, AccessRequestStep

register = template.Library()

_NEXT = {
    "draft": "Not submitted yet. Within the team's limits it is approved automatically, else by an operator.",
    "submitted": "Waiting for an operator's decision. Nothing is reserved until then.",
    "approved": "Apply the manifest. The request is active from its first pod on.",
    "active": "Pods are running. Each collection run checks that all replicas still have room.",
    "expiring": "Expires soon. Request more time, or let it expire: running pods are not stopped, but the grant ends.",
    "rejected": "Not granted, for the reason below. Submit a new request if it changes.",
    "withdrawn": "Withdrawn by the team.",
    "expired": "Expired. Pods that still run have no grant.",
}
STEPS: dict[str, tuple[str, str]] = {
    "draft": ("Created", "file-pen-line"),
    "submit": ("Submitted", "send"),
    "approve": ("Approved", "circle-check"),
    "reject": ("Rejected", "circle-slash"),
    "withdraw": ("Withdrawn", "undo-2"),
    "extend": ("Extension requested", "clock-plus"),
    "resize": ("Size change requested", "scaling"),
    "change": ("Changed", "check-check"),
    "refuse_change": ("Change refused", "circle-slash"),
    "activate": ("First pod runs", "play"),
    "warn": ("Expires soon", "hourglass"),
    "expire": ("Expired", "timer-off"),
    "comment": ("Commented", "message-square"),
    "no_room": ("Would no longer schedule", "triangle-alert"),
    "room": ("Would schedule again", "circle-check"),
}
"""Step of a request → its words and icon."""


@register.inclusion_tag("components/_badge.html")
def request_badge(key: str) -> dict[str, object]:
    """The state of a request."""
    return {"word": words.word("request", key)}


@register.inclusion_tag("components/_status.html")
def request_state(key: str) -> dict[str, object]:
    """The state of a request without a background, for tables."""
    return {"word": words.word("request", key)}


@register.filter
def what_next(row: AccessRequest) -> str:
    """The next step of a request, in a sentence or two."""
    return _NEXT.get(row.state, "")


@register.filter
def step_word(kind: str) -> str:
    return STEPS[kind][0] if kind in STEPS else kind.replace("_", " ").capitalize()


@register.filter
def step_icon(kind: str) -> str:
    return STEPS[kind][1] if kind in STEPS else "circle"


@register.filter
def step_detail(step: AccessRequestStep) -> str:
    """Returns the details of a step: sizes, durations, the end."""
    details, parts = step.detail, []
    if "before" in details and "after" in details:
        parts.append(f"{formats.number(details['before'])} → {formats.plural(details['after'], 'replica')}")
    elif details.get("replicas"):
        parts.append(formats.plural(details["replicas"], "replica"))
    if details.get("hours"):
        parts.append(f"for {hours_long(details['hours'])}")
    if details.get("until"):
        parts.append(f"until {details['until'][:16].replace('T', ' ')} UTC")
    return ", ".join(parts)


@register.filter
def hours_long(hours: int | None) -> str:
    """36 → `36 hours`, 720 → `30 days`; None → `as long as the class allows`."""
    if hours is None:
        return "as long as the class allows"
    return formats.plural(hours // 24, "day") if hours >= 48 and hours % 24 == 0 else formats.plural(hours, "hour")


@register.filter
def item(mapping: Mapping[str, object], key: str) -> object:
    """The value under a key, None where there is none."""
    return mapping.get(key)


register.filter("total", checked_total)


@register.filter
def checked(row: AccessRequest, key: str) -> object:
    """A figure of a request's newest check, None before the first."""
    return row.latest_check.get(key)
