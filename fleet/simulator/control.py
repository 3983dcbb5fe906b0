"""The control endpoint, on loopback only: switches faults and plays stories from another process.

GET  /_simulator/                            what is served
GET  /_simulator/clusters/NAME/faults        the cluster's faults
POST /_simulator/clusters/NAME/faults        set some ({"throttled": 3}); {} changes nothing
DELETE /_simulator/clusters/NAME/faults      clear all
POST /_simulator/clusters/NAME/stories       {"story": "fail_gpu", "node": "…", …}: one of Cluster's stories
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from fleet.simulator.api import ApiServer
from fleet.simulator.fleet import Fleet
from fleet.simulator.stories import Cluster

PREFIX = "/_simulator/"
_STORIES = frozenset(
    {
        "fail_gpu", "tell_xid", "warn_of_xid", "warn_of_heat", "heal_gpu", "remove_node", "recreate_node", "reboot_node",
        "add_node", "reconfigure_mig", "set_time_slicing", "set_mps",
        "restart_gfd", "stop_plugin", "start_plugin", "cordon", "uncordon", "lose_node", "find_node", "add_pod", "delete_pod",
        "terminate_pod", "finish_pod", "begin_driver_upgrade", "end_driver_upgrade", "set_label", "set_taint",
        "remove_gpus", "publish_half", "publish_all", "compact",
    }
)  # fmt: skip


class ControlledSimulation(Protocol):
    """What the control endpoint needs of the simulation (server.py)."""

    fleet: Fleet
    servers: dict[str, ApiServer]

    def server_url(self, cluster: str, tls: bool = True) -> str: ...


def answer(simulation: ControlledSimulation, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any]]:
    """Status code and JSON of a control request."""
    parts = [part for part in target.removeprefix(PREFIX).split("?")[0].split("/") if part]
    if not parts and method == "GET":
        return 200, _overview(simulation)
    if len(parts) != 3 or parts[0] != "clusters" or parts[1] not in simulation.servers:
        return 404, {"error": "not found; GET /_simulator/ lists the paths"}
    cluster = simulation.fleet[parts[1]]
    try:
        body_fields = msgspec.json.decode(body or b"{}", type=dict[str, Any])
        if parts[2] == "faults":
            if method == "DELETE":
                cluster.faults.clear()
            elif method == "POST":
                cluster.faults.set(**body_fields)
            return 200, cluster.faults.as_json()
        if parts[2] == "stories" and method == "POST":
            _tell(cluster, str(body_fields.pop("story", "")), body_fields)
            return 200, {"resourceVersion": str(cluster.store.version)}
    except (msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
        return 400, {"error": str(error)}
    return 405, {"error": "method not allowed"}


def _tell(cluster: Cluster, story: str, how: dict[str, Any]) -> None:
    if story not in _STORIES:
        raise ValueError(f"unknown story {story!r}; known: {', '.join(sorted(_STORIES))}")
    getattr(cluster, story)(**how)


def _overview(simulation: ControlledSimulation) -> dict[str, Any]:
    return {
        "clusters": {
            name: {
                "server": simulation.server_url(name),
                "nodes": len(server.cluster.nodes),
                "pods": len(server.cluster.pods),
                "resourceVersion": str(server.cluster.store.version),
            }
            for name, server in simulation.servers.items()
        }
    }
