"""Xid errors: the effective policy of each code, and operators' overrides."""

from __future__ import annotations

from typing import get_args

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.catalog.xids import ACTIONS, Action
from fleet.domain.findings import Severity
from fleet.domain.refusals import FieldError
from fleet.selectors import clusters
from fleet.selectors.xids import xids as select
from fleet.services import xids as decide
from fleet.web.shell import time_range
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

_SHOW = (("seen", "Seen"), ("disagree", "Disputed"), ("decided", "Decided"), ("all", "All codes"))
_MOST_BURSTS = 25
_HIGHEST_CODE = 99_999


def xid_list(request: HttpRequest) -> HttpResponse:
    """Shows the codes that were seen in a time range; with a search, or `show`, others too.

    Context: rows (list of PolicyRow), total, seen (how many codes were seen), q, show, range (TimeRange), segments, sources (name
    to where it was read), now.
    """
    now = timezone.now()
    range_ = time_range.read(request, now)
    q = request.GET.get("q", "")
    show = request.GET.get("show", "all" if q else "seen")

    def context() -> dict[str, object]:
        everything = select.policies(now, range_.since, range_.until)
        return {
            "rows": select.matching(everything, q, show=show),
            "total": len(everything),
            "seen": sum(1 for row in everything if row.bursts),
            "range": range_,
            "q": q,
            "show": show,
            "segments": [{"label": label, "url": _query(request, value), "current": value == show} for value, label in _SHOW],
            "sources": select.sources(),
            "now": now,
        }

    # a range changes every minute, without a change in any cluster
    etag = f"{clusters.data_version()}:{select.version()}:{int(now.timestamp()) // 60}:{request.GET.urlencode()}"
    return render_page(request, "xids/list.html", "xids/_list.html", context, etag=etag)


def xid_detail(request: HttpRequest, code: int) -> HttpResponse:
    """Shows one Xid code.

    Context: row (PolicyRow), bursts (newest XidBurstRows of this code), sources, may_decide, severities, actions
    ([(id, words)]), now.
    """
    if not 0 < code <= _HIGHEST_CODE:
        raise Http404
    now = timezone.now()

    def context() -> dict[str, object]:
        return {
            "row": select.policy(code, now),
            "bursts": list(select.bursts().filter(code=code).order_by("-started_at")[:_MOST_BURSTS]),
            "sources": select.sources(),
            "may_decide": may_decide(request),
            "severities": [severity.value for severity in Severity],
            "actions": [(name, ACTIONS[name]) for name in get_args(Action)],
            "now": now,
        }

    etag = f"{clusters.data_version()}:{select.version()}:{code}"
    return render_page(request, "xids/detail.html", "xids/_detail.html", context, etag=etag)


def may_decide(request: HttpRequest) -> bool:
    """Operators and administrators may override a code."""
    return person(request).may("operator")


@require_POST
def override(request: HttpRequest, code: int) -> HttpResponse:
    """POST severity, action, reason: overrides the code, and redirects to it."""
    demand(request, "operator")
    words = {name: request.POST.get(name, "") for name in ("severity", "action", "reason")}
    try:
        decide.override(code, severity=words["severity"], action=words["action"], reason=words["reason"], by=person(request))
        messages.success(request, f"Xid {code} is {words['severity']} from the next collection run on.")
    except FieldError as refused:
        messages.error(request, str(refused))
    return redirect("xid", code=code)


@require_POST
def withdraw(request: HttpRequest, code: int) -> HttpResponse:
    """POST reason: removes the override."""
    demand(request, "operator")
    if decide.withdraw(code, reason=request.POST.get("reason", ""), by=person(request)):
        messages.success(request, f"Xid {code} uses the catalogue's severity again, from the next collection run on.")
    return redirect("xid", code=code)


def _query(request: HttpRequest, show: str) -> str:
    params = request.GET.copy()
    params["show"] = show
    return f"?{params.urlencode()}"
