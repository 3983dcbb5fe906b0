"""Tags of the History page: `{% load history_ui %}`."""

from __future__ import annotations

from datetime import datetime

from django import template

from fleet.templatetags import formats, words

register = template.Library()
_ICONS = {
    "driver": "cpu",
    "mig": "grid-2x2",
    "sharing": "layers",
    "taints": "shield",
    "cordon": "ban",
    "stack": "boxes",
    "capacity": "gauge",
    "kernel": "terminal",
    "os": "hard-drive",
    "kubelet": "server",
    "reboot": "rotate-cw",
    "conditions": "activity",
    "labels": "tag",
    "devices": "cpu",
    "joined": "circle-plus",
    "left": "circle-minus",
}
_WORDS = {
    "driver": "Driver",
    "mig": "MIG geometry",
    "sharing": "Sharing",
    "taints": "Taints",
    "cordon": "Cordon",
    "stack": "GPU stack",
    "capacity": "Capacity",
    "kernel": "Kernel",
    "os": "System",
    "kubelet": "Kubelet",
    "reboot": "Reboots",
    "conditions": "Conditions",
    "labels": "Labels",
    "devices": "Devices",
    "joined": "Joined",
    "left": "Left",
}


@register.filter
def kind_icon(kind: str) -> str:
    """The icon of a kind of change."""
    return _ICONS.get(kind, "pencil")


@register.filter
def kind_word(kind: str) -> str:
    """A kind of change in words."""
    return _WORDS.get(kind, kind.capitalize())


@register.inclusion_tag("components/_badge.html")
def target_state(is_below: bool) -> dict[str, object]:
    """Whether a pool met its availability target over a window, as a badge."""
    return {"word": words.Word("Below", "cross", "not_ready") if is_below else words.Word("Met", "check", "ready")}


@register.filter
def target(percent: float) -> str:
    """An availability target as declared."""
    return formats.target(percent)


@register.filter
def exactly(percent: float | None) -> str:
    """A share of time with two decimals, 100 % only if exact: 99.9999 → `99.99 %`."""
    if percent is None:
        return formats.UNKNOWN
    return formats.percent(min(percent, 99.99) if percent < 100 else percent, 2)


@register.filter
def day(at: datetime | None) -> str:
    """`22 Nov`."""
    return formats.UNKNOWN if at is None else f"{at.day} {at:%b}"
