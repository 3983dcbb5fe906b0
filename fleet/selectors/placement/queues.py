"""Places of pods and workloads in the queues of their clusters, for explain and the pending page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from fleet.domain.labels import is_gpu_resource
from fleet.domain.placement.explain import ClusterView
from fleet.domain.queues import pods as domain
from fleet.domain.queues.group_places import group_place, waits
from fleet.domain.queues.places import QueuePlace, kueue_place, text_of, unread_systems
from fleet.domain.queues.pods import QueueNodes
from fleet.domain.readiness.wording import rung_number
from fleet.domain.snapshot import PodSnapshot, SchedulingObjects
from fleet.domain.snapshot.queues import QueueObjects
from fleet.models import Cluster, Pod, SchedulingRow, scope
from fleet.selectors.placement.process_cache import ProcessCache

MOST_QUEUED = 200
"""Waiting workloads of one answer, by cluster and place; how many wait is always given."""
MOST_EVALUATIONS = 60_000
"""Nodes that are looked at for all waiting workloads together; beyond that an answer names no nodes."""
MOST_NODES = 20


@dataclass(frozen=True, slots=True)
class QueueAnswer:
    """The place of one pod or workload, and the nodes that would do for a pod of it."""

    place: QueuePlace
    nodes: QueueNodes
    text: str


@dataclass(frozen=True, slots=True)
class Queued:
    """A workload that waits in a queue; its pods may not exist yet."""

    cluster: str
    namespace: str
    name: str
    requests: Mapping[str, int | None]
    answer: QueueAnswer


@dataclass(frozen=True, slots=True)
class QueuedWorkloads:
    rows: tuple[Queued, ...] = ()
    total: int = 0
    unknown: Mapping[str, Mapping[str, str]] | None = None
    """Cluster to the systems that are installed and were not read, each with why."""


class _Stored(msgspec.Struct, frozen=True):
    queues: QueueObjects
    priorities: dict[str, int]


_stored: ProcessCache[_Stored] = ProcessCache()


def _read(cluster: Cluster) -> _Stored:
    """Returns the queues of a cluster as they were last read, cached in the process until it is collected again."""
    version = (cluster.changes, cluster.taken_at, scope.key_of(cluster.name))
    return _stored.get(version, lambda: _from_row(cluster), key=cluster.pk)


def _from_row(cluster: Cluster) -> _Stored:
    row = SchedulingRow.objects.filter(cluster=cluster).values_list("queues_read", "objects_read").first()
    queues, objects = row or ({}, {})
    read = msgspec.convert(objects or {}, SchedulingObjects, strict=False)
    priorities = {entry.name: entry.value for entry in read.priority_classes or ()}
    return _Stored(msgspec.convert(queues or {}, QueueObjects, strict=False), priorities)


def of_pod(pod: PodSnapshot, cluster: Cluster, view: ClusterView | None) -> QueueAnswer | None:
    """Returns the place of a pod that waits; None where no queue is in front of it."""
    stored = _read(cluster)
    if not stored.queues.systems:
        return None
    others = _members(pod, cluster) if pod.pod_group else ()
    place = domain.place_of(pod, stored.queues, stored.priorities, others)
    return None if place is None else _answer(place, pod, view)


MOST_PLACES = 300
"""Different workloads of pending pods whose place is found for one answer; pods beyond have none."""


def of_pods(pods: Sequence[tuple[str, PodSnapshot]], views: Sequence[ClusterView]) -> list[QueueAnswer | None]:
    """Returns the place of each pod (cluster and pod), in the order given. Pods of one owner have one answer."""
    clusters = {row.name: row for row in Cluster.objects.filter(name__in={name for name, _ in pods}, removed_at__isnull=True)}
    by_name = {view.name: view for view in views}
    known: dict[tuple[str, ...], QueueAnswer | None] = {}
    answers = []
    for name, pod in pods:
        gated = bool(pod.scheduling and pod.scheduling.gates)
        key = (name, pod.namespace, pod.owner_kind, pod.name if gated or not pod.owner_name else pod.owner_name, pod.pod_group)
        if key not in known:
            read = name in clusters and len(known) < MOST_PLACES
            known[key] = of_pod(pod, clusters[name], by_name.get(name)) if read else None
        answers.append(known[key])
    return answers


def of_template(pod: PodSnapshot, queue: str, replicas: int, views: Sequence[ClusterView], now: datetime) -> QueueAnswer | None:
    """Returns the place that pods of a manifest would get: in the first cluster that has the LocalQueue they name."""
    if not queue or not views:
        return None
    by_name = {view.name: view for view in views}
    answers = []
    for cluster in Cluster.objects.filter(name__in=list(by_name), removed_at__isnull=True).order_by("name"):
        stored = _read(cluster)
        place = domain.place_of_template(pod, queue, replicas, stored.queues, now)
        if place is not None:
            answers.append((place, by_name[cluster.name]))
            if any((q.namespace, q.name) == (pod.namespace, queue) for q in stored.queues.local_queues):
                return _in_cluster(_answer(place, pod, by_name[cluster.name]), cluster.name, views)
    return _in_cluster(_answer(answers[0][0], pod, answers[0][1]), answers[0][1].name, views) if answers else None


def _in_cluster(answer: QueueAnswer, cluster: str, views: Sequence[ClusterView]) -> QueueAnswer:
    """Returns the answer with the cluster in its text, where the question was about several."""
    return answer if len(views) == 1 else replace(answer, text=f"In {cluster}: {answer.text}")


def _members(pod: PodSnapshot, cluster: Cluster) -> list[PodSnapshot]:
    rows = Pod.objects.filter(cluster=cluster, removed_at__isnull=True, node__isnull=True, namespace=pod.namespace)
    return [
        msgspec.convert(snapshot, PodSnapshot, strict=False)
        for snapshot in rows.filter(snapshot__pod_group=pod.pod_group).values_list("snapshot", flat=True)[:1_000]
    ]


def _answer(place: QueuePlace, pod: PodSnapshot, view: ClusterView | None) -> QueueAnswer:
    nodes = domain.nodes_for(pod, place, view) if view is not None and place.waits else QueueNodes()
    words = domain.clause(nodes) if view is not None and place.waits else ""
    return QueueAnswer(place, nodes, text_of(place, words))


def queued(views: Sequence[ClusterView]) -> QueuedWorkloads:
    """Returns the workloads with GPUs that wait in queues, by cluster, queue and place."""
    rows: list[Queued] = []
    total, left = 0, MOST_EVALUATIONS
    unknown: dict[str, Mapping[str, str]] = {}
    by_name = {view.name: view for view in views}
    for cluster in Cluster.objects.filter(name__in=list(by_name), removed_at__isnull=True).order_by("name"):
        stored = _read(cluster)
        if missing := unread_systems(stored.queues.systems):
            unknown[cluster.name] = missing
        waiting = _waiting(stored)
        total += len(waiting)
        for pod, requests, place in waiting[: max(MOST_QUEUED - len(rows), 0)]:
            view = by_name[cluster.name] if len(by_name[cluster.name].nodes) <= left and pod.scheduling is not None else None
            left -= len(view.nodes) if view is not None else 0
            rows.append(Queued(cluster.name, pod.namespace, pod.name, requests, _answer(place, pod, view)))
    return QueuedWorkloads(tuple(rows), total, unknown)


def _waiting(stored: _Stored) -> list[tuple[PodSnapshot, dict[str, int | None], QueuePlace]]:
    """Returns a pod, the GPUs of the whole workload, and the place, of all that wait for GPUs in queues that were read."""
    rows = []
    for workload in stored.queues.workloads:
        if workload.cluster_queue and workload.admitted:
            continue
        requests: dict[str, int | None] = {}
        for pod_set in workload.pod_sets:
            for name, amount in pod_set.requests.items():
                if is_gpu_resource(name):
                    before = requests.get(name, 0)
                    requests[name] = None if before is None or amount is None else before + amount
        if requests:
            scheduling = next((pods.pod for pods in workload.pod_sets if pods.pod is not None), None)
            pod = PodSnapshot(uid="", namespace=workload.namespace, name=workload.name, phase="Pending", scheduling=scheduling)
            rows.append((pod, requests, kueue_place(workload, stored.queues)))
    for group in stored.queues.groups:
        gpus = {name: amount for name, amount in group.requests.items() if is_gpu_resource(name)}
        if waits(group) and gpus:
            pod = PodSnapshot(uid="", namespace=group.namespace, name=group.name, phase="Pending")
            rows.append((pod, gpus, group_place(group, stored.queues, stored.priorities, {})))
    return sorted(rows, key=lambda row: (row[2].name, row[2].position or 10**9, row[0].namespace, row[0].name))


def as_json(answer: QueueAnswer) -> dict[str, object]:
    """Returns the place as the API gives it."""
    place, nodes = answer.place, answer.nodes
    return {
        "name": place.name,
        "position": place.position,
        "text": answer.text,
        "system": place.system,
        "local_queue": place.local_queue or None,
        "state": place.state,
        "waiting": place.waiting,
        "ahead": [
            {"namespace": other.namespace, "name": other.name, "priority": other.priority, "requests": other.requests}
            for other in place.ahead
        ],
        "short": [
            {
                "flavor": row.flavor or None,
                "resource": row.resource,
                "needed": row.needed,
                "available": row.available,
                "quota": row.nominal,
                "used": row.reserved,
            }
            for row in place.short
        ],
        "flavors": list(place.flavors),
        "message": place.message or None,
        "nodes": {
            "ready": nodes.ready,
            "would_do": [
                {
                    "name": node.name,
                    "verdict": node.verdict,
                    "broken_rung": node.rung or None,
                    "rung": rung_number(node.rung) if node.rung else None,
                }
                for node in nodes.would_do[:MOST_NODES]
            ],
        },
    }


def queued_json(row: Queued) -> dict[str, object]:
    return {
        "cluster": row.cluster,
        "namespace": row.namespace,
        "name": row.name,
        "requests": dict(row.requests),
        "queue": as_json(row.answer),
    }
