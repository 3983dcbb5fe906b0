"""The front page: the state of the fleet and its problems."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import NoReverseMatch, reverse
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.selectors import clusters, teams
from fleet.selectors import figures as select
from fleet.selectors.fleet import last_hour
from fleet.selectors.fleet import map as fleet_map
from fleet.selectors.fleet import past as fleet_past
from fleet.selectors.incidents import rows as incident_rows
from fleet.selectors.incidents import totals
from fleet.selectors.muster import demo, setup
from fleet.selectors.nodes import ladder, nodes
from fleet.selectors.pools import pools
from fleet.services import limits
from fleet.web.shell import moments
from fleet.web.shell.people import person
from fleet.web.shell.render import render_page

_SETUP_HIDDEN = "setup_hidden"
GROUPS = (("cluster", "Cluster"), ("product", "Product"), ("mode", "Sharing mode"))


def fleet(request: HttpRequest) -> HttpResponse:
    """Shows the fleet.

    Context: summary (evaluation.figures.FleetFigures), funnel (selectors.nodes.ladder.Funnel), clusters (list of
    ClusterRow), groups (list of fleet_map.Group), group_by, group_choices, incidents (list of
    IncidentRow, the worst), incidents_total, setup ([setup.Step]), is_first_reading, events (list of last_hour.Event),
    events_more, hour_from, now. With `?at=`: at, past (fleet_past.Past).
    """
    now = timezone.now()
    has_pools = pools.any_pool()
    has_teams = teams.any_team()
    groupings = (*((("pool", "Pool"),) if has_pools else ()), *GROUPS, *((("team", "Team"),) if has_teams else ()))
    chosen = request.GET.get("by", "")
    by = chosen if chosen in dict(groupings) else groupings[0][0]
    scope = request.GET.get("cluster", "")
    at, odd_moment = moments.asked(request, "at", now)
    if at is not None:
        by = by if by in dict(GROUPS) else "cluster"  # past membership is shown on the pool's page
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
        rows = clusters.cluster_rows(now)
        events, more = last_hour.events(present, hour_from, now, cluster=scope)
        return {
            "summary": figures,
            "funnel": ladder.funnel(present),
            "clusters": rows,
            "is_first_reading": all(row.cluster.read_at is None and not row.cluster.outcome for row in rows),
            "setup": setup.steps(rows, has_pools=has_pools, notified=notified) if sets_up and not scope else (),
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

    sets_up = person(request).may("operator") and limits.current() is None and not settings.DEMO
    sets_up = sets_up and not request.session.get(_SETUP_HIDDEN)
    notified = sets_up and setup.any_rule()
    version = f"{clusters.data_version()}:{pools.declared_version()}:{has_teams}:{by}:{scope}:{sets_up}:{notified}"
    return render_page(request, "fleet/detail.html", "fleet/_body.html", live, etag=version)


@require_POST
def hide_setup(request: HttpRequest) -> HttpResponse:
    """Leaves out the steps of a new installation for the rest of this session."""
    request.session[_SETUP_HIDDEN] = True
    return redirect("fleet")


def demo_part(request: HttpRequest) -> HttpResponse:
    """Shows the state of the demonstration, refreshed until its month is finished."""
    state = demo.demo()
    if state is None:
        raise Http404
    return render(request, "fleet/_demo.html", {"demo": state})


def _page(name: str) -> str:
    """The address of a page that may not exist."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""
