"""Requests for a workload class: every step locks its row, asks domain.asking whether it may be taken, and leaves a trace.

Two approvers at once, or an approval after a withdrawal: the second finds another state and gets NotNow (409); nothing is lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from fleet.domain import asking
from fleet.domain.asking import FieldError, NotYours
from fleet.models import ClassRequest, ClassVersion, RequestStep, Role, Team, User
from fleet.selectors.declarations import promise_of
from fleet.selectors.requests import granted_replicas, limits_of
from fleet.services import request_notices
from fleet.services.audit import audit
from fleet.services.teams import belongs

_WITH = ("team", "class_version__workload_class", "requested_by")
"""What a step tells of beside the request itself."""


@transaction.atomic
def draft(
    actor: User,
    team: Team,
    version: ClassVersion,
    *,
    namespace: str,
    name: str,
    replicas: int,
    now: datetime,
    purpose: str = "",
    image: str = "",
    hours: int | None = None,
    gpus: int | None = None,
) -> ClassRequest:
    """A request as a draft. Raises FieldError and NotYours."""
    _must_belong(actor, team)
    row = ClassRequest(
        team=team,
        class_version=version,
        namespace=namespace,
        name=name,
        replicas=replicas,
        gpus=gpus,
        purpose=purpose,
        image=image,
        hours=hours,
        requested_by=actor,
        created_at=now,
    )
    _check(row)
    row.save()
    _note(row, actor, "draft", now, detail={"replicas": replicas, "hours": hours})
    return row


@transaction.atomic
def edit(actor: User, pk: int, now: datetime, **changes: Any) -> ClassRequest:
    """Changes a draft: team, class_version, replicas, gpus, hours, namespace, name, purpose, image."""
    with _step(actor, pk, "edit") as row:
        for field, value in changes.items():
            setattr(row, field, value)
        _must_belong(actor, row.team)
        _check(row)
        row.save()
    return row


@transaction.atomic
def submit(actor: User, pk: int, now: datetime) -> ClassRequest:
    """Asks for a decision; within the team's limits it is granted at once."""
    with _step(actor, pk, "submit") as row:
        # One submission of a team after the other: two at once must not both fit into what is left of the limit.
        Team.objects.select_for_update().get(pk=row.team_id)
        limits = limits_of(row.class_version, row.team)
        row.state, row.submitted_at = asking.SUBMITTED, now
        why = asking.needs_approval(limits, granted_replicas(row.team, row.class_version), row.replicas)
        _note(row, actor, "submit", now, why, tell=bool(why))
        if not why:
            _grant(row, None, now, "It lies within the team's limits.")
        row.save()
    return row


@transaction.atomic
def approve(actor: User, pk: int, now: datetime, reason: str = "") -> ClassRequest:
    """Grants a submitted request under the class's newest version it was asked with."""
    with _step(actor, pk, "approve") as row:
        _grant(row, actor, now, reason)
        row.save()
    return row


@transaction.atomic
def reject(actor: User, pk: int, now: datetime, reason: str) -> ClassRequest:
    """Refuses a submitted request; the reason is for the people who asked."""
    if not reason.strip():
        raise FieldError("reason", "Say why: the team reads it.")
    with _step(actor, pk, "reject") as row:
        row.state, row.decided_at, row.decided_by, row.ended_at = asking.REJECTED, now, actor, now
        _note(row, actor, "reject", now, reason)
        row.save()
    return row


@transaction.atomic
def withdraw(actor: User, pk: int, now: datetime, reason: str = "") -> ClassRequest:
    """The team no longer wants it."""
    with _step(actor, pk, "withdraw") as row:
        row.state, row.ended_at = asking.WITHDRAWN, now
        row.extension_until = row.wanted_replicas = None
        _note(row, actor, "withdraw", now, reason)
        row.save()
    return row


@transaction.atomic
def extend(actor: User, pk: int, now: datetime, hours: int, reason: str = "") -> ClassRequest:
    """Asks for `hours` more from its present end; an operator's own ask is granted at once."""
    with _step(actor, pk, "extend") as row:
        if row.expires_at is None:
            raise FieldError("hours", "This request has no end, so there is nothing to extend.")
        asking.check_hours(hours, limits_of(row.class_version, row.team))
        row.extension_until = row.expires_at + timedelta(hours=hours)
        at_once = actor.may(Role.OPERATOR)
        _note(row, actor, "extend", now, reason, {"until": row.extension_until.isoformat()}, tell=not at_once)
        if at_once:
            _apply(row, actor, now, end=True)
        row.save()
    return row


@transaction.atomic
def resize(actor: User, pk: int, now: datetime, replicas: int, reason: str = "") -> ClassRequest:
    """Asks for another number of replicas: fewer, or within the limits, is granted at once."""
    asking.check_size(replicas)
    with _step(actor, pk, "resize") as row:
        Team.objects.select_for_update().get(pk=row.team_id)
        others = granted_replicas(row.team, row.class_version) - row.replicas
        why = asking.needs_approval(limits_of(row.class_version, row.team), others, replicas)
        row.wanted_replicas = replicas
        at_once = replicas <= row.replicas or not why or actor.may(Role.OPERATOR)
        _note(row, actor, "resize", now, reason, {"before": row.replicas, "after": replicas}, tell=not at_once)
        if at_once:
            _apply(row, actor if actor.may(Role.OPERATOR) else None, now, size=True)
        row.save()
    return row


@transaction.atomic
def decide_change(actor: User, pk: int, now: datetime, *, grant: bool, reason: str = "") -> ClassRequest:
    """Decides an extension or change of size that waits."""
    with _step(actor, pk, "decide_change") as row:
        if row.extension_until is None and row.wanted_replicas is None:
            raise asking.NotNow("No change of this request waits for a decision.")
        if grant:
            _apply(row, actor, now, reason, end=True, size=True)
        else:
            row.extension_until = row.wanted_replicas = None
            _note(row, actor, "refuse_change", now, reason)
        row.save()
    return row


@transaction.atomic
def comment(actor: User, pk: int, now: datetime, text: str) -> RequestStep:
    """Adds a remark that the team and the operators read."""
    if not text.strip():
        raise FieldError("text", "Write something.")
    with _step(actor, pk, "comment", operators_too=True) as row:
        return _note(row, actor, "comment", now, text.strip(), audited=False)


@transaction.atomic
def mark_active(pk: int, since: datetime) -> None:
    """A pod of it was seen for the first time. Doing it twice changes nothing."""
    row = ClassRequest.objects.select_for_update(of=("self",)).select_related(*_WITH).get(pk=pk)
    if row.state in asking.STEPS["activate"]:
        row.state, row.first_pod_at = asking.ACTIVE, since
        _note(row, None, "activate", since)
        row.save()


def pass_time(now: datetime) -> int:
    """Moves every granted request on whose time has come: expiring, expired. Returns how many moved."""
    moved = 0
    for pk in ClassRequest.objects.filter(state__in=asking.GRANTED, expires_at__isnull=False).values_list("pk", flat=True):
        with transaction.atomic():
            row = ClassRequest.objects.select_for_update(of=("self",)).select_related(*_WITH).get(pk=pk)
            moved += _age(row, now)
    return moved


def note_room(row: ClassRequest, at: datetime, reasons: str) -> None:
    """It would no longer land (`reasons` says why), or, with empty reasons, it would again."""
    _note(row, None, "no_room" if reasons else "room", at, reasons, audited=False)


def _age(row: ClassRequest, now: datetime) -> bool:
    if row.state not in asking.GRANTED or row.expires_at is None or row.decided_at is None:
        return False
    if now >= row.expires_at:
        row.state, row.ended_at = asking.EXPIRED, row.expires_at
        _note(row, None, "expire", row.expires_at)
    elif row.state in asking.STEPS["warn"] and now >= (at := asking.warns_at(row.decided_at, row.expires_at)):
        row.state = asking.EXPIRING
        _note(row, None, "warn", at)
    else:
        return False
    row.save()
    return True


@contextmanager
def _step(actor: User, pk: int, step: str, *, operators_too: bool = False) -> Iterator[ClassRequest]:
    """The locked row, once person and state allow the step."""
    row = ClassRequest.objects.select_for_update(of=("self",)).select_related(*_WITH).get(pk=pk)
    if step in asking.OF_THE_TEAM:
        if not (actor.may(Role.OPERATOR) or belongs(actor, row.team)):
            raise NotYours(f"Only members of {row.team.name} and operators can do this.")
    elif not actor.may(Role.OPERATOR):
        raise NotYours("Only an operator can do this.")
    asking.check_step(step, row.state)
    yield row


def _must_belong(actor: User, team: Team) -> None:
    if not belongs(actor, team) and not actor.may(Role.OPERATOR):
        raise NotYours(f"Only members of {team.name} can ask in its name.")


def _check(row: ClassRequest) -> None:
    """Everything that people write into a request, judged in one place for page and API. Raises FieldError."""
    ask = asking.Ask(
        namespace=row.namespace, name=row.name, replicas=row.replicas, image=row.image, hours=row.hours, gpus=row.gpus
    )
    sizes = promise_of(row.class_version).choices
    asking.check_ask(ask, limits_of(row.class_version, row.team), row.team.name, row.team.namespaces, sizes)


def _grant(row: ClassRequest, actor: User | None, now: datetime, reason: str) -> None:
    row.state, row.decided_at, row.decided_by, row.automatic = asking.APPROVED, now, actor, actor is None
    row.expires_at = asking.ends_at(now, row.hours, limits_of(row.class_version, row.team))
    _note(row, actor, "approve", now, reason, {"automatic": actor is None})


def _apply(
    row: ClassRequest, actor: User | None, now: datetime, reason: str = "", *, end: bool = False, size: bool = False
) -> None:
    """Puts what waits into force: the end, the size or both. What is granted at once never carries along what still waits."""
    detail: dict[str, Any] = {}
    if end and row.extension_until is not None:
        detail["until"] = row.extension_until.isoformat()
        row.expires_at, row.extension_until = row.extension_until, None
        if row.state == asking.EXPIRING:
            row.state = asking.ACTIVE if row.first_pod_at else asking.APPROVED
    if size and row.wanted_replicas is not None:
        detail["replicas"] = row.wanted_replicas
        row.replicas, row.wanted_replicas = row.wanted_replicas, None
    _note(row, actor, "change", now, reason, detail)


def _note(
    row: ClassRequest,
    actor: User | None,
    kind: str,
    at: datetime,
    text: str = "",
    detail: dict[str, Any] | None = None,
    *,
    audited: bool = True,
    tell: bool = True,
) -> RequestStep:
    if tell:
        request_notices.tell(row, kind, at, text, actor)
    if audited:
        audit(actor, f"request.{kind}", f"request {row.pk} of {row.team.slug}", reason=text, detail=detail, at=at)
    return RequestStep.objects.create(request=row, at=at, actor=actor, kind=kind, text=text, detail=detail or {})
