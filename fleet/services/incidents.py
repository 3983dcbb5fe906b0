"""Groups the findings of a cluster into incidents, and silences an incident as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils.dateparse import parse_datetime

from fleet.domain.incidents.causes import (
    CRASH_RULES,
    DRIVER_RULES,
    EXPORTER_RULES,
    KUBELET_RULES,
    TOGETHER,
    IncidentFinding,
)
from fleet.domain.incidents.first_evidence import DatedBurst, DatedCondition, first_evidence
from fleet.domain.incidents.grouping import group
from fleet.models import Cluster, FindingRow, Node, Pod, User, XidBurstRow
from fleet.models.joined import joined
from fleet.services import periods
from fleet.services.silences import silence

_FIELDS = ("pk", "cluster_id", "node_id", "rule", "key", "severity", "rung", "period", "incident_id", "evidence_at")
_SHARED = DRIVER_RULES | EXPORTER_RULES | KUBELET_RULES | CRASH_RULES
_EXPORTERS = ("dcgm-exporter", "amd-metrics-exporter")
MOST_SILENCED = 500
"""Findings of one incident that are silenced at once."""


def regroup(cluster: Cluster | None, at: datetime) -> int:
    """Writes the incident and the first evidence of every open finding of `cluster` (None: of pools and classes).

    Returns how many rows changed. Must run in the transaction that wrote the findings. Two queries where nothing changed.
    """
    rows = _working_set(cluster, at)
    shared = _shared(cluster, [row for row in rows if row.rule in _SHARED])
    incidents = group(
        IncidentFinding(
            id=row.pk,
            cluster=row.cluster_id,
            node=row.node_id,
            rule=row.rule,
            key=row.key,
            severity=row.severity,
            rung=row.rung,
            opened=row.period.lower,
            is_open=row.period.upper is None,
            shared=shared.get(row.pk, ""),
            incident=row.incident_id,
        )
        for row in rows
    )
    dated = _first_evidence([row for row in rows if row.evidence_at is None])
    changed = [row for row in rows if incidents[row.pk] != row.incident_id or row.pk in dated]
    for row in changed:
        row.incident_id = incidents[row.pk]
        row.evidence_at = dated.get(row.pk, row.evidence_at)
    periods.update(changed, ("incident", "evidence_at"))
    return len(changed)


def _working_set(cluster: Cluster | None, at: datetime) -> list[FindingRow]:
    """Returns the open findings, and all of incidents with an open finding or with one resolved within ten minutes."""
    every: QuerySet[FindingRow] = FindingRow.objects.filter(cluster=cluster).only(*_FIELDS).order_by("pk")
    recent = list(every.filter(Q(period__endswith__isnull=True) | Q(period__endswith__gte=at - TOGETHER)))
    have, names = {row.pk for row in recent}, {row.incident_id for row in recent if row.incident_id}
    return [*recent, *every.filter(incident__in=names).exclude(pk__in=have)] if names else recent


def _shared(cluster: Cluster | None, rows: Iterable[FindingRow]) -> dict[int, str]:
    """Returns what the cause of each finding may have in common with that of other nodes; without those that have nothing."""
    by_family: dict[frozenset[str], list[FindingRow]] = defaultdict(list)
    for row in rows:
        for family in (DRIVER_RULES, EXPORTER_RULES, KUBELET_RULES, CRASH_RULES):
            if row.rule in family:
                by_family[family].append(row)
    result: dict[int, str] = {}
    of_nodes = [*by_family[DRIVER_RULES], *by_family[KUBELET_RULES]]
    if of_nodes:
        nodes = Node.objects.filter(pk__in={row.node_id for row in of_nodes}).values_list("pk", "driver_version", "zone")
        facts = {pk: (driver, zone) for pk, driver, zone in nodes}
        for row in of_nodes:
            driver, zone = facts.get(row.node_id or 0, ("", ""))
            result[row.pk] = driver if row.rule in DRIVER_RULES else f"zone {zone}"
    if by_family[EXPORTER_RULES]:
        images = _exporter_images({row.node_id for row in by_family[EXPORTER_RULES] if row.node_id})
        result |= {row.pk: images.get(row.node_id or 0, "") for row in by_family[EXPORTER_RULES]}
    if by_family[CRASH_RULES]:
        result |= _crashes(cluster, by_family[CRASH_RULES])
    return {pk: text for pk, text in result.items() if text}


def _exporter_images(nodes: Iterable[int]) -> dict[int, str]:
    """Returns the image of the exporter on each node."""
    pods = Pod.objects.filter(node__in=nodes, removed_at__isnull=True, component__in=_EXPORTERS).order_by("-pk")
    images: dict[int, str] = {}
    for node_id, snapshot in pods.values_list("node_id", "snapshot"):
        containers = snapshot.get("containers") or ()
        image = next((str(item.get("image") or "") for item in containers if not item.get("init")), "")
        if node_id is not None and image:
            images[node_id] = image
    return images


def _crashes(cluster: Cluster | None, rows: Iterable[FindingRow]) -> dict[int, str]:
    """Returns the crash of many nodes that each Xid finding belongs to, by the crashes that are findings themselves."""
    crashes = {row.key: row.pk for row in rows if row.rule == "xid_incident" and row.period.upper is None}
    if not crashes:
        return {}
    bursts = XidBurstRow.objects.filter(node__cluster=cluster, incident__in=crashes).order_by("started_at")
    of_gpu = {(node, f"{uuid}/{code}"): name for node, uuid, code, name in bursts.values_list("node", "uuid", "code", "incident")}
    result = {pk: name for name, pk in crashes.items()}
    for row in rows:
        if row.rule == "xid" and (row.node_id, row.key) in of_gpu:
            result[row.pk] = of_gpu[row.node_id or 0, row.key]
    return result


def _first_evidence(rows: Iterable[FindingRow]) -> dict[int, datetime]:
    """Returns the first evidence of findings that have none yet."""
    new = {row.pk: row for row in rows}
    if not new:
        return {}
    evidence = dict(FindingRow.objects.filter(pk__in=new).values_list("pk", "evidence"))
    nodes = {row.node_id for row in new.values() if row.node_id}
    conditions = dict(Node.objects.filter(pk__in=nodes).values_list("pk", "conditions")) if nodes else {}
    bursts: dict[int, list[DatedBurst]] = defaultdict(list)
    oldest = min(row.period.lower for row in new.values()) - timedelta(days=1)
    if nodes:
        bursts_of_nodes = XidBurstRow.objects.filter(node__in=nodes, last_at__gte=oldest)
        for node, uuid, code, started_at in bursts_of_nodes.values_list("node", "uuid", "code", "started_at"):
            bursts[node].append(DatedBurst(uuid, code, started_at))
    return {
        pk: first_evidence(
            row.key,
            evidence.get(pk) or (),
            row.period.lower,
            _conditions(conditions.get(row.node_id or 0) or ()),
            bursts[row.node_id or 0],
        )
        for pk, row in new.items()
    }


def _conditions(rows: Iterable[Mapping[str, object]]) -> list[DatedCondition]:
    result = []
    for row in rows:
        text = row.get("last_transition_at")
        at = parse_datetime(text) if isinstance(text, str) else None
        result.append(DatedCondition(str(row.get("type") or ""), str(row.get("status") or ""), at))
    return result


@transaction.atomic
def silence_incident(actor: User, incident: int, *, reason: str, until: datetime, now: datetime) -> int:
    """Silences every open finding of an incident until `until`, each with its audit entry; returns how many.

    Raises FieldError as `silence` does.
    """
    rows = joined(FindingRow.objects.filter(incident=incident, period__endswith__isnull=True), "cluster", "node")
    silenced = list(rows.order_by("pk")[:MOST_SILENCED])
    for row in silenced:
        silence(actor, row, reason=reason, until=until, now=now)
    return len(silenced)
