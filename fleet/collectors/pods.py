"""Pods that matter: they ask for or hold GPU resources, belong to the GPU stack, or sit on a GPU node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from sys import intern

import msgspec

from fleet.collectors.components import NFD_WORKER, component_of
from fleet.collectors.wire import ConditionWire, ObjectMeta, Owner, Quantities, interned, parse_time
from fleet.domain.labels import DEVICE_CLASS_RESOURCE_PREFIX, is_gpu_resource
from fleet.domain.snapshot import ContainerPort, ContainerSnapshot, DeviceAllocation, PodSnapshot


class _Resources(msgspec.Struct, gc=False):
    requests: Quantities | None = None
    limits: Quantities | None = None


class _Port(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    container_port: int | None = None
    protocol: str | None = None


class _Variable(msgspec.Struct, gc=False):
    name: str | None = None
    value: str | None = None


class _SecurityContext(msgspec.Struct, gc=False):
    privileged: bool | None = None


class _Container(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    image: str | None = None
    resources: _Resources | None = None
    env: list[_Variable] | None = None
    security_context: _SecurityContext | None = None
    restart_policy: str | None = None
    ports: list[_Port] | None = None


class _ClaimUse(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    resource_claim_name: str | None = None


class _Spec(msgspec.Struct, rename="camel", gc=False):
    node_name: str | None = None
    priority_class_name: str | None = None
    containers: list[_Container] | None = None
    init_containers: list[_Container] | None = None
    resource_claims: list[_ClaimUse] | None = None


class _State(msgspec.Struct, rename="camel", gc=False):
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None


class _States(msgspec.Struct, gc=False):
    waiting: _State | None = None
    running: _State | None = None
    terminated: _State | None = None


class _Device(msgspec.Struct, rename={"resource_id": "resourceID"}, gc=False):
    resource_id: str | None = None
    health: str | None = None


class _Allocated(msgspec.Struct, gc=False):
    name: str | None = None
    resources: list[_Device] | None = None


class _ContainerStatus(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    ready: bool | None = None
    restart_count: int | None = None
    state: _States | None = None
    allocated_resources_status: list[_Allocated] | None = None


class _Status(msgspec.Struct, rename="camel", gc=False):
    phase: str | None = None
    reason: str | None = None
    message: str | None = None
    start_time: str | None = None
    pod_ip: str | None = msgspec.field(default=None, name="podIP")
    conditions: list[ConditionWire] | None = None
    container_statuses: list[_ContainerStatus] | None = None
    init_container_statuses: list[_ContainerStatus] | None = None
    resource_claim_statuses: list[_ClaimUse] | None = None
    extended_resource_claim_status: _ClaimUse | None = None


class PodWire(msgspec.Struct, gc=False):
    metadata: ObjectMeta | None = None
    spec: _Spec | None = None
    status: _Status | None = None


_NO_META, _NO_SPEC, _NO_STATUS, _NO_STATES = ObjectMeta(), _Spec(), _Status(), _States()
_NO_CONTAINER_STATUS = _ContainerStatus()
_FINISHED = frozenset({"Succeeded", "Failed"})
# Reasons that only say "not yet": any other reason tells more.
_MERE_WAITING = frozenset({"ContainerCreating", "PodInitializing"})


def keep(wires: Iterable[PodWire], gpu_nodes: frozenset[str]) -> list[PodSnapshot]:
    """The pods of a page that matter, parsed; the others are dropped before anything is built of them."""
    kept = []
    for wire in wires:
        component = _component(wire)
        # NFD's workers sit on every node of a cluster: elsewhere than on GPU nodes they tell nothing about GPUs.
        if (component and component != NFD_WORKER) or _sits_on(wire, gpu_nodes) or _asks_for_gpu(wire):
            pod = parse(wire, component)
            if pod is not None:
                kept.append(pod)
    return kept


def _component(wire: PodWire) -> str:
    meta, spec = wire.metadata or _NO_META, wire.spec or _NO_SPEC
    owner = _owner(meta.owner_references)
    daemonset = (owner.name or "") if owner is not None and owner.kind == "DaemonSet" else ""
    return component_of(meta.labels or {}, daemonset, (c.image or "" for c in spec.containers or ()))


def _asks_for_gpu(wire: PodWire) -> bool:
    """Whether a container asks for a GPU resource, or the pod for a device through a ResourceClaim."""
    spec, status = wire.spec or _NO_SPEC, wire.status or _NO_STATUS
    if spec.resource_claims or status.extended_resource_claim_status is not None:
        return True
    for containers in (spec.containers, spec.init_containers):
        for container in containers or ():
            resources = container.resources
            if resources is not None:
                for wanted in (resources.limits, resources.requests):
                    for name in wanted or ():
                        if "/" in name and (is_gpu_resource(name) or name.startswith(DEVICE_CLASS_RESOURCE_PREFIX)):
                            return True
    return False


def _sits_on(wire: PodWire, gpu_nodes: frozenset[str]) -> bool:
    """A finished pod sits nowhere: it holds nothing, and a busy job queue leaves thousands of them."""
    spec, status = wire.spec or _NO_SPEC, wire.status or _NO_STATUS
    return spec.node_name in gpu_nodes and status.phase not in _FINISHED


def parse(wire: PodWire, component: str | None = None) -> PodSnapshot | None:
    """A pod as Muster keeps it; None for an object without a name."""
    meta, spec, status = wire.metadata or _NO_META, wire.spec or _NO_SPEC, wire.status or _NO_STATUS
    if not meta.name:
        return None
    owner = _owner(meta.owner_references)
    statuses = {s.name: s for s in (*(status.init_container_statuses or ()), *(status.container_statuses or ()))}
    containers = _containers(spec, statuses)
    conditions = {condition.type: condition for condition in status.conditions or ()}
    ready = conditions.get("Ready")
    reason, message = _reason(status, containers, statuses, conditions.get("PodScheduled"))
    return PodSnapshot(
        uid=meta.uid or f"{meta.namespace or ''}/{meta.name}",
        namespace=intern(meta.namespace or ""),
        name=meta.name,
        node_name=intern(spec.node_name or ""),
        phase=intern(status.phase or ""),
        created_at=meta.created_at,
        started_at=parse_time(status.start_time),
        deleting_since=_deleting_since(meta),
        owner_kind=intern((owner.kind if owner else "") or ""),
        owner_name=intern((owner.name if owner else "") or ""),
        labels=interned(meta.labels),
        ready=ready is not None and ready.status == "True",
        reason=intern(reason),
        message=message,
        priority_class=intern(spec.priority_class_name or ""),
        containers=containers,
        claims=_claims(spec, status),
        devices=_devices(statuses.values()),
        component=_component(wire) if component is None else component,
        ip=status.pod_ip or "",
    )


def _owner(owners: Sequence[Owner] | None) -> Owner | None:
    """The controlling owner, else the first."""
    if not owners:
        return None
    return next((owner for owner in owners if owner.controller), owners[0])


def _deleting_since(meta: ObjectMeta) -> datetime | None:
    """When deletion was asked for. The API's deletionTimestamp lies a grace period later, when the pod must be gone."""
    due = parse_time(meta.deletion_timestamp)
    if due is None:
        return None
    try:
        return due - timedelta(seconds=meta.deletion_grace_period_seconds or 0)
    except OverflowError:
        return due


def _containers(spec: _Spec, statuses: dict[str | None, _ContainerStatus]) -> tuple[ContainerSnapshot, ...]:
    init = [_container(wire, statuses, init=True) for wire in spec.init_containers or ()]
    return (*init, *(_container(wire, statuses, init=False) for wire in spec.containers or ()))


def _container(wire: _Container, statuses: dict[str | None, _ContainerStatus], *, init: bool) -> ContainerSnapshot:
    status = statuses.get(wire.name, _NO_CONTAINER_STATUS)
    states = status.state or _NO_STATES
    state = states.terminated or states.waiting or states.running
    return ContainerSnapshot(
        name=intern(wire.name or ""),
        image=intern(wire.image or ""),
        init=init,
        sidecar=init and wire.restart_policy == "Always",
        requests=_extended(wire.resources),
        privileged=bool(wire.security_context and wire.security_context.privileged),
        visible_devices=_visible_devices(wire.env),
        state=_state_name(states),
        reason=intern((state.reason if state else "") or ""),
        exit_code=states.terminated.exit_code if states.terminated else None,
        ready=bool(status.ready),
        restarts=status.restart_count or 0,
        ports=() if init else _ports(wire),
    )


def _ports(wire: _Container) -> tuple[ContainerPort, ...]:
    return tuple(
        ContainerPort(port.container_port, intern(port.name or ""))
        for port in wire.ports or ()
        if port.container_port and (port.protocol or "TCP") == "TCP"
    )


_VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
_LONGEST = 200


def _visible_devices(env: Sequence[_Variable] | None) -> str:
    """The one variable that hands out GPUs; no other leaves the page it was read from."""
    for variable in env or ():
        if variable.name == _VISIBLE_DEVICES:
            return intern((variable.value or "")[:_LONGEST])
    return ""


def _state_name(states: _States) -> str:
    if states.terminated is not None:
        return "terminated"
    if states.waiting is not None:
        return "waiting"
    return "running" if states.running is not None else ""


def _extended(resources: _Resources | None) -> dict[str, str]:
    """Extended resources asked for: requests, and limits where no request is written (the API's own default)."""
    if resources is None:
        return {}
    extended: dict[str, str] = {}
    for asked in (resources.limits, resources.requests):
        for name in asked or ():
            if "/" in name and asked is not None:
                extended[intern(name)] = intern(str(asked[name]))
    return extended


def _reason(
    status: _Status,
    containers: Sequence[ContainerSnapshot],
    statuses: dict[str | None, _ContainerStatus],
    scheduled: ConditionWire | None,
) -> tuple[str, str]:
    """Why the pod is not simply running: the pod's own word, the scheduler's, or the most telling container's."""
    if status.reason:
        return status.reason, status.message or ""
    if scheduled is not None and scheduled.status == "False":
        return scheduled.reason or "", scheduled.message or ""
    failing = [c for c in containers if c.state == "waiting" and c.reason and c.reason not in _MERE_WAITING]
    failing += [c for c in containers if c.state == "terminated" and c.exit_code not in (0, None)]
    failing += [c for c in containers if c.state == "waiting" and c.reason]
    if not failing:
        return "", ""
    states = statuses.get(failing[0].name, _NO_CONTAINER_STATUS).state or _NO_STATES
    state = states.terminated or states.waiting
    return failing[0].reason, (state.message if state else "") or ""


def _claims(spec: _Spec, status: _Status) -> tuple[str, ...]:
    """Claims by name: those generated from templates and for extended resources are only named in the status."""
    uses = [*(status.resource_claim_statuses or ()), *(spec.resource_claims or ())]
    if status.extended_resource_claim_status is not None:
        uses.append(status.extended_resource_claim_status)
    return tuple(dict.fromkeys(use.resource_claim_name for use in uses if use.resource_claim_name))


def _devices(statuses: Iterable[_ContainerStatus]) -> tuple[DeviceAllocation, ...]:
    return tuple(
        DeviceAllocation(resource=intern(allocated.name or ""), device_id=device.resource_id, health=intern(device.health or ""))
        for status in statuses
        for allocated in status.allocated_resources_status or ()
        for device in allocated.resources or ()
        if device.resource_id
    )
