"""What stands around every page: navigation, who is signed in, how often to refresh."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from fleet.selectors import clusters, findings, requests
from fleet.web.people import person

_ENTRIES = (
    # label, icon, URL name, key of the count beside it, heading above it
    ("Fleet", "layout-dashboard", "fleet", None, None),
    ("Nodes", "server", "nodes", "nodes", None),
    ("Findings", "triangle-alert", "findings", "findings", None),
    ("History", "history", "history", None, None),
    ("Pools", "layers", "pools", "pools", "Capacity"),
    ("Classes", "layout-grid", "classes", "classes", "Workloads"),
    ("Requests", "inbox", "requests", "requests", None),
    ("Teams", "users", "teams", None, None),
    ("Clusters", "cloud", "clusters", "clusters", "System"),
    ("Audit", "scroll-text", "audit", None, None),
    ("Xid errors", "zap", "xids", None, None),
    ("Notifications", "bell", "notifications", None, None),
    ("API docs", "braces", "api-docs", None, None),
)
_NEEDS = {"audit": "operator", "notifications": "operator"}
"""URL name to the role without which an entry is not shown."""
_ALSO = {"requests": "approvals"}
"""URL name of an entry to that of another page that belongs to it."""
_ALERTS = frozenset({"findings", "requests"})
"""Counts of what is wrong or waits for the reader: in alert colour, and not shown at all while there is nothing."""


def chrome(request: HttpRequest) -> dict[str, Any]:
    """nav, version, refresh_s, now, simulated; nothing but the version for people who are not signed in."""
    now = timezone.now()
    common = {"version": settings.VERSION, "refresh_s": settings.PAGE_REFRESH_S, "now": now}
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return common
    counts: dict[str, int | None] = {}
    if not getattr(request, "htmx", False):
        counts = {**clusters.counts(), "findings": findings.alert_count(now) or None}
        counts["requests"] = requests.waiting(person(request)) or None
    here = request.path
    nav = [
        {
            "label": label,
            "icon": icon,
            "url": reverse(name),
            "count": counts.get(key) if key else None,
            "alert": key in _ALERTS and bool(counts.get(key)),
            "heading": heading,
            "current": here == reverse(name)
            or (name != "fleet" and here.startswith(reverse(name)))
            or (name in _ALSO and here.startswith(reverse(_ALSO[name]))),
        }
        for label, icon, name, key, heading in _ENTRIES
        if name not in _NEEDS or person(request).may(_NEEDS[name])
    ]
    return {**common, "nav": nav, "simulated": settings.IS_SIMULATED}
