"""Lists as tables, as `kubectl get` requests them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import msgspec

from fleet.simulator import resources
from fleet.simulator.resources import Kind
from fleet.simulator.store import Record

Row = Callable[[dict[str, Any], str], list[Any]]

_NODE_COLUMNS = (
    ("Name", 0, "The node's name."), ("Status", 0, "Whether the kubelet is ready and pods may land."),
    ("Roles", 0, "Roles by label."), ("Age", 0, "Time since the node joined."), ("Version", 0, "The kubelet's version."),
    ("Internal-IP", 1, "Address inside the cluster."), ("External-IP", 1, "Address outside, if any."),
    ("OS-Image", 1, "Operating system."), ("Kernel-Version", 1, "Kernel and architecture."),
    ("Container-Runtime", 1, "Container runtime and version."),
)  # fmt: skip
_POD_COLUMNS = (
    ("Name", 0, "The pod's name."), ("Ready", 0, "Ready containers of all."), ("Status", 0, "State, or why not running."),
    ("Restarts", 0, "Restarts of all containers."), ("Age", 0, "Time since creation."), ("IP", 1, "Address."),
    ("Node", 1, "Where it runs."), ("Nominated Node", 1, "Where it would preempt."), ("Readiness Gates", 1, "Extra gates."),
)  # fmt: skip
_DAEMON_SET_COLUMNS = (
    ("Name", 0, "The DaemonSet's name."), ("Desired", 0, "Nodes that should run it."), ("Current", 0, "Nodes that do."),
    ("Ready", 0, "Nodes where it is ready."), ("Up-to-date", 0, "Nodes with the newest template."),
    ("Available", 0, "Nodes where it is available."), ("Node Selector", 0, "Labels a node must have."),
    ("Age", 0, "Time since creation."),
)  # fmt: skip
_PLAIN_COLUMNS = (("Name", 0, "The object's name."), ("Age", 0, "Time since creation."))


def draw(kind: Kind, records: Iterable[Record], metadata: dict[str, Any], include: str, now: datetime) -> dict[str, Any]:
    """A meta.k8s.io/v1 Table. `include` is the request's includeObject: None, Metadata (the default) or Object."""
    columns, row = _SHAPES.get(kind, (_PLAIN_COLUMNS, _plain_row))
    rows = []
    for record in records:
        item = msgspec.json.decode(record.raw)
        age = _age(item["metadata"]["creationTimestamp"], now)
        shown: dict[str, Any] | None = None
        if include == "Object":
            shown = {"kind": kind.kind, "apiVersion": kind.api_version} | item
        elif include != "None":
            shown = partial(item)
        rows.append({"cells": row(item, age), "object": shown})
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": [
            {
                "name": name,
                "type": "integer" if name in _COUNTS else "string",
                "format": "name" if name == "Name" else "",
                "description": description,
                "priority": priority,
            }
            for name, priority, description in columns
        ],
        "rows": rows,
    }


def partial(item: dict[str, Any]) -> dict[str, Any]:
    """An object reduced to its metadata."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}


_COUNTS = frozenset(("Desired", "Current", "Available", "Up-to-date"))


def _age(created: str, now: datetime) -> str:
    seconds = int((now - datetime.fromisoformat(created)).total_seconds())
    if seconds < 0:
        return "<invalid>"
    if seconds < 120:
        return f"{seconds}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    return f"{days}d" if days < 730 else f"{days // 365}y{days % 365}d"


def _node_row(item: dict[str, Any], age: str) -> list[Any]:
    status = item["status"]
    ready = next((entry["status"] for entry in status["conditions"] if entry["type"] == "Ready"), "Unknown")
    word = "Ready" if ready == "True" else "NotReady"
    if item["spec"].get("unschedulable"):
        word += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    roles = [key.removeprefix(prefix) for key in item["metadata"]["labels"] if key.startswith(prefix)]
    info = status["nodeInfo"]
    return [
        item["metadata"]["name"],
        word,
        ",".join(roles) or "<none>",
        age,
        info["kubeletVersion"],
        status["addresses"][0]["address"],
        "<none>",
        info["osImage"],
        f"{info['kernelVersion']} ({info['architecture']})",
        info["containerRuntimeVersion"],
    ]


def _pod_row(item: dict[str, Any], age: str) -> list[Any]:
    spec, status = item["spec"], item["status"]
    states = status.get("containerStatuses", [])
    first = status.get("initContainerStatuses", [])
    ready = sum(bool(state["ready"]) for state in states)
    restarts = sum(state["restartCount"] for state in states)
    return [
        item["metadata"]["name"],
        f"{ready}/{len(spec['containers'])}",
        _pod_word(item, first, states),
        str(restarts),
        age,
        status.get("podIP", "<none>"),
        spec.get("nodeName", "<none>"),
        "<none>",
        "<none>",
    ]


def _pod_word(item: dict[str, Any], first: list[dict[str, Any]], states: list[dict[str, Any]]) -> str:
    status = item["status"]
    if "deletionTimestamp" in item["metadata"]:
        return "Terminating"
    for number, state in enumerate(first):
        waiting = state["state"].get("waiting")
        if waiting and waiting["reason"] != "PodInitializing":
            return f"Init:{waiting['reason']}"
        if not state["ready"] and "terminated" not in state["state"] and not state["started"]:
            return f"Init:{number}/{len(first)}"
        if "running" in state["state"] and not state["ready"]:
            return f"Init:{number}/{len(first)}"
    for state in states:
        for what in ("waiting", "terminated"):
            if what in state["state"]:
                return str(state["state"][what]["reason"])
    return str(status.get("reason") or status["phase"])


def _daemon_set_row(item: dict[str, Any], age: str) -> list[Any]:
    status = item["status"]
    selector = item["spec"]["template"]["spec"].get("nodeSelector", {})
    return [
        item["metadata"]["name"],
        status["desiredNumberScheduled"],
        status["currentNumberScheduled"],
        status["numberReady"],
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        ",".join(f"{key}={value}" for key, value in selector.items()) or "<none>",
        age,
    ]


def _plain_row(item: dict[str, Any], age: str) -> list[Any]:
    return [item["metadata"]["name"], age]


_SHAPES: dict[Kind, tuple[tuple[tuple[str, int, str], ...], Row]] = {
    resources.NODES: (_NODE_COLUMNS, _node_row),
    resources.PODS: (_POD_COLUMNS, _pod_row),
    resources.DAEMON_SETS: (_DAEMON_SET_COLUMNS, _daemon_set_row),
}
