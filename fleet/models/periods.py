"""History as periods that the database keeps apart: a node's verdict, and each of its rungs."""

from __future__ import annotations

from datetime import datetime

from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Func, Q

from fleet.models.constraints import never_overlap
from fleet.models.fields import FactsField
from fleet.models.nodes import Node


class VerdictPeriod(models.Model):
    """One period in which a node had one verdict, one first broken rung and the same figures. "Unknown" is one like any other.

    Neighbours with the same verdict and rung are one stretch: to show verdicts, use `selectors.verdicts`.
    """

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="verdict_periods", db_index=False)
    period = DateTimeRangeField()
    """[from, to); open at the end while it is current."""
    verdict = models.CharField(max_length=20)
    broken_rung = models.TextField(blank=True)
    reason = models.TextField(blank=True)
    remedy = models.TextField(blank=True)
    usable = models.BigIntegerField(null=True, blank=True)
    expected = models.BigIntegerField(null=True, blank=True)
    continues_since = models.DateTimeField(null=True, blank=True)
    """When the stretch of this verdict and rung began, where that is before this period; null where both began together."""
    figures = FactsField(null=True, blank=True)
    """domain.evaluation.NodeFigures without requested and free slots; null where none were kept."""

    class Meta:
        ordering = ["-period"]
        constraints = [
            never_overlap("verdict_periods_do_not_overlap", ids=("node",)),
            models.CheckConstraint(condition=Q(period__isempty=False), name="verdict_period_not_empty"),
        ]
        indexes = [
            models.Index(fields=["node"], condition=Q(period__endswith__isnull=True), name="verdict_present"),
            models.Index(Func(F("period"), function="lower"), name="verdict_by_start"),
            models.Index(F("node"), Func(F("period"), function="lower"), name="verdict_of_node"),
            models.Index(Func(F("period"), function="upper"), name="verdict_by_end"),
        ]

    def __str__(self) -> str:
        return f"{self.node} {self.verdict} from {self.period.lower}"

    @property
    def since(self) -> datetime:
        """When its verdict and rung began."""
        began: datetime = self.continues_since or self.period.lower
        return began


class RungPeriod(models.Model):
    """One period in which a rung of a node had one status."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="rung_periods", db_index=False)
    rung = models.TextField()
    period = DateTimeRangeField()
    status = models.CharField(max_length=20)
    reason = models.TextField(blank=True)
    evidence = FactsField(default=list)

    class Meta:
        ordering = ["-period"]
        constraints = [
            never_overlap("rung_periods_do_not_overlap", ids=("node",), texts=("rung",)),
            models.CheckConstraint(condition=Q(period__isempty=False), name="rung_period_not_empty"),
        ]
        indexes = [
            models.Index(fields=["node", "rung"], condition=Q(period__endswith__isnull=True), name="rung_present"),
            models.Index(F("node"), F("rung"), Func(F("period"), function="lower"), name="rung_of_node"),
            models.Index(Func(F("period"), function="lower"), name="rung_by_start"),
        ]

    def __str__(self) -> str:
        return f"{self.node} {self.rung} {self.status} from {self.period.lower}"


class NodeDay(models.Model):
    """One node's day in seconds of each verdict: a rollup of its verdict periods, from which it can be rebuilt."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="days")
    cluster_id = models.BigIntegerField()
    """Of the node, repeated so that a heat map needs no join."""
    pool = models.CharField(max_length=63, blank=True)
    """Slug of the pool it was in for most of the day; empty for none."""
    day = models.DateField()
    """In UTC."""
    ready_s = models.IntegerField(default=0)
    degraded_s = models.IntegerField(default=0)
    not_ready_s = models.IntegerField(default=0)
    starting_s = models.IntegerField(default=0)
    unknown_s = models.IntegerField(default=0)
    excluded_s = models.IntegerField(default=0)
    incidents = models.IntegerField(default=0)
    """Incidents that began on this day."""
    flaps = models.IntegerField(default=0)
    down_s = models.IntegerField(default=0)
    """Seconds of this day that lie within incidents."""
    first_bad_at = models.DateTimeField(null=True, blank=True)
    """When the first incident that began on this day began."""
    repaired = models.IntegerField(default=0)
    """Incidents that ended on this day because the node recovered."""
    repair_s = models.BigIntegerField(default=0)
    """Seconds of those from their beginning, on whichever day that was."""

    class Meta:
        ordering = ["day", "node"]
        constraints = [models.UniqueConstraint(fields=["node", "day"], name="node_day_once")]
        indexes = [models.Index(fields=["day", "cluster_id"], name="node_day_by_day")]

    def __str__(self) -> str:
        return f"{self.node} {self.day}"


class FleetDay(models.Model):
    """The days of all nodes of one product and machine type in one pool of one cluster, added up.

    A year of them is read as fast as a month of NodeDay. Rebuilt with them.
    """

    day = models.DateField()
    """In UTC."""
    cluster_id = models.BigIntegerField()
    product = models.TextField(blank=True)
    machine_type = models.TextField(blank=True)
    """Product and machine type when the day was last rebuilt."""
    pool = models.CharField(max_length=63, blank=True)
    """As NodeDay."""
    nodes = models.IntegerField()
    ready_s = models.BigIntegerField(default=0)
    degraded_s = models.BigIntegerField(default=0)
    not_ready_s = models.BigIntegerField(default=0)
    starting_s = models.BigIntegerField(default=0)
    unknown_s = models.BigIntegerField(default=0)
    excluded_s = models.BigIntegerField(default=0)
    incidents = models.IntegerField(default=0)
    flaps = models.IntegerField(default=0)
    down_s = models.BigIntegerField(default=0)
    first_bad_at = models.DateTimeField(null=True, blank=True)
    repaired = models.IntegerField(default=0)
    repair_s = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["day", "cluster_id", "product", "machine_type", "pool"]
        constraints = [
            models.UniqueConstraint(fields=["day", "cluster_id", "product", "machine_type", "pool"], name="fleet_day_once")
        ]

    def __str__(self) -> str:
        return f"{self.product} {self.pool} {self.day}"


class GpuHour(models.Model):
    """One hour of the GPUs of one product in one cluster, in GPU-seconds (one GPU for one second): a rollup as NodeDay."""

    cluster_id = models.BigIntegerField()
    product = models.TextField(blank=True)
    hour = models.DateTimeField()
    """Its beginning, in UTC."""
    expected_s = models.BigIntegerField(default=0)
    usable_s = models.BigIntegerField(default=0)
    unknown_s = models.BigIntegerField(default=0)
    """Expected GPUs of nodes whose verdict was unknown."""
    excluded_s = models.BigIntegerField(default=0)

    class Meta:
        ordering = ["hour", "cluster_id", "product"]
        constraints = [models.UniqueConstraint(fields=["hour", "cluster_id", "product"], name="gpu_hour_once")]

    def __str__(self) -> str:
        return f"{self.product} {self.hour}"
