"""Health tools of the fleet compared over a window, and predictions checked against the outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import msgspec
from django.db.models import F, Func, Q
from django.db.models.fields import DateTimeField
from django.db.models.fields.json import KeyTransform

from fleet.domain.findings import Evidence
from fleet.domain.history import watchers as domain
from fleet.models import Exporter, FindingRow, Node, VerdictPeriod

MOST = 50_000
"""Findings that are read for one comparison."""
_LOWER = Func(F("period"), function="lower", output_field=DateTimeField())
_UPPER = Func(F("period"), function="upper", output_field=DateTimeField())


@dataclass(frozen=True, slots=True)
class Watchers:
    comparison: domain.Comparison
    predictions: domain.Predictions
    complete: bool
    """False where the window has more findings than are read: then the newest are."""


def watchers(since: datetime, until: datetime, *, cluster: str = "") -> Watchers:
    """Returns what each tool saw of the faults that began in [since, until), and what became of predictions. Four queries."""
    rows = FindingRow.objects.annotate(started=_LOWER, ended=_UPPER).filter(
        started__gte=since, started__lt=until, node__isnull=False, node__cluster__removed_at__isnull=True
    )
    if cluster:
        rows = rows.filter(node__cluster__name=cluster)
    columns = ("rule", "key", "evidence", "node_id", "node__cluster__name", "node__name", "started", "ended", "evidence_at")
    wanted = rows.filter(rule__in=[*domain.RULES, "predicted_to_fail"]).order_by("-started")
    read = list(wanted.values_list(*columns)[: MOST + 1])
    reports = [
        domain.FaultReport(watcher=watcher, node=(of, name), at=min(evidence_at or started, started), until=ended)
        for rule, key, evidence, _, of, name, started, ended, evidence_at in read[:MOST]
        for watcher in domain.watchers_of(rule, key, [msgspec.convert(item, Evidence) for item in evidence])
    ]
    predicted = [(row[3], row[6]) for row in read[:MOST] if row[0] == "predicted_to_fail"]
    return Watchers(
        comparison=domain.compare(domain.faults_of(reports), _watched(cluster)),
        predictions=domain.judge(predicted, _stretches({node for node, _ in predicted}, since, until), until),
        complete=len(read) <= MOST,
    )


def _watched(cluster: str) -> dict[str, set[domain.Node]]:
    """Returns watcher to the nodes about whose GPUs it writes now. Muster watches every node, DCGM those with an exporter."""
    present = Node.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)
    exporters = Exporter.objects.filter(cluster__removed_at__isnull=True)
    if cluster:
        present, exporters = present.filter(cluster__name=cluster), exporters.filter(cluster__name=cluster)
    watched: dict[str, set[domain.Node]] = defaultdict(set)
    annotations = KeyTransform("annotations", "snapshot")
    for of, name, conditions, labels, kept in present.annotate(kept=annotations).values_list(
        "cluster__name", "name", "conditions", "labels", "kept"
    ):
        watched[domain.MUSTER].add((of, name))
        for watcher in domain.watchers_on((row["type"] for row in conditions), labels, kept or ()):
            watched[watcher].add((of, name))
    names = exporters.values_list("cluster__name", "report__node_name")
    nodes = watched[domain.MUSTER]
    watched[domain.DCGM] = {(of, name) for of, name in names if (of, name) in nodes}
    return {watcher: on for watcher, on in watched.items() if on}


def _stretches(nodes: Collection[int], since: datetime, until: datetime) -> dict[int, list[domain.VerdictTime]]:
    if not nodes:
        return {}
    rows = (
        VerdictPeriod.objects.annotate(started=_LOWER, ended=_UPPER)
        .filter(Q(ended__isnull=True) | Q(ended__gt=since), started__lt=until + domain.PREDICTION, node_id__in=nodes)
        .order_by("started")
    )
    result: dict[int, list[domain.VerdictTime]] = defaultdict(list)
    for node_id, verdict, started, ended in rows.values_list("node_id", "verdict", "started", "ended"):
        result[node_id].append(domain.VerdictTime(verdict, started, ended))
    return result
