"""One node's past: what it was at a moment, what happened in a window, what differs between two moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F, Func, Max, Min, Model, Q, QuerySet, Subquery
from django.db.models.fields import DateTimeField

from fleet.domain.facts import Facts, diff
from fleet.domain.readiness.words import rung_number
from fleet.models import FindingRow, Node, NodeRevision, RungPeriod, VerdictPeriod, XidBurstRow

_START = Func(F("period"), function="lower", output_field=DateTimeField())


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict over the time it stood; `until` is None while it stands."""

    since: datetime
    until: datetime | None
    verdict: str
    broken_rung: str
    reason: str
    remedy: str
    usable: int | None
    expected: int | None


@dataclass(frozen=True, slots=True)
class Rung:
    """One rung's status over the time it stood."""

    rung: str
    since: datetime
    until: datetime | None
    status: str
    reason: str
    evidence: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding from when it was opened to when it was resolved; `until` is None while it stands."""

    rule: str
    key: str
    subject: str
    severity: str
    text: str
    remedy: str
    rung: str
    evidence: tuple[dict[str, Any], ...]
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class FactChange:
    """What a node told anew at one moment; `changes` as NodeRevision keeps them, empty at its first appearance."""

    at: datetime
    changes: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class NodeMoment:
    """A node as Muster knew it at one moment."""

    node: Node
    """The row as it is today: only its identity may be read from it."""
    at: datetime
    facts: Facts
    facts_since: datetime
    facts_until: datetime | None
    verdict: Verdict | None
    """None where nothing was judged then: that is unknown, not ready."""
    rungs: tuple[Rung, ...]
    """In the ladder's order."""
    findings: tuple[Finding, ...]
    before: datetime | None
    """The last moment before this one's own at which a verdict or a fact changed, to step back to."""
    after: datetime | None
    """The next moment at which a verdict or a fact changed."""


@dataclass(frozen=True, slots=True)
class NodeTimeline:
    """Everything of one node that touches a window, each list oldest first, with its own moments (not cut to the window)."""

    since: datetime
    until: datetime
    verdicts: tuple[Verdict, ...]
    rungs: tuple[Rung, ...]
    findings: tuple[Finding, ...]
    changes: tuple[FactChange, ...]
    bursts: tuple[XidBurstRow, ...]


@dataclass(frozen=True, slots=True)
class RungDifference:
    """A rung that stood otherwise; None where it was not judged at that moment."""

    rung: str
    before: Rung | None
    after: Rung | None


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """What differs between two moments of the node that bears a name; either may be None: it was not there."""

    before: NodeMoment | None
    after: NodeMoment | None
    facts: tuple[dict[str, Any], ...]
    """As domain.facts.diff: {"section", "key", "before", "after"}."""
    verdict_changed: bool
    rungs: tuple[RungDifference, ...]
    opened: tuple[Finding, ...]
    """Findings that stood at the second moment only."""
    resolved: tuple[Finding, ...]
    """Findings that stood at the first moment only."""
    other_node: bool
    """The name was borne by two node objects: it was made anew in between."""


def node_at(cluster: str, name: str, at: datetime) -> NodeMoment | None:
    """The node that bore this name at `at`, as it was; None where Muster knew of none there. A constant number of queries."""
    rows = Node.objects.filter(cluster__name=cluster, name=name, first_seen_at__lte=at).filter(
        Q(removed_at__isnull=True) | Q(removed_at__gt=at)
    )
    for node in rows.select_related("cluster").order_by("-first_seen_at"):
        if (revision := _at(NodeRevision.objects.filter(node=node), at)) is not None:
            return _moment(node, revision, at)
    return None


def node_timeline(node: Node, since: datetime, until: datetime) -> NodeTimeline:
    """Everything that touches [since, until)."""
    return NodeTimeline(
        since=since,
        until=until,
        verdicts=tuple(_verdict(row) for row in _touching(VerdictPeriod.objects.filter(node=node), since, until)),
        rungs=tuple(
            sorted(
                (_rung(row) for row in _overlapping(RungPeriod.objects.filter(node=node), since, until)),
                key=lambda one: (rung_number(one.rung), one.since),
            )
        ),
        findings=tuple(_finding(row) for row in _overlapping(FindingRow.objects.filter(node=node), since, until)),
        changes=tuple(
            FactChange(row.period.lower, tuple(row.changes))
            for row in NodeRevision.objects.filter(node=node, period__startswith__gte=since, period__startswith__lt=until)
            .only("period", "changes")
            .order_by("period__startswith")
        ),
        bursts=tuple(XidBurstRow.objects.filter(node=node, started_at__lt=until, last_at__gte=since).order_by("started_at")),
    )


def node_diff(cluster: str, name: str, a: datetime, b: datetime) -> NodeDifference:
    """What differs at `b` from `a`, for whichever node object bore the name at each."""
    before, after = node_at(cluster, name, a), node_at(cluster, name, b)
    old, new = _judged(before), _judged(after)
    rungs_before = {rung.rung: rung for rung in before.rungs} if before else {}
    rungs_after = {rung.rung: rung for rung in after.rungs} if after else {}
    stood = {(one.rule, one.key): one for one in before.findings} if before else {}
    stand = {(one.rule, one.key): one for one in after.findings} if after else {}
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
        opened=tuple(one for key, one in stand.items() if key not in stood),
        resolved=tuple(one for key, one in stood.items() if key not in stand),
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
        verdict=_verdict(verdict) if verdict else None,
        rungs=tuple(sorted((_rung(row) for row in _rungs_at(node, at)), key=lambda one: rung_number(one.rung))),
        findings=tuple(_finding(row) for row in _standing(FindingRow.objects.filter(node=node), at)),
        before=before,
        after=after,
    )


def _at(rows: QuerySet[Any], at: datetime) -> Any:
    """The one row whose period contains `at`, for rows that never overlap: the last that had begun, if it has not ended."""
    row = rows.filter(period__startswith__lte=at).order_by("-period__startswith").first()
    return row if row is not None and (row.period.upper is None or row.period.upper > at) else None


def _standing(rows: QuerySet[Any], at: datetime) -> QuerySet[Any]:
    return rows.filter(period__contains=at).order_by("period__startswith", "pk")


def _rungs_at(node: Node, at: datetime) -> list[RungPeriod]:
    """One probe of the index for each rung, whatever the length of the history."""
    table = RungPeriod._meta.db_table
    return [
        row
        for row in RungPeriod.objects.raw(
            f"""
            WITH RECURSIVE known AS (
                (SELECT rung FROM {table} WHERE node_id = %(node)s ORDER BY rung LIMIT 1)
                UNION ALL
                SELECT (SELECT rung FROM {table} WHERE node_id = %(node)s AND rung > known.rung ORDER BY rung LIMIT 1)
                FROM known WHERE known.rung IS NOT NULL
            )
            SELECT one.* FROM known CROSS JOIN LATERAL (
                SELECT * FROM {table} WHERE node_id = %(node)s AND rung = known.rung AND lower(period) <= %(at)s
                ORDER BY lower(period) DESC LIMIT 1
            ) AS one
            """,  # noqa: S608 a table's own name
            {"node": node.pk, "at": at},
        )
        if row.period.upper is None or row.period.upper > at
    ]


def _touching(rows: QuerySet[Any], since: datetime, until: datetime) -> QuerySet[Any]:
    """Rows that never overlap and touch the window: those that begin in it, and the last before it unless it has ended."""
    last = rows.filter(period__startswith__lt=since).order_by("-period__startswith").values("pk")[:1]
    begun = Q(period__startswith__gte=since) | Q(pk=Subquery(last), period__overlap=(since, until))
    return rows.filter(begun, period__startswith__lt=until).order_by("period__startswith")


def _overlapping(rows: QuerySet[Any], since: datetime, until: datetime) -> QuerySet[Any]:
    return rows.filter(period__overlap=(since, until)).order_by("period__startswith", "pk")


def _neighbours(node: Node, at: datetime) -> tuple[datetime | None, datetime | None]:
    """The moments of change around `at`, over verdicts and facts."""
    befores, afters = [], []
    models: tuple[type[Model], ...] = (VerdictPeriod, NodeRevision)
    for model in models:
        starts = model._default_manager.filter(node=node).annotate(start=_START)
        befores.append(starts.filter(start__lt=at).aggregate(at=Max("start"))["at"])
        afters.append(starts.filter(start__gt=at).aggregate(at=Min("start"))["at"])
    return (
        max((one for one in befores if one is not None), default=None),
        min((one for one in afters if one is not None), default=None),
    )


def _verdict(row: VerdictPeriod) -> Verdict:
    return Verdict(
        since=row.period.lower,
        until=row.period.upper,
        verdict=row.verdict,
        broken_rung=row.broken_rung,
        reason=row.reason,
        remedy=row.remedy,
        usable=row.usable,
        expected=row.expected,
    )


def _rung(row: RungPeriod) -> Rung:
    return Rung(row.rung, row.period.lower, row.period.upper, row.status, row.reason, tuple(row.evidence))


def _finding(row: FindingRow) -> Finding:
    return Finding(
        rule=row.rule,
        key=row.key,
        subject=row.subject,
        severity=row.severity,
        text=row.text,
        remedy=row.remedy,
        rung=row.rung,
        evidence=tuple(row.evidence),
        since=row.period.lower,
        until=row.period.upper,
    )
