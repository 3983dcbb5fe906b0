"""Access requests: the list, one request with its steps and manifest, and the actions on it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone

from fleet.domain.access_requests import workflow
from fleet.domain.classes.workload import ISOLATIONS, TOPOLOGIES
from fleet.domain.manifests.parameters import NAME_LABEL
from fleet.domain.manifests.render import Kind, to_yaml
from fleet.domain.refusals import FieldError
from fleet.filters import RequestFilters
from fleet.selectors import memberships
from fleet.selectors.access_requests import access_requests as select
from fleet.selectors.access_requests.numbers import numbers
from fleet.selectors.access_requests.outlook import outlook_of
from fleet.selectors.placement.headroom import room_by_cluster, stock
from fleet.services import four_eyes
from fleet.services.teams import belongs
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from fleet.models import AccessRequest

PER_PAGE = 50
WAYS = (("current", "Current"), ("waiting", "Waiting"), ("short", "No room"), ("over", "Over"), ("all", "All"))
DAYS = (("7", "7 days"), ("30", "30 days"), ("90", "90 days"), ("365", "A year"))
FACETS = ("team", "workload_class", "namespace", "state")
_FIRST_KINDS = ("deployment", "leaderworkerset")


@dataclass(frozen=True)
class Refused:
    """A refused step: the reason, and the entered values, so that nothing is lost."""

    step: str
    sentence: str
    status: int
    wrong: str = ""
    """The field at fault, empty where none is."""
    typed: dict[str, str] = field(default_factory=dict)

    @property
    def written(self) -> str:
        return self.typed.get("reason") or self.typed.get("text") or ""


def request_list(request: HttpRequest) -> HttpResponse:
    """Shows the list of access requests.

    Context: page (of AccessRequest), ways ([(way, label)]), way, counts, facets, errors, filters_on, filter_query, waiting
    (what waits for this operator), operates, may_ask, in_team, joining (Joining, None for who is in a team), now.
    """
    user, params = person(request), request.GET
    now = timezone.now()

    def context() -> dict[str, object]:
        rows = select.visible_to(user)
        filterset = RequestFilters(params, queryset=rows)
        valid = filterset.is_valid()
        result = filterset.qs if valid else rows.none()
        asked_state = any(params.getlist("state"))
        way = params.get("way") if params.get("way") in dict(WAYS) else "all" if asked_state else "current"
        counts = select.way_counts(result)
        filters = [name for name in (*FACETS, "since", "until") if any(params.getlist(name))]
        kept = params.copy()
        for name in ("page", "way"):
            kept.pop(name, None)
        return {
            "page": Paginator(result.filter(select.WAYS[str(way)]), PER_PAGE).get_page(params.get("page")),
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
            "in_team": (in_team := user.may("operator") or select.teams_of(user).exists()),
            "joining": None if in_team else memberships.joining(user),
            "now": now,
        }

    return render_page(request, "requests/list.html", "requests/_list.html", context)


def request_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Context: see `context_of`."""
    row = visible(request, pk)
    return render_page(request, "requests/detail.html", "requests/_detail.html", lambda: context_of(request, row, None))


def visible(request: HttpRequest, pk: int) -> AccessRequest:
    row = select.get_request(person(request), pk)
    if row is None:
        raise Http404
    return row


def context_of(request: HttpRequest, row: AccessRequest, refused: Refused | None) -> dict[str, object]:
    """Returns the context of one access request.

    Context: row, promise, isolation, topology, steps (newest first), check, checked_at, outlook (while it is not decided),
    newest (the class's newest version), kinds, kind, manifest (YAML), manifest_error, commands, may ({step}), changes (bool),
    refused, now.
    """
    now = timezone.now()
    class_spec = select.requested_spec(row)
    manifest, problem, kinds = _manifest(request, row, now)
    return {
        "row": row,
        "class_spec": class_spec,
        "isolation": ISOLATIONS[class_spec.isolation],
        "topology": TOPOLOGIES[class_spec.topology],
        "steps": list(row.steps.all())[::-1],
        "check": row.latest_check,
        "checked_at": datetime.fromisoformat(row.latest_check["at"]) if row.latest_check.get("at") else None,
        "outlook": outlook_of(row, now) if row.state in (workflow.DRAFT, workflow.SUBMITTED) else None,
        "newest": select.newest_number(row),
        "kinds": [(kind.id, kind.title) for kind in kinds],
        "kind": manifest[0] if manifest else "",
        "manifest": manifest[1] if manifest else "",
        "manifest_error": problem,
        "commands": _commands(request, row, manifest[0]) if manifest else {},
        "may": steps_of(request, row),
        "changes": row.state in workflow.GRANTED and (row.extension_until is not None or row.wanted_replicas is not None),
        "refused": refused,
        "now": now,
    }


def _manifest(request: HttpRequest, row: AccessRequest, now: datetime) -> tuple[tuple[str, str] | None, str, Sequence[Kind]]:
    """(kind, YAML), why there is none, and the kinds there are."""
    kinds = select.kinds_of(row, now)
    if not kinds:
        return None, "The pools it was approved for no longer exist." if row.state in workflow.GRANTED else "", ()
    ids = [kind.id for kind in kinds]
    asked = request.GET.get("kind", "")
    chosen = asked if asked in ids else next((item for item in _FIRST_KINDS if item in ids), ids[0])
    try:
        return (chosen, to_yaml(select.manifest_of(row, chosen, now))), "", kinds
    except FieldError as error:
        return None, str(error), kinds


def _commands(request: HttpRequest, row: AccessRequest, kind: str) -> dict[str, str]:
    """Commands: with the file, and without it."""
    base = settings.PUBLIC_URL or request.build_absolute_uri("/").rstrip("/")
    file = f"{row.name}-{kind}.yaml"
    clusters = room_by_cluster(select.requested_spec(row), stock(timezone.now()))
    kubectl = f"kubectl --context {shlex.quote(next(iter(clusters)))}" if clusters else "kubectl"
    address = f"{base}/api/v1/requests/{row.pk}/manifest/?kind={kind}"
    return {
        "file": file,
        "apply": f"{kubectl} apply -f {file}",
        "curl": f'curl -fsS -H "Authorization: Bearer $MUSTER_TOKEN" "{address}" | {kubectl} apply -f -',
        "watch": f"{kubectl} -n {row.namespace} get pods -l {NAME_LABEL}={row.name} --watch",
    }


def steps_of(request: HttpRequest, row: AccessRequest) -> frozenset[str]:
    """Steps that this person may take now."""
    user = person(request)
    if not user.may("developer"):
        return frozenset()
    operates = user.may("operator")
    ours = operates or belongs(user, row.team)
    steps = {
        step
        for step in ("edit", "submit", "withdraw", "extend", "resize", "comment", "approve", "reject", "decide_change")
        if row.state in workflow.STEPS[step] and (operates or (ours and step in workflow.OF_THE_TEAM))
    }
    if row.expires_at is None:
        steps.discard("extend")
    if row.extension_until is None and row.wanted_replicas is None:
        steps.discard("decide_change")
    if steps & {"approve", "decide_change"} and four_eyes.blocks(user, row):
        steps -= {"approve", "reject", "decide_change"}
    return frozenset(steps)


def request_numbers(request: HttpRequest) -> HttpResponse:
    """Context: figures (Numbers), days (choices), chosen, since, now."""
    demand(request, "operator")
    chosen = request.GET.get("days", "")
    chosen = chosen if chosen in dict(DAYS) else "30"

    def context() -> dict[str, object]:
        now = timezone.now()
        since = now - timedelta(days=int(chosen))
        return {"figures": numbers(since), "days": DAYS, "chosen": chosen, "since": since, "now": now}

    return render_page(request, "requests/numbers.html", "requests/_numbers.html", context)
