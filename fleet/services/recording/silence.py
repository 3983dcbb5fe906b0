"""A cluster that was not read for too long: from that moment on, nothing it said before is believed any more."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection

from fleet.domain.history.silence import REMEDY, sentence
from fleet.models import Cluster, Node, RungPeriod, VerdictPeriod

_VERDICTS, _RUNGS, _NODES = VerdictPeriod._meta.db_table, RungPeriod._meta.db_table, Node._meta.db_table


def turn(row: Cluster, at: datetime, *, read_now: bool) -> datetime | None:
    """Turns verdicts and rungs of every present node unknown from the moment its cluster's last good reading stopped being
    believed, if that moment has come by `at`; returns it, or None. `read_now`: at `at` the nodes were read again.

    However late this is found out, and by whom, the same periods follow. What began after that moment is not believed
    either, and becomes part of the unknown. Must run in a transaction that holds the cluster's row.
    """
    if row.read_at is None:
        return None
    turns = row.read_at + settings.STALE_AFTER
    if turns > at or (turns == at and read_now):
        return None
    _turn(row.pk, turns, sentence(row.read_at, settings.STALE_AFTER))
    return turns


def _turn(cluster_id: int, turns: datetime, reason: str) -> None:
    told: dict[str, Any] = {"cluster": cluster_id, "turns": turns, "reason": reason, "remedy": REMEDY}
    with connection.cursor() as cursor:
        cursor.execute(_DISBELIEVE_VERDICTS, told)
        ids = [node_id for (node_id,) in cursor.fetchall()]
        cursor.execute(_CLOSE_VERDICTS, told)
        closed = cursor.fetchall()
        if not ids and not closed:
            return  # it was found out before
        cursor.execute(_DISBELIEVE_RUNGS, told)
        cursor.execute(_CLOSE_RUNGS, told)
        rungs = cursor.fetchall()
        if closed:
            nodes, usable, expected = zip(*closed, strict=True)
            cursor.execute(_OPEN_VERDICTS, {**told, "nodes": list(nodes), "usable": list(usable), "expected": list(expected)})
            ids += nodes
        if rungs:
            nodes, names = zip(*rungs, strict=True)
            cursor.execute(_OPEN_RUNGS, {**told, "nodes": list(nodes), "rungs": list(names)})
        cursor.execute(_TURN_NODES, {**told, "nodes": ids})


_STANDING = f"""
    FROM {_NODES} AS node
    WHERE one.node_id = node.id AND node.cluster_id = %(cluster)s AND node.removed_at IS NULL
      AND upper(one.period) IS NULL AND one.reason <> %(reason)s
"""
# None of an unknown node's cards can be counted on; a number that nobody knows stays unknown.
_DISBELIEVE_VERDICTS = f"""
    UPDATE {_VERDICTS} AS one SET verdict = 'unknown', broken_rung = '', reason = %(reason)s, remedy = %(remedy)s,
        usable = one.usable * 0
    {_STANDING} AND lower(one.period) >= %(turns)s RETURNING one.node_id
"""  # noqa: S608
_CLOSE_VERDICTS = f"""
    UPDATE {_VERDICTS} AS one SET period = tstzrange(lower(one.period), %(turns)s)
    {_STANDING} RETURNING one.node_id, one.usable * 0, one.expected
"""  # noqa: S608
_OPEN_VERDICTS = f"""
    INSERT INTO {_VERDICTS} (node_id, period, verdict, broken_rung, reason, remedy, usable, expected)
    SELECT node_id, tstzrange(%(turns)s, NULL), 'unknown', '', %(reason)s, %(remedy)s, usable, expected
    FROM unnest(%(nodes)s::bigint[], %(usable)s::int[], %(expected)s::int[]) AS told (node_id, usable, expected)
"""  # noqa: S608
_DISBELIEVE_RUNGS = f"""
    UPDATE {_RUNGS} AS one SET status = 'unknown', reason = %(reason)s, evidence = '[]'
    {_STANDING} AND lower(one.period) >= %(turns)s
"""  # noqa: S608
_CLOSE_RUNGS = f"""
    UPDATE {_RUNGS} AS one SET period = tstzrange(lower(one.period), %(turns)s)
    {_STANDING} RETURNING one.node_id, one.rung
"""  # noqa: S608
_OPEN_RUNGS = f"""
    INSERT INTO {_RUNGS} (node_id, rung, period, status, reason, evidence)
    SELECT node_id, rung, tstzrange(%(turns)s, NULL), 'unknown', %(reason)s, '[]'
    FROM unnest(%(nodes)s::bigint[], %(rungs)s::text[]) AS told (node_id, rung)
"""  # noqa: S608
# Without a fingerprint the next pass that reads the node writes it anew.
_TURN_NODES = f"""
    UPDATE {_NODES} AS node SET verdict = one.verdict, broken_rung = '', verdict_reason = one.reason,
        verdict_remedy = one.remedy, verdict_since = lower(one.period), usable = one.usable, reached = -1, flapping = false,
        fingerprint = '', rungs = coalesce((
            SELECT jsonb_agg(rung || jsonb_build_object('status', 'unknown', 'reason', %(reason)s::text, 'remedy', '',
                'own_status', NULL, 'evidence', '[]'::jsonb) ORDER BY place)
            FROM jsonb_array_elements(node.rungs) WITH ORDINALITY AS known (rung, place)
        ), '[]')
    FROM {_VERDICTS} AS one
    WHERE one.node_id = node.id AND upper(one.period) IS NULL AND node.id = ANY(%(nodes)s)
"""  # noqa: S608
