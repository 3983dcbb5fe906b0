"""Muster's own state and the fleet's, as Prometheus metric families."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, F, Sum
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fleet.models import Node, NodeResource
from fleet.selectors.clusters import clusters


class FleetCollector(Collector):
    """Unknown figures give no sample: an absent series can be alerted on, a 0 would lie."""

    def collect(self) -> Iterator[Metric]:
        present = Node.objects.filter(removed_at__isnull=True, cluster__removed_at__isnull=True)
        yield from _clusters()
        states = GaugeMetricFamily("muster_nodes", "GPU nodes by state.", labels=["cluster", "product", "state"])
        for row in present.values_list("cluster__name", "product", "state").annotate(n=Count("pk")).order_by():
            states.add_metric(row[:3], row[3])
        yield states
        for name, field, text in (
            ("muster_gpus_physical", "physical", "Physical GPUs that are there."),
            ("muster_gpus_expected", "expected", "Physical GPUs that are expected."),
            ("muster_gpus_offered", "offered", "Physical GPUs that the scheduler can hand out."),
        ):
            family = GaugeMetricFamily(name, text, labels=["cluster", "product"])
            for cluster, product, total in (
                present.filter(**{f"{field}__isnull": False})
                .values_list("cluster__name", "product")
                .annotate(total=Sum(field))
                .order_by()
            ):
                family.add_metric([cluster, product], total)
            yield family
        slots = GaugeMetricFamily(
            "muster_slots", "Advertised slots by resource and kind of figure.", labels=["cluster", "resource", "figure"]
        )
        for sums in (
            NodeResource.objects.filter(node__in=present.order_by())
            .values(resource=F("name"), cluster=F("node__cluster__name"))
            .annotate(capacity=Sum("capacity"), allocatable=Sum("allocatable"), requested=Sum("requested"), free=Sum("free"))
            .order_by()
        ):
            for figure in ("capacity", "allocatable", "requested", "free"):
                if sums[figure] is not None:
                    slots.add_metric([sums["cluster"], sums["resource"], figure], sums[figure])
        yield slots


def _clusters() -> Iterator[Metric]:
    now = timezone.now()
    up = GaugeMetricFamily("muster_cluster_up", "1 where the newest pass read the nodes.", labels=["cluster"])
    age = GaugeMetricFamily("muster_collection_age_seconds", "Seconds since the nodes were last read whole.", labels=["cluster"])
    took = GaugeMetricFamily(
        "muster_collection_section_seconds",
        "Seconds the newest pass spent on a section.",
        labels=["cluster", "section"],
    )
    for cluster in clusters():
        if cluster.outcome:
            up.add_metric([cluster.name], float(cluster.outcome != "failed"))
        if cluster.read_at:
            age.add_metric([cluster.name], (now - cluster.read_at).total_seconds())
        for section in cluster.sections:
            took.add_metric([cluster.name, section["name"]], section["took_ms"] / 1000)
    yield from (up, age, took)
