"""Incidents: cause first, since when, who is affected, and the remedy."""

from __future__ import annotations

from datetime import datetime

from django.contrib import messages
from django.core.paginator import Page, Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from fleet.domain.refusals import FieldError
from fleet.filters import IncidentFilters
from fleet.selectors import clusters
from fleet.selectors.findings import findings
from fleet.selectors.history import observation
from fleet.selectors.incidents import changes as incident_changes
from fleet.selectors.incidents import incidents as select
from fleet.selectors.incidents import rows as incident_rows
from fleet.selectors.incidents import totals as incident_totals
from fleet.selectors.incidents.facets import incident_facets
from fleet.selectors.one_moment import one_moment
from fleet.services import incidents
from fleet.web.charts import incidents as incident_chart
from fleet.web.findings import HOURS, silenced_until
from fleet.web.shell import time_range
from fleet.web.shell.addresses import without
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

PER_PAGE = 50
FACETS = ("severity", "cluster", "pool", "workload_class", "rule", "rung")
SHOWS = ("open", "notes", "resolved", "silenced")
"""What the list shows: open ones of warning and above; open ones of info; those that ended in the time range; silenced ones."""
_ACT_ON = ("fatal", "critical", "warning")
_NOT_FILTERS = ("page", "show", "window")


def incident_list(request: HttpRequest) -> HttpResponse:
    """Shows the list of incidents.

    Context: title, subtitle, range (TimeRange), chart (IncidentChart), shows ([{name, label, count, url, current}]), show,
    page (Page of IncidentRow), total, facets ([Facet]), filters_on, errors, q, totals (Totals), findings_total, csv_query,
    unread ([ClusterRow]), may_silence, hours, now.
    """
    now = timezone.now()
    params = request.GET
    range_ = time_range.read(request, now)

    def context() -> dict[str, object]:
        show = str(params.get("show")) if params.get("show") in SHOWS else "open"
        filters = without(params, (*_NOT_FILTERS, *(("since", "until") if range_.is_custom else ())))
        asked = {name: _asked(filters, name, range_) for name in SHOWS}
        filterset = IncidentFilters(asked[show] if not filters.get("began_since") else filters, queryset=select.incidents())
        valid = filterset.is_valid()
        listed = filterset.qs if valid else select.incidents().none()
        counts = {
            name: IncidentFilters(query, queryset=select.incidents()).qs.count() if valid else 0 for name, query in asked.items()
        }
        totals = incident_totals.totals(now)
        setattr(request, "open_incidents", totals.total)  # noqa: B010 the navigation shows the same number
        return {
            "title": _title(totals),
            "totals": totals,
            "range": range_,
            "chart": _chart(range_, now),
            "show": "" if filters.get("began_since") else show,
            "shows": [_show(request, name, counts[name], show) for name in SHOWS],
            "page": _page(request, select.ordered(listed), now),
            "facets": incident_facets(FACETS, asked[show], filters) if valid else [],
            "errors": [
                *([range_.error] if range_.error else []),
                *(text for texts in filterset.errors.values() for text in texts),
            ],
            "filters_on": sum(1 for name, values in filters.lists() if any(values)),
            "filters": filters,
            "q": params.get("q", ""),
            "csv_query": asked[show].urlencode(),
            "findings_total": findings.open_findings(now).count(),
            "unread": [row for row in clusters.cluster_rows(now) if row.freshness.level in ("stale", "never")],
            "rule_count": findings.rule_count(),
            "may_silence": person(request).may("operator"),
            "hours": HOURS,
            "now": now,
        }

    # the chart changes every minute, without a change in any cluster
    version = f"{clusters.data_version()}:{findings.silences_version(now)}:{int(now.timestamp()) // 60}"
    return render_page(request, "incidents/list.html", "incidents/_list.html", context, etag=version)


@one_moment()
def incident_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One incident, by its id or that of any of its findings.

    Context: row (IncidentRow), rows (its findings, decorated), splits ([incident_changes.Split]), may_silence, hours, now.
    """
    now = timezone.now()
    named = select.incident_of(pk)
    if named is None:
        raise Http404

    def context() -> dict[str, object]:
        (row,) = incident_rows.rows([named], now)
        return {
            "row": row,
            "rows": findings.shown(row.findings[: incident_rows.MOST_FINDINGS], findings.Silences(now)),
            "splits": incident_changes.changes_before(row),
            "may_silence": person(request).may("operator"),
            "hours": HOURS,
            "now": now,
        }

    version = f"{clusters.data_version()}:{findings.silences_version(now)}"
    return render_page(request, "incidents/detail.html", "incidents/_detail.html", context, etag=version)


def incident_changes_part(request: HttpRequest, pk: int) -> HttpResponse:
    """What changed before an incident, loaded when its row opens. Context: row, splits."""
    now = timezone.now()
    named = select.incident_of(pk)
    if named is None:
        raise Http404
    (row,) = incident_rows.rows([named], now)
    return render(request, "incidents/_changes.html", {"row": row, "splits": incident_changes.changes_before(row), "now": now})


@require_POST
def silence_incident(request: HttpRequest, pk: int) -> HttpResponse:
    """POST reason, hours: silences every open finding of an incident and goes back to the page it came from."""
    demand(request, "operator")
    named = select.incident_of(pk)
    if named is None:
        raise Http404
    now = timezone.now()
    until = silenced_until(request, now)
    try:
        count = incidents.silence_incident(person(request), named.pk, reason=request.POST.get("reason", ""), until=until, now=now)
    except FieldError as refused:
        messages.error(request, str(refused))
    else:
        text = f"Incident silenced: {count} finding{'' if count == 1 else 's'} stay open under “Silenced”."
        messages.success(request, text if count else "The incident is over, so nothing was silenced.")
    there = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(there, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return redirect(there if ours else reverse("incidents"))


def _title(totals: incident_totals.Totals) -> str:
    count = totals.total
    if not count:
        return "No open incidents"
    fatal = totals.by_severity.get("fatal", 0)
    critical = totals.by_severity.get("critical", 0)
    worst = f"{fatal} of them fatal" if fatal else f"{critical} of them critical" if critical else "none of them critical"
    if count == 1:
        word = "fatal" if fatal else "critical" if critical else "warning"
        return f"1 open incident, {word}"
    return f"{count:,} open incidents, {worst}"


def _asked(filters: QueryDict, name: str, range_: time_range.TimeRange) -> QueryDict:
    """Returns the filters of one way to show the list."""
    asked = filters.copy()
    for own in ("status", "began_since", "until"):
        asked.pop(own, None)
    asked["status"] = "open" if name == "notes" else name
    if name == "open" and not asked.get("severity"):
        asked.setlist("severity", list(_ACT_ON))
    elif name == "notes":
        asked.setlist("severity", ["info"])
    elif name == "resolved":
        asked["since"], asked["until"] = time_range.stamp(range_.since), time_range.stamp(range_.until)
    return asked


def _show(request: HttpRequest, name: str, count: int, show: str) -> dict[str, object]:
    params = without(request.GET, ("page", "show", "began_since", "until" if request.GET.get("began_since") else ""))
    if name != "open":
        params["show"] = name
    current = name == show and not request.GET.get("began_since")
    return {"name": name, "label": name.capitalize(), "count": count, "url": f"?{params.urlencode()}", "current": current}


def _page(request: HttpRequest, listed: QuerySet, now: datetime) -> Page:
    page: Page = Paginator(listed, PER_PAGE).get_page(request.GET.get("page"))
    page.object_list = incident_rows.rows(list(page.object_list), now)
    return page


def _chart(range_: time_range.TimeRange, now: datetime) -> incident_chart.IncidentChart:
    return incident_chart.chart(
        range_,
        incident_totals.began_between(range_.since, range_.until),
        [(gap.cluster, gap.since, gap.until) for gap in observation.gaps(range_.since, range_.until, now)],
        observation.observed_from(),
        f"window={range_.name}" if not range_.is_custom else "",
    )
