"""Findings: what is wrong, worst first, with its evidence; and silencing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST

from fleet.domain.refusals import FieldError
from fleet.filters import FindingFilters
from fleet.selectors import clusters
from fleet.selectors.findings import findings as select
from fleet.services import silences
from fleet.web.shell import time_range, undo
from fleet.web.shell.addresses import without
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from django.http import QueryDict

PER_PAGE = 50
FACETS = ("status", "severity", "cluster", "rule", "product", "rung", "subject")
SORTS = (("worst", "Worst first"), ("newest", "Newest first"))
WAYS = (("finding", "Findings"), ("rule", "By rule"))
_NOT_FILTERS = ("page", "sort", "by", "window")
_OPEN_NOW = "Now"
"""The first of the time ranges: what is open now, as the list opens."""
HOURS = ((1, "1 hour"), (4, "4 hours"), (24, "1 day"), (168, "1 week"), (720, "30 days"))
"""Durations of a silence on the page."""


def finding_list(request: HttpRequest) -> HttpResponse:
    """Shows findings, one by one or by rule.

    Context: page (Page; None by rule), rows (list of ShownFinding), rules (list of RuleRow; None one by one), by, ways, sort,
    sorts, total, range (TimeRange), facets (list of Facet), errors, filters_on, q, filter_query, unread (list of stale
    ClusterRow), clusters_read, rule_count, may_silence, hours, now.
    """
    now = timezone.now()
    range_ = time_range.read(request, now, without=_OPEN_NOW)
    params = _in_range(request.GET, range_)

    def context() -> dict[str, object]:
        filterset = FindingFilters(params, queryset=select.findings())
        valid = filterset.is_valid()
        result = filterset.qs if valid else select.findings().none()
        total = result.count()
        # Resolved findings are sorted by their end, not by severity.
        only_resolved = params.getlist("status") == ["resolved"]
        default = "newest" if only_resolved else "worst"
        sort = params.get("sort") if params.get("sort") in dict(SORTS) else default
        order = "resolved" if only_resolved and sort == "newest" else str(sort)
        by = params.get("by") if params.get("by") in dict(WAYS) else "finding"
        filters = without(params, _NOT_FILTERS)
        asked = params.copy() if valid else QueryDict(mutable=True)
        if not any(asked.get(name) for name in ("status", "since", "until")):
            asked["status"] = "open"  # the default
        rows = clusters.cluster_rows(now)
        page, shown = None, []
        if by == "finding":
            page = Paginator(select.ordered(result, order), PER_PAGE).get_page(params.get("page"))
            shown = select.shown(page.object_list, select.Silences(now))
        return {
            "page": page,
            "rows": shown,
            "rules": select.by_rule(result) if by == "rule" else None,
            "by": by,
            "ways": WAYS,
            "sort": sort,
            "sorts": SORTS,
            "total": total,
            "range": range_,
            "facets": select.finding_facets(FACETS, asked),
            "errors": [
                *([range_.error] if range_.error else []),
                *(sentence for sentences in filterset.errors.values() for sentence in sentences),
            ],
            "filters_on": sum(1 for name, values in filters.lists() if name not in ("since", "until") and any(values)),
            "q": params.get("q", ""),
            "filter_query": filters.urlencode(),
            "unread": [row for row in rows if row.freshness.level in ("stale", "never")],
            "clusters_read": sum(1 for row in rows if row.freshness.read_at is not None),
            "rule_count": select.rule_count(),
            "may_silence": person(request).may("operator"),
            "hours": HOURS,
            "now": now,
        }

    version = f"{clusters.data_version()}:{select.silences_version(now)}:{range_.name and int(now.timestamp()) // 60}"
    return render_page(request, "findings/list.html", "findings/_list.html", context, etag=version)


def silenced_until(request: HttpRequest, now: datetime) -> datetime:
    """Returns the end of the silence that a form asks for; now, which the service refuses, where it is none of HOURS."""
    hours = request.POST.get("hours", "")
    return now + timedelta(hours=int(hours)) if hours in {str(number) for number, _ in HOURS} else now


@require_POST
def silence_finding(request: HttpRequest, pk: int) -> HttpResponse:
    """POST reason, hours, scope: silences the finding and goes back to the list it came from."""
    demand(request, "operator")
    finding = select.get_finding(pk)
    if finding is None:
        raise Http404
    now = timezone.now()
    until = silenced_until(request, now)
    scope = request.POST.get("scope", "finding")
    try:
        row = silences.silence(person(request), finding, reason=request.POST.get("reason", ""), until=until, now=now, scope=scope)
    except FieldError as refused:
        messages.error(request, str(refused))
    else:
        is_new = row.created_at == now  # an older silence has a new reason and end, which nothing undoes
        url = reverse("silence-end", args=(row.pk,)) if is_new else ""
        undo.done(request, "Finding silenced. It stays open under the status “silenced”.", url)
    return _back(request)


@require_POST
def unsilence(request: HttpRequest, pk: int) -> HttpResponse:
    """Ends a silence and goes back to the list it came from."""
    demand(request, "operator")
    held = select.get_silence(pk)
    if held is None:
        raise Http404
    silences.unsilence(person(request), held, now=timezone.now())
    messages.success(request, "Silence ended.")
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    """Redirects to the address on this site that the form names, else to the list."""
    there = request.POST.get("next", "")
    ours = url_has_allowed_host_and_scheme(there, allowed_hosts={request.get_host()}, require_https=request.is_secure())
    return redirect(there if ours else reverse("findings"))


def _in_range(params: QueryDict, range_: time_range.TimeRange) -> QueryDict:
    """Returns the parameters with the range as filters of findings: those that were open in it."""
    kept = without(params, ("since", "until"))
    if range_.name:
        kept["since"], kept["until"] = time_range.stamp(range_.since), time_range.stamp(range_.until)
    return kept
