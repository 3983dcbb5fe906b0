"""Pods that use a GPU or MIG instance: by the kubelet where it reports devices, else by the exporter's labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.pod_resources import holds, wants_gpu
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.snapshot.telemetry import DeviceSample

BUSY_PERCENT, BUSY_RATIO = 1.0, 0.01
"""Lowest load of a GPU that counts as computing: drivers and monitors alone cause less."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """One pod that uses a device, and the source."""

    namespace: str
    pod: str
    container: str = ""
    source: str
    """kubelet (allocatedResourcesStatus) or exporter (its pod label)."""


def holders(sample: DeviceSample, pods: Sequence[PodSnapshot] | None) -> tuple[Holder, ...]:
    """Returns the pods that use this device, each once, by name.

    `pods` are those of the node; None where unknown. The kubelet outweighs the exporter. An exporter may name a pod for up to
    half an hour after its end, and with time-slicing it names one of several: removed pods are left out, and the rest is no
    evidence that no other pod shares the GPU.
    """
    by_kubelet = [
        Holder(namespace=pod.namespace, pod=pod.name, source="kubelet")
        for pod in pods or ()
        if holds(pod) and any(_is(sample, device.device_id) for device in pod.devices)
    ]
    alive = None if pods is None else {(pod.namespace, pod.name) for pod in pods if holds(pod)}
    named = {(holder.namespace, holder.pod) for holder in by_kubelet}
    by_exporter = [
        Holder(namespace=holder.namespace, pod=holder.pod, container=holder.container, source="exporter")
        for holder in sample.pods
        if (holder.namespace, holder.pod) not in named and (alive is None or (holder.namespace, holder.pod) in alive)
    ]
    return tuple(sorted((*by_kubelet, *by_exporter), key=lambda holder: (holder.namespace, holder.pod)))


def is_computing(sample: DeviceSample) -> bool | None:
    """Returns whether something computes on the device; None where no load is measured."""
    active, used = sample.values.get("gr_engine_active"), sample.values.get("gpu_util")
    if active is None and used is None:
        return None
    return (active or 0.0) >= BUSY_RATIO or (used or 0.0) >= BUSY_PERCENT


def unclaimed(samples: Iterable[DeviceSample], pods: Sequence[PodSnapshot]) -> list[DeviceSample]:
    """Returns devices that compute although no pod on the node uses them or requests a GPU.

    A process outside the scheduler's view (a privileged pod, NVIDIA_VISIBLE_DEVICES=all, something outside Kubernetes).

    Where pods have GPUs and no source attributes them, a busy GPU is no evidence: such a node has none.
    """
    busy = [sample for sample in samples if is_computing(sample) and not holders(sample, pods)]
    if not busy:
        return []
    claimants = [pod for pod in pods if holds(pod) and not pod.component and wants_gpu(pod)]
    result = any(pod.devices for pod in claimants) or any(sample.pods for sample in samples)
    return busy if result or not claimants else []


def _is(sample: DeviceSample, device_id: str) -> bool:
    """Returns whether a device plugin's id means this device.

    Ids of MIG instances contain neither their GPU nor DCGM's number.
    """
    return not sample.gi_id and device_id.partition("::")[0] == sample.uuid
