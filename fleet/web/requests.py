"""Requests: the list, one of them with its life and its manifest, and every step somebody may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from fleet.domain import asking
from fleet.domain.asking import FieldError, NotNow, NotYours
from fleet.domain.classes.workload import ISOLATIONS, TOPOLOGIES
from fleet.domain.manifests.render import ManifestError, to_yaml
from fleet.filters import RequestFilters
from fleet.selectors import requests as select
from fleet.selectors.request_outlook import outlook_of
from fleet.services import requests as service
from fleet.services.teams import belongs
from fleet.web import approvals
from fleet.web.people import demand, person
from fleet.web.render import render_page

PER_PAGE = 50
WAYS = (("current", "Current"), ("waiting", "Waiting"), ("short", "No room"), ("over", "Over"), ("all", "All"))
FACETS = ("team", "workload_class", "namespace", "state")
_FIRST_KINDS = ("deployment", "leaderworkerset")


@dataclass(frozen=True)
class Refused:
    """A step that could not be taken: why, and what was typed with it, so that nothing is lost."""

    step: str
    sentence: str
    status: int
    wrong: str = ""
    """The field at fault, empty where none is."""
    told: dict[str, str] = field(default_factory=dict)

    @property
    def written(self) -> str:
        return self.told.get("reason") or self.told.get("text") or ""


def request_list(request: HttpRequest) -> HttpResponse:
    """Context: page (Page of ClassRequest), ways ([(way, label)]), way, counts, facets, errors, filters_on, filter_query, waiting
    (what waits for this operator), operates, may_ask, in_team, now."""
    user, params = person(request), request.GET
    now = timezone.now()

    def context() -> dict[str, Any]:
        rows = select.visible_to(user)
        filterset = RequestFilters(params, queryset=rows)
        valid = filterset.is_valid()
        found = filterset.qs if valid else rows.none()
        asked_state = any(params.getlist("state"))
        way = params.get("way") if params.get("way") in dict(WAYS) else "all" if asked_state else "current"
        counts = select.way_counts(found)
        filters = [name for name in (*FACETS, "since", "until") if any(params.getlist(name))]
        kept = params.copy()
        for name in ("page", "way"):
            kept.pop(name, None)
        return {
            "page": Paginator(found.filter(select.WAYS[str(way)]), PER_PAGE).get_page(params.get("page")),
            "ways": [(value, f"{label} {counts[value]:,}") for value, label in WAYS],
            "way": way,
            "counts": counts,
            "facets": select.request_facets(FACETS, params, rows) if valid else [],
            "errors": [sentence for sentences in filterset.errors.values() for sentence in sentences],
            "filters_on": sum(len(params.getlist(name)) for name in filters),
            "filter_query": kept.urlencode(),
            "waiting": select.waiting(user),
            "operates": user.may("operator"),
            "may_ask": user.may("developer"),
            "in_team": user.may("operator") or select.teams_of(user).exists(),
            "now": now,
        }

    return render_page(request, "requests/list.html", "requests/_list.html", context)


def request_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Context: see `_context`."""
    row = _visible(request, pk)
    return render_page(request, "requests/detail.html", "requests/_detail.html", lambda: _context(request, row, None))


def _visible(request: HttpRequest, pk: int) -> Any:
    row = select.get_request(person(request), pk)
    if row is None:
        raise Http404
    return row


def _context(request: HttpRequest, row: Any, refused: Refused | None) -> dict[str, Any]:
    """row, promise, isolation, topology, steps (newest first), check, checked_at, outlook (while it is not decided), newest (the
    class's newest version), kinds, kind, manifest (YAML), manifest_error, commands, may ({step}), changes (bool), refused,
    now."""
    now = timezone.now()
    promise = select.promised(row)
    manifest, problem, kinds = _manifest(request, row, now)
    return {
        "row": row,
        "promise": promise,
        "isolation": ISOLATIONS[promise.isolation],
        "topology": TOPOLOGIES[promise.topology],
        "steps": list(row.steps.all())[::-1],
        "check": row.latest_check,
        "checked_at": datetime.fromisoformat(row.latest_check["at"]) if row.latest_check.get("at") else None,
        "outlook": outlook_of(row, now) if row.state in (asking.DRAFT, asking.SUBMITTED) else None,
        "newest": select.newest_number(row),
        "kinds": [(kind.id, kind.title) for kind in kinds],
        "kind": manifest[0] if manifest else "",
        "manifest": manifest[1] if manifest else "",
        "manifest_error": problem,
        "commands": _commands(request, row, manifest[0]) if manifest else {},
        "may": steps_of(request, row),
        "changes": row.state in asking.GRANTED and (row.extension_until is not None or row.wanted_replicas is not None),
        "refused": refused,
        "now": now,
    }


def _manifest(request: HttpRequest, row: Any, now: datetime) -> tuple[tuple[str, str] | None, str, Any]:
    """(kind, YAML), why there is none, and the kinds there are."""
    kinds = select.kinds_of(row, now)
    if not kinds:
        return None, "None of the pools it was approved for exists any more." if row.state in asking.GRANTED else "", ()
    ids = [kind.id for kind in kinds]
    asked = request.GET.get("kind", "")
    chosen = asked if asked in ids else next((one for one in _FIRST_KINDS if one in ids), ids[0])
    try:
        return (chosen, to_yaml(select.manifest_of(row, chosen, now))), "", kinds
    except ManifestError as error:
        return None, str(error), kinds


def _commands(request: HttpRequest, row: Any, kind: str) -> dict[str, str]:
    """What to type: with the file, and without it."""
    base = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    file = f"{row.name}-{kind}.yaml"
    address = f"{base}/api/v1/requests/{row.pk}/manifest/?kind={kind}"
    return {
        "file": file,
        "apply": f"kubectl apply -f {file}",
        "curl": f'curl -fsS -H "Authorization: Bearer $MUSTER_TOKEN" "{address}" | kubectl apply -f -',
    }


def steps_of(request: HttpRequest, row: Any) -> frozenset[str]:
    """Steps that this person may take now."""
    user = person(request)
    if not user.may("developer"):
        return frozenset()
    operates = user.may("operator")
    ours = operates or belongs(user, row.team)
    found = {
        step
        for step in ("edit", "submit", "withdraw", "extend", "resize", "comment", "approve", "reject", "decide_change")
        if row.state in asking.STEPS[step] and (operates or (ours and step in asking.OF_THE_TEAM))
    }
    if row.expires_at is None:
        found.discard("extend")
    if row.extension_until is None and row.wanted_replicas is None:
        found.discard("decide_change")
    return frozenset(found)


_Act = Callable[[HttpRequest, int, datetime], str]


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "").strip()


def _whole(request: HttpRequest, name: str) -> int:
    text = request.POST.get(name, "").strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise FieldError(name, "Write a whole number.")
    return int(text)


def _submit(request: HttpRequest, pk: int, now: datetime) -> str:
    row = service.submit(person(request), pk, now)
    return "Submitted: an operator decides." if row.state == asking.SUBMITTED else "Approved at once."


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
    return "More time was granted." if row.extension_until is None else "Asked for more time: an operator decides."


def _resize(request: HttpRequest, pk: int, now: datetime) -> str:
    row = service.resize(person(request), pk, now, _whole(request, "replicas"), _reason(request))
    return "The size is changed." if row.wanted_replicas is None else "Asked for another size: an operator decides."


def _decide_change(request: HttpRequest, pk: int, now: datetime) -> str:
    grant = request.POST.get("grant") == "yes"
    service.decide_change(person(request), pk, now, grant=grant, reason=_reason(request))
    return f"The change of request {pk} is {'granted' if grant else 'refused'}."


def _comment(request: HttpRequest, pk: int, now: datetime) -> str:
    service.comment(person(request), pk, now, request.POST.get("text", ""))
    return "Your comment is there."


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

    A step that cannot be taken is said on the same page, with everything that was typed.
    """
    if step not in _ACTS:
        raise Http404
    demand(request, "developer")
    _visible(request, pk)
    to_queue = request.POST.get("back") == "queue"
    try:
        said = _ACTS[step](request, pk, timezone.now())
    except NotYours as error:
        raise PermissionDenied from error
    except (NotNow, FieldError) as error:
        told = {name: str(value) for name, value in request.POST.items() if name not in ("csrfmiddlewaretoken", "back")}
        wrong = error.field if isinstance(error, FieldError) else ""
        refused = Refused(step, str(error), 400 if wrong else 409, wrong, told)
        if to_queue and person(request).may("operator"):
            return approvals.queue_page(request, refused, pk)
        context = _context(request, _visible(request, pk), refused)
        return render_page(request, "requests/detail.html", "requests/_detail.html", context, status=refused.status)
    messages.success(request, said)
    return redirect("approvals") if to_queue else redirect("request", pk=pk)
