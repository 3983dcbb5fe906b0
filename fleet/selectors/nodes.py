"""GPU nodes: lists, one node, and what is known about it."""

from __future__ import annotations

from django.db.models import Case, F, Prefetch, Q, QuerySet, Value, When

from fleet.domain.label_meanings import meaning
from fleet.models import Gpu, MigInstance, Node, NodeResource, NodeRevision, Pod


def nodes() -> QuerySet[Node]:
    """GPU nodes of every configured cluster, with their cluster; gone ones too (NodeFilters leaves them out)."""
    return Node.objects.filter(cluster__removed_at__isnull=True).select_related("cluster")


def with_resources(queryset: QuerySet[Node]) -> QuerySet[Node]:
    """Adds each node's resources in one more query, whatever the number of nodes."""
    return queryset.prefetch_related(Prefetch("resources", NodeResource.objects.order_by("name")))


def get_node(cluster: str, name: str) -> Node | None:
    """The node that bears this name now; else the last one that did."""
    return (
        with_resources(nodes())
        .filter(cluster__name=cluster, name=name)
        .order_by(F("removed_at").desc(nulls_first=True), "-first_seen_at")
        .first()
    )


def pods_of(node: Node) -> list[Pod]:
    """Pods on this node now: those that hold slots first, then other workloads, then the GPU stack."""
    pods = node.pods.filter(removed_at__isnull=True).order_by("namespace", "name")
    return sorted(pods, key=lambda pod: (bool(pod.component), not pod.holds, -(pod.slots or 0), pod.namespace, pod.name))


def gpus() -> QuerySet[Gpu]:
    """Physical GPUs of the nodes that are there now."""
    return Gpu.objects.filter(node__removed_at__isnull=True, node__cluster__removed_at__isnull=True).select_related(
        "node", "node__cluster"
    )


def mig_instances() -> QuerySet[MigInstance]:
    """MIG instances of the nodes that are there now."""
    return MigInstance.objects.filter(node__removed_at__isnull=True, node__cluster__removed_at__isnull=True).select_related(
        "node", "node__cluster"
    )


def revisions_of(node: Node) -> QuerySet[NodeRevision]:
    """Every period of this node's declared facts, newest first."""
    return node.revisions.order_by("-period")


_WORST_FIRST = Case(
    *(When(severity=severity, then=Value(rank)) for rank, severity in enumerate(("fatal", "critical", "warning", "info"))),
    default=Value(9),
)


def needing_attention(queryset: QuerySet[Node]) -> QuerySet[Node]:
    """Nodes that do not offer what their devices predict, or carry a remark that is more than information; worst first."""
    return (
        queryset.filter(Q(state__in=("none", "partial", "not_ready")) | Q(severity__in=("fatal", "critical", "warning")))
        .annotate(badness=_WORST_FIRST)
        .order_by("badness", "-state_since", "name")
    )


def explained_labels(node: Node) -> list[tuple[str, str, str]]:
    """(key, value, meaning) of each label: those Muster reads first, with what they mean; then the rest, unexplained."""
    known = [(key, value, meaning(key, value)) for key, value in node.labels.items()]
    return sorted(known, key=lambda row: (not row[2], row[0]))
