"""The front page: the state of the fleet and its problems."""

from __future__ import annotations

from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from fleet.selectors import clusters
from fleet.selectors import figures as select
from fleet.selectors.fleet import last_hour
from fleet.selectors.fleet import map as fleet_map
from fleet.selectors.fleet import past as fleet_past
from fleet.selectors.incidents import rows as incident_rows
from fleet.selectors.incidents import totals
from fleet.selectors.muster import demo
from fleet.selectors.nodes import ladder, nodes
from fleet.selectors.pools import pools
from fleet.web.shell import moments
from fleet.web.shell.render import render_page

GROUPS = (("cluster", "Cluster"), ("product", "Product"), ("mode", "Sharing mode"))


def fleet(request: HttpRequest) -> HttpResponse:
    """Shows the fleet.

    Context: summary (evaluation.figures.FleetFigures), funnel (selectors.nodes.ladder.Funnel), clusters (list of
    ClusterRow), groups (list of fleet_map.Group), group_by, group_choices, incidents (list of
    IncidentRow, the worst), incidents_total, events (list of last_hour.Event), events_more, hour_from, now. With `?at=`: at,
    past (fleet_past.Past).
    """
    now = timezone.now()
    groupings = (("pool", "Pool"), *GROUPS) if pools.any_pool() else GROUPS
    chosen = request.GET.get("by", "")
    by = chosen if chosen in dict(groupings) else groupings[0][0]
    scope = request.GET.get("cluster", "")
    at, odd_moment = moments.asked(request, "at", now)
    if at is not None:
        by = by if by != "pool" else "cluster"  # past membership is shown on the pool's page
        past = fleet_past.fleet_at(at, cluster=scope, by=by)
        context = {"past": past, "at": at, "now": now, "scope": scope, "group_by": by, "group_choices": GROUPS}
        context["clusters"] = clusters.cluster_rows(now)
        return render_page(request, "fleet/detail.html", "fleet/_past.html", context)

    def live() -> dict[str, object]:
        present = nodes.nodes().filter(removed_at__isnull=True)
        if scope:
            present = present.filter(cluster__name=scope)
        hour_from = now - timedelta(hours=1)
        groups = fleet_map.groups(present, by, now)
        figures = select.summary(present).figures
        count = totals.open_count(now, cluster=scope)
        if not scope:
            setattr(request, "open_incidents", count)  # noqa: B010 the navigation shows the same number
        events, more = last_hour.events(present, hour_from, now, cluster=scope)
        return {
            "summary": figures,
            "funnel": ladder.funnel(present),
            "clusters": clusters.cluster_rows(now),
            "groups": groups,
            "group_by": by,
            "group_choices": groupings,
            "scope": scope,
            "incidents": incident_rows.worst(now, cluster=scope) if count else [],
            "incidents_total": count,
            "events": events,
            "events_more": more,
            "history_url": _page("history"),
            "hour_from": hour_from,
            "odd_moment": odd_moment,
            "now": now,
        }

    version = f"{clusters.data_version()}:{pools.declared_version()}:{by}:{scope}"
    return render_page(request, "fleet/detail.html", "fleet/_body.html", live, etag=version)


def demo_part(request: HttpRequest) -> HttpResponse:
    """Shows what the demonstration has to say, again and again until its month has been lived."""
    state = demo.demo()
    if state is None:
        raise Http404
    return render(request, "fleet/_demo.html", {"demo": state})


def _page(name: str) -> str:
    """The address of a page that may not be there."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
