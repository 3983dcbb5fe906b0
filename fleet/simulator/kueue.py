"""Kueue in one cluster: flavors, two ClusterQueues in a cohort, LocalQueues, and workloads that run and wait.

Quota is what the nodes have; what running training pods request is reserved. The gated pods of a notebook wait with its workload.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fleet.simulator import resources
from fleet.simulator.cluster import ClusterCore
from fleet.simulator.pods import stamp
from fleet.simulator.world import GPU, Pod

ADMISSION_GATE = "kueue.x-k8s.io/admission"
_PRODUCTS = {"h100": "NVIDIA-H100-80GB-HBM3", "b200": "NVIDIA-B200"}
_QUEUES = {"research": ("research-nlp", "vision", "ml-research"), "production": ("train", "inference", "search", "speech")}
_PRODUCT_LABEL = "nvidia.com/gpu.product"
_SHORT = f"couldn't assign flavors to pod set main: insufficient unused quota for {GPU} in flavor h100"
_JOBS = (
    ("pretrain-moe-42b-next", "research-nlp", 100, 8, 8, 190),
    ("sft-qwen3-32b-next", "vision", 0, 2, 8, 75),
    ("eval-suite-nightly", "research-nlp", 0, 4, 8, 20),
)
"""Suspended Jobs: name, namespace, priority, pods, GPUs of each, minutes since they were created."""


def show(cluster: ClusterCore) -> None:
    """Puts the objects of Kueue into the API, over the pods that are there."""
    counts = _gpus(cluster)
    held = _held(cluster)
    pending = [pod for pod in cluster.pods.values() if not pod.node and pod.phase == "Pending"]
    _put(cluster, resources.TOPOLOGIES, "default", "", {"levels": [{"nodeLabel": "topology.kubernetes.io/zone"},
                                                                    {"nodeLabel": "kubernetes.io/hostname"}]})  # fmt: skip
    for flavor, product in _PRODUCTS.items():
        labels = {_PRODUCT_LABEL: product}
        _put(cluster, resources.RESOURCE_FLAVORS, flavor, "", {"nodeLabels": labels, "topologyName": "default"})
    waiting = dict.fromkeys(_QUEUES, 0)
    for name, namespace, priority, pods, gpus, minutes in _JOBS:
        queue = _queue_of(namespace)
        waiting[queue] += 1
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": cluster.seed.uuid("job", name), "controller": True}
        message = f"{_SHORT}, {gpus} more needed"
        spec = _spec(priority, pods, gpus)
        status = {"conditions": [_condition(cluster, "QuotaReserved", "False", "Pending", message, minutes)]}
        requests = {"cpu": str(8 * pods), "memory": f"{64 * pods}Gi", GPU: str(gpus * pods)}
        status["resourceRequests"] = [{"name": "main", "resources": requests}]
        _put(cluster, resources.WORKLOADS, f"job-{name}-{cluster.seed.suffix(5, 'workload', name)}", namespace, spec,
             status, minutes, owner)  # fmt: skip
    for pod in pending:
        waits = pod.template.owner_kind == "StatefulSet"
        waiting[_queue_of(pod.namespace)] += waits
        _of_pod(cluster, pod, waits=waits)
    for queue, namespaces in _QUEUES.items():
        share = {flavor: number // 2 for flavor, number in counts.items()}
        used = {flavor: min(held.get((queue, flavor), 0), share[flavor]) for flavor in counts}
        _put(cluster, resources.CLUSTER_QUEUES, queue, "", _cluster_queue(share), _queue_status(cluster, used, waiting[queue]))
        for namespace in namespaces:
            conditions = [_condition(cluster, "Active", "True", "Ready", "Can submit new workloads to clusterQueue", 600)]
            _put(cluster, resources.LOCAL_QUEUES, "main", namespace, {"clusterQueue": queue, "stopPolicy": "None"},
                 {"conditions": conditions})  # fmt: skip


def _gpus(cluster: ClusterCore) -> dict[str, int]:
    """Flavor to the number of its GPUs."""
    products = {product: flavor for flavor, product in _PRODUCTS.items()}
    counts = dict.fromkeys(_PRODUCTS, 0)
    for node in cluster.nodes.values():
        flavor = products.get(node.gpus[0].model.product if node.gpus else "")
        if flavor and node.sharing == "none":
            counts[flavor] += len(node.gpus)
    return counts


def _held(cluster: ClusterCore) -> dict[tuple[str, str], int]:
    """(queue, flavor) to GPUs that pods of its namespaces hold."""
    products = {product: flavor for flavor, product in _PRODUCTS.items()}
    held: dict[tuple[str, str], int] = {}
    for pod in cluster.pods.values():
        node = cluster.nodes.get(pod.node)
        if node is None or not pod.holds or not node.gpus or pod.template.daemon:
            continue
        flavor = products.get(node.gpus[0].model.product)
        if flavor:
            key = (_queue_of(pod.namespace), flavor)
            held[key] = held.get(key, 0) + sum(len(slots) for slots in pod.slots.values())
    return held


def _queue_of(namespace: str) -> str:
    return "research" if namespace in _QUEUES["research"] else "production"


def _of_pod(cluster: ClusterCore, pod: Pod, *, waits: bool) -> None:
    """The workload of a pending pod: it waits with its gate, or was admitted and waits for the scheduler."""
    minutes = int((cluster.now() - pod.created).total_seconds() // 60)
    gpus = sum(sum(container.extended.values()) for container in pod.template.containers)
    kind, owner_uid = ("Pod", pod.uid) if waits else (pod.template.owner_kind, pod.template.owner_uid)
    name = pod.name if waits else pod.template.owner_name
    owner = {"apiVersion": "v1" if waits else "batch/v1", "kind": kind, "name": name, "uid": owner_uid, "controller": True}
    if waits:
        pod.gates = (ADMISSION_GATE,)
        cluster.show_pod(pod)
        message = (
            f"couldn't assign flavors to pod set main: insufficient unused quota for {GPU} in flavor h100, {gpus} more needed"
        )
        status: dict[str, Any] = {"conditions": [_condition(cluster, "QuotaReserved", "False", "Pending", message, minutes)]}
    else:
        queue = _queue_of(pod.namespace)
        assignment = {"name": "main", "flavors": {GPU: "h100"}, "resourceUsage": {GPU: str(gpus)}, "count": 1}
        status = {
            "admission": {"clusterQueue": queue, "podSetAssignments": [assignment]},
            "conditions": [
                _condition(cluster, "QuotaReserved", "True", "QuotaReserved", f"Quota reserved in ClusterQueue {queue}", minutes),
                _condition(cluster, "Admitted", "True", "Admitted", "The workload is admitted", minutes),
            ],
        }
    _put(cluster, resources.WORKLOADS, f"{kind.lower()}-{name}-{cluster.seed.suffix(5, 'workload', name)}", pod.namespace,
         _spec(0, 1, gpus), status, minutes, owner)  # fmt: skip


def _spec(priority: int, pods: int, gpus: int) -> dict[str, Any]:
    resources_ = {"requests": {"cpu": "8", "memory": "64Gi"}, "limits": {GPU: str(gpus)}}
    container = {"name": "main", "image": "nvcr.io/nvidia/pytorch:25.09-py3", "resources": resources_}
    tolerations = [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]
    template = {"metadata": {}, "spec": {"containers": [container], "restartPolicy": "Never", "tolerations": tolerations}}
    return {
        "active": True,
        "queueName": "main",
        "priority": priority,
        "podSets": [{"name": "main", "count": pods, "template": template}],
    }


def _cluster_queue(share: dict[str, int]) -> dict[str, Any]:
    flavors = [
        {
            "name": flavor,
            "resources": [
                {"name": "cpu", "nominalQuota": "2000"},
                {"name": "memory", "nominalQuota": "16Ti"},
                {"name": GPU, "nominalQuota": str(number), "borrowingLimit": str(number // 4)},
            ],
        }
        for flavor, number in share.items()
    ]
    return {
        "cohortName": "lab",
        "queueingStrategy": "BestEffortFIFO",
        "namespaceSelector": {},
        "stopPolicy": "None",
        "resourceGroups": [{"coveredResources": ["cpu", "memory", GPU], "flavors": flavors}],
    }


def _queue_status(cluster: ClusterCore, used: dict[str, int], pending: int) -> dict[str, Any]:
    usage = [{"name": flavor, "resources": [{"name": GPU, "total": str(number)}]} for flavor, number in used.items()]
    return {
        "conditions": [_condition(cluster, "Active", "True", "Ready", "Can admit new workloads", 600)],
        "flavorsReservation": usage,
        "flavorsUsage": usage,
        "pendingWorkloads": pending,
        "reservingWorkloads": 0,
        "admittedWorkloads": 0,
    }


def _condition(cluster: ClusterCore, kind: str, status: str, reason: str, message: str, minutes: int) -> dict[str, Any]:
    since = stamp(cluster.now() - timedelta(minutes=minutes))
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": since}


def _put(  # noqa: PLR0913 the parts of an object
    cluster: ClusterCore,
    kind: resources.Kind,
    name: str,
    namespace: str,
    spec: dict[str, Any],
    status: dict[str, Any] | None = None,
    minutes: int = 0,
    owner: dict[str, Any] | None = None,
) -> None:
    created = cluster.now() - timedelta(minutes=minutes) if minutes else cluster.anchor
    metadata: dict[str, Any] = {"name": name, "uid": cluster.seed.uuid(kind.plural, namespace, name), "resourceVersion": ""}
    metadata |= {"namespace": namespace} if namespace else {}
    metadata["creationTimestamp"] = stamp(created)
    if owner is not None:
        metadata["ownerReferences"] = [owner]
    item: dict[str, Any] = {"metadata": metadata, "spec": spec}
    if status is not None:
        item["status"] = status
    if namespace and cluster.store.get(resources.NAMESPACES, namespace) is None:
        cluster.show_namespace(namespace)
    cluster.store.put(kind, item, {})
