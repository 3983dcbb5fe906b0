"""GPU nodes: lists, one node, and what is known about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from django.db.models import Case, F, Prefetch, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, Coalesce, Concat, LPad

from fleet.domain.label_meanings import meaning
from fleet.models import Gpu, MigInstance, Node, NodeResource, NodeRevision, Pod
from fleet.selectors.facets import Facet, FacetValue


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


_MOST = 2**63 - 1
_FIRST = Value("0", TextField())
_LAST = Value("1", TextField())
_PLACE = Concat(
    Case(When(component="", then=_FIRST), default=_LAST),
    Case(When(holds=True, then=_FIRST), default=_LAST),
    # the most slots first: what is left of the largest number, as text of one length
    LPad(Cast(Value(_MOST) - Coalesce("slots", Value(0)), TextField()), len(str(_MOST)), _FIRST),
    Value(" "),
    "namespace",
    Value("/"),
    "name",
    output_field=TextField(),
)


def pods_in_order(node: Node) -> QuerySet[Pod]:
    """Pods on this node now, by `place`: those that hold slots first, then other workloads, then the GPU stack. One text, so
    that the pages of a list can be turned by it."""
    return node.pods.filter(removed_at__isnull=True).annotate(place=_PLACE).order_by("place", "id")


def pods_of(node: Node) -> list[Pod]:
    """All of them."""
    return list(pods_in_order(node))


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


def changed_sections(revisions: QuerySet[NodeRevision], chosen: Sequence[str]) -> Facet:
    """In how many of the revisions something of each section changed."""
    counts = Counter(
        section
        for changes in revisions.order_by().values_list("changes", flat=True)
        for section in {change["section"] for change in changes}
    )
    values = {**dict.fromkeys(chosen, 0), **counts}
    ordered = sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
    return Facet("section", tuple(FacetValue(value, rows, value in chosen) for value, rows in ordered))


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
