"""Health tools of the fleet compared over a window, and predictions judged afterwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, Func, Q
from django.db.models.fields import DateTimeField
from django.db.models.fields.json import KeyTransform

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
    rules = [*domain.OWN_RULES, "dcgm_watches", "monitors", "predicted_to_fail"]
    columns = ("rule", "key", "node__cluster__name", "node__name", "started", "ended", "evidence_at")
    read = list(rows.filter(rule__in=rules).order_by("-started").values_list(*columns)[: MOST + 1])
    reports = [
        domain.FaultReport(watcher=watcher, node=(of, name), at=min(evidence_at or started, started), until=ended)
        for rule, key, of, name, started, ended, evidence_at in read[:MOST]
        if (watcher := domain.watcher_of(rule, key)) is not None
    ]
    predicted = [((of, name), started) for rule, _, of, name, started, *_ in read[:MOST] if rule == "predicted_to_fail"]
    return Watchers(
        comparison=domain.compare(domain.faults_of(reports), _watched(cluster)),
        predictions=domain.judge(predicted, _stretches({node for node, _ in predicted}, since, until), until),
        complete=len(read) <= MOST,
    )


def _watched(cluster: str) -> dict[str, set[domain.Node]]:
    """Returns watcher to the nodes it writes to now. Muster watches every node, DCGM those with an exporter."""
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


def _stretches(nodes: Iterable[domain.Node], since: datetime, until: datetime) -> dict[domain.Node, list[domain.VerdictTime]]:
    wanted = set(nodes)
    if not wanted:
        return {}
    rows = (
        VerdictPeriod.objects.annotate(started=_LOWER, ended=_UPPER)
        .filter(Q(ended__isnull=True) | Q(ended__gt=since), started__lt=until + domain.PREDICTION)
        .filter(node__name__in={name for _, name in wanted}, node__cluster__name__in={of for of, _ in wanted})
        .order_by("started")
    )
    result: dict[domain.Node, list[domain.VerdictTime]] = defaultdict(list)
    for of, name, verdict, started, ended in rows.values_list("node__cluster__name", "node__name", "verdict", "started", "ended"):
        if (of, name) in wanted:
            result[of, name].append(domain.VerdictTime(verdict, started, ended))
    return result
