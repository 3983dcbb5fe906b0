"""Context of every page: navigation, the signed-in user, the refresh interval."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from fleet.selectors import clusters
from fleet.selectors.access_requests import access_requests
from fleet.selectors.incidents import totals as incident_totals
from fleet.selectors.muster import alarms, demo
from fleet.services import limits
from fleet.web.shell.people import person

_ENTRIES = (
    # label, icon, URL name, key of the count beside it, heading above it
    ("Fleet", "layout-dashboard", "fleet", None, None),
    ("Nodes", "server", "nodes", "nodes", None),
    ("Findings", "triangle-alert", "incidents", "incidents", None),
    ("History", "history", "history", None, None),
    ("Pools", "layers", "pools", "pools", "Capacity"),
    ("Topology", "network", "topology", None, None),
    ("Stranded GPUs", "unplug", "stranded", None, None),
    ("Prices", "coins", "prices", None, None),
    ("Classes", "layout-grid", "classes", "classes", "Workloads"),
    ("Requests", "inbox", "requests", "requests", None),
    ("Pending pods", "hourglass", "pending", None, None),
    ("Explain", "message-circle-question-mark", "explain", None, None),
    ("What if", "git-compare-arrows", "what-if", None, None),
    ("Sizing", "calculator", "sizing", None, None),
    ("Teams", "users", "teams", None, None),
    ("Clusters", "cloud", "clusters", "clusters", "System"),
    ("Users", "user-cog", "users", None, None),
    ("Audit", "scroll-text", "audit", None, None),
    ("Xid errors", "zap", "xids", None, None),
    ("Notifications", "bell", "notifications", None, None),
    ("API docs", "braces", "api-docs", None, None),
)
_NEEDS = {"audit": "operator", "notifications": "operator", "users": "admin"}
"""URL name to the role without which an entry is not shown."""
_ALSO = {"requests": "approvals", "incidents": "findings", "users": "tokens"}
"""URL name of an entry to that of another page that belongs to it."""
_ALERTS = frozenset({"incidents", "requests"})
"""Counts of problems and pending decisions: in alert colour, hidden while 0."""


def _open_incidents(request: HttpRequest, now: datetime) -> int:
    """Returns the number beside the entry: the page's own count where it has one, so that both are equal."""
    counted = getattr(request, "open_incidents", None)
    return incident_totals.open_count(now) if counted is None else int(counted)


def chrome(request: HttpRequest) -> dict[str, object]:
    """Returns nav, entry (the label of the current one), alarms, version, refresh_s, now, demo, limited.

    Nothing but the version for people who are not signed in.
    """
    now = timezone.now()
    common = {"version": settings.VERSION, "refresh_s": settings.PAGE_REFRESH_S, "now": now}
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return common
    counts: dict[str, int | None] = {}
    problems: list[alarms.Alarm] = []
    if not getattr(request, "htmx", False):
        problems = alarms.alarms(now)
        counts = {**clusters.counts(), "incidents": _open_incidents(request, now) or None}
        counts["requests"] = access_requests.waiting(person(request)) or None
    path, seen = request.path, limits.current()
    nav = [
        {
            "label": label,
            "icon": icon,
            "url": reverse(name),
            "count": counts.get(key) if key else None,
            "alert": key in _ALERTS and bool(counts.get(key)),
            "heading": heading,
            "current": path == reverse(name)
            or (name != "fleet" and path.startswith(reverse(name)))
            or (name in _ALSO and path.startswith(reverse(_ALSO[name]))),
        }
        for label, icon, name, key, heading in _ENTRIES
        if (name not in _NEEDS or person(request).may(_NEEDS[name])) and (seen is None or limits.is_open(name, "GET"))
    ]
    entry = next((item["label"] for item in nav if item["current"]), "")
    shown = {"demo": None if seen else demo.demo(), "limited": seen.text if seen else ""}
    return {**common, **shown, "nav": nav, "entry": entry, "alarms": problems}
