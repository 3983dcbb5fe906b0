"""Steps of access requests: each locks the row, checks that the workflow allows the step, and records it.

Of two approvals at once, or an approval after a withdrawal, the second finds another state and raises NotNow (409).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from fleet.domain.access_requests import workflow
from fleet.domain.refusals import FieldError, NotNow, NotYours
from fleet.models import AccessRequest, AccessRequestStep, ClassVersion, Role, Team, User, scope
from fleet.selectors.access_requests.access_requests import granted_replicas, limits_of
from fleet.selectors.declarations import spec_of
from fleet.services import four_eyes
from fleet.services.access_request_records import audit_changes, record_step
from fleet.services.teams import belongs

_WITH = ("team", "class_version__workload_class", "requested_by")
"""Relations that notifications and the audit log name."""


@transaction.atomic
def draft(  # noqa: PLR0913 the fields of a request, given by name
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
) -> AccessRequest:
    """Creates a request as a draft. Raises FieldError and NotYours."""
    _must_belong(actor, team)
    row = AccessRequest(
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
    record_step(row, actor, "draft", now, detail={"replicas": replicas, "hours": hours})
    return row


@transaction.atomic
def edit(actor: User, pk: int, now: datetime, **changes: Any) -> AccessRequest:
    """Changes a draft: team, class_version, replicas, gpus, hours, namespace, name, purpose, image."""
    with _step(actor, pk, "edit") as row:
        for field, value in changes.items():
            setattr(row, field, value)
        _must_belong(actor, row.team)
        _check(row)
        audit_changes(row, actor, "edit", now)
        row.save()
    return row


@transaction.atomic
def submit(actor: User, pk: int, now: datetime) -> AccessRequest:
    """Submits a draft for approval; grants it at once within the team's limits."""
    with _step(actor, pk, "submit") as row:
        # Submissions of one team are serialised: two at once must not both use what is left of the limit.
        Team.objects.select_for_update().get(pk=row.team_id)
        limits = limits_of(row.class_version, row.team)
        row.state, row.submitted_at = workflow.SUBMITTED, now
        why = workflow.needs_approval(limits, granted_replicas(row.team, row.class_version), row.replicas)
        record_step(row, actor, "submit", now, why, notify=bool(why))
        if not why:
            _grant(row, None, now, "Within the team's limits.")
        row.save()
    return row


@transaction.atomic
def approve(actor: User, pk: int, now: datetime, reason: str = "") -> AccessRequest:
    """Grants a submitted request, for the class version it was made with."""
    with _step(actor, pk, "approve") as row:
        four_eyes.check(actor, row)
        _grant(row, actor, now, reason)
        row.save()
    return row


@transaction.atomic
def reject(actor: User, pk: int, now: datetime, reason: str) -> AccessRequest:
    """Rejects a submitted request with a reason for the team."""
    if not reason.strip():
        raise FieldError("reason", "A reason is required. The team reads it.")
    with _step(actor, pk, "reject") as row:
        row.state, row.decided_at, row.decided_by, row.ended_at = workflow.REJECTED, now, actor, now
        record_step(row, actor, "reject", now, reason)
        row.save()
    return row


@transaction.atomic
def withdraw(actor: User, pk: int, now: datetime, reason: str = "") -> AccessRequest:
    """Withdraws a request that the team no longer wants."""
    with _step(actor, pk, "withdraw") as row:
        row.state, row.ended_at = workflow.WITHDRAWN, now
        row.extension_until = row.wanted_replicas = None
        record_step(row, actor, "withdraw", now, reason)
        row.save()
    return row


@transaction.atomic
def extend(actor: User, pk: int, now: datetime, hours: int, reason: str = "") -> AccessRequest:
    """Requests an end `hours` later; grants it at once for an operator who may decide alone."""
    with _step(actor, pk, "extend") as row:
        if row.expires_at is None:
            raise FieldError("hours", "This request has no end, so it cannot be extended.")
        workflow.check_hours(hours, limits_of(row.class_version, row.team))
        row.extension_until = row.expires_at + timedelta(hours=hours)
        at_once = four_eyes.decides_alone(actor)
        record_step(row, actor, "extend", now, reason, {"until": row.extension_until.isoformat()}, notify=not at_once)
        if at_once:
            _apply(row, actor, now, end=True)
        row.save()
    return row


@transaction.atomic
def resize(actor: User, pk: int, now: datetime, replicas: int, reason: str = "") -> AccessRequest:
    """Requests another number of replicas; grants fewer, or a number within the limits, at once."""
    workflow.check_size(replicas)
    with _step(actor, pk, "resize") as row:
        Team.objects.select_for_update().get(pk=row.team_id)
        others = granted_replicas(row.team, row.class_version) - row.replicas
        why = workflow.needs_approval(limits_of(row.class_version, row.team), others, replicas)
        row.wanted_replicas = replicas
        at_once = replicas <= row.replicas or not why or four_eyes.decides_alone(actor)
        record_step(row, actor, "resize", now, reason, {"before": row.replicas, "after": replicas}, notify=not at_once)
        if at_once:
            _apply(row, actor if actor.may(Role.OPERATOR) else None, now, size=True)
        row.save()
    return row


@transaction.atomic
def decide_change(actor: User, pk: int, now: datetime, *, grant: bool, reason: str = "") -> AccessRequest:
    """Grants or refuses a pending extension or change of size."""
    with _step(actor, pk, "decide_change") as row:
        if row.extension_until is None and row.wanted_replicas is None:
            raise NotNow("This request has no pending change.")
        if grant:
            four_eyes.check(actor, row)
            _apply(row, actor, now, reason, end=True, size=True)
        else:
            row.extension_until = row.wanted_replicas = None
            record_step(row, actor, "refuse_change", now, reason)
        row.save()
    return row


@transaction.atomic
def comment(actor: User, pk: int, now: datetime, text: str) -> AccessRequestStep:
    """Adds a comment for the team and the operators."""
    if not text.strip():
        raise FieldError("text", "A comment is required.")
    with _step(actor, pk, "comment", operators_too=True) as row:
        return record_step(row, actor, "comment", now, text.strip())


@transaction.atomic
def mark_active(pk: int, since: datetime) -> None:
    """Marks a granted request active when its first pod runs. Idempotent."""
    row = AccessRequest.objects.select_for_update(of=("self",)).select_related(*_WITH).get(pk=pk)
    if row.state in workflow.STEPS["activate"]:
        row.state, row.first_pod_at = workflow.ACTIVE, since
        record_step(row, None, "activate", since)
        row.save()


def pass_time(now: datetime) -> int:
    """Moves granted requests to expiring or expired when due. Returns how many moved."""
    moved = 0
    for pk in AccessRequest.objects.filter(state__in=workflow.GRANTED, expires_at__isnull=False).values_list("pk", flat=True):
        with transaction.atomic():
            row = AccessRequest.objects.select_for_update(of=("self",)).select_related(*_WITH).get(pk=pk)
            moved += _age(row, now)
    return moved


def note_room(row: AccessRequest, at: datetime, reasons: str) -> None:
    """Records that the request no longer fits (`reasons` says why), or, with empty reasons, that it fits again."""
    record_step(row, None, "no_room" if reasons else "room", at, reasons, audited=False)


def _age(row: AccessRequest, now: datetime) -> bool:
    if row.state not in workflow.GRANTED or row.expires_at is None or row.decided_at is None:
        return False
    if now >= row.expires_at:
        row.state, row.ended_at = workflow.EXPIRED, row.expires_at
        record_step(row, None, "expire", row.expires_at)
    elif row.state in workflow.STEPS["warn"] and now >= (at := workflow.warns_at(row.decided_at, row.expires_at)):
        row.state = workflow.EXPIRING
        record_step(row, None, "warn", at)
    else:
        return False
    row.save()
    return True


@contextmanager
def _step(actor: User, pk: int, step: str, *, operators_too: bool = False) -> Iterator[AccessRequest]:
    """Yields the locked row if actor and state allow the step. Raises NotYours and NotNow."""
    row = AccessRequest.objects.select_for_update(of=("self",)).select_related(*_WITH).get(pk=pk)
    if step in workflow.OF_THE_TEAM:
        if not (actor.may(Role.OPERATOR) or belongs(actor, row.team)):
            raise NotYours(f"Only members of {row.team.name} and operators can do this.")
    elif not actor.may(Role.OPERATOR):
        raise NotYours("Only an operator can do this.")
    elif scope.current() is not None:  # a class may land on nodes that are not seen
        raise NotYours("Only an operator without a limit can decide requests.")
    workflow.check_step(step, row.state)
    yield row


def _must_belong(actor: User, team: Team) -> None:
    if not belongs(actor, team) and not actor.may(Role.OPERATOR):
        raise NotYours(f"Only members of {team.name} can request access for it.")


def _check(row: AccessRequest) -> None:
    """Checks every field of a request, for page and API alike. Raises FieldError."""
    limit = scope.current()
    if limit is not None and limit.namespaces and row.namespace not in limit.namespace_names:
        raise FieldError("namespace", f"You are limited to {', '.join(sorted(limit.namespace_names))}.")
    requested = workflow.RequestedAccess(
        namespace=row.namespace, name=row.name, replicas=row.replicas, image=row.image, hours=row.hours, gpus=row.gpus
    )
    sizes = spec_of(row.class_version).choices
    workflow.check_requested_access(requested, limits_of(row.class_version, row.team), row.team.name, row.team.namespaces, sizes)


def _grant(row: AccessRequest, actor: User | None, now: datetime, reason: str) -> None:
    row.state, row.decided_at, row.decided_by, row.automatic = workflow.APPROVED, now, actor, actor is None
    row.expires_at = workflow.ends_at(now, row.hours, limits_of(row.class_version, row.team))
    record_step(row, actor, "approve", now, reason, {"automatic": actor is None})


def _apply(
    row: AccessRequest, actor: User | None, now: datetime, reason: str = "", *, end: bool = False, size: bool = False
) -> None:
    """Applies the pending end, size or both. A change that is granted at once leaves the other one pending."""
    detail: dict[str, Any] = {}
    if end and row.extension_until is not None:
        detail["until"] = row.extension_until.isoformat()
        row.expires_at, row.extension_until = row.extension_until, None
        if row.state == workflow.EXPIRING:
            row.state = workflow.ACTIVE if row.first_pod_at else workflow.APPROVED
    if size and row.wanted_replicas is not None:
        detail["replicas"] = row.wanted_replicas
        row.replicas, row.wanted_replicas = row.wanted_replicas, None
    record_step(row, actor, "change", now, reason, detail)
