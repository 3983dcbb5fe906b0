"""Findings on slots: advertised against existing devices, and against requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.domain import labels
from fleet.domain.devices.claims import NodeClaims
from fleet.domain.devices.findings.node import maintenance
from fleet.domain.devices.resources import NodeResources
from fleet.domain.devices.slots import ResourceSlots
from fleet.domain.findings import Evidence, Finding, Severity
from fleet.domain.quantities import plural
from fleet.domain.snapshot import PodSnapshot


def about_slots(claims: NodeClaims, resources_of_node: NodeResources, pods: Sequence[PodSnapshot] | None) -> Iterator[Finding]:
    """Yields findings on slots against existing devices, and against requests."""
    paused = maintenance(claims) is not None
    for slots in resources_of_node.resources:
        if slots.name not in resources_of_node.duplicates:
            yield from _offered(claims, slots, paused=paused, pods=pods)
        yield from _overasked(slots, paused=paused)


def _offered(claims: NodeClaims, slots: ResourceSlots, *, paused: bool, pods: Sequence[PodSnapshot] | None) -> Iterator[Finding]:
    capacity, allocatable = slots.capacity, slots.allocatable
    if capacity is None or allocatable is None:
        return
    should = max(capacity, slots.predicted or 0)
    if allocatable == 0 and should > 0:
        yield _nothing_advertised(claims, slots, should, paused=paused, pods=pods)
    elif allocatable < capacity and slots.kind.startswith("dra") and claims.dra is not None and claims.dra.set_aside_by:
        yield Finding(
            rule="slots_set_aside",
            severity=Severity.WARNING,
            text=f"{capacity - allocatable} of {plural(capacity, 'slot')} set aside{_by_rules(claims.dra.set_aside_by)} "
            f"({slots.name}).",
            evidence=(
                Evidence("resource_slice", slots.name, f"{allocatable} of {capacity}"),
                Evidence("resource_slice", "tainted by a DeviceTaintRule", ", ".join(claims.dra.tainted)),
            ),
        )
    elif allocatable < capacity:
        yield Finding(
            rule="unhealthy_devices",
            severity=Severity.INFO if paused else Severity.CRITICAL,
            text=f"{capacity - allocatable} of {plural(capacity, 'slot')} not allocatable"
            f"{_as_devices(slots, capacity - allocatable)} ({slots.name}).",
            evidence=(
                Evidence("capacity", slots.name, str(capacity)),
                Evidence("allocatable", slots.name, str(allocatable)),
            ),
        )
    if slots.predicted is not None and 0 < capacity < slots.predicted:
        yield Finding(
            rule="fewer_slots_than_devices",
            severity=Severity.INFO if paused else Severity.CRITICAL,
            text=f"{plural(capacity, 'slot')} advertised, but the detected devices make {slots.predicted}"
            f"{_as_devices(slots, slots.predicted - capacity)} ({slots.name}).",
            evidence=(Evidence("capacity", slots.name, str(capacity)),),
        )


def _nothing_advertised(
    claims: NodeClaims, slots: ResourceSlots, should: int, *, paused: bool, pods: Sequence[PodSnapshot] | None
) -> Finding:
    opted_out = claims.node.labels.get(labels.GPU_DEPLOY_DEVICE_PLUGIN) == "false" or (
        claims.node.labels.get(labels.GPU_DEPLOY_OPERANDS) == "false"
    )
    plugins = [pod for pod in pods or () if pod.component == "device-plugin"]
    if slots.kind.startswith("dra") and claims.dra is not None and claims.dra.tainted:
        by = _by_rules(claims.dra.set_aside_by) if claims.dra.set_aside_by else " by device taints"
        why = f"every device is kept from the scheduler{by}"
    elif opted_out:
        why = "the device plugin is disabled on this node by label"
    elif pods is not None and not plugins:
        why = "no device plugin runs on it"
    elif plugins and not any(pod.ready for pod in plugins):
        why = "its device plugin is not ready"
    else:
        why = "the device plugin is not registered, or reports every device unhealthy"
    return Finding(
        rule="nothing_advertised",
        severity=Severity.INFO if paused else Severity.CRITICAL,
        text=f"None of {plural(should, 'slot')} is advertised: {why} ({slots.name}).",
        evidence=(
            Evidence("capacity", slots.name, str(slots.capacity)),
            Evidence("allocatable", slots.name, str(slots.allocatable)),
        ),
    )


def _by_rules(names: Sequence[str]) -> str:
    return f" by DeviceTaintRule{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _as_devices(slots: ResourceSlots, missing: int) -> str:
    """`: 1 GPU`, where the missing slots are those of whole devices."""
    if not slots.replicas or missing % slots.replicas:
        return ""
    noun = "MIG instance" if "mig" in slots.kind else "GPU"
    if slots.kind.startswith("dra"):
        return f": {plural(missing // slots.replicas, noun)} kept from the scheduler by a device taint"
    return f": {plural(missing // slots.replicas, noun)} unhealthy or missing"


def _overasked(slots: ResourceSlots, *, paused: bool) -> Iterator[Finding]:
    if slots.free is not None and slots.free < 0:
        yield Finding(
            rule="requested_exceeds_allocatable",
            severity=Severity.INFO if paused else Severity.WARNING,
            text=f"{plural(slots.requested or 0, 'slot')} requested, {slots.allocatable} allocatable: {-slots.free} more than "
            f"the node advertises ({slots.name}).",
            evidence=(Evidence("allocatable", slots.name, str(slots.allocatable)),),
        )
