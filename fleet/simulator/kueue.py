"""Kueue in one cluster: flavors, two ClusterQueues in a cohort, LocalQueues, and workloads that run and wait.

Quota is what the nodes have; what running training pods request is reserved. The gated pods of a notebook wait with its workload.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fleet.simulator import resources
from fleet.simulator.cluster import ClusterCore
from fleet.simulator.pods import stamp
from fleet.simulator.workloads import Ask
from fleet.simulator.world import GPU, Pod

ADMISSION_GATE = "kueue.x-k8s.io/admission"
_PRODUCTS = {"h100": "NVIDIA-H100-80GB-HBM3", "b200": "NVIDIA-B200"}
_QUEUES = {"research": ("research-nlp", "vision", "ml-research"), "production": ("train", "inference", "search", "speech")}
_LEFT = 8
"""GPUs of its quota that the research queue has left."""
_PRODUCT_LABEL = "nvidia.com/gpu.product"
_SHORT = f"couldn't assign flavors to pod set main: insufficient unused quota for {GPU} in flavor h100"
_JOBS = (
    ("pretrain-moe-42b-next", "research-nlp", 100, 8, 8, 190),
    ("sft-qwen3-32b-next", "vision", 0, 2, 8, 75),
    ("eval-suite-nightly", "research-nlp", 0, 4, 8, 20),
)
"""Suspended Jobs: name, namespace, priority, pods, GPUs of each, minutes since they were created."""


def show(cluster: ClusterCore, *, gated: bool) -> None:
    """Puts the objects of Kueue into the API, over the pods that are there. `gated`: with one more pod, held by its gate."""
    counts, held = _gpus(cluster), _held(cluster)
    if gated:
        template = cluster.workloads.template(Ask("notebook", GPU, 2), "queued", 0)
        pod = cluster.new_pod(template, None, cluster.now() - timedelta(minutes=25), "Pending")
        pod.ready, pod.gates = False, (ADMISSION_GATE,)
        cluster.show_pod(pod)
    levels = [{"nodeLabel": "topology.kubernetes.io/zone"}, {"nodeLabel": "kubernetes.io/hostname"}]
    _put(cluster, resources.TOPOLOGIES, "default", "", {"levels": levels})
    for flavor, product in _PRODUCTS.items():
        labels = {_PRODUCT_LABEL: product}
        _put(cluster, resources.RESOURCE_FLAVORS, flavor, "", {"nodeLabels": labels, "topologyName": "default"})
    waiting = dict.fromkeys(_QUEUES, 0)
    for job in _JOBS:
        waiting[_queue_of(job[1])] += 1
        _suspended_job(cluster, job)
    for pod in [pod for pod in cluster.pods.values() if not pod.node and pod.phase == "Pending"]:
        waiting[_queue_of(pod.namespace)] += bool(pod.gates)
        _of_pod(cluster, pod)
    used = {flavor: held.get(("research", flavor), 0) for flavor in counts}
    research = {"h100": used["h100"] + _LEFT}
    quotas = {"research": research, "production": {name: max(counts[name] - research.get(name, 0), 0) for name in counts}}
    for queue, namespaces in _QUEUES.items():
        reserved = {name: used[name] if queue == "research" else number for name, number in quotas[queue].items()}
        _put(cluster, resources.CLUSTER_QUEUES, queue, "", _cluster_queue(quotas[queue]),
             _queue_status(cluster, reserved, waiting[queue]))  # fmt: skip
        for namespace in namespaces:
            conditions = [_condition(cluster, "Active", "True", "Ready", "Can submit new workloads to clusterQueue", 600)]
            spec = {"clusterQueue": queue, "stopPolicy": "None"}
            _put(cluster, resources.LOCAL_QUEUES, "main", namespace, spec, {"conditions": conditions})


def _suspended_job(cluster: ClusterCore, job: tuple[str, str, int, int, int, int]) -> None:
    """The workload of a Job that Kueue keeps suspended: it has no pods yet."""
    name, namespace, priority, pods, gpus, minutes = job
    owner = {"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": cluster.seed.uuid("job", name), "controller": True}
    requests = {"cpu": str(8 * pods), "memory": f"{64 * pods}Gi", GPU: str(gpus * pods)}
    status = {
        "conditions": [_waits(cluster, gpus * pods, minutes)],
        "resourceRequests": [{"name": "main", "resources": requests}],
    }
    _put(cluster, resources.WORKLOADS, f"job-{name}-{cluster.seed.suffix(5, 'workload', name)}", namespace,
         _spec(priority, pods, gpus), status, minutes, owner)  # fmt: skip


def _waits(cluster: ClusterCore, gpus: int, minutes: int) -> dict[str, Any]:
    """The condition of a workload that its quota keeps waiting, or that what stands before it does."""
    more = gpus - _LEFT
    message = f"{_SHORT}, {more} more needed" if more > 0 else ""
    return _condition(cluster, "QuotaReserved", "False", "Pending", message, minutes)


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


def _of_pod(cluster: ClusterCore, pod: Pod) -> None:
    """The workload of a pending pod: it waits with its gate, or was admitted and waits for the scheduler."""
    waits = bool(pod.gates)
    minutes = int((cluster.now() - pod.created).total_seconds() // 60)
    gpus = sum(sum(container.extended.values()) for container in pod.template.containers)
    kind, owner_uid = ("Pod", pod.uid) if waits else (pod.template.owner_kind, pod.template.owner_uid)
    name = pod.name if waits else pod.template.owner_name
    owner = {"apiVersion": "v1" if waits else "batch/v1", "kind": kind, "name": name, "uid": owner_uid, "controller": True}
    if waits:
        status: dict[str, Any] = {"conditions": [_waits(cluster, gpus, minutes)]}
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
