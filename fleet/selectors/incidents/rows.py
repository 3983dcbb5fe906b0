"""Incidents as rows: the cause first, then its symptoms, who is affected, and what to do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from fleet.domain.evaluation import registry
from fleet.domain.findings import Severity
from fleet.domain.incidents.causes import cause_order
from fleet.filters import open_member
from fleet.models import FindingRow, Silence
from fleet.models.joined import joined
from fleet.selectors.findings.findings import Silences
from fleet.selectors.incidents import affected as incident_affected
from fleet.selectors.incidents.affected import Affected
from fleet.selectors.incidents.incidents import incidents, ordered

if TYPE_CHECKING:
    from fleet.selectors.incidents.incidents import NamedIncident


@dataclass(frozen=True, slots=True)
class NodePlace:
    """A node of an incident."""

    cluster: str
    name: str
    verdict: str
    product: str = ""


@dataclass(frozen=True, slots=True)
class IncidentRow:
    """One incident, for pages and the API."""

    id: int
    status: str
    """open, silenced (every open finding is) or resolved."""
    severity: str
    rule: str
    title: str
    """Title of the cause's rule."""
    text: str
    """The cause in a sentence, without its full stop; of several nodes, what they have in common."""
    remedy: str
    rung: str
    cluster: str
    subject: str
    key: str
    first_evidence_at: datetime
    seen_at: datetime
    ended_at: datetime | None
    nodes: tuple[NodePlace, ...]
    node_count: int
    gpus: int
    findings: tuple[FindingRow, ...]
    """All of them, the cause first; open ones before resolved ones."""
    symptoms: tuple[tuple[str, int], ...]
    """Title and number of the symptoms, most frequent first."""
    affected: Affected
    silence: Silence | None = None
    """The silence of its cause."""
    pools: tuple[str, ...] = field(default=())

    @property
    def cause(self) -> FindingRow:
        return self.findings[0]

    @property
    def seen_later(self) -> bool:
        """Whether Muster saw it more than two minutes after its first evidence."""
        return (self.seen_at - self.first_evidence_at).total_seconds() > 120


MOST_FINDINGS = 500
"""Findings of one incident that are read for its row; the rest is counted."""


def rows(listed: Sequence[NamedIncident], now: datetime) -> list[IncidentRow]:
    """Returns these incidents (of `incidents()`) with their findings, nodes and who is affected, in eight queries at most."""
    members: dict[int, list[FindingRow]] = defaultdict(list)
    ids = [row.pk for row in listed]
    every = joined(FindingRow.objects.filter(incident__in=ids), "cluster", "node", "node__cluster")
    for row in every.order_by("pk"):
        members[row.incident_id or 0].append(row)
    nodes = {row.node_id for findings in members.values() for row in findings if row.node_id}
    by_node = incident_affected.by_node(nodes)
    silences = Silences(now)
    return [_row(row, members[row.pk] or [row], by_node, silences) for row in listed]


def worst(now: datetime, *, cluster: str = "", limit: int = 6) -> list[IncidentRow]:
    """Returns the worst open incidents of warning and above that are not silenced, of the fleet or of one cluster."""
    listed = incidents().filter(open_member(now, silenced=False)).exclude(worst_severity=Severity.INFO)
    if cluster:
        listed = listed.filter(cluster__name=cluster)
    return rows(list(ordered(listed)[:limit]), now)


def _row(
    named: NamedIncident,
    members: Sequence[FindingRow],
    by_node: Mapping[int, incident_affected.OfNode],
    silences: Silences,
) -> IncidentRow:
    current = [row for row in members if row.period.upper is None]
    ordered_members = sorted(
        members,
        key=lambda row: (
            row.period.upper is not None,
            row.rule != named.rule,
            cause_order(row.severity, row.rung, row.rule),
            row.period.lower,
            row.pk,
        ),
    )
    cause = next((row for row in ordered_members if row.rule == "xid_incident"), ordered_members[0])
    ordered_members = [cause, *(row for row in ordered_members if row.pk != cause.pk)]
    nodes = {row.node_id: row.node for row in (current or members) if row.node is not None}
    silenced = bool(current) and all(silences.of(row) for row in current)
    counts = Counter(registry.title(row.rule) for row in ordered_members[1:])
    affected = incident_affected.together(by_node.get(pk or 0) for pk in nodes)
    return IncidentRow(
        id=named.pk,
        status="silenced" if silenced else "open" if current else "resolved",
        severity=named.worst_severity,
        rule=cause.rule,
        title=registry.title(cause.rule),
        text=cause_text(cause, len(nodes)),
        remedy=cause.remedy,
        rung=cause.rung,
        cluster=cause.cluster.name if cause.cluster else "",
        subject=cause.subject,
        key=cause.key,
        first_evidence_at=named.first_evidence_at,
        seen_at=named.seen_at,
        ended_at=None if current else named.last_ended_at,
        nodes=tuple(
            NodePlace(node.cluster.name, node.name, node.verdict, node.product)
            for node in sorted(nodes.values(), key=lambda node: (node.cluster.name, node.name))
        ),
        node_count=len(nodes),
        gpus=named.gpus,
        findings=tuple(ordered_members),
        symptoms=tuple(counts.most_common()),
        affected=affected,
        silence=silences.of(cause),
        pools=affected.pools,
    )


def cause_text(cause: FindingRow, nodes: int) -> str:
    """Returns the cause in a sentence: that of the finding, or the title of its rule where it stands for several nodes."""
    if nodes > 1 and cause.node_id is not None:
        return registry.title(cause.rule)
    return cause.text.strip().rstrip(".")
