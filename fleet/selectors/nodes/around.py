"""What else broke around the moment at which a node broke, and what did not change before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import DateTimeField, F, Func, Q
from django.db.models.functions import Coalesce

from fleet.domain.history.changes import Group
from fleet.domain.incidents.causes import GATHERED
from fleet.models import FindingRow, Node, VerdictPeriod
from fleet.selectors.history import changes

WITHIN = timedelta(minutes=10)
BEFORE = timedelta(hours=24)
MOST = 8
_READ = 200
_KINDS = ("driver", "mig", "sharing", "taints", "cordon", "stack", "kernel", "os", "kubelet", "reboot", "labels")


@dataclass(frozen=True, slots=True)
class Event:
    """Something that broke, or that changed on the node."""

    at: datetime
    kind: str
    """finding, verdict or change."""
    look: str
    """Severity of a finding, verdict of a node, kind of a change."""
    text: str
    node: str
    """Empty for a finding about the whole cluster."""
    is_own: bool
    """Whether it is on the node itself."""
    zone: str = ""
    """Zone of another node, where it is the node's own."""


@dataclass(frozen=True, slots=True)
class Around:
    """Events within ten minutes of a moment, by time, and the changes of the 24 h before it."""

    at: datetime
    since: datetime
    until: datetime
    events: tuple[Event, ...]
    more: int
    changes: tuple[Group, ...]
    """Changes of the node that may be a reason, newest first."""


def around(node: Node, at: datetime) -> Around:
    """Returns what broke in the node's cluster within ten minutes of `at`. Five queries at most."""
    since, until = at - WITHIN, at + WITHIN
    events = _findings(node, since, until)
    named = {event.node for event in events}  # the cause of a node is more specific than its verdict
    events += [event for event in _verdicts(node, since, until) if event.node not in named]
    log = changes.change_log(at - BEFORE, until, clusters=[node.cluster.name], kinds=_KINDS, node=node.name)
    near = [group for group in log.groups if since <= group.at < until]
    events += [Event(group.at, "change", group.kind, group.title, node.name, is_own=True) for group in near]
    ordered = sorted(events, key=lambda event: (event.at, not event.is_own, event.node, event.text))
    before = tuple(group for group in log.groups if group.at < at)
    return Around(at, since, until, tuple(ordered[:MOST]), max(0, len(ordered) - MOST), before)


def _findings(node: Node, since: datetime, until: datetime) -> list[Event]:
    moment = Coalesce("evidence_at", Func(F("period"), function="lower", output_field=DateTimeField()))
    rows = (
        FindingRow.objects.filter(cluster=node.cluster_id)
        .exclude(rule__in=GATHERED)
        .exclude(severity="info")
        .annotate(moment=moment)
        .filter(moment__gte=since, moment__lte=until)
        .select_related("node")
        .only("severity", "text", "node__name", "node__zone", "node", "incident", "period")
        .order_by("moment", "pk")
    )
    # for another node its cause is enough
    shown = rows.filter(Q(node=node.pk) | Q(incident=F("pk")))
    return [
        Event(
            row.moment,
            "finding",
            row.severity,
            row.text.strip().rstrip("."),
            row.node.name if row.node else "",
            is_own=row.node_id == node.pk,
            zone=row.node.zone if row.node and row.node.zone == node.zone else "",
        )
        for row in shown[:_READ]
    ]


def _verdicts(node: Node, since: datetime, until: datetime) -> list[Event]:
    rows = (
        VerdictPeriod.objects.filter(node__cluster=node.cluster_id, verdict="not_ready")
        .filter(period__startswith__gte=since, period__startswith__lte=until)
        .exclude(node=node.pk)
        .select_related("node")
        .only("verdict", "reason", "period", "node__name", "node__zone")
        .order_by("period__startswith", "pk")
    )
    return [
        Event(
            row.period.lower,
            "verdict",
            row.verdict,
            f"Not ready: {row.reason.strip().rstrip('.')}" if row.reason else "Not ready",
            row.node.name,
            is_own=False,
            zone=row.node.zone if row.node.zone == node.zone else "",
        )
        for row in rows[:_READ]
    ]
