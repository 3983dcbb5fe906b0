"""Muster's own state and the fleet's, as Prometheus metric families: a constant number of queries a scrape.

Unknown figures have no sample: an absent series can be alerted on, a 0 would be wrong. Known counts include zeros.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime

from django.conf import settings
from django.db.models import Count
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fleet.domain.evaluation.fleet_figures import FleetFigures, ResourceFigures
from fleet.domain.findings import Severity
from fleet.models import Exporter, Node
from fleet.selectors.clusters import clusters, newest_runs
from fleet.selectors.figures import figures_now, grouped
from fleet.selectors.findings import findings
from fleet.selectors.muster import alarms
from fleet.selectors.nodes import ladder
from fleet.selectors.notifications import state as notification_state
from fleet.selectors.pools.pools import primary_slug

_PLACE = ("cluster", "pool", "product")
_GPUS = (
    ("physical", "Physical GPUs that were detected."),
    ("expected", "Physical GPUs that are expected: declared, as ordered, or learned."),
    ("usable", "Physical GPUs on nodes whose verdict is ready or degraded."),
    ("advertised", "Physical GPUs that the scheduler can allocate."),
)


Groups = dict[tuple[str, str, str], FleetFigures]
"""(cluster, pool, product) to the sums of its nodes."""


class FleetCollector(Collector):
    """Queries Postgres at each scrape, so that any web process returns the same."""

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        groups = _figures()
        build = GaugeMetricFamily("muster_build_info", "1, with the version of Muster.", labels=["version"])
        build.add_metric([settings.VERSION], 1)
        yield build
        yield from _muster_itself(now)
        yield from _clusters(now)
        yield from _nodes(groups)
        yield _rungs()
        yield from _gpus(groups)
        yield _slots(groups)
        yield _findings(now)
        yield _exporters()
        yield from _notifications(now)


def _figures() -> Groups:
    """Sums by cluster, pool and product. Three queries."""
    present = Node.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True).order_by()
    places = present.annotate(pool_slug=primary_slug("pk")).values_list("pk", "cluster__name", "pool_slug", "product")
    return grouped(figures_now(present), {pk: (cluster, pool, product) for pk, cluster, pool, product in places})


def _clusters(now: datetime) -> Iterator[Metric]:
    up = GaugeMetricFamily("muster_cluster_up", "1 if the newest collection run read the nodes.", labels=["cluster"])
    age = GaugeMetricFamily(
        "muster_collection_age_seconds", "Seconds since the nodes were last read completely.", labels=["cluster"]
    )
    overdue = GaugeMetricFamily(
        "muster_collection_overdue_seconds",
        "Seconds since a collection run should have begun: whether beat and workers keep up.",
        labels=["cluster"],
    )
    clock = GaugeMetricFamily(
        "muster_cluster_clock_ahead_seconds", "Seconds by which the API server's clock is ahead of Muster's.", labels=["cluster"]
    )
    took = GaugeMetricFamily(
        "muster_collection_seconds", "Duration of the newest ended collection run in seconds.", labels=["cluster"]
    )
    section_took = GaugeMetricFamily(
        "muster_collection_section_seconds",
        "Seconds that the newest collection run spent on a section.",
        labels=["cluster", "section"],
    )
    section_ok = GaugeMetricFamily(
        "muster_collection_section_ok", "1 if the newest collection run read a section completely.", labels=["cluster", "section"]
    )
    for cluster in clusters():
        if cluster.outcome:
            up.add_metric([cluster.name], float(cluster.outcome != "failed"))
        if cluster.read_at:
            age.add_metric([cluster.name], max(0.0, (now - cluster.read_at).total_seconds()))
        if (waits := alarms.overdue_s(cluster, now)) is not None:
            overdue.add_metric([cluster.name], waits)
        if cluster.clock_ahead_s is not None:
            clock.add_metric([cluster.name], cluster.clock_ahead_s)
        for section in cluster.sections:
            section_took.add_metric([cluster.name, section["name"]], section["took_ms"] / 1000)
            section_ok.add_metric([cluster.name, section["name"]], float(section["outcome"] in ("collected", "absent")))
    for name, seconds in newest_runs():
        took.add_metric([name], seconds)
    yield from (up, age, overdue, clock, took, section_took, section_ok)


def _muster_itself(now: datetime) -> Iterator[Metric]:
    behind = GaugeMetricFamily(
        "muster_clusters_overdue", "Clusters whose collection run is overdue by more than an interval: workers do not keep up."
    )
    behind.add_metric([], len(alarms.overdue(now)))
    yield behind
    future = GaugeMetricFamily(
        "muster_clock_behind_data_seconds",
        "Seconds by which the newest recorded moment lies in the future: the clock was set back.",
    )
    future.add_metric([], alarms.clock_ahead_of_data_s(now))
    yield future
    if checked := alarms.last_check():
        breaches = GaugeMetricFamily("muster_data_breaches", "Breaches of invariants in the newest check of the data.")
        breaches.add_metric([], checked.count)
        age = GaugeMetricFamily("muster_data_check_age_seconds", "Seconds since the data was last checked.")
        age.add_metric([], max(0.0, (now - checked.at).total_seconds()))
        yield from (breaches, age)


def _nodes(groups: Groups) -> Iterator[Metric]:
    verdicts = GaugeMetricFamily("muster_nodes", "GPU nodes by verdict.", labels=[*_PLACE, "verdict"])
    states = GaugeMetricFamily("muster_node_states", "GPU nodes by what they advertise.", labels=[*_PLACE, "state"])
    flapping = GaugeMetricFamily("muster_nodes_flapping", "GPU nodes with a flapping verdict.", labels=["cluster"])
    flaps: Counter[str] = Counter()
    for place, sums in groups.items():
        for verdict, count in sums.by_verdict.items():
            verdicts.add_metric([*place, verdict], count)
        for state, count in sums.by_state.items():
            if count:
                states.add_metric([*place, state], count)
        flaps[place[0]] += sums.flapping or 0
    for cluster, count in flaps.items():
        flapping.add_metric([cluster], count)
    yield from (verdicts, states, flapping)


def _rungs() -> Metric:
    rungs = GaugeMetricFamily(
        "muster_node_rungs", "GPU nodes by rung of the readiness ladder and its status.", labels=[*_PLACE, "rung", "status"]
    )
    for cluster, pool, product, rung, status, count in ladder.rungs_by_status():
        rungs.add_metric([cluster, pool, product, rung, status], count)
    return rungs


def _gpus(groups: Groups) -> Iterator[Metric]:
    for field, text in _GPUS:
        family = GaugeMetricFamily(f"muster_gpus_{field}", text, labels=_PLACE)
        for place, sums in groups.items():
            value = getattr(sums, field)
            if value is not None and (field == "physical" or sums.is_counted):
                family.add_metric(place, value)
        yield family


def _slots(groups: Groups) -> Metric:
    slots = GaugeMetricFamily(
        "muster_slots",
        "Advertised slots by resource and kind of figure; no physical GPUs.",
        labels=[*_PLACE, "resource", "figure"],
    )
    for place, sums in groups.items():
        for resource, rows in _by_name(sums).items():
            for figure in ("capacity", "allocatable", "requested", "free"):
                known = [value for item in rows if (value := getattr(item, figure)) is not None]
                if known:
                    slots.add_metric([*place, resource, figure], sum(known))
    return slots


def _by_name(sums: FleetFigures) -> dict[str, list[ResourceFigures]]:
    result: dict[str, list[ResourceFigures]] = defaultdict(list)
    for resource in sums.resources:
        result[resource.name].append(resource)
    return result


def _findings(now: datetime) -> Metric:
    family = GaugeMetricFamily(
        "muster_findings_open", "Open findings by severity; silenced ones apart.", labels=["cluster", "severity", "silenced"]
    )
    counts = findings.open_by_severity(now)
    names = [cluster.name for cluster in clusters()]
    for name in names:
        for severity in Severity:
            for silenced in (False, True):
                family.add_metric([name, severity, str(silenced).lower()], counts.get((name, str(severity), silenced), 0))
    return family


def _exporters() -> Metric:
    family = GaugeMetricFamily(
        "muster_exporters", "Telemetry exporters by outcome of their newest scrape.", labels=["cluster", "answers"]
    )
    rows = (
        Exporter.objects.filter(cluster__removed_at__isnull=True)
        .order_by()
        .values_list("cluster__name", "report__outcome")
        .annotate(n=Count("pk"))
    )
    counts: dict[str, dict[bool, int]] = {}
    for cluster, outcome, count in rows:
        setdefault = counts.setdefault(cluster, {True: 0, False: 0})
        setdefault[outcome == "collected"] += count
    for cluster, setdefault in counts.items():
        for answers, count in setdefault.items():
            family.add_metric([cluster, str(answers).lower()], count)
    return family


def _notifications(now: datetime) -> Iterator[Metric]:
    state = notification_state.state(now)
    waiting = GaugeMetricFamily("muster_notices_waiting", "Events that are not matched against the rules yet.")
    waiting.add_metric([], state.notices_waiting)
    ended = GaugeMetricFamily(
        "muster_deliveries_last_hour",
        "Messages that were sent, failed permanently or were suppressed in the last hour.",
        labels=["target", "state"],
    )
    retrying = GaugeMetricFamily("muster_deliveries_retrying", "Messages that failed and will be retried.", labels=["target"])
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
