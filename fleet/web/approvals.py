"""The approvals queue: pending requests with room, the team's other requests, and the effect of an approval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from fleet.domain.access_requests import workflow
from fleet.domain.classes.workload import ClassSpec
from fleet.selectors.access_requests import access_requests as select
from fleet.selectors.access_requests.effects import Effect, effects
from fleet.services import four_eyes
from fleet.web.shell.people import demand, person
from fleet.web.shell.render import render_page

if TYPE_CHECKING:
    from fleet.models import AccessRequest, User
    from fleet.web.access_requests import Refused

PER_PAGE = 10


@dataclass(frozen=True)
class Waiting:
    """One pending request or change, with what an approver needs to know."""

    row: AccessRequest
    class_spec: ClassSpec
    effect: Effect
    others: tuple[AccessRequest, ...]
    """Granted requests of the same team."""
    why: str
    """Why it was not granted automatically."""
    own: bool
    """The user requested it: another operator decides."""

    @property
    def is_change(self) -> bool:
        return self.row.state in workflow.GRANTED


def queue(request: HttpRequest) -> HttpResponse:
    """Context: page (Page), waiting (list of Waiting, the longest first), refused, refused_pk, now."""
    demand(request, "operator")
    return queue_page(request, None, None)


def queue_page(request: HttpRequest, refused: Refused | None, pk: int | None) -> HttpResponse:
    """The queue, with a refused decision above it."""

    def context() -> dict[str, object]:
        now = timezone.now()
        page = Paginator(select.queue(), PER_PAGE).get_page(request.GET.get("page"))
        waiting = _waiting(person(request), list(page.object_list), now)
        return {"page": page, "waiting": waiting, "refused": refused, "refused_pk": pk, "now": now}

    status = refused.status if refused else 200
    return render_page(request, "approvals/list.html", "approvals/_list.html", context, status=status)


def _waiting(reader: User, rows: list[AccessRequest], now: datetime) -> list[Waiting]:
    others = select.granted_of({row.team_id for row in rows})
    result = effects(rows, now)
    return [_one(reader, row, [other for other in others[row.team_id] if other.pk != row.pk], result[row.pk]) for row in rows]


def _one(reader: User, row: AccessRequest, others: list[AccessRequest], effect: Effect) -> Waiting:
    same = row.class_version.workload_class_id
    has = sum(other.replicas for other in others if other.class_version.workload_class_id == same)
    wanted = row.wanted_replicas or row.replicas
    why = workflow.needs_approval(select.limits_of(row.class_version, row.team), has, wanted)
    if row.extension_until is not None and row.wanted_replicas is None:
        why = "Extensions always need approval."
    return Waiting(row, select.requested_spec(row), effect, tuple(others), why, four_eyes.blocks(reader, row))
