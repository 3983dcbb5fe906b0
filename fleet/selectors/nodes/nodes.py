"""GPU nodes: lists, one node, and what is known about it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db.models import Case, F, IntegerField, Prefetch, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, Coalesce, Concat, LPad

from fleet.domain.label_meanings import meaning
from fleet.models import Gpu, MigInstance, Node, NodeResource, NodeRevision, Pod
from fleet.models.joined import joined
from fleet.selectors.facets import Facet, FacetValue

VERDICT_SEVERITY = Case(
    *(
        When(verdict=verdict, then=Value(rank))
        for rank, verdict in enumerate(("not_ready", "degraded", "unknown", "starting", "excluded", "ready"))
    ),
    default=Value(2),  # a verdict of a newer version ranks as unknown
    output_field=IntegerField(),
)
"""Order of verdicts in lists: 0 is the worst."""


def nodes() -> QuerySet[Node]:
    """GPU nodes of every configured cluster, with their cluster; removed ones too (NodeFilters leaves them out)."""
    return joined(Node.objects.filter(cluster__removed_at__isnull=True), "cluster", keep=("cluster__section_read_at",))


def with_resources(queryset: QuerySet[Node]) -> QuerySet[Node]:
    """Adds each node's resources in one more query, whatever the number of nodes."""
    return queryset.prefetch_related(Prefetch("resources", NodeResource.objects.order_by("name")))


def get_node(cluster: str, name: str) -> Node | None:
    """Returns the current node with this name, else the last one that had it."""
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
    """Pods on this node now, by `place`: those that hold slots first, then other workloads, then the GPU stack.

    One text, so that the pages of a list can be turned by it.
    """
    return node.pods.filter(removed_at__isnull=True).annotate(place=_PLACE).order_by("place", "id")


def pods_of(node: Node) -> list[Pod]:
    """All of them."""
    return list(pods_in_order(node))


def gpus() -> QuerySet[Gpu]:
    """Physical GPUs of the current nodes."""
    return joined(
        Gpu.objects.filter(node__removed_at__isnull=True, node__cluster__removed_at__isnull=True), "node", "node__cluster"
    )


def mig_instances() -> QuerySet[MigInstance]:
    """MIG instances of the current nodes."""
    return joined(
        MigInstance.objects.filter(node__removed_at__isnull=True, node__cluster__removed_at__isnull=True), "node", "node__cluster"
    )


def revisions_of(node: Node) -> QuerySet[NodeRevision]:
    """Every period of the declared facts of this node, and of earlier node objects with its name, newest first."""
    alike = NodeRevision.objects.filter(node__cluster_id=node.cluster_id, node__name=node.name)
    return alike.annotate(uid=F("node__uid")).order_by("-period")


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


class ExplainedLabel(NamedTuple):
    key: str
    value: str
    meaning: str
    """Empty for a label that Muster does not read."""


def explained_labels(labels: Mapping[str, str]) -> list[ExplainedLabel]:
    """Returns each label: those Muster reads first, with what they mean; then the rest, unexplained."""
    known = [ExplainedLabel(key, value, meaning(key, value)) for key, value in labels.items()]
    return sorted(known, key=lambda row: (not row.meaning, row.key))


def key_labels(labels: Iterable[ExplainedLabel]) -> list[ExplainedLabel]:
    """Returns the labels most specific to the GPUs, at most nine, without those that enable parts of the GPU stack."""
    rows = [row for row in labels if row.meaning and not row.key.startswith(_SWITCHES) and not _OF_ONE_PROFILE.search(row.key)]
    rank = {key: place for place, key in enumerate(_FIRST_LABELS)}
    return sorted(rows, key=lambda row: (rank.get(row.key, len(rank)), "nvidia.com" not in row.key, row.key))[:MOST_LABELS]


MOST_LABELS = 9
_FIRST_LABELS = tuple(
    f"nvidia.com/{name}"
    for name in (
        "gpu.product", "gpu.count", "gpu.replicas", "gpu.sharing-strategy", "mig.strategy", "mig.config", "mig.config.state",
        "gpu.memory", "cuda.driver-version.full",
    )
)  # fmt: skip
_SWITCHES = ("nvidia.com/gpu.deploy.",)
_OF_ONE_PROFILE = re.compile(r"nvidia\.com/mig-.+\.(?!count)")
