"""Xid errors: the effective policy of each code, and operators' overrides."""

from __future__ import annotations

from typing import get_args
from urllib.parse import urlencode

from django.contrib import messages
from django.core.exceptions import PermissionDenied
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
from fleet.web.shell.people import person
from fleet.web.shell.render import render_page

_SHOW = (("", "All"), ("seen", "Seen in 24 h"), ("disagree", "Disputed"), ("decided", "Decided"))
_MOST_BURSTS = 25
_HIGHEST_CODE = 99_999


def xid_list(request: HttpRequest) -> HttpResponse:
    """Context: rows (list of PolicyRow), total, q, show, segments, sources (name to where it was read), now."""
    now = timezone.now()
    q, show = request.GET.get("q", ""), request.GET.get("show", "")

    def context() -> dict[str, object]:
        everything = select.policies(now)
        return {
            "rows": select.matching(everything, q, show=show),
            "total": len(everything),
            "q": q,
            "show": show,
            "segments": [{"label": label, "url": _query(q, value), "current": value == show} for value, label in _SHOW],
            "sources": select.sources(),
            "now": now,
        }

    etag = f"{clusters.data_version()}:{select.version()}:{request.GET.urlencode()}"
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
    """Operators and administrators may decide what a code means."""
    return person(request).may("operator")


@require_POST
def override(request: HttpRequest, code: int) -> HttpResponse:
    """POST severity, action, reason: decides, and goes back to the code."""
    if not may_decide(request):
        raise PermissionDenied
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
    if not may_decide(request):
        raise PermissionDenied
    if decide.withdraw(code, reason=request.POST.get("reason", ""), by=person(request)):
        messages.success(request, f"Xid {code} uses the catalogue's severity again, from the next collection run on.")
    return redirect("xid", code=code)


def _query(q: str, show: str) -> str:
    query = urlencode({key: value for key, value in (("q", q), ("show", show)) if value})
    return f"?{query}" if query else "?"
