"""Keeps forecasts of What if, each with an entry in the audit log. Nothing is sent to a cluster."""

from __future__ import annotations

from datetime import datetime

import msgspec
from django.db import transaction

from fleet.domain.refusals import FieldError, NotYours
from fleet.domain.whatif.comparison import ForecastNode, facts_of
from fleet.models import Cluster, KeptForecast, Role, User
from fleet.services.audit import audit
from fleet.services.what_if import what_if

MOST = 500
"""Forecasts kept at once."""
LONGEST_TITLE = 200
LARGEST_CHANGES = 100_000
"""Bytes of the changes as JSON."""


@transaction.atomic
def keep(actor: User, cluster: str, changes: object, title: str, now: datetime) -> KeptForecast:
    """Forecasts the changes and keeps the answer. Raises FieldError and NotYours."""
    _may_keep(actor)
    title = title.strip()
    if not title or len(title) > LONGEST_TITLE or not title.isprintable():
        raise FieldError("title", f"Give a title of at most {LONGEST_TITLE} characters.")
    if len(msgspec.json.encode(changes)) > LARGEST_CHANGES:
        raise FieldError("changes", f"The changes are larger than {LARGEST_CHANGES:,} bytes.")
    if KeptForecast.objects.count() >= MOST:
        raise FieldError("title", f"{MOST} forecasts are kept already: remove one first.")
    answer = what_if(cluster, changes, now)
    nodes = [
        ForecastNode(name=row.name, before=facts_of(row.before) if row.before else None, after=facts_of(row.after))
        for row in answer.forecast.nodes
    ]
    row = KeptForecast.objects.create(
        cluster=Cluster.objects.get(name=cluster, removed_at__isnull=True),
        title=title,
        by=actor,
        created_at=now,
        changes=changes,
        nodes=msgspec.to_builtins(nodes),
        classes=[{"slug": entry.slug, "before": entry.before, "after": entry.after} for entry in answer.classes],
    )
    after = {"title": title, "nodes": len(nodes)}
    audit(actor, "what_if.keep", f"{cluster}: {title}", detail={"before": None, "after": after}, at=now)
    return row


@transaction.atomic
def remove(actor: User, row: KeptForecast, now: datetime) -> None:
    """Removes a kept forecast. Raises NotYours."""
    _may_keep(actor)
    audit(actor, "what_if.remove", str(row), detail={"before": {"title": row.title, "nodes": len(row.nodes)}}, at=now)
    row.delete()


def _may_keep(actor: User) -> None:
    if not actor.may(Role.OPERATOR):
        raise NotYours("Only an operator can keep forecasts.")
