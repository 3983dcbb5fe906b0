"""Steps that people take with a request on its page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain.access_requests import workflow
from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.services import access_requests as service
from fleet.web import approvals
from fleet.web.access_requests import Refused, context_of, visible
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()


def _whole(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise FieldError(name, "Enter a whole number.")
    return int(text)


def _submit(request: HttpRequest, pk: int, now: datetime) -> str:
    row = service.submit(person(request), pk, now)
    return "Submitted for approval." if row.state == workflow.SUBMITTED else "Approved automatically."


def _approve(request: HttpRequest, pk: int, now: datetime) -> str:
    service.approve(person(request), pk, now, _reason(request))
    return f"Request {pk} is approved."


def _reject(request: HttpRequest, pk: int, now: datetime) -> str:
    service.reject(person(request), pk, now, _reason(request))
    return f"Request {pk} is rejected."


def _withdraw(request: HttpRequest, pk: int, now: datetime) -> str:
    service.withdraw(person(request), pk, now, _reason(request))
    return f"Request {pk} is withdrawn."


def _extend(request: HttpRequest, pk: int, now: datetime) -> str:
    hours = _whole(request, "hours") * (24 if request.POST.get("unit") == "days" else 1)
    row = service.extend(person(request), pk, now, hours, _reason(request))
    return "Extended." if row.extension_until is None else "Extension submitted for approval."


def _resize(request: HttpRequest, pk: int, now: datetime) -> str:
    row = service.resize(person(request), pk, now, _whole(request, "replicas"), _reason(request))
    return "Size changed." if row.wanted_replicas is None else "Size change submitted for approval."


def _decide_change(request: HttpRequest, pk: int, now: datetime) -> str:
    grant = request.POST.get("grant") == "yes"
    service.decide_change(person(request), pk, now, grant=grant, reason=_reason(request))
    return f"The change of request {pk} is {'granted' if grant else 'refused'}."


def _comment(request: HttpRequest, pk: int, now: datetime) -> str:
    service.comment(person(request), pk, now, request.POST.get("text", ""))
    return "Comment added."


_Act = Callable[[HttpRequest, int, datetime], str]


_ACTS: dict[str, _Act] = {
    "submit": _submit,
    "approve": _approve,
    "reject": _reject,
    "withdraw": _withdraw,
    "extend": _extend,
    "resize": _resize,
    "decide-change": _decide_change,
    "comment": _comment,
}


@require_POST
def take_step(request: HttpRequest, pk: int, step: str) -> HttpResponse:
    """POST reason, hours, unit, replicas, grant or text, as the step needs; `back=queue` comes from the queue and returns to it.

    A refused step shows its error on the same page, with everything that was typed.
    """
    if step not in _ACTS:
        raise Http404
    demand(request, "developer")
    visible(request, pk)
    to_queue = request.POST.get("back") == "queue"
    try:
        result = _ACTS[step](request, pk, timezone.now())
    except NotYours as error:
        raise PermissionDenied from error
    except (NotNow, FieldError) as error:
        fields = {name: str(value) for name, value in request.POST.items() if name not in ("csrfmiddlewaretoken", "back")}
        wrong = error.field if isinstance(error, FieldError) else ""
        refused = Refused(step, str(error), 400 if wrong else 409, wrong, fields)
        if to_queue and person(request).may("operator"):
            return approvals.queue_page(request, refused, pk)
        context = context_of(request, visible(request, pk), refused)
        return render_page(request, "requests/detail.html", "requests/_detail.html", context, status=refused.status)
    messages.success(request, result)
    return redirect("approvals") if to_queue else redirect("request", pk=pk)
