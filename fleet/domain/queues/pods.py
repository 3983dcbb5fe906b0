"""The queue of a pod: which workload or group it belongs to, and which nodes would do for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from fleet.domain.labels import TAINT_UNSCHEDULABLE, is_gpu_resource
from fleet.domain.placement.explain import ClusterView
from fleet.domain.placement.manifest_files import QUEUE_NAME
from fleet.domain.placement.nodes import PlacementNode
from fleet.domain.placement.requirement import GOOD
from fleet.domain.placement.scheduler import node_filters
from fleet.domain.placement.scheduler.pod_evaluation import evaluate
from fleet.domain.placement.scheduler.state import NodeState, scheduling_of
from fleet.domain.pod_resources import gpu_requests
from fleet.domain.queues.group_places import group_place, waits
from fleet.domain.queues.places import QueuePlace, kueue_place, unread
from fleet.domain.readiness.wording import rung_number
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.queues import KAI, KUEUE, SYSTEMS, VOLCANO, PodSet, QueueObjects, Workload
from fleet.domain.snapshot.scheduling import PodScheduling, Toleration

GROUP_NAME = "kueue.x-k8s.io/pod-group-name"
PRIORITY_CLASS, PREBUILT = "kueue.x-k8s.io/priority-class", "kueue.x-k8s.io/prebuilt-workload-name"
JOB_SET = "jobset.sigs.k8s.io/jobset-name"
GATES = "kueue.x-k8s.io/"
"""Kueue's scheduling gates: admission, topology, elastic-job."""
KAI_QUEUES = ("kai.scheduler/queue", "runai/queue")
_SCHEDULERS = {"volcano": VOLCANO, "kai-scheduler": KAI, "runai-scheduler": KAI}
_GONE_WHEN_READY = ("readiness.k8s.io/", "node.kubernetes.io/")
"""Beginnings of the keys of taints that leave a node once it is well: those of its kubelet, and of gates on readiness."""
_OTHER_CHECKS = frozenset({"volume", "topology_spread", "pod_affinity", "host_port", "dra", "selector"})


def system_of(pod: PodSnapshot) -> str:
    """Returns the queueing system that a pod is meant for; empty for none."""
    scheduling = scheduling_of(pod)
    if scheduling.scheduler in _SCHEDULERS:
        return _SCHEDULERS[scheduling.scheduler]
    labelled = any(label in pod.labels for label in (QUEUE_NAME, GROUP_NAME, PREBUILT))
    return KUEUE if labelled or any(gate.startswith(GATES) for gate in scheduling.gates) else ""


def place_of(
    pod: PodSnapshot, objects: QueueObjects, priorities: Mapping[str, int], others: Iterable[PodSnapshot] = ()
) -> QueuePlace | None:
    """Returns the place of a pod that waits; None where no queue is in front of it. `others`: pods of its cluster that wait."""
    system = system_of(pod)
    if system in (VOLCANO, KAI):
        return _of_group(pod, system, objects, priorities, others)
    workload = _workload_of(pod, objects.workloads)
    if workload is not None:
        return kueue_place(workload, objects)
    if not system or KUEUE not in objects.systems:
        return None
    if objects.systems[KUEUE]:
        return unread(KUEUE, objects.systems[KUEUE])
    gated = any(gate.startswith(GATES) for gate in scheduling_of(pod).gates)
    return unread(KUEUE, "no Workload of Kueue names the pod or its owner.") if gated else None


def place_of_template(pod: PodSnapshot, queue: str, replicas: int, objects: QueueObjects, now: datetime) -> QueuePlace | None:
    """Returns the place that a workload described by a manifest would get; None where it names no queue of Kueue."""
    if not queue or KUEUE not in objects.systems:
        return None
    if objects.systems[KUEUE]:
        return unread(KUEUE, objects.systems[KUEUE])
    scheduling = scheduling_of(pod)
    requests = {name: None if amount is None else amount * replicas for name, amount in scheduling.requests.items()}
    workload = Workload(
        namespace=pod.namespace,
        name=pod.name,
        queue=queue,
        created_at=now,
        queued_at=now,
        priority=scheduling.priority,
        pod_sets=(PodSet(name="main", count=replicas, requests=requests, pod=scheduling),),
    )
    place = kueue_place(workload, objects)
    if PRIORITY_CLASS in pod.labels:
        return msgspec.structs.replace(place, position=None, ahead=(), order="")
    return place


def _workload_of(pod: PodSnapshot, workloads: Iterable[Workload]) -> Workload | None:
    names = {pod.labels[label] for label in (GROUP_NAME, PREBUILT) if pod.labels.get(label)}
    owners = {("Pod", pod.name), (pod.owner_kind, pod.owner_name), ("JobSet", pod.labels.get(JOB_SET, ""))}
    for workload in workloads:
        if workload.namespace == pod.namespace and (workload.name in names or owners & set(workload.owners)):
            return workload
    return None


def _of_group(
    pod: PodSnapshot, system: str, objects: QueueObjects, priorities: Mapping[str, int], others: Iterable[PodSnapshot]
) -> QueuePlace | None:
    if system not in objects.systems:
        return None
    if objects.systems[system]:
        return unread(system, objects.systems[system])
    group = next((g for g in objects.groups if (g.system, g.namespace, g.name) == (system, pod.namespace, pod.pod_group)), None)
    if group is None:
        return unread(system, "no PodGroup is named by the pod.")
    requests: Counter[str] = Counter()
    members = [other for other in others if (other.namespace, other.pod_group) == (pod.namespace, pod.pod_group)]
    for member in members or [pod]:
        requests.update(gpu_requests(member))
    return group_place(group, objects, priorities, dict(requests))


class WouldDo(msgspec.Struct, frozen=True, kw_only=True):
    """A node that would take the pod if it were ready."""

    name: str
    verdict: str
    rung: str = ""


class QueueNodes(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes for one pod of a workload, whatever its queue decides."""

    ready: int = 0
    """Ready nodes with room for it now."""
    would_do: tuple[WouldDo, ...] = ()


def nodes_for(pod: PodSnapshot, place: QueuePlace, view: ClusterView) -> QueueNodes:
    """Returns the nodes of the flavors that take one pod now, and those that would if they were ready."""
    scheduling = scheduling_of(pod)
    free = msgspec.structs.replace(
        scheduling,
        gates=tuple(gate for gate in scheduling.gates if not gate.startswith(GATES)),
        scheduler="" if scheduling.scheduler in _SCHEDULERS else scheduling.scheduler,
        selector=(*scheduling.selector, *place.selector()),
        tolerations=(*scheduling.tolerations, *place.tolerations),
    )
    asked = msgspec.structs.replace(pod, scheduling=free)
    evaluation = evaluate(asked, view.state)
    ready, would_do = 0, []
    for name, refusals in evaluation.nodes.items():
        node = view.nodes.get(name)
        if node is None:
            continue
        if node.verdict in GOOD:
            ready += not refusals
        elif node.verdict != "unknown" and (not refusals or _when_ready(free, view.state.nodes[name], node, refusals[0].id)):
            would_do.append(WouldDo(name=name, verdict=node.verdict, rung=node.broken_rung))
    return QueueNodes(ready=ready, would_do=tuple(would_do))


def _when_ready(scheduling: PodScheduling, state: NodeState, node: PlacementNode, refusal: str) -> bool:
    """Returns whether only what comes back with the node's health keeps the pod out: cordon, taints, slots not advertised."""
    if refusal in _OTHER_CHECKS or not node_filters.matches_node(scheduling, state):
        return False
    cordon = Toleration(TAINT_UNSCHEDULABLE, "Exists")
    left = node_filters.untolerated(state.taints, (*scheduling.tolerations, cordon))
    if any(not taint.key.startswith(_GONE_WHEN_READY) for taint in left):
        return False
    for resource, needed in scheduling.requests.items():
        if not needed or not node_filters.counted(resource):
            continue
        free = state.free(resource)
        slots = node.slots(resource) if is_gpu_resource(resource) else None
        if slots is not None:
            free = max(slots.predicted or 0, slots.capacity or 0) - (slots.requested or 0)
        if free is None or free < needed:
            return False
    return True


def clause(nodes: QueueNodes) -> str:
    """Returns the nodes as a clause: "2 nodes would do, both stop at rung 5"; empty where there are none."""
    number = len(nodes.would_do)
    ready = f"{nodes.ready:,} ready {'node has' if nodes.ready == 1 else 'nodes have'} room for a pod" if nodes.ready else ""
    if not number:
        return ready or "no node of its flavors has room for a pod now"
    stops = Counter(_stop(node) for node in nodes.would_do)
    if number == 1:
        words = f"1 node would do, it {_verb(next(iter(stops)), 1)}"
    elif len(stops) == 1:
        words = f"{number:,} nodes would do, {'both' if number == 2 else 'all'} {_verb(next(iter(stops)), number)}"
    else:
        words = (
            f"{number:,} nodes would do: {', '.join(f'{count:,} {_verb(stop, count)}' for stop, count in stops.most_common())}"
        )
    return "; ".join(part for part in (ready, words) if part)


def _stop(node: WouldDo) -> str:
    if node.verdict == "excluded":
        return "excluded"
    return f"at rung {rung_number(node.rung)}" if node.rung else node.verdict.replace("_", " ")


def _verb(stop: str, number: int) -> str:
    if stop.startswith("at rung"):
        return f"{'stops' if number == 1 else 'stop'} {stop}"
    if stop == "excluded":
        return f"{'is' if number == 1 else 'are'} cordoned or in maintenance"
    return f"{'is' if number == 1 else 'are'} {stop}"


__all__ = ["SYSTEMS", "QueueNodes", "WouldDo", "clause", "nodes_for", "place_of", "place_of_template", "system_of", "waits"]
