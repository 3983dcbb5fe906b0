"""The incident of a node, and who is affected by it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from fleet.domain.incidents.causes import GATHERED
from fleet.models import FindingRow, Node, WorkloadClass
from fleet.selectors.incidents import affected as incident_affected
from fleet.selectors.incidents import incidents
from fleet.selectors.incidents import rows as incident_rows
from fleet.selectors.incidents.affected import Affected
from fleet.selectors.incidents.rows import IncidentRow
from fleet.selectors.pools.pools import compliance_by_slug


@dataclass(frozen=True, slots=True)
class AffectedClass:
    """A workload class with a pool that contains the node."""

    slug: str
    title: str
    state: str
    """met, at_risk or violated; empty where it was not evaluated."""
    why: str


def incident_of_node(node: Node, now: datetime) -> IncidentRow | None:
    """Returns the open incident of the node's fault; None without one."""
    held = FindingRow.objects.filter(node=node, period__endswith__isnull=True).exclude(rule__in=GATHERED)
    named = incidents.ordered(incidents.incidents().filter(pk__in=held.order_by().values("incident"))).first()
    return incident_rows.rows([named], now)[0] if named is not None else None


def affected_by(node: Node) -> Affected:
    """Returns the pods that hold the node's GPUs, their teams, its pools and the classes on them."""
    return incident_affected.together(incident_affected.by_node({node.pk}).values())


def classes_of(affected: Affected) -> list[AffectedClass]:
    """Returns the state of each affected class, as its compliance was recorded last. Two queries."""
    if not affected.classes:
        return []
    states = compliance_by_slug("class")
    titles = dict(WorkloadClass.objects.filter(slug__in=affected.classes).values_list("slug", "title"))
    rows = []
    for slug in affected.classes:
        compliance = states.get(slug)
        why = compliance.texts[0] if compliance and compliance.texts else ""
        rows.append(AffectedClass(slug, titles.get(slug, slug), compliance.state or "" if compliance else "", why))
    return rows
