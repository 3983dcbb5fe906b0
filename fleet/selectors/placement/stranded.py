"""Stranded capacity over the stored fleet, for page and API."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from django.conf import settings
from django.db.models import Count
from django.db.models.fields.json import KeyTransform

from fleet.domain.classes.requirements import ClassInPool, label_keys
from fleet.domain.classes.workload import ClassSpec, sized
from fleet.domain.placement.explain import ClusterView
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import PodRequirement
from fleet.domain.placement.scheduler.state import scheduling_of
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.scheduling import PodScheduling
from fleet.domain.stranded.moves import Proposal
from fleet.domain.stranded.nodes import FreeNode, free_node, whole_gpu_resource
from fleet.domain.stranded.report import KINDS, Named, Report, Row, sentence
from fleet.domain.stranded.shapes import SeenPods, pod_shapes
from fleet.models import AccessRequest, Pod
from fleet.selectors import declarations
from fleet.selectors.placement import headroom as rooms
from fleet.selectors.placement.explain import cluster_views
from fleet.selectors.placement.process_cache import ProcessCache

DEMAND = timedelta(days=30)
"""Time within which access requests and pods count as demand; pods as long as they are kept."""
MOST_SEEN = 5_000
"""Most different requests of removed pods that are read, the most frequent first."""
MOST_WAITING = 500
"""Waiting pods that are demand; the oldest are read."""
NOT_EVALUATED = (
    "ResourceQuotas and queues are not collected: a free GPU that only a quota withholds is counted as usable.",
    "Selectors and tolerations of running pods are not collected: a move stays within cluster, pools, product and machine type.",
)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Stranded:
    """Rows per product, pool and class, and what they are based on."""

    products: tuple[Row, ...]
    pools: tuple[Row, ...]
    classes: tuple[Row, ...]
    class_shapes: int
    """Different pods that classes and access requests promise."""
    pod_shapes: int
    """Different pods that were seen and are smaller than others like them."""
    pod_days: int
    """Days back for which pods are known."""
    as_of: datetime | None

    @property
    def free_gpus(self) -> int:
        return sum(row.free_gpus for row in self.products)

    @property
    def stranded_gpus(self) -> int:
        return sum(row.stranded_gpus for row in self.products)

    @property
    def unknown_nodes(self) -> int:
        return sum(row.unknown_nodes for row in self.products)

    def rows(self, by: str = "") -> list[Row]:
        """Returns the rows of one kind, or of all."""
        kinds = {"product": self.products, "pool": self.pools, "class": self.classes}
        return [row for kind in KINDS if by in ("", kind) for row in kinds[kind]]


_answers: ProcessCache[Stranded] = ProcessCache()


def stranded(now: datetime) -> Stranded:
    """Returns the stranded GPUs of the fleet now, cached in the process until data or declarations change."""
    stock = rooms.stock(now)
    classes = declarations.newest_versions().values()
    version = stock.version, tuple(row.pk for row in classes)
    return _answers.get(version, lambda: _read(stock, [declarations.spec_of(row) for row in classes], now))


def free_nodes(views: Iterable[ClusterView]) -> list[FreeNode]:
    """Returns every node that hands out whole GPUs, with what is free on it."""
    nodes = (free_node(node, view.state.nodes.get(name)) for view in views for name, node in view.nodes.items())
    return [node for node in nodes if node is not None]


def _running(views: Iterable[ClusterView], nodes: Iterable[FreeNode]) -> Iterator[SeenPods]:
    states = {view.name: view.state for view in views}
    for free in nodes:
        state = states[free.node.cluster].nodes.get(free.node.name)
        for pod in state.pods if state else ():
            if not pod.component:
                yield SeenPods(node=free.node, requests=scheduling_of(pod).requests)


def _read(stock: rooms.Stock, classes: list[ClassSpec], now: datetime) -> Stranded:
    views = cluster_views(now)
    nodes = free_nodes(views)
    by_key = {node.key: node for node in stock.fleet.nodes}
    resources = frozenset(whole_gpu_resource(node.node) for node in nodes)
    shapes = pod_shapes([*_running(views, nodes), *_gone(by_key, now - DEMAND), *_waiting()], resources)
    sizes = [sized(spec, gpus) for spec in classes for gpus in spec.choices]
    sizes += [spec for spec in _requested(now - DEMAND) if spec not in sizes]
    promised = [in_pool for spec in sizes for in_pool in rooms.class_in_pools(spec, stock)]
    report = Report(stock.fleet, label_keys(stock.pools), nodes, _distinct(promised), shapes)
    class_shapes = sum(shape.source == "class" for shape in report.shapes)
    return Stranded(
        products=tuple(report.products()),
        pools=tuple(report.pools(Named(pool.slug, pool.title or pool.slug) for pool in stock.pools)),
        classes=tuple(
            report.classes(
                (Named(spec.slug, spec.title or spec.slug) for spec in classes),
                {spec.slug: spec.slots_per_pod for spec in classes},
            )
        ),
        class_shapes=class_shapes,
        pod_shapes=len(report.shapes) - class_shapes,
        pod_days=min(DEMAND, settings.POD_RETENTION).days,
        as_of=stock.as_of,
    )


def _distinct(promised: list[ClassInPool]) -> list[ClassInPool]:
    """Returns the classes in pools without repeated requirements."""
    return list({(row.class_spec.slug, row.requirement): row for row in promised}.values())


def _requested(since: datetime) -> Iterator[ClassSpec]:
    """Yields the classes of access requests made or decided since then, in the size that was requested."""
    rows = (
        AccessRequest.objects.filter(created_at__gte=since).exclude(state="draft").select_related("class_version__workload_class")
    )
    for row in rows.order_by("pk"):
        spec = declarations.spec_of(row.class_version)
        if row.gpus is None or row.gpus % spec.nodes == 0:
            yield sized(spec, row.gpus) if row.gpus else spec


def _gone(nodes: dict[Key, PlacementNode], since: datetime) -> Iterator[SeenPods]:
    """Yields the requests of removed pods that ran on current nodes, the most frequent first."""
    rows = (
        Pod.objects.filter(removed_at__gte=since, node__removed_at__isnull=True, component="")
        .exclude(requests={})
        .annotate(reserved=KeyTransform("requests", KeyTransform("scheduling", "snapshot")))
        .order_by()
        .values_list("cluster__name", "node__name", "reserved")
        .annotate(number=Count("pk"))
        .order_by("-number")[:MOST_SEEN]
    )
    for cluster, name, requests, _ in rows:
        node = nodes.get((cluster, name))
        if node is not None and isinstance(requests, dict):
            yield SeenPods(node=node, requests=requests)


def _waiting() -> Iterator[SeenPods]:
    """Yields the requests of pods that wait for a node, with selector and tolerations."""
    rows = (
        Pod.objects.filter(node__isnull=True, removed_at__isnull=True, phase="Pending", cluster__removed_at__isnull=True)
        .exclude(requests={})
        .order_by("created_at", "pk")
        .values_list("cluster__name", "snapshot")[:MOST_WAITING]
    )
    for cluster, snapshot in rows:
        pod = msgspec.convert(snapshot, PodSnapshot, strict=False)
        scheduling = scheduling_of(pod)
        if not pod.node_name and scheduling.terms != () and not scheduling.claims:
            yield SeenPods(node=None, requests=scheduling.requests, requirement=_requirement(cluster, scheduling))


def _requirement(cluster: str, scheduling: PodScheduling) -> PodRequirement:
    return PodRequirement(
        clusters=(cluster,), selector=scheduling.selector, terms=scheduling.terms or (), tolerations=scheduling.tolerations
    )


def row_json(row: Row) -> dict[str, object]:
    """Returns one row as the API gives it."""
    return {
        "by": row.kind,
        "name": row.name or None,
        "title": row.title,
        "free_gpus": row.free_gpus,
        "stranded_gpus": row.stranded_gpus,
        "nodes": row.nodes,
        "unknown_nodes": row.unknown_nodes,
        "reasons": [{"id": reason.id, "text": reason.text, "gpus": reason.gpus} for reason in row.reasons],
        "smallest_move": _move_json(row.proposal) if row.proposal is not None and row.proposal.moves else None,
        "note": row.note or None,
    }


def _move_json(proposal: Proposal) -> dict[str, object]:
    return {
        "text": sentence(proposal),
        "pods": [
            {
                "cluster": move.source[0],
                "namespace": move.pod.namespace,
                "name": move.pod.name,
                "gpus": move.pod.gpus,
                "from": move.source[1],
                "to": move.target[1],
            }
            for move in proposal.moves
        ],
        "frees": {
            "replicas": 1,
            "gpus": proposal.shape.replica_gpus,
            "title": proposal.shape.title,
            "workload_class": proposal.shape.workload_class or None,
        },
    }
