"""Muster's own state and the fleet's, as Prometheus metric families: a constant number of queries a scrape.

Unknown figures give no sample: an absent series can be alerted on, a 0 would lie. Counts of what is known give their zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db.models import Count, F, QuerySet, Sum
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fleet.domain.findings import Severity
from fleet.domain.readiness.types import Verdict
from fleet.models import Exporter, Node, NodeResource
from fleet.selectors import findings_open, ladder_counts, notification_state
from fleet.selectors.clusters import clusters, newest_runs
from fleet.selectors.pools import primary_slug

_PLACE = ("cluster", "pool", "product")
_GPUS = (
    ("physical", "Physical GPUs that are there."),
    ("expected", "Physical GPUs that should be there: declared, or the most ever seen."),
    ("usable", "Physical GPUs on nodes whose verdict is ready or degraded."),
    ("offered", "Physical GPUs that the scheduler can hand out."),
)


class FleetCollector(Collector):
    """Asks Postgres at each scrape, so that any web process answers for all."""

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        present = _placed(Node.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True))
        build = GaugeMetricFamily("muster_build_info", "1, with the version of Muster.", labels=["version"])
        build.add_metric([settings.VERSION], 1)
        yield build
        yield from _clusters(now)
        yield from _nodes(present)
        yield _rungs()
        yield from _gpus(present)
        yield _slots()
        yield _findings(now)
        yield _exporters()
        yield from _notifications(now)


def _placed(nodes: QuerySet) -> QuerySet:
    return nodes.order_by().annotate(place=F("cluster__name"), pool_slug=primary_slug("pk"))


def _clusters(now: datetime) -> Iterator[Metric]:
    up = GaugeMetricFamily("muster_cluster_up", "1 where the newest pass read the nodes.", labels=["cluster"])
    age = GaugeMetricFamily("muster_collection_age_seconds", "Seconds since the nodes were last read whole.", labels=["cluster"])
    overdue = GaugeMetricFamily(
        "muster_collection_overdue_seconds",
        "Seconds since a pass should have begun: whether beat and workers keep up.",
        labels=["cluster"],
    )
    took = GaugeMetricFamily("muster_collection_seconds", "Seconds the newest ended pass took.", labels=["cluster"])
    section_took = GaugeMetricFamily(
        "muster_collection_section_seconds", "Seconds the newest pass spent on a section.", labels=["cluster", "section"]
    )
    section_ok = GaugeMetricFamily(
        "muster_collection_section_ok", "1 where the newest pass read a section whole.", labels=["cluster", "section"]
    )
    for cluster in clusters():
        if cluster.outcome:
            up.add_metric([cluster.name], float(cluster.outcome != "failed"))
        if cluster.read_at:
            age.add_metric([cluster.name], (now - cluster.read_at).total_seconds())
        if cluster.next_due_at:
            overdue.add_metric([cluster.name], max(0.0, (now - cluster.next_due_at).total_seconds()))
        for section in cluster.sections:
            section_took.add_metric([cluster.name, section["name"]], section["took_ms"] / 1000)
            section_ok.add_metric([cluster.name, section["name"]], float(section["outcome"] in ("collected", "absent")))
    for name, seconds in newest_runs():
        took.add_metric([name], seconds)
    yield from (up, age, overdue, took, section_took, section_ok)


def _nodes(present: QuerySet) -> Iterator[Metric]:
    verdicts = GaugeMetricFamily("muster_nodes", "GPU nodes by verdict.", labels=[*_PLACE, "verdict"])
    found: dict[tuple[str, str, str], dict[str, int]] = {}
    for *place, verdict, count in present.values_list("place", "pool_slug", "product", "verdict").annotate(n=Count("pk")):
        found.setdefault((place[0], place[1], place[2]), {})[verdict] = count
    for where, counts in found.items():
        for verdict in sorted({*map(str, Verdict), *counts}):
            verdicts.add_metric([*where, verdict], counts.get(verdict, 0))
    yield verdicts
    states = GaugeMetricFamily("muster_node_states", "GPU nodes by what they offer the scheduler.", labels=[*_PLACE, "state"])
    for *labels, count in present.values_list("place", "pool_slug", "product", "state").annotate(n=Count("pk")):
        states.add_metric(labels, count)
    yield states
    flapping = GaugeMetricFamily("muster_nodes_flapping", "GPU nodes whose verdict changes again and again.", labels=["cluster"])
    counted = present.filter(flapping=True).values_list("place").annotate(n=Count("pk"))
    flaps = {cluster: 0 for cluster, _, _ in found}
    for cluster, count in counted:
        flaps[cluster] = count
    for cluster, count in flaps.items():
        flapping.add_metric([cluster], count)
    yield flapping


def _rungs() -> Metric:
    rungs = GaugeMetricFamily(
        "muster_node_rungs", "GPU nodes by rung of the readiness ladder and what it says.", labels=[*_PLACE, "rung", "status"]
    )
    for cluster, pool, product, rung, status, count in ladder_counts.by_status():
        rungs.add_metric([cluster, pool, product, rung, status], count)
    return rungs


def _gpus(present: QuerySet) -> Iterator[Metric]:
    # A sum over nothing but nulls is null: nobody counted there.
    sums = list(present.values_list("place", "pool_slug", "product").annotate(*(Sum(field) for field, _ in _GPUS)))
    for position, (field, text) in enumerate(_GPUS):
        family = GaugeMetricFamily(f"muster_gpus_{field}", text, labels=_PLACE)
        for row in sums:
            if row[3 + position] is not None:
                family.add_metric(row[:3], row[3 + position])
        yield family


def _slots() -> Metric:
    figures = ("capacity", "allocatable", "requested", "free")
    slots = GaugeMetricFamily(
        "muster_slots",
        "Advertised slots by resource and kind of figure; no physical GPUs.",
        labels=[*_PLACE, "resource", "figure"],
    )
    rows = (
        NodeResource.objects.filter(node__removed_at__isnull=True, node__cluster__removed_at__isnull=True)
        .order_by()
        .annotate(pool_slug=primary_slug("node_id"))
        .values_list("node__cluster__name", "pool_slug", "node__product", "name")
        .annotate(*(Sum(figure) for figure in figures))
    )
    for *labels, capacity, allocatable, requested, free in rows:
        for figure, value in zip(figures, (capacity, allocatable, requested, free), strict=True):
            if value is not None:
                slots.add_metric([*labels, figure], value)
    return slots


def _findings(now: datetime) -> Metric:
    family = GaugeMetricFamily(
        "muster_findings_open", "Open findings by severity; muted ones apart.", labels=["cluster", "severity", "muted"]
    )
    counts = findings_open.by_severity(now)
    names = [cluster.name for cluster in clusters()]
    for name in names:
        for severity in Severity:
            for muted in (False, True):
                family.add_metric([name, severity, str(muted).lower()], counts.get((name, str(severity), muted), 0))
    return family


def _exporters() -> Metric:
    family = GaugeMetricFamily(
        "muster_exporters", "Telemetry exporters by how their newest reading went.", labels=["cluster", "answers"]
    )
    rows = (
        Exporter.objects.filter(cluster__removed_at__isnull=True)
        .order_by()
        .values_list("cluster__name", "report__outcome")
        .annotate(n=Count("pk"))
    )
    counts: dict[str, dict[bool, int]] = {}
    for cluster, outcome, count in rows:
        mine = counts.setdefault(cluster, {True: 0, False: 0})
        mine[outcome == "collected"] += count
    for cluster, mine in counts.items():
        for answers, count in mine.items():
            family.add_metric([cluster, str(answers).lower()], count)
    return family


def _notifications(now: datetime) -> Iterator[Metric]:
    state = notification_state.state(now)
    waiting = GaugeMetricFamily("muster_notices_waiting", "Notices that no rule has been asked about yet.")
    waiting.add_metric([], state.notices_waiting)
    ended = GaugeMetricFamily(
        "muster_deliveries_last_hour",
        "Messages that were sent, given up or left out in the last hour.",
        labels=["target", "state"],
    )
    retrying = GaugeMetricFamily("muster_deliveries_retrying", "Messages that failed and are tried again.", labels=["target"])
    overdue = GaugeMetricFamily(
        "muster_delivery_overdue_seconds",
        "Seconds that the oldest message has been due without being taken: whether workers keep up.",
    )
    for (target, how), count in state.ended.items():
        ended.add_metric([target, how], count)
    for target, count in state.retrying.items():
        retrying.add_metric([target], count)
    overdue.add_metric([], state.overdue_s)
    yield from (waiting, ended, retrying, overdue)
