"""Remarks on slots: what is offered against what there is, and against what is asked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.domain import labels
from fleet.domain.findings import Evidence, Remark, Severity
from fleet.domain.offering import Offering
from fleet.domain.reading import Reading
from fleet.domain.remarks.node import maintenance
from fleet.domain.remarks.words import plural
from fleet.domain.slots import ResourceSlots
from fleet.domain.snapshot import PodSnapshot


def about_slots(reading: Reading, offering: Offering, pods: Sequence[PodSnapshot] | None) -> Iterator[Remark]:
    """What is offered against what there is, and against what is asked."""
    paused = maintenance(reading) is not None
    for slots in offering.resources:
        if slots.name not in offering.leave_out:
            yield from _offered(reading, slots, paused=paused, pods=pods)
        yield from _overasked(slots, paused=paused)


def _offered(reading: Reading, slots: ResourceSlots, *, paused: bool, pods: Sequence[PodSnapshot] | None) -> Iterator[Remark]:
    capacity, allocatable = slots.capacity, slots.allocatable
    if capacity is None or allocatable is None:
        return
    should = max(capacity, slots.predicted or 0)
    if allocatable == 0 and should > 0:
        yield _nothing_offered(reading, slots, should, paused=paused, pods=pods)
    elif allocatable < capacity:
        yield Remark(
            id="unhealthy_devices",
            severity=Severity.INFO if paused else Severity.CRITICAL,
            text=f"{capacity - allocatable} of {plural(capacity, 'slot')} not allocatable"
            f"{_as_devices(slots, capacity - allocatable)} ({slots.name}).",
            evidence=(
                Evidence("capacity", slots.name, str(capacity)),
                Evidence("allocatable", slots.name, str(allocatable)),
            ),
        )
    if slots.predicted is not None and 0 < capacity < slots.predicted:
        yield Remark(
            id="fewer_slots_than_devices",
            severity=Severity.INFO if paused else Severity.CRITICAL,
            text=f"{plural(capacity, 'slot')} offered where the devices found make {slots.predicted}"
            f"{_as_devices(slots, slots.predicted - capacity)} ({slots.name}).",
            evidence=(Evidence("capacity", slots.name, str(capacity)),),
        )


def _nothing_offered(
    reading: Reading, slots: ResourceSlots, should: int, *, paused: bool, pods: Sequence[PodSnapshot] | None
) -> Remark:
    opted_out = reading.node.labels.get(labels.GPU_DEPLOY_DEVICE_PLUGIN) == "false" or (
        reading.node.labels.get(labels.GPU_DEPLOY_OPERANDS) == "false"
    )
    plugins = [pod for pod in pods or () if pod.component == "device-plugin"]
    if opted_out:
        why = "the device plugin is switched off on this node by label"
    elif pods is not None and not plugins:
        why = "no device plugin runs on it"
    elif plugins and not any(pod.ready for pod in plugins):
        why = "its device plugin is not ready"
    else:
        why = "the device plugin is not registered, or calls every device unhealthy"
    return Remark(
        id="nothing_offered",
        severity=Severity.INFO if paused else Severity.CRITICAL,
        text=f"None of {plural(should, 'slot')} is offered: {why} ({slots.name}).",
        evidence=(
            Evidence("capacity", slots.name, str(slots.capacity)),
            Evidence("allocatable", slots.name, str(slots.allocatable)),
        ),
    )


def _as_devices(slots: ResourceSlots, missing: int) -> str:
    """`: 1 GPU`, where the missing slots are those of whole devices."""
    if not slots.replicas or missing % slots.replicas:
        return ""
    noun = "MIG instance" if "mig" in slots.kind else "GPU"
    return f": {plural(missing // slots.replicas, noun)} unhealthy or gone"


def _overasked(slots: ResourceSlots, *, paused: bool) -> Iterator[Remark]:
    if slots.free is not None and slots.free < 0:
        yield Remark(
            id="requested_exceeds_allocatable",
            severity=Severity.INFO if paused else Severity.WARNING,
            text=f"{plural(slots.requested or 0, 'slot')} requested, {slots.allocatable} allocatable: {-slots.free} more than "
            f"the node offers ({slots.name}).",
            evidence=(Evidence("allocatable", slots.name, str(slots.allocatable)),),
        )
