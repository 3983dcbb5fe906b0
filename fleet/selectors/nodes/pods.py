"""Pods on one node as its page shows them: holders of slots, squatters, other workloads, and the GPU stack."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from fleet.domain.findings import Status
from fleet.domain.health.pod_status import PodStatus, pod_status
from fleet.models import Pod
from fleet.selectors.nodes.gpu_rows import GpuTable


@dataclass(frozen=True, slots=True)
class OnGpu:
    """A GPU on which the exporter names a pod."""

    index: str
    is_lost: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PodView:
    """One pod."""

    id: int
    namespace: str
    name: str
    component: str
    """Its part in the GPU stack; empty for a workload."""
    status: PodStatus
    slots: int | None
    requests: Mapping[str, int]
    """GPU resource to slots."""
    gpus: tuple[OnGpu, ...] = ()
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePods:
    """The pods of a node. A squatter that is part of the GPU stack is in both lists."""

    holders: tuple[PodView, ...]
    squatters: tuple[PodView, ...]
    """They use a GPU and hold no slot."""
    others: tuple[PodView, ...]
    stack: tuple[PodView, ...]
    gpus_are_named: bool
    """Whether the exporter names the GPUs of some pod."""


SQUATTER = PodStatus(Status.WARN, "Squatter")


def node_pods(pods: Iterable[Pod], table: GpuTable) -> NodePods:
    """Returns the pods of a node, each list in the order given."""
    gpus = _gpus_by_pod(table)
    using = {(pod.namespace, pod.name) for row in table.rows for pod in row.pods if pod.squatter}
    holders, squatters, others, stack = [], [], [], []
    for pod in pods:
        key = (pod.namespace, pod.name)
        if key in using:
            squatters.append(_view(pod, gpus.get(key, ()), SQUATTER))
        if pod.component:
            stack.append(_view(pod))
        elif pod.holds and pod.slots != 0:
            holders.append(_view(pod, gpus.get(key, ())))
        elif key not in using:
            others.append(_view(pod))
    return NodePods(
        holders=tuple(holders),
        squatters=tuple(squatters),
        others=tuple(others),
        stack=tuple(stack),
        gpus_are_named=bool(gpus),
    )


def _view(pod: Pod, gpus: tuple[OnGpu, ...] = (), status: PodStatus | None = None) -> PodView:
    terminating = bool((pod.snapshot or {}).get("deleting_since"))
    known = pod_status(pod.phase, pod.reason, ready=pod.ready, terminating=terminating, is_workload=not pod.component)
    return PodView(
        id=pod.pk,
        namespace=pod.namespace,
        name=pod.name,
        component=pod.component,
        status=status or known,
        slots=pod.slots,
        requests=pod.requests,
        gpus=gpus,
        created_at=pod.created_at,
    )


def _gpus_by_pod(table: GpuTable) -> dict[tuple[str, str], tuple[OnGpu, ...]]:
    """Returns the GPUs on which the exporter names each pod, on the GPU itself or on one of its MIG instances."""
    result: dict[tuple[str, str], dict[OnGpu, None]] = {}
    for row in table.rows:
        for pod in (*row.pods, *(pod for mig in row.migs for pod in mig.pods)):
            result.setdefault((pod.namespace, pod.name), {})[OnGpu(row.index, row.gone)] = None
    return {pod: tuple(gpus) for pod, gpus in result.items()}
