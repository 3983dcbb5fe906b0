"""Who holds a GPU or MIG instance: by the kubelet's word where it gives one, by the exporter's label else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from fleet.domain.requests import gpu_requests, holds
from fleet.domain.snapshot import PodSnapshot
from fleet.domain.telemetry import DeviceSample

BUSY_PERCENT, BUSY_RATIO = 1.0, 0.01
"""From here on a card counts as computing: drivers and monitors by themselves stay below."""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """One pod that holds a device, and who says so."""

    namespace: str
    pod: str
    container: str = ""
    source: str
    """kubelet (allocatedResourcesStatus) or exporter (its pod label)."""


def holders(sample: DeviceSample, pods: Sequence[PodSnapshot] | None) -> tuple[Holder, ...]:
    """Who holds this device, each pod once, by name.

    `pods` are those of the node; None where they are not known. The kubelet's word wins. An exporter goes on naming a pod for up
    to half an hour after its end, and with time-slicing it names one of many: a pod that is not there any more is left out, and
    what is left is no proof that nobody else shares the card.
    """
    by_kubelet = [
        Holder(namespace=pod.namespace, pod=pod.name, source="kubelet")
        for pod in pods or ()
        if holds(pod) and any(_is(sample, device.device_id) for device in pod.devices)
    ]
    alive = None if pods is None else {(pod.namespace, pod.name) for pod in pods if holds(pod)}
    named = {(one.namespace, one.pod) for one in by_kubelet}
    by_exporter = [
        Holder(namespace=one.namespace, pod=one.pod, container=one.container, source="exporter")
        for one in sample.pods
        if (one.namespace, one.pod) not in named and (alive is None or (one.namespace, one.pod) in alive)
    ]
    return tuple(sorted((*by_kubelet, *by_exporter), key=lambda one: (one.namespace, one.pod)))


def is_computing(sample: DeviceSample) -> bool | None:
    """Whether something runs on the device; None where no load is measured."""
    active, used = sample.values.get("gr_engine_active"), sample.values.get("gpu_util")
    if active is None and used is None:
        return None
    return (active or 0.0) >= BUSY_RATIO or (used or 0.0) >= BUSY_PERCENT


def unclaimed(samples: Iterable[DeviceSample], pods: Sequence[PodSnapshot]) -> list[DeviceSample]:
    """Devices that compute although no pod on the node holds them, or asks for any GPU at all: a process that came by another
    way (a privileged pod, NVIDIA_VISIBLE_DEVICES=all, something outside Kubernetes).

    Where pods hold GPUs and nobody says which, a busy card proves nothing: such a node has none here.
    """
    busy = [sample for sample in samples if is_computing(sample) and not holders(sample, pods)]
    if not busy:
        return []
    claimants = [pod for pod in pods if holds(pod) and not pod.component and (pod.claims or gpu_requests(pod))]
    told = any(pod.devices for pod in claimants) or any(sample.pods for sample in samples)
    return busy if told or not claimants else []


def _is(sample: DeviceSample, device_id: str) -> bool:
    """Whether a device plugin's id means this device. Ids of MIG instances name neither their card nor DCGM's number for them."""
    return not sample.gi_id and device_id.partition("::")[0] == sample.uuid
