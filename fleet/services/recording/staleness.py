"""A cluster that was not read for too long: from that moment on, the verdicts of its nodes are unknown."""

from __future__ import annotations

from datetime import datetime

import msgspec
from django.conf import settings
from django.db import connection

from fleet.domain.evaluation.figures import NodeFigures, unreachable
from fleet.domain.history.staleness import REMEDY, sentence
from fleet.domain.readiness.types import Verdict
from fleet.models import Cluster, Node, RungPeriod, VerdictPeriod
from fleet.models.statements import statement
from fleet.services import periods
from fleet.services.recording import verdicts


def turn(row: Cluster, at: datetime, *, read_now: bool) -> datetime | None:
    """Makes verdicts and rungs of every node unknown from the moment its cluster became stale, and returns it.

    None where that moment has not come by `at`. `read_now`: at `at` the nodes were read again. However late this is
    noticed, the same periods follow: what began after that moment becomes part of the unknown. Must run in a transaction that
    holds the cluster's row.
    """
    if row.read_at is None:
        return None
    turns = row.read_at + settings.STALE_AFTER
    if turns > at or (turns == at and read_now):
        return None
    _turn(row.pk, turns, sentence(row.read_at, settings.STALE_AFTER))
    return turns


def _turn(cluster_id: int, turns: datetime, reason: str) -> None:
    nodes = {"node__cluster": cluster_id, "node__removed_at__isnull": True}
    current = list(periods.current(VerdictPeriod, **nodes).exclude(reason=reason))
    if not current:
        return  # it was noticed before
    periods.replace([(row, _unknown(row, reason)) for row in current], turns)
    rungs = periods.current(RungPeriod, **nodes).exclude(reason=reason)
    unknown = {"status": "unknown", "reason": reason, "evidence": "[]"}
    periods.replace_all(rungs, turns, same=("node_id", "rung"), values=unknown)
    ids = [row.node_id for row in current]
    with connection.cursor() as cursor:
        cursor.execute(_FORGET_RUNGS, {"nodes": ids, "reason": reason, "turns": turns})
    verdicts.publish(ids)


def _unknown(row: VerdictPeriod, reason: str) -> VerdictPeriod:
    """The period that follows. No GPU of an unknown node is usable; a number that was unknown stays unknown."""
    if row.figures is not None:
        figures = unreachable(msgspec.convert(row.figures, NodeFigures, strict=False))
        return verdicts.verdict_period(row.node_id, figures, reason, REMEDY)
    usable = None if row.usable is None else 0
    return VerdictPeriod(
        node_id=row.node_id, verdict=Verdict.UNKNOWN, reason=reason, remedy=REMEDY, usable=usable, expected=row.expected
    )


# Without a fingerprint the next run that reads the node writes it again.
_FORGET_RUNGS = statement(
    """
    UPDATE {nodes} AS node SET fingerprint = '', changed_at = greatest(node.changed_at, %(turns)s), rungs = coalesce((
        SELECT jsonb_agg(rung || jsonb_build_object('status', 'unknown', 'reason', %(reason)s::text, 'remedy', '',
            'own_status', NULL, 'evidence', '[]'::jsonb) ORDER BY place)
        FROM jsonb_array_elements(node.rungs) WITH ORDINALITY AS known (rung, place)
    ), '[]')
    WHERE node.id = ANY(%(nodes)s)
    """,
    nodes=Node,
)
