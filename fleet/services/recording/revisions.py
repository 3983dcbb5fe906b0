"""Revisions: when a node's declared facts change, the current period ends and the next begins, at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from fleet.domain.history.facts import diff
from fleet.models import NodeRevision
from fleet.services import periods
from fleet.services.recording.nodes import Changed


def write(changed: Sequence[Changed], at: datetime) -> None:
    """Opens a revision for every node with facts that differ from its current one.

    Facts may stay while the evaluation changes (a pod took a slot): then nothing is written.
    """
    present = {
        revision.node_id: revision
        for revision in periods.current(NodeRevision, node__in=[item.pk for item in changed if not item.is_new])
    }
    replaced = []
    for pk, judged, _ in changed:
        before = present.get(pk)
        changes = diff(before.facts, judged.facts) if before else []
        if before and not changes:
            continue
        replaced.append((before, NodeRevision(node_id=pk, facts=judged.facts, changes=changes)))
    periods.replace(replaced, at)
