"""Pods that matter: they request or hold GPU resources, belong to the GPU stack, or run on a GPU node."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from sys import intern

from fleet.collectors import pod_scheduling
from fleet.collectors.components import NFD_WORKER, component_of
from fleet.collectors.pod_scheduling import ResourcesWire
from fleet.collectors.pods_wire import Container, ContainerStatus, PodWire, Spec, States, Status, Variable
from fleet.collectors.wire import ConditionWire, ObjectMeta, Owner, interned, parse_time
from fleet.domain.catalog import monitors
from fleet.domain.labels import (
    DEVICE_CLASS_RESOURCE_PREFIX,
    KAI_FRACTIONS,
    KAI_GROUP,
    MUSTER_PLACEMENT,
    POD_GROUPS,
    is_gpu_quantity,
    is_gpu_resource,
)
from fleet.domain.snapshot import ContainerPort, ContainerSnapshot, DeviceAllocation, PodSnapshot

_NO_META, _NO_SPEC, _NO_STATUS, _NO_STATES = ObjectMeta(), Spec(), Status(), States()
_NO_CONTAINER_STATUS = ContainerStatus()
_LONGEST_DIGEST = 64
_LONGEST_SHARE = 60
_LONGEST_NAME = 253
_MOST_SIGNALS = 20
_FINISHED = frozenset({"Succeeded", "Failed"})
# Reasons that only mean "not yet": any other reason is more specific.
_MERE_WAITING = frozenset({"ContainerCreating", "PodInitializing"})


def keep(wires: Iterable[PodWire], gpu_nodes: frozenset[str]) -> list[PodSnapshot]:
    """The pods of a page that matter, parsed; the others are dropped before anything is built of them."""
    kept = []
    for wire in wires:
        component = _component(wire)
        # NFD's workers run on every node of a cluster: outside GPU nodes they have nothing to do with GPUs.
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
    """Whether a container asks for a GPU resource, or the pod for a device through a ResourceClaim, or for a share."""
    spec, status = wire.spec or _NO_SPEC, wire.status or _NO_STATUS
    annotations = (wire.metadata or _NO_META).annotations
    if annotations and any(annotations.get(key) for key in KAI_FRACTIONS):
        return True
    if spec.resource_claims or status.extended_resource_claim_status is not None:
        return True
    for containers in (spec.containers, spec.init_containers):
        for container in containers or ():
            resources = container.resources
            if resources is not None:
                for wanted in (resources.limits, resources.requests):
                    for name in wanted or ():
                        if "/" in name and _is_of_gpus(name):
                            return True
    return False


def _is_of_gpus(name: str) -> bool:
    return is_gpu_resource(name) or is_gpu_quantity(name) or name.startswith(DEVICE_CLASS_RESOURCE_PREFIX)


def _sits_on(wire: PodWire, gpu_nodes: frozenset[str]) -> bool:
    """A finished pod counts for no node: it holds nothing, and a busy job queue leaves thousands of them."""
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
        placement=intern((meta.annotations or {}).get(MUSTER_PLACEMENT, "")[:_LONGEST_DIGEST]),
        pod_group=_pod_group(meta),
        ready=ready is not None and ready.status == "True",
        reason=intern(reason),
        message=message,
        priority_class=intern(spec.priority_class_name or ""),
        containers=containers,
        claims=_claims(spec, status),
        devices=_devices(statuses.values()),
        gpu_share=_gpu_share(meta, containers),
        signals=_signals(status.conditions or ()),
        component=_component(wire) if component is None else component,
        ip=status.pod_ip or "",
        scheduling=pod_scheduling.parse(
            meta,
            spec,
            spec.containers or (),
            spec.init_containers or (),
            bound=bool(spec.node_name),
            nominated=status.nominated_node_name or "",
        ),
    )


def _signals(conditions: Sequence[ConditionWire]) -> tuple[str, ...]:
    """Types of conditions that are True and say something of the node, as Slurm's operator writes them on its pods."""
    signals = [condition.type for condition in conditions if condition.status == "True" and condition.type]
    known = sorted(intern(type_) for type_ in signals if monitors.signal_of("pod_condition", type_) is not None)
    return tuple(known[:_MOST_SIGNALS])


def _pod_group(meta: ObjectMeta) -> str:
    annotations = meta.annotations
    if not annotations:
        return ""
    return intern(next((annotations[key] for key in POD_GROUPS if annotations.get(key)), "")[:_LONGEST_NAME])


def _gpu_share(meta: ObjectMeta, containers: Sequence[ContainerSnapshot]) -> str:
    """The share of a GPU that annotations or a group label state. A pod of the group that requests a GPU is its reservation."""
    annotations, labels = meta.annotations or {}, meta.labels or {}
    for key in KAI_FRACTIONS:
        if annotations.get(key):
            return intern(f"{key} {annotations[key][:_LONGEST_SHARE]}")
    group = next((key for key in labels if key == KAI_GROUP or key.startswith(KAI_GROUP + "/")), "")
    if not group or any(is_gpu_resource(name) for container in containers for name in container.requests):
        return ""
    return intern(f"{KAI_GROUP} {labels[group][:_LONGEST_SHARE]}")


def _owner(owners: Sequence[Owner] | None) -> Owner | None:
    """The controlling owner, else the first."""
    if not owners:
        return None
    return next((owner for owner in owners if owner.controller), owners[0])


def _deleting_since(meta: ObjectMeta) -> datetime | None:
    """When deletion was requested. The API's deletionTimestamp is a grace period later, when the pod must have ended."""
    due = parse_time(meta.deletion_timestamp)
    if due is None:
        return None
    try:
        return due - timedelta(seconds=meta.deletion_grace_period_seconds or 0)
    except OverflowError:
        return due


def _containers(spec: Spec, statuses: dict[str | None, ContainerStatus]) -> tuple[ContainerSnapshot, ...]:
    init = [_container(wire, statuses, init=True) for wire in spec.init_containers or ()]
    return (*init, *(_container(wire, statuses, init=False) for wire in spec.containers or ()))


def _container(wire: Container, statuses: dict[str | None, ContainerStatus], *, init: bool) -> ContainerSnapshot:
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


def _ports(wire: Container) -> tuple[ContainerPort, ...]:
    return tuple(
        ContainerPort(port.container_port, intern(port.name or ""))
        for port in wire.ports or ()
        if port.container_port and (port.protocol or "TCP") == "TCP"
    )


_VISIBLE_DEVICES = "NVIDIA_VISIBLE_DEVICES"
_LONGEST = 200


def _visible_devices(env: Sequence[Variable] | None) -> str:
    """The one variable that grants GPUs; no other is kept."""
    for variable in env or ():
        if variable.name == _VISIBLE_DEVICES:
            return intern((variable.value or "")[:_LONGEST])
    return ""


def _state_name(states: States) -> str:
    if states.terminated is not None:
        return "terminated"
    if states.waiting is not None:
        return "waiting"
    return "running" if states.running is not None else ""


def _extended(resources: ResourcesWire | None) -> dict[str, str]:
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
    status: Status,
    containers: Sequence[ContainerSnapshot],
    statuses: dict[str | None, ContainerStatus],
    scheduled: ConditionWire | None,
) -> tuple[str, str]:
    """Returns why the pod is not running: the pod's reason, the scheduler's, or the most specific container's."""
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


def _claims(spec: Spec, status: Status) -> tuple[str, ...]:
    """Claims by name: those generated from templates and for extended resources are only named in the status."""
    uses = [*(status.resource_claim_statuses or ()), *(spec.resource_claims or ())]
    if status.extended_resource_claim_status is not None:
        uses.append(status.extended_resource_claim_status)
    return tuple(dict.fromkeys(use.resource_claim_name for use in uses if use.resource_claim_name))


def _devices(statuses: Iterable[ContainerStatus]) -> tuple[DeviceAllocation, ...]:
    return tuple(
        DeviceAllocation(resource=intern(allocated.name or ""), device_id=device.resource_id, health=intern(device.health or ""))
        for status in statuses
        for allocated in status.allocated_resources_status or ()
        for device in allocated.resources or ()
        if device.resource_id
    )
