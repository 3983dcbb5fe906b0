"""Targets, rules, and the log of what was delivered."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery

from fleet.models import Cluster, Delivery, DeliveryItem, Node, NotificationRule, NotificationTarget
from fleet.models.joined import joined


def targets() -> QuerySet[NotificationTarget]:
    """Each with the number of its rules, and the outcome of its newest ended message (last_state, last_error, last_at)."""
    newest = (
        Delivery.objects.filter(target=OuterRef("pk"), ended_at__isnull=False).exclude(state="suppressed").order_by("-ended_at")
    )
    return NotificationTarget.objects.annotate(
        rule_count=Count("rules", distinct=True),
        last_state=Subquery(newest.values("state")[:1]),
        last_error=Subquery(newest.values("error")[:1]),
        last_at=Subquery(newest.values("ended_at")[:1]),
    ).order_by("name")


def get_target(pk: int) -> NotificationTarget | None:
    return targets().filter(pk=pk).first()


def rules() -> QuerySet[NotificationRule]:
    """Each with its target."""
    return NotificationRule.objects.select_related("target").order_by("name")


def get_rule(pk: int) -> NotificationRule | None:
    return rules().filter(pk=pk).first()


def deliveries() -> QuerySet[Delivery]:
    """The log, newest first, each with its notices (in `items`): one query more, whatever their number."""
    items = joined(DeliveryItem.objects.order_by("notice__at", "pk"), "notice__cluster", "notice__node")
    return Delivery.objects.prefetch_related(Prefetch("items", items)).order_by("-created_at", "-pk")


def get_delivery(pk: int) -> Delivery | None:
    return deliveries().filter(pk=pk).first()


def cluster_names(also: Iterable[str] = ()) -> list[str]:
    """Current clusters, and those that a rule names."""
    return sorted({*Cluster.objects.filter(removed_at__isnull=True).values_list("name", flat=True), *also})


def product_names(also: Iterable[str] = ()) -> list[str]:
    """Products of current nodes, and those that a rule names."""
    result = Node.objects.filter(~Q(product=""), removed_at__isnull=True).order_by().values_list("product", flat=True).distinct()
    return sorted({*result, *also})


def shown_state(delivery: Delivery) -> str:
    """Returns the state of a delivery as pages show it: one that failed and still waits is `retrying`."""
    return "retrying" if delivery.state == "waiting" and delivery.error else str(delivery.state)
