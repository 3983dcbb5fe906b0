"""One node's past: what it was at a moment, what happened in a window, what differs between two moments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar

import msgspec
from django.db.models import F, Func, Max, Min, Model, Q, QuerySet, Subquery
from django.db.models.fields import DateTimeField

from fleet.domain.findings import Evidence
from fleet.domain.history.facts import diff
from fleet.domain.readiness.wording import rung_number
from fleet.models import FindingRow, Node, NodeRevision, RungPeriod, VerdictPeriod, XidBurstRow
from fleet.models.statements import statement
from fleet.selectors.history.rows import (
    FactChange,
    Finding,
    Lasting,
    NodeDifference,
    NodeMoment,
    NodeObject,
    NodeTimeline,
    Rung,
    RungDifference,
    Verdict,
)

Row = TypeVar("Row", bound=Model)
_START = Func(F("period"), function="lower", output_field=DateTimeField())


def node_at(cluster: str, name: str, at: datetime) -> NodeMoment | None:
    """Returns the node with this name at `at`, as it was; None if Muster knew none. A constant number of queries."""
    rows = Node.objects.filter(cluster__name=cluster, name=name, first_seen_at__lte=at).filter(
        Q(removed_at__isnull=True) | Q(removed_at__gt=at)
    )
    for node in rows.select_related("cluster").order_by("-first_seen_at"):
        if (revision := _at(NodeRevision.objects.filter(node=node), at)) is not None:
            return _moment(node, revision, at)
    return None


def node_timeline(node: Node, since: datetime, until: datetime) -> NodeTimeline:
    """Returns everything that overlaps [since, until), of every node object with the name of this one."""
    nodes = objects_of(node, since, until)
    return NodeTimeline(
        since=since,
        until=until,
        verdicts=tuple(verdict for item in nodes for verdict in verdict_stretches(item, since, until)),
        rungs=tuple(
            sorted(
                (_rung(row) for row in _overlapping(RungPeriod.objects.filter(node__in=nodes), since, until)),
                key=lambda item: (rung_number(item.rung), item.since),
            )
        ),
        findings=tuple(_finding(row) for row in _overlapping(FindingRow.objects.filter(node__in=nodes), since, until)),
        changes=tuple(
            FactChange(row.period.lower, tuple(row.changes))
            for row in NodeRevision.objects.filter(node__in=nodes, period__startswith__gte=since, period__startswith__lt=until)
            .only("period", "changes")
            .order_by("period__startswith")
        ),
        bursts=tuple(XidBurstRow.objects.filter(node__in=nodes, started_at__lt=until, last_at__gte=since).order_by("started_at")),
        objects=tuple(NodeObject(item.uid, item.first_seen_at, item.removed_at) for item in nodes),
    )


def objects_of(node: Node, since: datetime, until: datetime) -> list[Node]:
    """Returns the node objects of this one's cluster and name that existed in the window, oldest first; itself at least."""
    rows = Node.objects.filter(cluster_id=node.cluster_id, name=node.name, first_seen_at__lt=until)
    there = rows.filter(Q(removed_at__isnull=True) | Q(removed_at__gte=since)).only("pk", "uid", "first_seen_at", "removed_at")
    return list(there.order_by("first_seen_at")) or [node]


def node_diff(cluster: str, name: str, a: datetime, b: datetime) -> NodeDifference:
    """Returns what differs at `b` from `a`, for the node object that had the name at each time."""
    before, after = node_at(cluster, name, a), node_at(cluster, name, b)
    old, new = _judged(before), _judged(after)
    rungs_before = {rung.rung: rung for rung in before.rungs} if before else {}
    rungs_after = {rung.rung: rung for rung in after.rungs} if after else {}
    stood = {(finding.rule, finding.key): finding for finding in before.findings} if before else {}
    stand = {(item.rule, item.key): item for item in after.findings} if after else {}
    return NodeDifference(
        before=before,
        after=after,
        facts=tuple(diff(before.facts if before else {}, after.facts if after else {})),
        verdict_changed=old != new,
        rungs=tuple(
            RungDifference(rung, rungs_before.get(rung), rungs_after.get(rung))
            for rung in dict.fromkeys((*rungs_after, *rungs_before))
            if _status(rungs_before.get(rung)) != _status(rungs_after.get(rung))
        ),
        opened=tuple(value for key, value in stand.items() if key not in stood),
        resolved=tuple(entry for key, entry in stood.items() if key not in stand),
        other_node=before is not None and after is not None and before.node.pk != after.node.pk,
    )


def _judged(moment: NodeMoment | None) -> tuple[str, str] | None:
    verdict = moment.verdict if moment else None
    return (verdict.verdict, verdict.broken_rung) if verdict else None


def _status(rung: Rung | None) -> str | None:
    return rung.status if rung else None


def _moment(node: Node, revision: NodeRevision, at: datetime) -> NodeMoment:
    verdict = _at(VerdictPeriod.objects.filter(node=node), at)
    before, after = _neighbours(node, at)
    return NodeMoment(
        node=node,
        at=at,
        facts=revision.facts,
        facts_since=revision.period.lower,
        facts_until=revision.period.upper,
        verdict=_verdict(verdict, _end(verdict)) if verdict else None,
        rungs=tuple(sorted((_rung(row) for row in _rungs_at(node, at)), key=lambda rung: rung_number(rung.rung))),
        findings=tuple(_finding(row) for row in _standing(FindingRow.objects.filter(node=node), at)),
        before=before,
        after=after,
    )


def _at(rows: QuerySet[Lasting], at: datetime) -> Lasting | None:
    """The one row whose period contains `at`, for rows that never overlap: the last that had begun, if it has not ended."""
    row = rows.filter(period__startswith__lte=at).order_by("-period__startswith").first()
    return row if row is not None and (row.period.upper is None or row.period.upper > at) else None


def _standing(rows: QuerySet[Row], at: datetime) -> QuerySet[Row]:
    return rows.filter(period__contains=at).order_by("period__startswith", "pk")


def _rungs_at(node: Node, at: datetime) -> list[RungPeriod]:
    """One probe of the index for each rung, whatever the length of the history."""
    return [
        row
        for row in RungPeriod.objects.raw(
            _RUNGS_AT,
            {"node": node.pk, "at": at},
        )
        if row.period.upper is None or row.period.upper > at
    ]


_RUNGS_AT = statement(
    """
    WITH RECURSIVE known AS (
        (SELECT rung FROM {rungs} WHERE node_id = %(node)s ORDER BY rung LIMIT 1)
        UNION ALL
        SELECT (SELECT rung FROM {rungs} WHERE node_id = %(node)s AND rung > known.rung ORDER BY rung LIMIT 1)
        FROM known WHERE known.rung IS NOT NULL
    )
    SELECT one.* FROM known CROSS JOIN LATERAL (
        SELECT * FROM {rungs} WHERE node_id = %(node)s AND rung = known.rung AND lower(period) <= %(at)s
        ORDER BY lower(period) DESC LIMIT 1
    ) AS one
    """,
    rungs=RungPeriod,
)


def _touching(rows: QuerySet[Row], since: datetime, until: datetime) -> QuerySet[Row]:
    """Rows that never overlap and touch the window: those that begin in it, and the last before it unless it has ended."""
    last = rows.filter(period__startswith__lt=since).order_by("-period__startswith").values("pk")[:1]
    begun = Q(period__startswith__gte=since) | Q(pk=Subquery(last), period__overlap=(since, until))
    return rows.filter(begun, period__startswith__lt=until).order_by("period__startswith")


def _overlapping(rows: QuerySet[Row], since: datetime, until: datetime) -> QuerySet[Row]:
    return rows.filter(period__overlap=(since, until)).order_by("period__startswith", "pk")


def _neighbours(node: Node, at: datetime) -> tuple[datetime | None, datetime | None]:
    """The moments of change around `at`, over verdicts and facts."""
    befores, afters = [], []
    for changes in (
        VerdictPeriod.objects.filter(node=node, continues_since__isnull=True).annotate(start=_START).values_list("start"),
        NodeRevision.objects.filter(node=node).annotate(start=_START).values_list("start"),
    ):
        befores.append(changes.filter(start__lt=at).aggregate(at=Max("start"))["at"])
        afters.append(changes.filter(start__gt=at).aggregate(at=Min("start"))["at"])
    return (
        max((before for before in befores if before is not None), default=None),
        min((after for after in afters if after is not None), default=None),
    )


def verdict_stretches(node: Node, since: datetime, until: datetime) -> tuple[Verdict, ...]:
    """The verdicts that touch [since, until), oldest first.

    Neighbouring periods with the same verdict and broken rung are one, with the reason and figures of the newest that touches
    the window.
    """
    rows = list(_touching(VerdictPeriod.objects.filter(node=node), since, until))
    newest = list({row.since: row for row in rows}.values())
    return tuple(_verdict(row, _end(row) if row is rows[-1] else row.period.upper) for row in newest)


def _end(row: VerdictPeriod) -> datetime | None:
    """When the stretch of this period ended; None while it lasts."""
    if row.period.upper is None:
        return None
    last = VerdictPeriod.objects.filter(node=row.node_id, continues_since=row.since).order_by("-period__startswith").first()
    until: datetime | None = last.period.upper if last else row.period.upper
    return until


def _verdict(row: VerdictPeriod, until: datetime | None) -> Verdict:
    return Verdict(
        since=row.since,
        until=until,
        verdict=row.verdict,
        broken_rung=row.broken_rung,
        reason=row.reason,
        remedy=row.remedy,
        usable=row.usable,
        expected=row.expected,
    )


def _rung(row: RungPeriod) -> Rung:
    return Rung(row.rung, row.period.lower, row.period.upper, row.status, row.reason, _evidence(row.evidence))


def _finding(row: FindingRow) -> Finding:
    return Finding(
        rule=row.rule,
        key=row.key,
        subject=row.subject,
        severity=row.severity,
        text=row.text,
        remedy=row.remedy,
        rung=row.rung,
        evidence=_evidence(row.evidence),
        since=row.period.lower,
        until=row.period.upper,
    )


def _evidence(rows: Iterable[object]) -> tuple[Evidence, ...]:
    return tuple(msgspec.convert(row, Evidence, strict=False) for row in rows)
