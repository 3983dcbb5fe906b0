"""Incidents: findings that share a cause, as one row with the cause first, who is affected, and what to do."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from django.db.models import (
    Case,
    DateTimeField,
    DurationField,
    Exists,
    ExpressionWrapper,
    F,
    Func,
    IntegerField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    Value,
    When,
)
from django.db.models.functions import Coalesce, Greatest

from fleet.domain.evaluation import registry
from fleet.domain.findings import Severity
from fleet.domain.incidents.causes import GATHERED, TOGETHER, cause_order
from fleet.filters import open_member
from fleet.models import FindingRow, Node, Silence
from fleet.selectors import incident_affected
from fleet.selectors.findings import WORST_FIRST, Silences
from fleet.selectors.incident_affected import Affected

_RANK = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(WORST_FIRST)),
    default=Value(len(WORST_FIRST)),
    output_field=IntegerField(),
)
_WORD = [When(rank=rank, then=Value(severity)) for rank, severity in enumerate(WORST_FIRST)]
_OPEN = Q(period__endswith__isnull=True)
_MOST_GPUS = 1_000_000


def _lower(name: str) -> Func:
    return Func(F(name), function="lower", output_field=DateTimeField())


def _upper(name: str) -> Func:
    return Func(F(name), function="upper", output_field=DateTimeField())


class IncidentColumns(TypedDict):
    """Columns beside the finding that names an incident."""

    seen_at: datetime
    seen_from: datetime
    rank: int
    worst_severity: str
    first_evidence_at: datetime
    last_ended_at: datetime | None
    open: bool
    gpus: int
    badness: int


if TYPE_CHECKING:
    from django_stubs_ext import WithAnnotations

    NamedIncidents: TypeAlias = QuerySet[WithAnnotations[FindingRow, IncidentColumns]]


def incidents() -> NamedIncidents:
    """Incidents of every time, of configured clusters, each as the finding that names it.

    With `rank` (0 is fatal) and `worst_severity` of its open findings (of all where it is over), `first_evidence_at`, `seen_at`,
    `last_ended_at` (of its findings that were resolved), `open` (bool), `gpus` (physical GPUs out of use now) and `badness` (the
    order of the list: severity, then GPUs out of use).
    """
    members = FindingRow.objects.filter(incident=OuterRef("pk")).order_by().values("incident")
    # What opened up to ten minutes before the cause was seen belongs to its beginning; an older symptom was there without it.
    near = (
        FindingRow.objects.filter(incident=OuterRef("pk"))
        .alias(opened_at=_lower("period"))
        .filter(opened_at__gte=OuterRef("seen_from"))
        .order_by()
        .values("incident")
    )
    seen_from = ExpressionWrapper(_lower("period") - Value(TOGETHER, output_field=DurationField()), output_field=DateTimeField())
    return (
        FindingRow.objects.filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True), incident=F("pk"))
        .select_related("cluster", "node")
        .annotate(
            seen_at=_lower("period"),
            seen_from=seen_from,
            rank=Coalesce(
                Subquery(members.filter(_OPEN).annotate(v=Min(_RANK)).values("v")),
                Subquery(members.annotate(v=Min(_RANK)).values("v")),
                output_field=IntegerField(),
            ),
            first_evidence_at=Coalesce(
                Subquery(near.annotate(v=Min(Coalesce("evidence_at", _lower("period")))).values("v")),
                F("evidence_at"),
                F("seen_at"),
                output_field=DateTimeField(),
            ),
            last_ended_at=Subquery(members.annotate(v=Max(_upper("period"))).values("v"), output_field=DateTimeField()),
            open=Exists(FindingRow.objects.filter(_OPEN, incident=OuterRef("pk"))),
            gpus=_gpus_out_of_use(),
        )
        .annotate(
            worst_severity=Case(*_WORD, default=Value("")),
            badness=F("rank") * _MOST_GPUS - F("gpus"),
        )
    )


def _gpus_out_of_use() -> Coalesce:
    """Physical GPUs that are expected and not usable (NodeFigures.missing) on the nodes of an open fault.

    A finding about a set-up, or of no severity, takes none: what its nodes lack has another reason.
    """
    held = FindingRow.objects.filter(_OPEN, node=OuterRef("pk"), incident=OuterRef(OuterRef("pk"))).exclude(
        Q(rule__in=GATHERED) | Q(severity=Severity.INFO)
    )
    missing = Greatest(F("expected") - Coalesce(F("usable"), Value(0)), Value(0))
    nodes = Node.objects.filter(Exists(held), removed_at__isnull=True, expected__isnull=False).order_by()
    return Coalesce(Subquery(nodes.values(all=Value(1)).annotate(v=Sum(missing)).values("v")), Value(0))


def ordered(queryset: NamedIncidents) -> NamedIncidents:
    """Worst first: severity, GPUs out of use, newest."""
    return queryset.order_by("badness", "-first_evidence_at", "pk")


def incident_of(finding_id: int) -> FindingRow | None:
    """Returns the incident that a finding is in now: an id that was handed out leads somewhere, whatever was grouped since."""
    named = FindingRow.objects.filter(pk=finding_id).values_list("incident", flat=True).first()
    result: FindingRow | None = incidents().filter(pk=named).first() if named is not None else None
    return result


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
    """Title and number of what is folded into the cause, most frequent first."""
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


def rows(listed: Sequence[Any], now: datetime) -> list[IncidentRow]:
    """Returns these incidents (of `incidents()`) with their findings, nodes and who is affected, in eight queries at most."""
    members: dict[int, list[FindingRow]] = defaultdict(list)
    ids = [row.pk for row in listed]
    every = FindingRow.objects.filter(incident__in=ids).select_related("cluster", "node", "node__cluster")
    for row in every.defer("node__info", "node__snapshot", "node__dra", "node__labels", "node__rungs").order_by("pk"):
        members[row.incident_id or 0].append(row)
    nodes = {row.node_id for of_one in members.values() for row in of_one if row.node_id}
    by_node = incident_affected.by_node(nodes)
    silences = Silences(now)
    return [_row(row, members[row.pk] or [row], by_node, silences) for row in listed]


def _row(
    named: Any, members: Sequence[FindingRow], by_node: Mapping[int, incident_affected.OfNode], silences: Silences
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


@dataclass(frozen=True, slots=True)
class Totals:
    """Open incidents that are not silenced, counted."""

    by_severity: Mapping[str, int]
    findings: int
    gpus: int
    """Physical GPUs out of use by the incidents of warning and above."""
    with_gpus: int
    """How many of these incidents take any."""

    @property
    def total(self) -> int:
        """Incidents of warning and above: those that need action."""
        return sum(count for severity, count in self.by_severity.items() if severity != Severity.INFO)

    @property
    def notes(self) -> int:
        return self.by_severity.get(Severity.INFO, 0)


def totals(now: datetime, cluster: str = "") -> Totals:
    """Returns the counts of the fleet, or of one cluster, in two queries."""
    listed = incidents().filter(open_member(now, silenced=False))
    if cluster:
        listed = listed.filter(cluster__name=cluster)
    counted = list(listed.order_by().values_list("pk", "worst_severity", "gpus"))
    urgent = [(pk, gpus) for pk, severity, gpus in counted if severity != Severity.INFO]
    return Totals(
        by_severity=Counter(severity for _, severity, _ in counted),
        findings=FindingRow.objects.filter(_OPEN, incident__in=[pk for pk, _ in urgent]).count(),
        gpus=sum(gpus for _, gpus in urgent),
        with_gpus=sum(1 for _, gpus in urgent if gpus),
    )


def open_count(now: datetime) -> int:
    """Returns the number of open incidents of warning and above that are not silenced, for the navigation. One query."""
    severe = [severity for severity in WORST_FIRST if severity != Severity.INFO]
    member = FindingRow.objects.filter(_OPEN, incident=OuterRef("pk"), severity__in=severe)
    listed = FindingRow.objects.filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True), incident=F("pk"))
    return listed.filter(Exists(member), open_member(now, silenced=False)).count()


def began_between(since: datetime, until: datetime, cluster: str = "") -> list[tuple[int, str, datetime, bool]]:
    """Returns (id, severity, first evidence, whether open) of incidents of warning and above that began then, oldest first."""
    listed = incidents().filter(first_evidence_at__gte=since, first_evidence_at__lt=until).exclude(worst_severity=Severity.INFO)
    if cluster:
        listed = listed.filter(cluster__name=cluster)
    return list(
        listed.order_by("first_evidence_at", "pk").values_list("pk", "worst_severity", "first_evidence_at", "open")[:MOST_BLOCKS]
    )


MOST_BLOCKS = 2_000
