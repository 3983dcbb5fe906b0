"""Exporters and model servers on addresses of their own, for direct requests to pods: a scraper, or Muster's source "direct".

Each pod gets a loopback address (127.77.x.y, which Linux answers without further setup) and listens on its own port there; its
status says so. Ports below 1024 are left out where the system keeps them for root.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from fleet.simulator import model_server, pod_pages
from fleet.simulator.world import Pod

if TYPE_CHECKING:
    from fleet.simulator.cluster import ClusterCore

_EXPORTER_PORT = 9400


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    cluster: ClusterCore
    key: str


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        page = pod_pages.answer(
            self.server.cluster, self.server.key, str(self.server.server_port), self.path.lstrip("/").split("?")[0]
        )
        if page.refused:
            self.close_connection = True
            return
        body = page.body.encode()
        self.send_response(page.code)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _port(pod: Pod) -> int | None:
    return _EXPORTER_PORT if "dcgm-exporter" in pod.template.name else model_server.port_of(pod)


@contextlib.contextmanager
def serve_pods(cluster: ClusterCore) -> Iterator[dict[str, tuple[str, int]]]:
    """Serve the pods there are now until the block ends; yields (address, port) by the pod's namespace/name."""
    served: dict[str, tuple[str, int]] = {}
    before: dict[str, str] = {}
    servers = []
    for number, pod in enumerate(list(cluster.pods.values())):
        port = _port(pod)
        if port is None or not pod.node:
            continue
        address = f"127.77.{number // 250 % 250}.{1 + number % 250}"
        try:
            server = _Server((address, port), _Handler)
        except PermissionError:
            continue
        server.cluster, server.key = cluster, pod.key
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
        before[pod.key], served[pod.key] = pod.ip, (address, port)
        pod.ip = address
        cluster.show_pod(pod)
    try:
        yield served
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        for key, address in before.items():
            if key in cluster.pods:
                cluster.pods[key].ip = address
                cluster.show_pod(cluster.pods[key])
