"""What the scheduler reads of a pod: everything of a pending pod, of a bound one only what affects others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec

from fleet.collectors.wire import ObjectMeta, Quantities
from fleet.domain.placement.scheduler import specs, terms
from fleet.domain.pod_resources import ContainerRequests, scheduled_requests
from fleet.domain.snapshot.scheduling import HostPort, PodScheduling, SchedulingObjects

NOTHING = msgspec.Raw(b"null")


class ResourcesWire(msgspec.Struct, gc=False):
    requests: Quantities | None = None
    limits: Quantities | None = None


class PortWire(
    msgspec.Struct, rename={"container_port": "containerPort", "host_port": "hostPort", "host_ip": "hostIP"}, gc=False
):
    name: str | None = None
    container_port: int | None = None
    protocol: str | None = None
    host_port: int | None = None
    host_ip: str | None = None


class ContainerWire(msgspec.Struct, rename="camel", gc=False):
    name: str | None = None
    resources: ResourcesWire | None = None
    restart_policy: str | None = None
    ports: list[PortWire] | None = None


class SchedulingSpec(msgspec.Struct, rename="camel", gc=False):
    """Parts of a pod's specification; those that few pods need decoded are left as they came."""

    priority: int | None = None
    preemption_policy: str | None = None
    scheduler_name: str | None = None
    host_network: bool | None = None
    overhead: Quantities | None = None
    resources: ResourcesWire | None = None
    affinity: msgspec.Raw = NOTHING
    topology_spread_constraints: msgspec.Raw = NOTHING
    tolerations: msgspec.Raw = NOTHING
    node_selector: msgspec.Raw = NOTHING
    volumes: msgspec.Raw = NOTHING
    scheduling_gates: msgspec.Raw = NOTHING


_Amounts = tuple[tuple[str, str], ...]
_Key = tuple[bool, bool, _Amounts]
_ANTI_AFFINITY = b'"podAntiAffinity"'
_CLAIMS = (b'"persistentVolumeClaim"', b'"ephemeral"')
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def parse(
    meta: ObjectMeta,
    spec: SchedulingSpec,
    containers: Sequence[ContainerWire],
    init_containers: Sequence[ContainerWire],
    *,
    bound: bool,
    nominated: str = "",
) -> PodScheduling:
    """What the scheduler reads of a stored pod, whose defaults and overhead the API server has filled in."""
    if not bound:
        return _waiting(meta, spec, containers, init_containers, nominated)
    key = (
        *[(True, wire.restart_policy == "Always", _amounts(wire.resources)) for wire in init_containers],
        *[(False, False, _amounts(wire.resources)) for wire in containers],
    )
    overhead = _pairs(spec.overhead)
    whole = _pairs(spec.resources.requests) if spec.resources is not None else ()
    scheduling = _bound(key, overhead, whole, spec.priority or 0)
    changes: dict[str, Any] = {}
    if ports := _host_ports(spec, containers, init_containers):
        changes["ports"] = ports
    if _ANTI_AFFINITY in bytes(spec.affinity):
        affinity = terms.mapping(_decode(spec.affinity))
        apart = terms.mapping(affinity.get("podAntiAffinity")).get(_REQUIRED)
        changes["anti_affinity"] = terms.pod_terms(apart, meta.labels or {})
    if any(mark in bytes(spec.volumes) for mark in _CLAIMS):
        changes["volume_claims"] = specs.volume_claims(meta.name or "", {"volumes": _decode(spec.volumes)})
    return msgspec.structs.replace(scheduling, **changes) if any(changes.values()) else scheduling


@lru_cache(maxsize=4096)  # pods of one owner are alike: thirty thousand pods share some hundred of these
def _bound(containers: tuple[_Key, ...], overhead: _Amounts, whole: _Amounts, priority: int) -> PodScheduling:
    amounts = (ContainerRequests(dict(requests), init, sidecar) for init, sidecar, requests in containers)
    return PodScheduling(requests=scheduled_requests(amounts, dict(overhead), dict(whole)), priority=priority)


def _amounts(resources: ResourcesWire | None) -> _Amounts:
    if resources is None:
        return ()
    if not resources.limits:
        return _pairs(resources.requests)
    return _pairs({**resources.limits, **(resources.requests or {})})


def _pairs(amounts: Quantities | None) -> _Amounts:
    return tuple([(name, str(amount)) for name, amount in amounts.items()]) if amounts else ()


def _host_ports(
    spec: SchedulingSpec, containers: Sequence[ContainerWire], init_containers: Sequence[ContainerWire]
) -> tuple[HostPort, ...]:
    with_ports = [wire for wire in (*init_containers, *containers) if wire.ports]
    if not with_ports or not (spec.host_network or any(port.host_port for wire in with_ports for port in wire.ports or ())):
        return ()
    return specs.host_ports(
        {
            "hostNetwork": spec.host_network,
            "initContainers": msgspec.to_builtins(list(init_containers)),
            "containers": msgspec.to_builtins(list(containers)),
        }
    )


def _waiting(
    meta: ObjectMeta,
    spec: SchedulingSpec,
    containers: Sequence[ContainerWire],
    init_containers: Sequence[ContainerWire],
    nominated: str,
) -> PodScheduling:
    raw = {
        "affinity": spec.affinity,
        "topologySpreadConstraints": spec.topology_spread_constraints,
        "tolerations": spec.tolerations,
        "nodeSelector": spec.node_selector,
        "volumes": spec.volumes,
        "schedulingGates": spec.scheduling_gates,
    }
    manifest: dict[str, Any] = {
        "priority": spec.priority or 0,
        "preemptionPolicy": spec.preemption_policy,
        "schedulerName": spec.scheduler_name,
        "hostNetwork": spec.host_network,
        "overhead": spec.overhead,
        "resources": msgspec.to_builtins(spec.resources),
        "initContainers": msgspec.to_builtins(list(init_containers)),
        "containers": msgspec.to_builtins(list(containers)),
        "resourceClaims": [{}] * bool(getattr(spec, "resource_claims", None)),
        **{name: _decode(value) for name, value in raw.items()},
    }
    metadata = {"name": meta.name, "namespace": meta.namespace, "labels": meta.labels}
    return specs.pod_scheduling(metadata, manifest, SchedulingObjects(), {"nominatedNodeName": nominated})


def _decode(raw: msgspec.Raw) -> Any:
    """Part of a page that was decoded already, so it is JSON."""
    return msgspec.json.decode(raw)
