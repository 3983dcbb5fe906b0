"""Incidents counted: of the fleet, of a cluster, in the navigation, and by the time they began."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, F, OuterRef, Q

from fleet.domain.findings import Severity
from fleet.filters import open_member
from fleet.models import FindingRow
from fleet.selectors.findings.findings import WORST_FIRST
from fleet.selectors.incidents.incidents import IS_OPEN, incidents

MOST_BLOCKS = 2_000


@dataclass(frozen=True, slots=True)
class Totals:
    """Open incidents that are not silenced, counted."""

    by_severity: Mapping[str, int]
    findings: int
    gpus: int
    """Physical GPUs out of use by the incidents of warning and above."""
    with_gpus: int
    """Number of these incidents with GPUs out of use."""

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
        findings=FindingRow.objects.filter(IS_OPEN, incident__in=[pk for pk, _ in urgent]).count(),
        gpus=sum(gpus for _, gpus in urgent),
        with_gpus=sum(1 for _, gpus in urgent if gpus),
    )


def open_count(now: datetime, cluster: str = "") -> int:
    """Returns the number of open incidents of warning and above that are not silenced, of the fleet or a cluster. One query."""
    severe = [severity for severity in WORST_FIRST if severity != Severity.INFO]
    member = FindingRow.objects.filter(IS_OPEN, incident=OuterRef("pk"), severity__in=severe)
    listed = FindingRow.objects.filter(Q(cluster__isnull=True) | Q(cluster__removed_at__isnull=True), incident=F("pk"))
    if cluster:
        listed = listed.filter(cluster__name=cluster)
    return listed.filter(Exists(member), open_member(now, silenced=False)).count()


def began_between(since: datetime, until: datetime, cluster: str = "") -> list[tuple[int, str, datetime, bool]]:
    """Returns (id, severity, first evidence, whether open) of incidents of warning and above that began then, oldest first."""
    listed = incidents().filter(first_evidence_at__gte=since, first_evidence_at__lt=until).exclude(worst_severity=Severity.INFO)
    if cluster:
        listed = listed.filter(cluster__name=cluster)
    return list(
        listed.order_by("first_evidence_at", "pk").values_list("pk", "worst_severity", "first_evidence_at", "open")[:MOST_BLOCKS]
    )
