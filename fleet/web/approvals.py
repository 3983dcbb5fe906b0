"""The approvals queue: what waits for an operator, with room, the team's other requests, and what an approval would do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from fleet.domain import asking
from fleet.domain.classes.workload import WorkloadClass
from fleet.selectors import requests as select
from fleet.selectors.request_effects import Effect, effects
from fleet.web.people import demand
from fleet.web.render import render_page

PER_PAGE = 10


@dataclass(frozen=True)
class Waiting:
    """One request or change that waits, with what an approver wants to know beside it."""

    row: Any
    promise: WorkloadClass
    effect: Effect
    others: tuple[Any, ...]
    """Granted requests of the same team."""
    why: str
    """Why it was not granted at once."""

    @property
    def is_change(self) -> bool:
        return self.row.state in asking.GRANTED


def queue(request: HttpRequest) -> HttpResponse:
    """Context: page (Page of Waiting, the longest first), refused, refused_pk, now."""
    demand(request, "operator")
    return queue_page(request, None, None)


def queue_page(request: HttpRequest, refused: Any, pk: int | None) -> HttpResponse:
    """The queue, with a decision that could not be taken above it."""

    def context() -> dict[str, Any]:
        now = timezone.now()
        page: Any = Paginator(select.queue(), PER_PAGE).get_page(request.GET.get("page"))
        page.object_list = _waiting(list(page.object_list), now)
        return {"page": page, "refused": refused, "refused_pk": pk, "now": now}

    status = refused.status if refused else 200
    return render_page(request, "approvals/list.html", "approvals/_list.html", context, status=status)


def _waiting(rows: list[Any], now: datetime) -> list[Waiting]:
    others = select.granted_of({row.team_id for row in rows})
    found = effects(rows, now)
    return [_one(row, [other for other in others[row.team_id] if other.pk != row.pk], found[row.pk]) for row in rows]


def _one(row: Any, others: list[Any], effect: Effect) -> Waiting:
    same = row.class_version.workload_class_id
    has = sum(other.replicas for other in others if other.class_version.workload_class_id == same)
    wanted = row.wanted_replicas or row.replicas
    why = asking.needs_approval(select.limits_of(row.class_version, row.team), has, wanted)
    if row.extension_until is not None and row.wanted_replicas is None:
        why = "More time is always decided by an operator."
    return Waiting(row, select.promised(row), effect, tuple(others), why)
