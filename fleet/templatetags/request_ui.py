"""Tags of requests, approvals and teams: `{% load request_ui %}`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import template

from fleet.templatetags import formats, words

register = template.Library()

_NEXT = {
    "draft": "Nobody has been asked yet. Submit it, and it is granted at once or goes to the operators.",
    "submitted": "An operator decides. Nothing is reserved until then.",
    "approved": "Apply the manifest. It counts as in use from its first pod on.",
    "active": "Its pods run. Each pass looks whether all of it still has room.",
    "expiring": "Its time is nearly over. Ask for more, or let it end: nobody stops what runs, but the grant ends.",
    "rejected": "Nothing was granted. The reason stands below; a new request may say more.",
    "withdrawn": "The team took it back.",
    "expired": "Its time is over. What still runs runs without a grant.",
}
STEPS: dict[str, tuple[str, str]] = {
    "draft": ("Written down", "file-pen-line"),
    "submit": ("Submitted", "send"),
    "approve": ("Approved", "circle-check"),
    "reject": ("Rejected", "circle-slash"),
    "withdraw": ("Withdrawn", "undo-2"),
    "extend": ("Asked for more time", "clock-plus"),
    "resize": ("Asked for another size", "scaling"),
    "change": ("Changed", "check-check"),
    "refuse_change": ("Change refused", "circle-slash"),
    "activate": ("First pod runs", "play"),
    "warn": ("Expires soon", "hourglass"),
    "expire": ("Expired", "timer-off"),
    "comment": ("Commented", "message-square"),
    "no_room": ("Would no longer schedule", "triangle-alert"),
    "room": ("Would schedule again", "circle-check"),
}
"""Step of a request → what happened, and its icon."""


@register.inclusion_tag("components/_badge.html")
def request_badge(key: str) -> dict[str, Any]:
    """The state of a request."""
    return {"word": words.word("request", key)}


@register.inclusion_tag("components/_status.html")
def request_state(key: str) -> dict[str, Any]:
    """The state of a request without a ground, for tables."""
    return {"word": words.word("request", key)}


@register.filter
def what_next(row: Any) -> str:
    """What happens next with a request, in a sentence or two."""
    return _NEXT.get(row.state, "")


@register.filter
def step_word(kind: str) -> str:
    return STEPS[kind][0] if kind in STEPS else kind.replace("_", " ").capitalize()


@register.filter
def step_icon(kind: str) -> str:
    return STEPS[kind][1] if kind in STEPS else "circle"


@register.filter
def step_detail(step: Any) -> str:
    """What a step says beside its text: sizes, durations, the end."""
    told, parts = step.detail, []
    if "before" in told and "after" in told:
        parts.append(f"{formats.number(told['before'])} → {formats.plural(told['after'], 'replica')}")
    elif told.get("replicas"):
        parts.append(formats.plural(told["replicas"], "replica"))
    if told.get("hours"):
        parts.append(f"for {hours_long(told['hours'])}")
    if told.get("until"):
        parts.append(f"until {told['until'][:16].replace('T', ' ')} UTC")
    return ", ".join(parts)


@register.filter
def hours_long(hours: int | None) -> str:
    """36 → `36 hours`, 720 → `30 days`; None → `as long as the class allows`."""
    if hours is None:
        return "as long as the class allows"
    return formats.plural(hours // 24, "day") if hours >= 48 and hours % 24 == 0 else formats.plural(hours, "hour")


@register.filter
def item(mapping: Any, key: Any) -> Any:
    """The value under a key, None where there is none."""
    return mapping.get(key)


@register.filter
def total(rows: Iterable[Any], key: str) -> int | None:
    """The sum of a figure of the newest checks of requests. None where one was not looked at yet: without it the sum would say
    too little."""
    figures = [row.latest_check.get(key) for row in rows]
    return None if None in figures else sum(figures)


@register.filter
def checked(row: Any, key: str) -> Any:
    """A figure of a request's newest check, None before the first."""
    return row.latest_check.get(key)
