"""Health tools compared: the faults that each of them reported."""

from __future__ import annotations

from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.http import urlencode

from fleet.selectors import clusters
from fleet.selectors import watchers as select
from fleet.web.shell.render import render_page

WINDOWS = (7, 30, 90)


def watcher_list(request: HttpRequest) -> HttpResponse:
    """Context: comparison, predictions, complete, pairs ([(name, [number])]), names ([str]), days, windows, since, until."""
    now = timezone.now()
    days = next((days for days in WINDOWS if request.GET.get("window") == f"{days}d"), 30)
    every = [row.cluster.name for row in clusters.cluster_rows(now)]
    scope = request.GET.get("cluster", "") if request.GET.get("cluster") in every else ""

    def context() -> dict[str, object]:
        since = now - timedelta(days=days)
        result = select.watchers(since, now, cluster=scope)
        names = [row.watcher for row in result.comparison.rows]
        both = result.comparison.both
        return {
            "comparison": result.comparison,
            "predictions": result.predictions,
            "complete": result.complete,
            "names": names,
            "pairs": [
                (name, [both.get((min(name, other), max(name, other))) if name != other else None for other in names])
                for name in names
            ],
            "days": days,
            "windows": [
                {"label": f"{entry} d", "url": _address(request, f"{entry}d"), "current": entry == days} for entry in WINDOWS
            ],
            "since": since,
            "until": now,
        }

    etag = f"{clusters.data_version()}:{request.GET.urlencode()}:{now:%Y-%m-%dT%H}"
    return render_page(request, "watchers/list.html", "watchers/_list.html", context, etag=etag)


def _address(request: HttpRequest, window: str) -> str:
    scope = request.GET.get("cluster", "")
    return f"?{urlencode({'window': window, **({'cluster': scope} if scope else {})})}"
