"""The simulated fleet on loopback: real HTTP/1.1, a port for each cluster and one for all of them under /clusters/NAME.

Every port speaks both TLS and plain HTTP: the first byte of a connection decides. kubectl sends tokens over TLS only.

    fleet = build_fleet(clusters=1, nodes=4)
    with serve(fleet) as simulation:
        simulation.kubeconfig(path)
        simulation.faults("prod-us-east").set(throttled=3)
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fleet.simulator import kubeconfig
from fleet.simulator.api import ApiServer
from fleet.simulator.certificates import Contexts
from fleet.simulator.connections import HOST, Listener

if TYPE_CHECKING:
    from fleet.simulator.faults import Faults
    from fleet.simulator.fleet import Fleet


class Simulation:
    """A fleet being served."""

    def __init__(self, fleet: Fleet, port: int = 0, wanted_ports: dict[str, int] | None = None) -> None:
        self.fleet = fleet
        self.servers = {cluster.name: ApiServer(cluster) for cluster in fleet.clusters}
        self._main = Listener(port, self)
        self._listeners: dict[str, Listener] = {}
        self._blocked: dict[str, list[socket.socket]] = {}
        self._requests = 0
        self.contexts = Contexts()
        wanted = wanted_ports or {}
        for number, name in enumerate(self.servers):
            preferred = wanted.get(name) or (port + 1 + number if port else 0)
            self._listeners[name] = _listen(preferred, self, name)

    def start(self) -> None:
        self._main.start()
        for listener in self._listeners.values():
            listener.start()
        for name, server in self.servers.items():
            server.cluster.faults.watch(lambda name=name: self._apply(name))  # type: ignore[misc]

    def stop(self) -> None:
        for server in self.servers.values():
            server.stopping.set()
            server.cluster.faults.watch(None)
            server.cluster.store.wake()
        for listener in (self._main, *self._listeners.values()):
            listener.shutdown()
            listener.drop_connections()
            listener.server_close()
        for sockets in self._blocked.values():
            for blocked in sockets:
                blocked.close()

    @property
    def url(self) -> str:
        """Where all clusters are under one address: `{url}/clusters/NAME`; the control endpoint is `{url}/_simulator/`."""
        return f"http://{HOST}:{self._main.port}"

    @property
    def authority(self) -> bytes:
        """The certificate (PEM) that the simulation's https addresses are to be verified with."""
        return self.contexts.authority.pem

    @property
    def port(self) -> int:
        return self._main.port

    def server_url(self, cluster: str, tls: bool = True) -> str:
        """A cluster's own address, which the fault `unreachable` takes away."""
        return f"{'https' if tls else 'http'}://{HOST}:{self._listeners[cluster].port}"

    def prefix_url(self, cluster: str, tls: bool = True) -> str:
        """The same cluster under the common address."""
        return f"{'https' if tls else 'http'}://{HOST}:{self._main.port}/clusters/{cluster}"

    def faults(self, cluster: str) -> Faults:
        """The faults of a cluster."""
        return self.servers[cluster].cluster.faults

    def token(self, cluster: str) -> str:
        """The reader's bearer token."""
        return self.servers[cluster].cluster.access.reader_token

    def kubeconfig(self, path: Path, prefix: bool = False, tls: bool = True) -> Path:
        """Write a kubeconfig with one context per cluster; `prefix`: by way of the common address."""
        find = self.prefix_url if prefix else self.server_url
        tokens = {name: self.token(name) for name in self.servers}
        kubeconfig.write(path, {name: find(name, tls) for name in self.servers}, tokens, self.authority)
        return path

    def next_request(self) -> int:
        self._requests += 1
        return self._requests

    def _apply(self, name: str) -> None:
        """Take a cluster's socket away, or give it back, as its fault `unreachable` says."""
        listener = self._listeners[name]
        how = self.servers[name].cluster.faults.unreachable
        gone = how in ("refused", "blackhole")
        if gone and name not in self._blocked:
            port = listener.port
            listener.shutdown()
            listener.drop_connections()
            listener.server_close()
            self._blocked[name] = _block(port, how)
        elif not gone and name in self._blocked:
            port = self._blocked[name][0].getsockname()[1]
            for blocked in self._blocked.pop(name):
                blocked.close()
            self._listeners[name] = Listener(port, self, name)
            self._listeners[name].start()


def _listen(preferred: int, simulation: Simulation, name: str) -> Listener:
    """A listener on the preferred port, or on any when that is taken."""
    if preferred:
        with contextlib.suppress(OSError):
            return Listener(preferred, simulation, name)
    return Listener(0, simulation, name)


def _block(port: int, how: str) -> list[socket.socket]:
    """Keep a port so that connections to it are refused (bound, not listening), or never come about (its queue is full)."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind((HOST, port))
    kept = [holder]
    if how == "blackhole":
        holder.listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((HOST, port))
            kept.append(filler)
    return kept


@contextlib.contextmanager
def serve(fleet: Fleet, port: int = 0, wanted_ports: dict[str, int] | None = None) -> Iterator[Simulation]:
    """Serve a fleet until the block ends. Raises OSError when `port` is taken. `wanted_ports`: a cluster's own port, if free."""
    simulation = Simulation(fleet, port, wanted_ports)
    simulation.start()
    try:
        yield simulation
    finally:
        simulation.stop()
