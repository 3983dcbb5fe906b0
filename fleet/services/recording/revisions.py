"""Revisions: when a node's declared facts change, the present period ends and the next begins, at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from fleet.domain.facts import diff
from fleet.models import NodeRevision
from fleet.services.recording.nodes import Changed, close_revisions

_BATCH = 500


def write(changed: Sequence[Changed], at: datetime) -> None:
    """Opens a revision for every node whose facts differ from its present one. Facts may stand while the judgement
    changes (a pod took a slot): then nothing is written."""
    present = {
        revision.node_id: revision
        for revision in NodeRevision.objects.filter(
            node_id__in=[one.pk for one in changed if not one.is_new], period__endswith__isnull=True
        )
    }
    opened, closed = [], []
    for pk, judged, _ in changed:
        before = present.get(pk)
        changes = diff(before.facts, judged.facts) if before else []
        if before and not changes:
            continue
        if before:
            closed.append(pk)
        opened.append(NodeRevision(node_id=pk, period=DateTimeTZRange(at, None), facts=judged.facts, changes=changes))
    if closed:
        close_revisions(closed, at)
    NodeRevision.objects.bulk_create(opened, batch_size=_BATCH)
