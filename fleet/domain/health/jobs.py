"""Pods on a device and the job they belong to: one crash over many nodes or many crashes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fleet.domain.pod_resources import gpu_requests, holds
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.telemetry import DeviceSample

JOB_LABELS = {
    "jobset.sigs.k8s.io/jobset-name": "JobSet",
    "training.kubeflow.org/job-name": "TrainingJob",
    "leaderworkerset.sigs.k8s.io/name": "LeaderWorkerSet",
    "ray.io/cluster": "RayCluster",
    "volcano.sh/job-name": "VolcanoJob",
}
"""Labels of controllers that start many owners for one job, as leader and workers: they rank above the owner."""


def pods_of(uuid: str, samples: Iterable[DeviceSample], pods: Sequence[PodSnapshot]) -> tuple[str, ...]:
    """Returns namespace/name of the pods on this GPU by the exporter or the kubelet; empty where neither reports them."""
    named = {f"{ref.namespace}/{ref.pod}" for sample in samples if sample.uuid == uuid for ref in sample.pods}
    named |= {
        f"{pod.namespace}/{pod.name}" for pod in pods if any(device.device_id.startswith(uuid) for device in pod.devices) and uuid
    }
    return tuple(sorted(named))


def holders_of_all(pods: Sequence[PodSnapshot], slots: int | None) -> tuple[str, ...]:
    """Returns namespace/name of the pods of one job that together use every slot of the node, and so every GPU.

    Empty otherwise.
    """
    holding = [pod for pod in pods if not pod.component and holds(pod) and gpu_requests(pod)]
    held = sum(amount or 0 for pod in holding for amount in gpu_requests(pod).values())
    if not slots or held < slots or len({job_of(pod) for pod in holding}) != 1:
        return ()
    return tuple(sorted(f"{pod.namespace}/{pod.name}" for pod in holding))


def job_of(pod: PodSnapshot) -> str:
    """Returns kind/namespace/name of the pod's owner: the pod itself where it has none."""
    for label, kind in JOB_LABELS.items():
        if name := pod.labels.get(label):
            return f"{kind}/{pod.namespace}/{name}"
    if pod.owner_name:
        return f"{pod.owner_kind}/{pod.namespace}/{pod.owner_name}"
    return f"Pod/{pod.namespace}/{pod.name}"


def job_of_all(names: Iterable[str], pods: Sequence[PodSnapshot]) -> str:
    """Returns the job shared by these pods (namespace/name); empty where they belong to several, or one of them is removed."""
    known = {f"{pod.namespace}/{pod.name}": pod for pod in pods}
    jobs = {job_of(known[name]) if name in known else "" for name in names}
    return jobs.pop() if len(jobs) == 1 else ""
