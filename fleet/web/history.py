"""History: who kept how much of the known time, what broke when, and what changed around it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.http import urlencode

from fleet.domain.history.changes import KINDS
from fleet.selectors import availability, bootstrap, bursts, changes, clusters, declarations, usable
from fleet.templatetags import formats
from fleet.web import charts_history
from fleet.web.render import render_page

WINDOWS = (7, 30, 90)
BY = (("pool", "Pool"), ("cluster", "Cluster"), ("product", "Product"), ("machine_type", "Machine type"))
GOAL = charts_history.BANDS[0].at_least
"""Percent that nobody promised: what the heat map does not remark on. A pool's own promise takes its place."""


def history(request: HttpRequest) -> HttpResponse:
    """Context: title (str), chart (Chart or None), rows (list of availability.Row), worst, bursts (list of BurstSum),
    bootstraps (list of Bootstrap), changes (Page of Group), complete_from, kinds, kind, days, since, until, by, by_word,
    by_choices, window_choices, scope, scopes, stale (list of ClusterRow), cell (None or {day, name, rows, findings}),
    bands, csv_url, grace, flap_within (seconds), now."""
    now = timezone.now()
    days = next((days for days in WINDOWS if request.GET.get("window") == f"{days}d"), 30)
    groupings = BY if declarations.pools() else BY[1:]
    by = chosen if (chosen := request.GET.get("by", "")) in dict(groupings) else groupings[0][0]
    every = clusters.cluster_rows(now)
    scope = request.GET.get("cluster", "")
    scope = scope if any(row.cluster.name == scope for row in every) else ""
    kind = request.GET.get("kind", "") if request.GET.get("kind") in KINDS else ""

    started = "pool" if by == "pool" else "machine_type"

    def context() -> dict[str, Any]:
        since = _first_midnight(days, now)
        rows = availability.availability(by, since, now, cluster=scope)
        heat = availability.heat_map(by, since, now, cluster=scope)
        log = changes.change_log(since, now, clusters=[scope] if scope else [])
        shown = [one for one in log.groups if not kind or one.kind == kind]
        return {
            "title": title(rows, dict(BY)[by].lower()),
            "chart": charts_history.history(
                heat, usable.usable_line(since, now, cluster=scope), log.groups, _address(request, by)
            )
            if heat.rows
            else None,
            "rows": rows,
            "worst": availability.worst_nodes(since, now, cluster=scope),
            "bursts": bursts.bursts_by_code(since, now, cluster=scope),
            "bootstraps": bootstrap.bootstrap_times(started, since, now, cluster=scope),
            "bootstrap_word": dict(BY)[started],
            "changes": Paginator(shown, 15).get_page(request.GET.get("page")),
            "complete_from": log.complete_from if log.complete_from > since else None,
            "kinds": [one for one in KINDS if any(group.kind == one for group in log.groups)],
            "kind": kind,
            "days": days,
            "since": since,
            "until": now,
            "by": by,
            "by_word": dict(BY)[by],
            "unnamed": charts_history.unnamed(by).capitalize(),
            "by_choices": [_choice(request, "by", key, word, current=key == by) for key, word in groupings],
            "window_choices": [_choice(request, "window", f"{one}d", f"{one} d", current=one == days) for one in WINDOWS],
            "scope": scope,
            "scopes": [row.cluster.name for row in every],
            "stale": [row for row in every if row.freshness.level == "stale" and scope in ("", row.cluster.name)],
            "cell": _cell(request, by),
            "bands": charts_history.BANDS,
            "csv_url": "/api/v1/history/availability/?"
            + urlencode({"by": by, "window": f"{days}d", "cluster": scope, "format": "csv"}),
            "grace": settings.INCIDENT_GRACE.total_seconds(),
            "flap_within": settings.FLAP_WITHIN.total_seconds(),
            "now": now,
        }

    # the figures of days change every minute, without a change in any cluster
    version = f"{clusters.data_version()}:{int(now.timestamp()) // 60}:{request.GET.urlencode()}"
    return render_page(request, "history/detail.html", "history/_body.html", context, etag=version)


def title(rows: list[availability.Row], noun: str) -> str:
    """The answer in one sentence: which group is below, and by how much."""
    known = [row for row in rows if row.availability is not None]
    if not rows:
        return "There is no history yet"
    if not known:
        return "Nothing is known of this time: no cluster could be read"
    if any(row.promise is not None for row in rows):
        return _promises(rows)
    below = [row for row in known if (row.availability or 0) < GOAL]
    if not below:
        what, verb = (f"Every {noun}" if len(known) > 1 else known[0].name), "was"
        if not what:
            what, verb = _unnamed(noun).capitalize(), "were"
        return f"{what} {verb} ready for {formats.percent(GOAL)} of the known time or more"
    worst = below[0]
    by_how_much = (
        f"{formats.percent(worst.availability, 2)} ready, {formats.number(GOAL - (worst.availability or 0), 2)} points below"
    )
    name = worst.name or _unnamed(noun)
    if len(known) == 1:
        if not worst.name:
            return f"{name.capitalize()} were {by_how_much} {formats.percent(GOAL)}"
        return f"{name} is below {formats.percent(GOAL)}: {by_how_much}"
    count = "One" if len(below) == 1 else formats.number(len(below))
    verb = "is" if len(below) == 1 else "are"
    lead = f"{count} of {formats.plural(len(known), noun)} {verb} below {formats.percent(GOAL)}"
    return f"{lead}{': ' if len(below) == 1 else ', lowest '}{name}, {by_how_much}"


def _unnamed(noun: str) -> str:
    """The nodes of the group that has no name."""
    return "nodes in no pool" if noun == "pool" else f"nodes of unknown {noun}"


def _promises(rows: list[availability.Row]) -> str:
    """Of pools: which of them are below what they promise."""
    promising = [row for row in rows if row.promise is not None and row.availability is not None]
    below = [row for row in promising if row.is_below]
    if not promising:
        return "Of no pool that promises anything is this time known"
    if not below:
        every = len(promising) == len([row for row in rows if row.name])
        return "Every pool keeps its promise" if every else "Every pool that promises anything keeps it"
    worst = max(below, key=lambda row: (row.promise or 0) - (row.availability or 0))
    told = f"{worst.name}, {formats.percent(worst.availability, 2)} ready, promised {formats.promised(worst.promise or 0)}"
    if len(below) == 1:
        return f"One pool is below its promise: {told}"
    return f"{formats.number(len(below))} pools are below their promise, furthest {told}"


def _first_midnight(days: int, now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)


def _choice(request: HttpRequest, key: str, value: str, label: str, *, current: bool) -> dict[str, Any]:
    params = request.GET.copy()
    for name in ("page", "day", "name"):
        params.pop(name, None)
    params[key] = value
    return {"label": label, "url": f"?{params.urlencode()}", "current": current}


def _address(request: HttpRequest, by: str) -> charts_history.Address:
    params = request.GET.copy()
    params.pop("page", None)
    params["by"] = by

    def address(name: str, day: date) -> str:
        params["name"], params["day"] = name, day.isoformat()
        return f"?{params.urlencode()}#cell"

    return address


def _cell(request: HttpRequest, by: str) -> dict[str, Any] | None:
    """The nodes behind the cell that was chosen; None without one, or with one that cannot be."""
    try:
        day = date.fromisoformat(request.GET.get("day", ""))
    except ValueError:
        return None
    name = request.GET.get("name", "")
    return {
        "day": day,
        "name": name,
        "rows": availability.nodes_of_day(day, by, name),
        "findings": availability.findings_of_day(day, by, name),
    }
