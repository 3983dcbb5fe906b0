"""Pools: saving and removing them. A pool that a file declares is changed by that file only."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from fleet.domain.pools.policy import PoolSpec
from fleet.domain.refusals import NotNow, NotYours
from fleet.models import Pool, Role, User
from fleet.services import memberships
from fleet.services.audit import audit
from fleet.services.recording.nodes import plain


@transaction.atomic
def save(actor: User, spec: PoolSpec, now: datetime, *, managed_by: str = "") -> Pool:
    """Creates the pool, or changes the one of that slug, and assigns its members at once. Operators only.

    Raises NotNow where a file declares it and the change does not come from a file.
    """
    _must_operate(actor)
    before = Pool.objects.select_for_update().filter(slug=spec.slug).first()
    _must_be_free(before, managed_by)
    fields: dict[str, Any] = {
        "title": spec.title,
        "purpose": spec.policy.purpose[:60],
        "owner": spec.policy.owner[:120],
        "spec": plain(spec),
        "managed_by": managed_by,
        "updated_at": now,
        "removed_at": None,
    }
    if before is not None and before.removed_at is None and (before.spec, before.managed_by) == (fields["spec"], managed_by):
        return before
    was = {**before.spec, "managed_by": before.managed_by} if before and before.removed_at is None else None
    row, _ = Pool.objects.update_or_create(slug=spec.slug, defaults=fields, create_defaults={**fields, "created_at": now})
    audit(actor, "pool.save", spec.slug, detail={"before": was, "after": {**fields["spec"], "managed_by": managed_by}}, at=now)
    memberships.assign_all(now)
    return row


@transaction.atomic
def remove(actor: User, slug: str, now: datetime, *, managed_by: str = "") -> None:
    """Removes the pool; its history is kept."""
    _must_operate(actor)
    row = Pool.objects.select_for_update().get(slug=slug, removed_at__isnull=True)
    _must_be_free(row, managed_by)
    row.removed_at = now
    row.save(update_fields=["removed_at"])
    audit(actor, "pool.remove", slug, detail={"before": row.spec}, at=now)
    memberships.assign_all(now)


def _must_operate(actor: User) -> None:
    if not actor.may(Role.OPERATOR):
        raise NotYours("Only an operator can change pools.")


def _must_be_free(row: Pool | None, managed_by: str) -> None:
    if row is not None and row.removed_at is None and row.managed_by and not managed_by:
        raise NotNow(f"{row.slug} is declared in {row.managed_by}: change it there and apply it.")
