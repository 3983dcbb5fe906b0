"""History: availability over the known time, what broke when, and what changed around it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.http import urlencode

from fleet.domain.history.changes import KINDS
from fleet.selectors import clusters, declarations
from fleet.selectors.history import availability, availability_rows, changes, heat, observation, startup_times
from fleet.selectors.history import usable as usable_history
from fleet.selectors.xids import bursts
from fleet.templatetags import formats
from fleet.web.charts import history as history_chart
from fleet.web.charts import time_axis
from fleet.web.shell import moments, time_range
from fleet.web.shell.render import render_page

_WHOLE_DAYS = {"7d": 7, "30d": 30, "90d": 90}
"""Ranges that begin at midnight (UTC): their figures are those of days."""
A_DAY = timedelta(days=1)
"""Nodes with less observed time are not ranked: one restart would decide it."""
BY = (("pool", "Pool"), ("cluster", "Cluster"), ("product", "Product"), ("machine_type", "Machine type"))
GOAL = history_chart.BANDS[0].at_least
"""Percent below which the heat map comments on a row without an availability target."""


def history(request: HttpRequest) -> HttpResponse:
    """Shows the history of nodes, pools and clusters.

    Context: title (str), chart (Chart or None), rows (list of availability_rows.Row), worst, bursts (list of BurstSum),
    startup_times (list of StartupMinutes), changes (Page of Group), complete_from, kinds, kind, days, since, until, by, by_word,
    by_choices, window_choices, scope, scopes, stale (list of ClusterRow), cell (None or {words, name, rows, findings, close}),
    bands, csv_url, grace, flap_within (seconds), now.
    """
    now = timezone.now()
    range_ = time_range.read(request, now, default="30d")
    whole_days = range_.name in _WHOLE_DAYS
    groupings = BY if declarations.pools() else BY[1:]
    by = chosen if (chosen := request.GET.get("by", "")) in dict(groupings) else groupings[0][0]
    every = clusters.cluster_rows(now)
    scope = request.GET.get("cluster", "")
    scope = scope if any(row.cluster.name == scope for row in every) else ""
    kind = request.GET.get("kind", "") if request.GET.get("kind") in KINDS else ""

    started = "pool" if by == "pool" else "machine_type"

    def context() -> dict[str, object]:
        since = _first_midnight(_WHOLE_DAYS[range_.name], now) if whole_days else range_.since
        until = now if whole_days else range_.until
        rows = availability.availability(by, since, until, cluster=scope, now=None if whole_days else now)
        log = changes.change_log(since, until, clusters=[scope] if scope else [])
        began = observation.observed_from(scope)
        long_enough = until - max(since, began or since) >= A_DAY
        drawn, line = _map(by, max(since, began or since), until, rows, scope)
        is_late = began is not None and began > since
        shown = [item for item in log.groups if not kind or item.kind == kind]
        return {
            "title": title(rows, dict(BY)[by].lower()) if long_enough else short_title(rows),
            "range": range_,
            "window_words": f"{_WHOLE_DAYS[range_.name]} days" if whole_days else range_.words,
            "not_observed": began if is_late else None,
            "step_words": history_chart.step_words(drawn.step),
            "ranked": long_enough,
            "chart": history_chart.history(
                drawn, line, log.groups, _address(request, by, drawn.step), ranked=long_enough, unobserved=is_late
            )
            if drawn.rows
            else None,
            "rows": rows,
            "worst": availability.worst_nodes(since, until, cluster=scope) if long_enough else [],
            "bursts": bursts.bursts_by_code(since, until, cluster=scope),
            "startup_times": startup_times.startup_times_by(started, since, until, cluster=scope),
            "startup_word": dict(BY)[started],
            "changes": Paginator(shown, 15).get_page(request.GET.get("page")),
            "complete_from": log.complete_from if log.complete_from > since else None,
            "kinds": [entry for entry in KINDS if any(group.kind == entry for group in log.groups)],
            "kind": kind,
            "since": since,
            "until": until,
            "by": by,
            "by_word": dict(BY)[by],
            "unnamed": history_chart.unnamed(by).capitalize(),
            "by_choices": [_choice(request, "by", key, word, current=key == by) for key, word in groupings],
            "scope": scope,
            "scopes": [row.cluster.name for row in every],
            "stale": [row for row in every if row.freshness.level == "stale" and scope in ("", row.cluster.name)],
            "cell": _cell(request, by),
            "bands": history_chart.BANDS,
            "csv_url": "/api/v1/history/availability/?"
            + urlencode({"by": by, **_window_query(range_), "cluster": scope, "format": "csv"}),
            "grace": settings.INCIDENT_GRACE.total_seconds(),
            "flap_within": settings.FLAP_WITHIN.total_seconds(),
            "now": now,
        }

    # daily figures change every minute, without a change in any cluster
    version = f"{clusters.data_version()}:{int(now.timestamp()) // 60}:{request.GET.urlencode()}"
    return render_page(request, "history/detail.html", "history/_body.html", context, etag=version)


def _map(
    by: str, since: datetime, until: datetime, rows: list[availability_rows.Row], scope: str
) -> tuple[availability_rows.HeatMap, usable_history.Line]:
    """Returns the map and the line over the observed time: in days, or in steps of minutes or hours where it is short."""
    step = heat.step_for(until - since)
    if step is not None and since < until:
        return heat.heat_and_line(by, since, until, step=step, rows=rows, cluster=scope)
    since = _chart_since(since)
    return availability.heat_map(by, since, until, cluster=scope), usable_history.usable_line(since, until, cluster=scope)


def _window_query(range_: time_range.TimeRange) -> dict[str, str]:
    """Returns the range as the API takes it."""
    if range_.name in _WHOLE_DAYS:
        return {"window": range_.name}
    return {"since": time_range.stamp(range_.since), "until": time_range.stamp(range_.until)}


def _chart_since(since: datetime) -> datetime:
    """Returns the beginning of the first day of a range: the drawing has whole days."""
    return since.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def short_title(rows: list[availability_rows.Row]) -> str:
    """Returns the answer for less than a day of observation: how much of which time, without a ranking."""
    known = sum(row.known_s for row in rows)
    good = sum(row.good_s for row in rows)
    nodes = sum(row.nodes for row in rows)
    if not rows or not nodes:
        return "No history yet"
    if not known:
        return "Unknown: no cluster was reachable in this time"
    return f"{formats.percent(100 * good / known)} of {formats.duration(known / nodes)} observed was ready"


def title(rows: list[availability_rows.Row], noun: str) -> str:
    """One sentence: which group is below, and by how much."""
    known = [row for row in rows if row.availability is not None]
    if not rows:
        return "No history yet"
    if not known:
        return "Unknown: no cluster was reachable in this time"
    if any(row.target_percent is not None for row in rows):
        return _against_targets(rows)
    below = [row for row in known if (row.availability or 0) < GOAL]
    if not below:
        what, verb = (f"Every {noun}" if len(known) > 1 else known[0].name), "was"
        if not what:
            what, verb = _unnamed(noun).capitalize(), "were"
        return f"{what} {verb} ready for {formats.percent(GOAL)} of known time or more"
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
    """The nodes of the group without a name."""
    return "nodes in no pool" if noun == "pool" else f"nodes of unknown {noun}"


def _against_targets(rows: list[availability_rows.Row]) -> str:
    """Returns which pools are below their availability target."""
    with_target = [row for row in rows if row.target_percent is not None and row.availability is not None]
    below = [row for row in with_target if row.is_below]
    if not with_target:
        return "Availability of the pools with a target is unknown in this window"
    if not below:
        every = len(with_target) == len([row for row in rows if row.name])
        return "Every pool meets its availability target" if every else "Every pool with an availability target meets it"
    worst = max(below, key=lambda row: (row.target_percent or 0) - (row.availability or 0))
    result = f"{worst.name}, {formats.percent(worst.availability, 2)} ready, target {formats.target(worst.target_percent or 0)}"
    if len(below) == 1:
        return f"One pool is below its availability target: {result}"
    return f"{formats.number(len(below))} pools are below their availability target, furthest {result}"


def _first_midnight(days: int, now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)


def _choice(request: HttpRequest, key: str, value: str, label: str, *, current: bool) -> dict[str, object]:
    params = request.GET.copy()
    for name in ("page", "day", "from", "for", "name"):
        params.pop(name, None)
    params[key] = value
    return {"label": label, "url": f"?{params.urlencode()}", "current": current}


def _address(request: HttpRequest, by: str, step: timedelta) -> history_chart.Address:
    """Returns the addresses of cells: `day=2026-11-22`, or `from=2026-11-22T06:00:00Z&for=900`."""
    params = request.GET.copy()
    for name in ("page", "day", "from", "for"):
        params.pop(name, None)
    params["by"] = by

    def address(name: str, at: datetime) -> str:
        params["name"] = name
        if step == A_DAY:
            params["day"] = at.astimezone(UTC).date().isoformat()
        else:
            params["from"], params["for"] = time_range.stamp(at), str(int(step.total_seconds()))
        return f"?{params.urlencode()}#cell"

    return address


def _cell(request: HttpRequest, by: str) -> dict[str, object] | None:
    """The nodes behind the cell that was chosen; None without one, or with one that cannot be."""
    name = request.GET.get("name", "")
    if (part := _part_of_day(request)) is not None:
        since, until = part
        words, rows = time_axis.shown_step(since, until - since), availability.nodes_of_step(since, until, by, name)
    else:
        try:
            day = date.fromisoformat(request.GET.get("day", ""))
            since = datetime(day.year, day.month, day.day, tzinfo=UTC)
            until = since + A_DAY
        except (ValueError, OverflowError):
            return None
        words, rows = f"{day.day} {day:%b %Y}", availability.nodes_of_day(day, by, name)
    rest = request.GET.copy()
    for own in ("day", "from", "for", "name"):
        rest.pop(own, None)
    return {
        "words": words,
        "name": name,
        "rows": rows,
        "findings": availability.findings_of_cell(since, until, by, name),
        "close": f"?{rest.urlencode()}",
    }


def _part_of_day(request: HttpRequest) -> tuple[datetime, datetime] | None:
    """Returns begin and end of a cell of less than a day; None where the address names none."""
    at, length = moments.moment_of(request.GET.get("from", "")), request.GET.get("for", "")
    steps = {str(int(step.total_seconds())): step for step in heat.LENGTHS}
    return None if at is None or length not in steps else (at, at + steps[length])
