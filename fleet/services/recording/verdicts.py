"""Verdicts and rungs as periods, and the verdict on the node's row, which this module alone writes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import connection

from fleet.domain.evaluation.figures import NodeFigures, lasting, unreachable
from fleet.domain.history.staleness import is_silence
from fleet.domain.readiness.types import RungResult
from fleet.models import Node, RungPeriod, VerdictPeriod
from fleet.models.statements import statement
from fleet.services import periods
from fleet.services.recording.nodes import Changed, plain

_TEXTS = ("reason", "remedy")


def record(changed: Sequence[Changed], at: datetime, silent_from: datetime | None = None) -> None:
    """Writes the periods of the nodes whose row was written in this run.

    A node's fingerprint covers its readiness and figures, so no other node's can have changed.

    A verdict period ends where the verdict, the broken rung or a figure changes, a rung's where its status does; reasons are kept
    up to date in the current one. `silent_from`: nothing that this run read is used (recording/staleness.py has written
    the periods); then nodes without a current period get one, and others keep their verdict: declarations of operators still
    change their figures.
    """
    if not changed:
        return
    ids = [node.pk for node in changed]
    verdicts = {row.node_id: row for row in periods.current(VerdictPeriod, node__in=ids)}
    rungs: dict[int, dict[str, RungPeriod]] = {pk: {} for pk in ids}
    for row in periods.current(RungPeriod, node__in=ids):
        rungs[row.node_id][row.rung] = row
    new_verdicts: list[tuple[VerdictPeriod | None, VerdictPeriod]] = []
    new_rungs, ended_rungs = [], []
    reworded_verdicts, reworded_rungs = [], []
    for node in changed:
        current = verdicts.get(node.pk)
        if silent_from is not None and current is not None:
            kept = _with_figures(current, node.judged.figures)
            if current.figures != kept.figures:
                new_verdicts.append((current, succeed(current, kept, at)))
            continue
        verdict = verdict_period(node.pk, node.judged.figures, node.judged.readiness.reason, node.judged.readiness.remedy)
        if current is None or not _is_same(current, verdict):
            new_verdicts.append((current, succeed(current, verdict, at)))
        elif _copy(current, verdict, _TEXTS):
            reworded_verdicts.append(current)
        known = rungs[node.pk]
        for result in node.judged.readiness.rungs:
            rung, before = _rung(node.pk, result), known.pop(result.id, None)
            if before is None or before.status != rung.status or is_silence(before.reason):
                new_rungs.append((before, rung))
            elif _copy(before, rung, ("reason", "evidence")):
                reworded_rungs.append(before)
        ended_rungs += [row.pk for row in known.values()]  # no rung of that name is evaluated any more
    periods.replace(new_verdicts, at)
    periods.update(reworded_verdicts, _TEXTS)
    periods.close(RungPeriod, ended_rungs, at)
    periods.replace(new_rungs, at)
    periods.update(reworded_rungs, ("reason", "evidence"))
    publish(ids)


def close(node_ids: Sequence[int], at: datetime) -> None:
    """Ends every current period of removed nodes."""
    if node_ids:
        periods.close_all(VerdictPeriod.objects.filter(node__in=node_ids), at)
        periods.close_all(RungPeriod.objects.filter(node__in=node_ids), at)


def verdict_period(node_id: int, figures: NodeFigures, reason: str, remedy: str) -> VerdictPeriod:
    """Returns the period of these figures, without its moments."""
    return VerdictPeriod(
        node_id=node_id,
        verdict=figures.verdict,
        broken_rung=figures.broken_rung,
        reason=reason,
        remedy=remedy,
        usable=figures.usable,
        expected=figures.expected,
        figures=plain(lasting(figures)),
    )


def succeed(before: VerdictPeriod | None, after: VerdictPeriod, at: datetime) -> VerdictPeriod:
    """Returns `after`, which follows `before` at `at`, as a part of the same stretch where only figures differ."""
    if before is not None and _stretch(before) == _stretch(after):
        after.continues_since = before.since if before.period.lower < at else before.continues_since
    return after


def _with_figures(current: VerdictPeriod, figures: NodeFigures) -> VerdictPeriod:
    """Returns the verdict of an unreachable node's current period with these figures."""
    kept = msgspec.structs.replace(unreachable(figures), usable=current.usable)
    return verdict_period(current.node_id, kept, current.reason, current.remedy)


def publish(node_ids: Sequence[int]) -> None:
    """Writes the verdict of each node's current period on its row. Writes only what differs."""
    with connection.cursor() as cursor:
        cursor.execute(_PUBLISH, [list(node_ids)])


def _is_same(before: VerdictPeriod, after: VerdictPeriod) -> bool:
    return _stretch(before) == _stretch(after) and before.figures == after.figures


def _stretch(row: VerdictPeriod) -> tuple[str, str, bool]:
    """What identifies a stretch. Unknown because nothing was read differs from unknown after reading."""
    return row.verdict, row.broken_rung, is_silence(row.reason)


def _rung(node_id: int, result: RungResult) -> RungPeriod:
    return RungPeriod(
        node_id=node_id, rung=result.id, status=result.status, reason=result.reason, evidence=plain(result.evidence)
    )


def _copy(row: Any, newer: Any, names: Sequence[str]) -> bool:
    """Copies these fields of the newer row and returns whether any differed."""
    differing = [name for name in names if getattr(row, name) != getattr(newer, name)]
    for name in differing:
        setattr(row, name, getattr(newer, name))
    return bool(differing)


_COLUMNS = """
    coalesce(period.continues_since, lower(period.period)), period.verdict, period.broken_rung, period.reason, period.remedy,
    period.usable, coalesce((period.figures->>'reached')::int, -1), coalesce((period.figures->>'flapping')::boolean, false)
"""
_PUBLISH = statement(
    """
    UPDATE {nodes} AS node SET (verdict_since, verdict, broken_rung, verdict_reason, verdict_remedy, usable, reached, flapping)
        = ROW ({columns})
    FROM {verdicts} AS period
    WHERE period.node_id = node.id AND upper(period.period) IS NULL AND node.id = ANY(%s)
      AND (node.verdict_since, node.verdict, node.broken_rung, node.verdict_reason, node.verdict_remedy, node.usable,
           node.reached, node.flapping) IS DISTINCT FROM ({columns})
    """,
    nodes=Node,
    verdicts=VerdictPeriod,
    columns=_COLUMNS,
)
