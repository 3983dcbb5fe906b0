"""Workload classes: a change makes a new version; requests stay with the one they were approved under."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from fleet.domain.classes.workload import ClassSpec
from fleet.domain.refusals import NotNow, NotYours
from fleet.models import ClassVersion, Role, User, WorkloadClass
from fleet.services.audit import audit
from fleet.services.recording.nodes import plain


@transaction.atomic
def save(actor: User, class_spec: ClassSpec, now: datetime, *, managed_by: str = "") -> ClassVersion:
    """Creates the class, or its next version where its definition changes. Operators only."""
    _must_operate(actor)
    row = WorkloadClass.objects.select_for_update().filter(slug=class_spec.slug).first()
    _must_be_free(row, managed_by)
    if row is None:
        row = WorkloadClass(slug=class_spec.slug, created_at=now)
    newest = row.versions.order_by("-number").first() if row.pk else None
    spec = plain(class_spec)
    changed = newest is None or newest.spec != spec or row.removed_at is not None
    if not changed and row.managed_by == managed_by and newest is not None:
        return newest
    was = _declared(row, newest.spec) if newest is not None and row.removed_at is None else None
    row.title, row.managed_by, row.updated_at, row.removed_at = class_spec.title, managed_by, now, None
    row.save()
    audit(actor, "class.save", class_spec.slug, detail={"before": was, "after": _declared(row, spec)}, at=now)
    if newest is not None and newest.spec == spec:
        return newest
    number = newest.number + 1 if newest else 1
    return ClassVersion.objects.create(workload_class=row, number=number, spec=spec, at=now, by=actor)


def _declared(row: WorkloadClass, spec: dict[str, Any]) -> dict[str, Any]:
    return {**spec, "managed_by": row.managed_by}


@transaction.atomic
def remove(actor: User, slug: str, now: datetime, *, managed_by: str = "") -> None:
    """Removes the class from the catalogue; its versions and requests are kept."""
    _must_operate(actor)
    row = WorkloadClass.objects.select_for_update().get(slug=slug, removed_at__isnull=True)
    _must_be_free(row, managed_by)
    row.removed_at = now
    row.save(update_fields=["removed_at"])
    newest = row.versions.order_by("-number").first()
    audit(actor, "class.remove", slug, detail={"before": _declared(row, newest.spec) if newest else {}}, at=now)


def _must_operate(actor: User) -> None:
    if not actor.may(Role.OPERATOR):
        raise NotYours("Only an operator can change classes.")


def _must_be_free(row: WorkloadClass | None, managed_by: str) -> None:
    if row is not None and row.removed_at is None and row.managed_by and not managed_by:
        raise NotNow(f"{row.slug} is declared in {row.managed_by}: change it there and apply it.")
