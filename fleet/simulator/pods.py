"""A pod as the API returns it."""

from __future__ import annotations

import zlib
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from fleet.simulator.seeds import Seed
from fleet.simulator.templates import Container, Template
from fleet.simulator.world import Pod


@lru_cache(maxsize=4096)
def stamp(moment: datetime | None) -> str | None:
    """A time as the API writes it, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment else None


def render(pod: Pod, seed: Seed, device_status: bool = False) -> dict[str, Any]:
    """The pod's JSON. `device_status`: the status contains the devices of each container."""
    template = pod.template
    metadata: dict[str, Any] = {
        "name": pod.name,
        "namespace": pod.namespace,
        "uid": pod.uid,
        "resourceVersion": "",
        "generation": 1,
        "creationTimestamp": stamp(pod.created),
    }
    if pod.deleting:
        metadata["deletionTimestamp"] = stamp(pod.deleting)
        metadata["deletionGracePeriodSeconds"] = 30
    metadata["labels"] = template.labels
    if template.annotations:
        metadata["annotations"] = template.annotations
    if template.owner_kind:
        metadata["ownerReferences"] = template.owner()
    metadata["managedFields"] = template.managed_fields(pod.ip)
    spec = dict(template.spec)
    if pod.node:
        spec["nodeName"] = pod.node
    if template.daemon:
        spec["affinity"] = _pinned_to(pod.node)
    if pod.gates:
        spec["schedulingGates"] = [{"name": gate} for gate in pod.gates]
    if pod.claims:
        spec["resourceClaims"] = [{"name": name, "resourceClaimName": claim} for name, claim in pod.claims]
    return {"metadata": metadata, "spec": spec, "status": _status(pod, seed, device_status)}


def _pinned_to(node: str) -> dict[str, Any]:
    fields = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchFields": fields}]}}}


def _condition(kind: str, good: bool, since: str | None, reason: str = "", message: str = "") -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": kind,
        "status": "True" if good else "False",
        "lastProbeTime": None,
        "lastTransitionTime": since,
    }
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made


def _status(pod: Pod, seed: Seed, device_status: bool) -> dict[str, Any]:
    status: dict[str, Any] = {"phase": pod.phase, "conditions": _conditions(pod)}
    if pod.phase == "Failed" and pod.reason == "UnexpectedAdmissionError":
        status |= {"reason": pod.reason, "message": pod.message, "startTime": stamp(pod.created)}
        return status
    if pod.node:
        status |= {"hostIP": pod.host_ip, "hostIPs": [{"ip": pod.host_ip}]}
        if pod.ip:
            status |= {"podIP": pod.ip, "podIPs": [{"ip": pod.ip}]}
        status["startTime"] = stamp(pod.started or pod.created)
        if pod.template.init:
            status["initContainerStatuses"] = [
                _init_status(pod, index, container, seed) for index, container in enumerate(pod.template.init)
            ]
        status["containerStatuses"] = [
            _container_status(pod, container, seed, device_status) for container in pod.template.containers
        ]
    status["qosClass"] = _quality(pod.template)
    if pod.claims:
        status["resourceClaimStatuses"] = [{"name": name, "resourceClaimName": claim} for name, claim in pod.claims]
    return status


def _quality(template: Template) -> str:
    everything = (*template.init, *template.containers)
    if not any(container.requests or container.extended for container in everything):
        return "BestEffort"
    return "Guaranteed" if all("cpu" in container.requests for container in everything) else "Burstable"


def _conditions(pod: Pod) -> list[dict[str, Any]]:
    since = stamp(pod.started or pod.created)
    if pod.gates:
        message = "Scheduling is blocked due to non-empty scheduling gates"
        return [_condition("PodScheduled", False, since, "SchedulingGated", message)]
    if not pod.node:
        return [_condition("PodScheduled", False, since, "Unschedulable", pod.message)]
    over = pod.phase in ("Succeeded", "Failed")
    waiting_to_start = pod.phase == "Pending" and pod.stuck_init is None
    initialised = pod.stuck_init is None
    ready = pod.ready and not over and pod.phase == "Running"
    why = "PodCompleted" if pod.phase == "Succeeded" else "PodFailed" if over else "ContainersNotReady"
    reason = "" if ready else why
    since_end = stamp(pod.ended or pod.started or pod.created) if over else since
    return [
        _condition("PodReadyToStartContainers", not over and not waiting_to_start, since_end),
        _condition("Initialized", initialised, since, "" if initialised else "ContainersNotInitialized"),
        _condition("Ready", ready, since_end, reason),
        _condition("ContainersReady", ready, since_end, reason),
        _condition("PodScheduled", True, stamp(pod.created)),
    ]


@lru_cache(maxsize=1024)
def _image_id(seed: Seed, image: str) -> str:
    repository, _, _ = image.rpartition(":")
    return f"{repository}@sha256:{seed.hex(64, 'image', image)}"


def _container_id(pod: Pod, container: Container) -> str:
    base = pod.uid.replace("-", "")
    return f"containerd://{base}{zlib.crc32(container.name.encode()):08x}{pod.restarts:04x}{base[4:24]}"


def _frame(pod: Pod, container: Container, state: dict[str, Any], seed: Seed) -> dict[str, Any]:
    running = "running" in state
    made: dict[str, Any] = {
        "name": container.name,
        "state": state,
        "lastState": {},
        "ready": running and pod.ready,
        "restartCount": pod.restarts,
        "image": container.image,
        "imageID": "" if "waiting" in state else _image_id(seed, container.image),
        "started": running,
    }
    if "waiting" not in state or pod.restarts:
        made["containerID"] = _container_id(pod, container)
    return made


def _ended(pod: Pod, container: Container, code: int, reason: str, end: datetime | None) -> dict[str, Any]:
    return {
        "terminated": {
            "exitCode": code,
            "reason": reason,
            "startedAt": stamp(pod.started or pod.created),
            "finishedAt": stamp(end or pod.started or pod.created),
            "containerID": _container_id(pod, container),
        }
    }


def _init_status(pod: Pod, index: int, container: Container, seed: Seed) -> dict[str, Any]:
    began = pod.started or pod.created
    if pod.stuck_init is not None and index >= pod.stuck_init:
        if index > pod.stuck_init:
            return _frame(pod, container, {"waiting": {"reason": "PodInitializing"}}, seed) | {"restartCount": 0}
        if pod.reason == "Running":
            return _frame(pod, container, {"running": {"startedAt": stamp(began)}}, seed) | {"ready": False}
        return _crashed(pod, container, seed)
    if container.sidecar:
        state = {"running": {"startedAt": stamp(began)}}
        if pod.phase in ("Succeeded", "Failed"):
            state = _ended(pod, container, 0, "Completed", pod.ended)
        return _frame(pod, container, state, seed)
    done = _frame(pod, container, _ended(pod, container, 0, "Completed", began), seed)
    return done | {"ready": True, "restartCount": 0, "started": False}


def _crashed(pod: Pod, container: Container, seed: Seed) -> dict[str, Any]:
    """A container between two attempts: it waits now, and its last run ended with an error."""
    waiting: dict[str, str] = {"reason": pod.reason}
    if pod.message:
        waiting["message"] = pod.message
    made = _frame(pod, container, {"waiting": waiting}, seed)
    if pod.restarts:
        end = (pod.started or pod.created) + timedelta(minutes=1)
        made["lastState"] = _ended(pod, container, 1, "Error", end)
    return made


def _container_status(pod: Pod, container: Container, seed: Seed, device_status: bool) -> dict[str, Any]:
    if pod.phase in ("Succeeded", "Failed"):
        code = 0 if pod.phase == "Succeeded" else 1
        reason = "Completed" if code == 0 else "Error"
        made = _frame(pod, container, _ended(pod, container, code, reason, pod.ended), seed)
    elif pod.stuck_init is not None:
        made = _frame(pod, container, {"waiting": {"reason": "PodInitializing"}}, seed) | {"restartCount": 0}
    elif pod.reason and pod.phase in ("Running", "Pending") and container is pod.template.main:
        made = _crashed(pod, container, seed)
    else:
        made = _frame(pod, container, {"running": {"startedAt": stamp(pod.started or pod.created)}}, seed)
    held = pod.slots.get(container.name, [])
    if device_status and held and pod.holds:
        by_resource: dict[str, list[dict[str, str]]] = {}
        for slot in held:
            by_resource.setdefault(slot.resource, []).append({"resourceID": slot.id, "health": "Healthy"})
        made["allocatedResourcesStatus"] = [{"name": name, "resources": resources} for name, resources in by_resource.items()]
    return made
