"""Incidents as a query: findings that share a cause, each incident as the finding that names it."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, TypeAlias, TypedDict

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

from fleet.domain.findings import Severity
from fleet.domain.incidents.causes import GATHERED, TOGETHER
from fleet.models import FindingRow, Node
from fleet.models.joined import joined
from fleet.selectors.findings.findings import WORST_FIRST

_RANK = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(WORST_FIRST)),
    default=Value(len(WORST_FIRST)),
    output_field=IntegerField(),
)
_WORD = [When(rank=rank, then=Value(severity)) for rank, severity in enumerate(WORST_FIRST)]
IS_OPEN = Q(period__endswith__isnull=True)
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

    NamedIncident: TypeAlias = WithAnnotations[FindingRow, IncidentColumns]
    NamedIncidents: TypeAlias = QuerySet[NamedIncident]


def incidents() -> NamedIncidents:
    """Incidents of every time, of configured clusters, each as the finding that names it.

    With `rank` (0 is fatal) and `worst_severity` of its open findings (of all after it ended), `first_evidence_at`, `seen_at`,
    `last_ended_at` (of its findings that were resolved), `open` (bool), `gpus` (physical GPUs out of use now) and `badness` (the
    order of the list: severity, then GPUs out of use).
    """
    return _built().all()


@cache
def _built() -> NamedIncidents:
    """Builds the query once: its subqueries take Django longer than they take the database, and pages ask a dozen times."""
    members = FindingRow.objects.filter(incident=OuterRef("pk")).order_by().values("incident")
    # Findings that opened up to ten minutes before the cause belong to its beginning; older symptoms have another cause.
    near = (
        FindingRow.objects.filter(incident=OuterRef("pk"))
        .alias(opened_at=_lower("period"))
        .filter(opened_at__gte=OuterRef("seen_from"))
        .order_by()
        .values("incident")
    )
    seen_from = ExpressionWrapper(_lower("period") - Value(TOGETHER, output_field=DurationField()), output_field=DateTimeField())
    return (
        joined(
            FindingRow.objects.filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True), incident=F("pk")),
            "cluster",
            "node",
        )
        .annotate(
            seen_at=_lower("period"),
            seen_from=seen_from,
            rank=Coalesce(
                Subquery(members.filter(IS_OPEN).annotate(v=Min(_RANK)).values("v")),
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
            open=Exists(FindingRow.objects.filter(IS_OPEN, incident=OuterRef("pk"))),
            gpus=_gpus_out_of_use(),
        )
        .annotate(
            worst_severity=Case(*_WORD, default=Value("")),
            badness=F("rank") * _MOST_GPUS - F("gpus"),
        )
    )


def _gpus_out_of_use() -> Coalesce:
    """Physical GPUs that are expected and not usable (NodeFigures.missing) on the nodes of an open fault.

    A finding about a set-up, or without severity, has none: GPUs that its nodes lack have another reason.
    """
    held = FindingRow.objects.filter(IS_OPEN, node=OuterRef("pk"), incident=OuterRef(OuterRef("pk"))).exclude(
        Q(rule__in=GATHERED) | Q(severity=Severity.INFO)
    )
    missing = Greatest(F("expected") - Coalesce(F("usable"), Value(0)), Value(0))
    nodes = Node.objects.filter(Exists(held), removed_at__isnull=True, expected__isnull=False).order_by()
    return Coalesce(Subquery(nodes.values(all=Value(1)).annotate(v=Sum(missing)).values("v")), Value(0))


def ordered(queryset: NamedIncidents) -> NamedIncidents:
    """Worst first: severity, GPUs out of use, newest."""
    return queryset.order_by("badness", "-first_evidence_at", "pk")


def incident_of(finding_id: int) -> NamedIncident | None:
    """Returns the incident that a finding is in now: links with earlier ids keep working after regrouping."""
    named = FindingRow.objects.filter(pk=finding_id).values_list("incident", flat=True).first()
    return incidents().filter(pk=named).first() if named is not None else None
