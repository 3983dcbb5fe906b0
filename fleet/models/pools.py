"""Pools: named sets of nodes with a purpose and a policy, who belonged to them when, and their compliance over time."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import DateTimeRangeField
from django.db import models
from django.db.models import F, Func, Q

from fleet.models.constraints import never_overlap
from fleet.models.fields import FactsField
from fleet.models.nodes import Node


class Pool(models.Model):
    slug = models.SlugField(max_length=63, unique=True)
    title = models.CharField(max_length=120, blank=True)
    purpose = models.CharField(max_length=60, blank=True)
    owner = models.CharField(max_length=120, blank=True)
    spec = FactsField(default=dict)
    """The whole declaration: domain.pools' PoolSpec. Columns repeat parts of it for filters and joins."""
    managed_by = models.CharField(max_length=200, blank=True)
    """Source of its declaration, where it was applied from a file; empty for a pool created on the page."""
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)
    """A removed pool keeps its history."""

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class PoolMembership(models.Model):
    """One period in which a node belonged to a pool."""

    pool = models.ForeignKey(Pool, on_delete=models.CASCADE, related_name="memberships")
    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="memberships")
    period = DateTimeRangeField()

    class Meta:
        ordering = ["-period"]
        constraints = [
            never_overlap("membership_periods_do_not_overlap", ids=("pool", "node")),
            models.CheckConstraint(condition=Q(period__isempty=False), name="membership_period_not_empty"),
        ]
        indexes = [
            models.Index(fields=["node"], condition=Q(period__endswith__isnull=True), name="membership_present"),
            models.Index(fields=["pool"], condition=Q(period__endswith__isnull=True), name="membership_of_pool"),
        ]

    def __str__(self) -> str:
        return f"{self.node} in {self.pool}"


class CompliancePeriod(models.Model):
    """One period in which the compliance of a pool or class had one state."""

    kind = models.CharField(max_length=10)
    """pool or class."""
    slug = models.CharField(max_length=63)
    period = DateTimeRangeField()
    state = models.CharField(max_length=10)
    """met, at_risk or violated."""
    violations = models.JSONField(default=list)
    """[{id, text, since, pool}]: its violations; `since` is when each began, which may be before the period."""

    class Meta:
        ordering = ["-period"]
        constraints = [
            never_overlap("compliance_periods_do_not_overlap", ids=(), texts=("kind", "slug")),
            models.CheckConstraint(condition=Q(period__isempty=False), name="compliance_period_not_empty"),
        ]
        indexes = [
            models.Index(fields=["kind", "slug"], condition=Q(period__endswith__isnull=True), name="compliance_current"),
            models.Index(Func(F("period"), function="lower"), name="compliance_by_start"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.slug}: {self.state}"


class WorkloadClass(models.Model):
    """What developers may request, mapped to pools. Its definition is its newest version."""

    slug = models.SlugField(max_length=63, unique=True)
    title = models.CharField(max_length=120)
    managed_by = models.CharField(max_length=200, blank=True)
    headroom = FactsField(default=dict)
    """How many replicas could land, as computed at the newest evaluation, with the reasons; never a reservation."""
    headroom_at = models.DateTimeField(null=True, blank=True)
    placements = FactsField(default=list)
    """domain.classes.stale's KeptPlacement of its manifests, the newest last: what a manifest that was copied earlier selects."""
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name_plural = "workload classes"
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug


class ClassVersion(models.Model):
    """The definition of a class from one change to the next. Requests stay with the version they were approved under."""

    workload_class = models.ForeignKey(WorkloadClass, on_delete=models.CASCADE, related_name="versions")
    number = models.IntegerField()
    spec = FactsField()
    """domain.classes' ClassSpec."""
    at = models.DateTimeField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        ordering = ["workload_class", "-number"]
        constraints = [models.UniqueConstraint(fields=["workload_class", "number"], name="class_version_once")]

    def __str__(self) -> str:
        return f"{self.workload_class} v{self.number}"
