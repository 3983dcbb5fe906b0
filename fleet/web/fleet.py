"""The front page: is the fleet good, and if not, where."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from fleet.selectors import clusters, fleet_map, fleet_past, ladder, last_hour, nodes, pools, worst_findings
from fleet.selectors import fleet as select
from fleet.web import moments
from fleet.web.render import render_page

GROUPS = (("cluster", "Cluster"), ("product", "Product"), ("mode", "Sharing mode"))


def fleet(request: HttpRequest) -> HttpResponse:
    """Context: summary (selectors.fleet.Summary), degraded_usable, funnel (selectors.ladder.Funnel), clusters (list of
    ClusterRow), groups (list of fleet_map.Group), group_by, group_choices, findings (list of FindingRow), findings_total,
    findings_muted, events (list of last_hour.Event), events_more, hour_from, now. With `?at=`: at, past (fleet_past.Past)."""
    now = timezone.now()
    groupings = (("pool", "Pool"), *GROUPS) if pools.any_pool() else GROUPS
    chosen = request.GET.get("by", "")
    by = chosen if chosen in dict(groupings) else groupings[0][0]
    scope = request.GET.get("cluster", "")
    at, odd_moment = moments.asked(request, "at", now)
    if at is not None:
        by = by if by != "pool" else "cluster"  # who was in a pool then is told on the pool's page
        past = fleet_past.fleet_at(at, cluster=scope, by=by)
        context = {"past": past, "at": at, "now": now, "scope": scope, "group_by": by, "group_choices": GROUPS}
        context["clusters"] = clusters.cluster_rows(now)
        return render_page(request, "fleet/detail.html", "fleet/_past.html", context)

    def live() -> dict[str, Any]:
        present = nodes.nodes().filter(removed_at__isnull=True)
        if scope:
            present = present.filter(cluster__name=scope)
        hour_from = now - timedelta(hours=1)
        groups = fleet_map.groups(present, by, now)
        worst = worst_findings.worst(now, cluster=scope)
        events, more = last_hour.events(present, hour_from, now, cluster=scope)
        return {
            "summary": select.summary(present),
            "degraded_usable": sum(
                {
                    (tile.cluster, tile.name): tile.usable
                    for group in groups
                    for tile in group.tiles
                    if tile.verdict == "degraded"
                }.values()
            ),
            "funnel": ladder.funnel(present),
            "clusters": clusters.cluster_rows(now),
            "groups": groups,
            "group_by": by,
            "group_choices": groupings,
            "scope": scope,
            "findings": worst.rows,
            "findings_total": worst.total,
            "findings_muted": worst.muted,
            "findings_url": _page("findings"),
            "events": events,
            "events_more": more,
            "history_url": _page("history"),
            "hour_from": hour_from,
            "odd_moment": odd_moment,
            "now": now,
        }

    version = f"{clusters.data_version()}:{pools.declared_version()}:{by}:{scope}"
    return render_page(request, "fleet/detail.html", "fleet/_body.html", live, etag=version)


def _page(name: str) -> str:
    """The address of a page that may not be there."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
