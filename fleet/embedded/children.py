"""Processes that `manage.py run` keeps alive besides the two servers: web, worker, beat, and the simulated fleet."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet.embedded import paths, probes, processes, sockets
from fleet.embedded.broker import STOP as BROKER_STOP
from fleet.embedded.broker import Broker
from fleet.embedded.postgres import STOP as POSTGRES_STOP
from fleet.embedded.postgres import Postgres
from fleet.embedded.supervisor import Child

# The order of shutdown, highest first: no process may lose a server that it still writes to.
SERVERS, SIMULATOR, WORKERS = 0, 1, 2
# A worker may finish its current run; a longer one is repeated by the next start (acknowledged late).
WORKER_STOP: processes.Requests = ((signal.SIGTERM, 6.0), (signal.SIGQUIT, 2.0))


def _python(
    arguments: Sequence[str], log: Path, keep: Sequence[int] = (), heartbeat: Path | None = None
) -> subprocess.Popen[bytes]:
    more = {"MUSTER_NO_BOOTSTRAP": "1", "PYTHONUNBUFFERED": "1"}
    if heartbeat is not None:
        heartbeat.parent.mkdir(mode=0o700, exist_ok=True)
        more["MUSTER_HEARTBEAT_FILE"] = str(heartbeat)
    return processes.spawn(
        [sys.executable, *arguments],
        log=log,
        environment={**os.environ, **more},
        directory=paths.ROOT,
        keep=keep,
    )


def postgres(server: Postgres) -> Child:
    probe = probes.SocketProbe(str(server.sockets / paths.POSTGRES_SOCKET), probes.POSTGRES)
    return Child("Postgres", server.start, server.log, SERVERS, POSTGRES_STOP, probe)


def broker(server: Broker) -> Child:
    return Child("Valkey", server.start, server.log, SERVERS, BROKER_STOP, probes.SocketProbe(str(server.socket), probes.REDIS))


def simulator(home: Path, kubeconfig: Path) -> Child:
    """Three simulated clusters on a free port; they write their kubeconfig once they can be read."""
    log = home / "log" / "simulator.log"
    arguments = [
        "manage.py",
        "simulate",
        "--clusters",
        "3",
        "--kubeconfig",
        str(kubeconfig),
        "--port",
        "0",
        "--seed",
        "7",
    ]
    start = functools.partial(_python, arguments, log)
    return Child("The simulated fleet", start, log, SIMULATOR)


def demo(home: Path) -> Child:
    """The demonstration: its people and definitions, a month replayed fast, and then its cluster."""
    log = home / "log" / "demo.log"
    start = functools.partial(_python, ["manage.py", "demo"], log)
    return Child("The demonstration", start, log, WORKERS, ((signal.SIGTERM, 3.0),))


def web(home: Path, port: socket.socket, health: socket.socket, gate: int) -> Child:
    """Waitress on two sockets that are already bound, and stay bound while it restarts; `gate` as in web.py.

    It is probed at the second: clients of the first cannot make it look as if it hung.
    """
    log = home / "log" / "web.log"
    arguments = ["-m", "fleet.embedded.web", str(gate), str(port.fileno()), str(health.fileno())]
    start = functools.partial(_python, arguments, log, (port.fileno(), health.fileno(), gate))
    probe = probes.SocketProbe((sockets.HOST, health.getsockname()[1]), probes.HTTP)
    return Child("The web server", start, log, WORKERS, ((signal.SIGTERM, 6.0), (signal.SIGQUIT, 1.0)), probe)


def worker(home: Path, broker_url: str) -> Child:
    log = home / "log" / "worker.log"
    heartbeat = home / "heartbeats" / "worker"
    arguments = [
        *("-m", "celery", "-A", "fleet.config.celery", "worker", "-c", "2", "-Q", "collect,default"),
        *("-n", f"run-{os.getpid()}@%h", "-l", "INFO", "--without-gossip", "--without-mingle"),
    ]
    start = functools.partial(_python, arguments, log, (), heartbeat)
    probe = probes.HeartbeatProbe(heartbeat, probes.broker_probe(broker_url))
    return Child("The worker", start, log, WORKERS, WORKER_STOP, probe)


def beat(home: Path, broker_url: str) -> Child:
    log = home / "log" / "beat.log"
    heartbeat = home / "heartbeats" / "beat"
    arguments = ["-m", "celery", "-A", "fleet.config.celery", "beat", "-l", "INFO", "-s", str(home / "beat-schedule")]
    start = functools.partial(_python, arguments, log, (), heartbeat)
    probe = probes.HeartbeatProbe(heartbeat, probes.broker_probe(broker_url))
    return Child("Beat", start, log, WORKERS, ((signal.SIGTERM, 3.0),), probe)
