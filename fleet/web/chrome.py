"""What stands around every page: navigation, who is signed in, how often to refresh."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from fleet.selectors import clusters

_ENTRIES = (
    # label, icon, URL name, key of the count beside it, heading above it
    ("Fleet", "layout-dashboard", "fleet", None, None),
    ("Nodes", "server", "nodes", "nodes", None),
    ("Clusters", "cloud", "clusters", "clusters", "System"),
    ("Notifications", "bell", "notifications", None, None),
    ("API docs", "braces", "api-docs", None, None),
)
_FOR_OPERATORS = {"notifications"}


def chrome(request: HttpRequest) -> dict[str, Any]:
    """nav, version, refresh_s, now, simulated; nothing but the version for people who are not signed in."""
    common = {"version": settings.VERSION, "refresh_s": settings.PAGE_REFRESH_S, "now": timezone.now()}
    if not getattr(request, "user", None) or not request.user.is_authenticated:
        return common
    counts = clusters.counts() if not getattr(request, "htmx", False) else {}
    here = request.path
    nav = [
        {
            "label": label,
            "icon": icon,
            "url": reverse(name),
            "count": counts.get(key) if key else None,
            "heading": heading,
            "current": here == reverse(name) or (name != "fleet" and here.startswith(reverse(name))),
        }
        for label, icon, name, key, heading in _ENTRIES
        if name not in _FOR_OPERATORS or request.user.may("operator")
    ]
    return {**common, "nav": nav, "simulated": settings.IS_SIMULATED}
