"""Node revisions: the labels, taints, conditions and resources of a node, as periods."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q, Value

from fleet.models.fields import FactsField
from fleet.models.nodes import Node


class NodeRevision(models.Model):
    """One period in which a node's declared facts did not change: labels, taints, capacity, allocatable, node info, GPU stack.

    The database itself forbids two periods of one node to overlap.
    """

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="revisions", db_index=False)
    period = DateTimeRangeField()
    """[from, to); open at the end while it is current."""
    facts = FactsField()
    changes = FactsField(default=list)
    """What differs from the revision before: [{"section", "key", "before", "after"}]; empty for the first."""

    class Meta:
        ordering = ["-period"]
        constraints = [
            # int8range replaces btree_gist's equality, so that no extension is needed.
            ExclusionConstraint(
                name="revision_periods_do_not_overlap",
                expressions=[
                    (Func(F("node"), F("node"), Value("[]"), function="int8range"), RangeOperators.OVERLAPS),
                    ("period", RangeOperators.OVERLAPS),
                ],
            ),
            models.CheckConstraint(condition=Q(period__isempty=False), name="revision_period_not_empty"),
        ]
        indexes = [
            models.Index(fields=["node"], condition=Q(period__endswith__isnull=True), name="revision_present"),
            models.Index(Func(F("period"), function="lower"), name="revision_by_start"),
            models.Index(F("node"), Func(F("period"), function="lower"), name="revision_of_node"),
        ]

    def __str__(self) -> str:
        return f"{self.node} from {self.period.lower}"
