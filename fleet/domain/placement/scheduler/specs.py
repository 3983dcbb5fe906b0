"""Reads a pod's manifest as the scheduler does once admission has added its defaults."""

from __future__ import annotations

from collections.abc import Mapping

from fleet.domain import labels as known
from fleet.domain.label_selectors import Requirement
from fleet.domain.placement.scheduler import terms
from fleet.domain.placement.scheduler.checks import problem_of
from fleet.domain.placement.scheduler.terms import Spec, items, labels_of, mapping, text
from fleet.domain.pod_resources import ContainerRequests, scheduled_requests
from fleet.domain.snapshot import ContainerSnapshot
from fleet.domain.snapshot.scheduling import (
    HostPort,
    PodScheduling,
    PriorityClass,
    RuntimeClass,
    SchedulingObjects,
    Toleration,
)

_CONFLICTING_DISKS = ("gcePersistentDisk", "awsElasticBlockStore", "rbd", "iscsi", "azureDisk", "cinder")
"""Volume sources that a node may refuse because another pod has the same disk (VolumeRestrictions, NodeVolumeLimits)."""
_NOT_READY, _UNREACHABLE = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - an address as a pod writes it; nothing listens
_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}


def pod_scheduling(metadata: Spec, spec: Spec, objects: SchedulingObjects, status: Spec | None = None) -> PodScheduling:
    """What the scheduler reads of this pod, whether it was sent just now or is stored in the API server."""
    own = labels_of(metadata.get("labels"))
    affinity = mapping(spec.get("affinity"))
    nodes, pods, apart = (mapping(affinity.get(kind)) for kind in ("nodeAffinity", "podAffinity", "podAntiAffinity"))
    required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
    runtime, runtime_problem = _runtime_class(text(spec.get("runtimeClassName")), objects)
    priority, never, priority_problem = _priority(spec, objects)
    requests = pod_requests(spec, runtime)
    gaps = [
        f"volumes of type {kind}" for kind in _CONFLICTING_DISKS if any(kind in entry for entry in items(spec.get("volumes")))
    ]
    gaps += [problem for problem, certain in (runtime_problem, priority_problem) if problem and not certain]
    problems = [problem_of(spec), *(problem for problem, certain in (runtime_problem, priority_problem) if problem and certain)]
    selector = {**labels_of(spec.get("nodeSelector")), **(runtime.selector if runtime else {})}
    return PodScheduling(
        requests=requests,
        tolerations=with_defaults((*terms.tolerations(spec.get("tolerations")), *(runtime.tolerations if runtime else ()))),
        selector=tuple(Requirement(key, "in", (value,)) for key, value in selector.items()),
        terms=terms.node_terms(nodes.get(required)),
        affinity=terms.pod_terms(pods.get(required), own),
        anti_affinity=terms.pod_terms(apart.get(required), own),
        spread=terms.spread_constraints(spec.get("topologySpreadConstraints"), own),
        ports=host_ports(spec),
        volume_claims=volume_claims(text(metadata.get("name")), spec),
        gates=tuple(text(gate.get("name")) for gate in items(spec.get("schedulingGates"))),
        scheduler="" if spec.get("schedulerName") in (None, "", "default-scheduler") else text(spec.get("schedulerName")),
        priority=priority,
        never_preempts=never,
        nominated=text(mapping(status).get("nominatedNodeName")),
        claims=bool(items(spec.get("resourceClaims")))
        or any(name.startswith(known.DEVICE_CLASS_RESOURCE_PREFIX) for name in requests),
        preferences=any(part.get(preferred) for part in (nodes, pods, apart)),
        not_modelled=tuple(gaps),
        problem=next((problem for problem in problems if problem), ""),
    )


def pod_requests(spec: Spec, runtime: RuntimeClass | None = None) -> dict[str, int | None]:
    """What the scheduler reserves for a pod with this specification."""
    whole = mapping(spec.get("resources"))
    overhead = labels_of(spec.get("overhead")) or (runtime.overhead if runtime else {})
    containers = [
        ContainerRequests(_requests(entry), init, init and entry.get("restartPolicy") == "Always")
        for init, key in ((True, "initContainers"), (False, "containers"))
        for entry in items(spec.get(key))
    ]
    return scheduled_requests(containers, overhead, labels_of(whole.get("requests")), labels_of(whole.get("limits")))


def containers_of(spec: Spec) -> tuple[ContainerSnapshot, ...]:
    """Returns the containers of a specification with the extended resources they ask for, init containers first."""
    return tuple(
        ContainerSnapshot(
            name=text(entry.get("name"))[:63],
            image=text(entry.get("image"))[:512],
            init=init,
            sidecar=init and entry.get("restartPolicy") == "Always",
            requests={name: amount for name, amount in _requests(entry).items() if "/" in name},
        )
        for init, key in ((True, "initContainers"), (False, "containers"))
        for entry in items(spec.get(key))
    )


def _requests(container: Spec) -> dict[str, str]:
    resources = mapping(container.get("resources"))
    return {**labels_of(resources.get("limits")), **labels_of(resources.get("requests"))}


def with_defaults(tolerations: tuple[Toleration, ...]) -> tuple[Toleration, ...]:
    """Returns the tolerations and the two that admission adds to each pod that does not mention these taints."""
    added = [
        Toleration(key, "Exists", "", "NoExecute")
        for key in (_NOT_READY, _UNREACHABLE)
        if not any(entry.key in ("", key) and entry.effect in ("", "NoExecute") for entry in tolerations)
    ]
    return (*tolerations, *added)


def host_ports(spec: Spec) -> tuple[HostPort, ...]:
    """Ports of the node that containers and sidecars occupy."""
    on_host = spec.get("hostNetwork") is True
    containers = [entry for entry in items(spec.get("initContainers")) if entry.get("restartPolicy") == "Always"]
    rows = []
    for container in (*containers, *items(spec.get("containers"))):
        for port in items(container.get("ports")):
            number = port.get("hostPort") or (port.get("containerPort") if on_host else 0)
            if isinstance(number, int) and number > 0:
                address = text(port.get("hostIP"))
                rows.append(HostPort(number, text(port.get("protocol")) or "TCP", "" if address == ANY_ADDRESS else address))
    return tuple(rows)


def volume_claims(pod: str, spec: Spec) -> tuple[str, ...]:
    """Names of the PersistentVolumeClaims a pod mounts; a generic ephemeral volume's claim is named after pod and volume."""
    names = []
    for volume in items(spec.get("volumes")):
        if claim := text(mapping(volume.get("persistentVolumeClaim")).get("claimName")):
            names.append(claim)
        elif isinstance(volume.get("ephemeral"), Mapping):
            names.append(f"{pod}-{text(volume.get('name'))}")
    return tuple(dict.fromkeys(names))


def _runtime_class(name: str, objects: SchedulingObjects) -> tuple[RuntimeClass | None, tuple[str, bool]]:
    """Returns the RuntimeClass, or a problem and whether it is certain."""
    if not name:
        return None, ("", True)
    if objects.runtime_classes is None:
        return None, (f"the overhead of RuntimeClass {name} (not read)", False)
    runtime_classes = next((entry for entry in objects.runtime_classes if entry.name == name), None)
    return runtime_classes, ("" if runtime_classes else f"RuntimeClass {name} does not exist.", True)


def _priority(spec: Spec, objects: SchedulingObjects) -> tuple[int, bool, tuple[str, bool]]:
    """Priority, whether it never preempts, and a problem with whether it is certain."""
    never = spec.get("preemptionPolicy") == "Never"
    stored = spec.get("priority")
    name = text(spec.get("priorityClassName"))
    if isinstance(stored, int):
        return stored, never, ("", True)
    if name in _SYSTEM_PRIORITIES:
        return _SYSTEM_PRIORITIES[name], never, ("", True)
    if objects.priority_classes is None:
        # Priority decides which promises to other pods count; without any such promise it keeps no pod out.
        return 0, never, ("", True)
    chosen: PriorityClass | None = next(
        (entry for entry in objects.priority_classes if (entry.name == name if name else entry.default)), None
    )
    if chosen is None:
        return 0, never, (f"PriorityClass {name} does not exist." if name else "", True)
    return chosen.value, never or chosen.never_preempts, ("", True)
