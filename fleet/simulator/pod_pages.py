"""HTTP answers of pods: DCGM exporters and model servers, with their faults.

Asked through the API server's proxy (api.py) or straight on an address of their own (pod_servers.py): the answer is the same.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.simulator import exporter, model_server
from fleet.simulator.world import Node, Pod

if TYPE_CHECKING:
    from fleet.simulator.cluster import ClusterCore

TEXT = "text/plain; charset=utf-8"
EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class PodAnswer:
    """A pod's HTTP answer; `refused`: there is none, and why."""

    body: str = ""
    code: int = 200
    content_type: str = EXPOSITION
    refused: str = ""


_NOT_FOUND = PodAnswer("404 page not found\n", 404, TEXT)


def answer(cluster: ClusterCore, key: str, port: str, path: str) -> PodAnswer:
    """Returns the answer of pod `key` (namespace/name) to GET `path` (without its first slash) on `port`."""
    with cluster.lock:
        pod = cluster.pods.get(key)
        node = cluster.nodes.get(pod.node) if pod else None
    if pod is None or node is None or pod.phase != "Running":
        return PodAnswer(refused=f"dial tcp {pod.ip if pod else ''}:{port}: connect: no route to host")
    if "dcgm-exporter" in pod.template.name:
        return _exporter(cluster, pod, node, port, path)
    listening = model_server.port_of(pod)
    if listening is not None and pod.ready:
        return _server(cluster, pod, node, port, path)
    return _refused(pod, port)


def _exporter(cluster: ClusterCore, pod: Pod, node: Node, port: str, path: str) -> PodAnswer:
    faults = cluster.faults
    if port != "9400" or not pod.ready or faults.strikes(faults.exporter_refused, node.name):
        return _refused(pod, port)
    if path == "health":
        return PodAnswer("OK\n", content_type=TEXT)
    if path not in ("", "metrics"):
        return _NOT_FOUND
    if faults.strikes(faults.exporter_slow, node.name):
        time.sleep(faults.exporter_slow_seconds)
    if faults.strikes(faults.exporter_failing, node.name):
        return PodAnswer("failed to collect metrics: error getting the latest values\n", 500, TEXT)
    if faults.strikes(faults.exporter_rejecting, node.name):
        return PodAnswer("Bad Request\n", 400, TEXT)
    if faults.strikes(faults.exporter_garbled, node.name):
        return PodAnswer("<html><body><h1>It works!</h1></body></html>\n", content_type="text/html")
    with cluster.lock:
        page = exporter.render(cluster, node)
    if faults.strikes(faults.exporter_stale, node.name):
        return PodAnswer(cluster.frozen_pages.setdefault(pod.key, page))
    cluster.frozen_pages.pop(pod.key, None)
    return PodAnswer(page)


def _server(cluster: ClusterCore, pod: Pod, node: Node, port: str, path: str) -> PodAnswer:
    if port != str(model_server.port_of(pod)):
        return _refused(pod, port)
    if cluster.faults.strikes(cluster.faults.server_failing, node.name):
        return PodAnswer("Internal Server Error", 500, TEXT)
    page = model_server.render(cluster, pod, path)
    return _NOT_FOUND if page is None else PodAnswer(page)


def _refused(pod: Pod, port: str) -> PodAnswer:
    return PodAnswer(refused=f"dial tcp {pod.ip}:{port}: connect: connection refused")
