"""Verdicts and rungs as periods: when one changes, the present period ends and the next begins, at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from fleet.domain.history.silence import is_silence
from fleet.domain.readiness.types import RungResult
from fleet.domain.subject import ClusterMemory
from fleet.models import Node, RungPeriod, VerdictPeriod
from fleet.services.recording.nodes import Changed, plain

_BATCH = 500
_VERDICTS, _RUNGS, _NODES = VerdictPeriod._meta.db_table, RungPeriod._meta.db_table, Node._meta.db_table
_SAID = ("reason", "remedy", "usable", "expected")


def record(changed: Sequence[Changed], memory: ClusterMemory, at: datetime, silent_from: datetime | None = None) -> None:
    """Writes the periods of the nodes whose row was written in this pass: a node's fingerprint covers its whole readiness,
    so no other node's verdict or rungs can have changed.

    A period ends where (verdict, broken rung) or a rung's status changes; reasons, remedies and counts are kept up to
    date in the present one. `silent_from`: nothing that this pass could read is believed (recording/silence.py has turned
    what stood); then only nodes without a present period get one.
    """
    if not changed:
        return
    ids = [one.pk for one in changed]
    expected = dict(Node.objects.filter(pk__in=ids).values_list("pk", "expected"))
    verdicts = {row.node_id: row for row in VerdictPeriod.objects.filter(node__in=ids, period__endswith__isnull=True)}
    rungs: dict[int, dict[str, RungPeriod]] = {pk: {} for pk in ids}
    for row in RungPeriod.objects.filter(node__in=ids, period__endswith__isnull=True):
        rungs[row.node_id][row.rung] = row
    period = DateTimeTZRange(at, None)
    ended_verdicts, new_verdicts, told_verdicts = [], [], []
    ended_rungs, new_rungs, told_rungs = [], [], []
    for one in changed:
        present = verdicts.get(one.pk)
        if silent_from is not None and present is not None:
            continue
        verdict = _verdict(one, memory, expected[one.pk], period)
        if present is None or _stands(present) != _stands(verdict):
            new_verdicts.append(verdict)
            ended_verdicts += [present.pk] if present else []
        elif _tell(present, verdict, _SAID):
            told_verdicts.append(present)
        known = rungs[one.pk]
        for result in one.judged.readiness.rungs:
            rung, before = _rung(one.pk, result, period), known.pop(result.id, None)
            if before is None or before.status != rung.status or is_silence(before.reason):
                new_rungs.append(rung)
                ended_rungs += [before.pk] if before else []
            elif _tell(before, rung, ("reason", "evidence")):
                told_rungs.append(before)
        ended_rungs += [row.pk for row in known.values()]  # no rung of that name is judged any more
    _end(_VERDICTS, "id", ended_verdicts, at)
    _end(_RUNGS, "id", ended_rungs, at)
    VerdictPeriod.objects.bulk_create(new_verdicts, batch_size=_BATCH)
    RungPeriod.objects.bulk_create(new_rungs, batch_size=_BATCH)
    if told_verdicts:
        VerdictPeriod.objects.bulk_update(told_verdicts, _SAID, batch_size=_BATCH)
    if told_rungs:
        RungPeriod.objects.bulk_update(told_rungs, ("reason", "evidence"), batch_size=_BATCH)
    _align(ids)


def close(node_ids: Sequence[int], at: datetime) -> None:
    """Ends every present period of nodes that are gone."""
    _end(_VERDICTS, "node_id", node_ids, at)
    _end(_RUNGS, "node_id", node_ids, at)


def _verdict(one: Changed, memory: ClusterMemory, expected: int | None, period: DateTimeTZRange) -> VerdictPeriod:
    readiness, devices, known = one.judged.readiness, one.judged.devices, memory.of(one.judged.node.uid)
    if known.expected_source == "declared":
        expected = known.expected
    elif devices.physical is not None:
        expected = max(expected or 0, devices.physical)
    return VerdictPeriod(
        node_id=one.pk,
        period=period,
        verdict=readiness.verdict,
        broken_rung=readiness.broken_rung,
        reason=readiness.reason,
        remedy=readiness.remedy,
        usable=readiness.usable,
        expected=expected,
    )


def _rung(node_id: int, result: RungResult, period: DateTimeTZRange) -> RungPeriod:
    return RungPeriod(
        node_id=node_id,
        rung=result.id,
        period=period,
        status=result.status,
        reason=result.reason,
        evidence=plain(result.evidence),
    )


def _stands(row: VerdictPeriod) -> tuple[str, str, bool]:
    """What makes a period of its own. Unknown because nothing was read is another thing than unknown after reading."""
    return row.verdict, row.broken_rung, is_silence(row.reason)


def _tell(row: Any, told: Any, names: Sequence[str]) -> bool:
    """Copies what the newer row says of the same period; whether anything differed."""
    differs = [name for name in names if getattr(row, name) != getattr(told, name)]
    for name in differs:
        setattr(row, name, getattr(told, name))
    return bool(differs)


def _end(table: str, column: str, ids: Sequence[int], at: datetime) -> None:
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(
                f"UPDATE {table} SET period = tstzrange(lower(period), %s) "  # noqa: S608 a table's own name
                f"WHERE {column} = ANY(%s) AND upper(period) IS NULL",
                [at, list(ids)],
            )


def _align(ids: Sequence[int]) -> None:
    """The node's row says what its present period says, and since when. Writes only what differs."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            UPDATE {_NODES} AS node SET verdict = one.verdict, broken_rung = one.broken_rung,
                verdict_since = lower(one.period), verdict_reason = one.reason, verdict_remedy = one.remedy,
                usable = one.usable
            FROM {_VERDICTS} AS one
            WHERE one.node_id = node.id AND upper(one.period) IS NULL AND node.id = ANY(%s)
              AND (node.verdict, node.broken_rung, node.verdict_since, node.verdict_reason, node.verdict_remedy, node.usable)
                IS DISTINCT FROM (one.verdict, one.broken_rung, lower(one.period), one.reason, one.remedy, one.usable)
            """,  # noqa: S608
            [list(ids)],
        )
