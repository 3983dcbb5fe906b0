"""What `manage.py run` keeps alive beside the two servers: web, worker, beat, and the simulated fleet."""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from fleet.embedded import paths, processes
from fleet.embedded.broker import STOP as BROKER_STOP
from fleet.embedded.broker import Broker
from fleet.embedded.postgres import STOP as POSTGRES_STOP
from fleet.embedded.postgres import Postgres
from fleet.embedded.supervisor import Child

# The order of the end, highest first: nobody may lose the server it still writes to.
SERVERS, SIMULATOR, WORKERS = 0, 1, 2
# A worker may finish the pass it is in; one that takes longer is repeated by the next start (acknowledged late).
WORKER_STOP: processes.Requests = ((signal.SIGTERM, 6.0), (signal.SIGQUIT, 2.0))


def _python(arguments: Sequence[str], log: Path, keep: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    return processes.spawn(
        [sys.executable, *arguments],
        log=log,
        environment={**os.environ, "MUSTER_NO_BOOTSTRAP": "1", "PYTHONUNBUFFERED": "1"},
        directory=paths.ROOT,
        keep=keep,
    )


def postgres(server: Postgres) -> Child:
    return Child("Postgres", server.start, server.log, SERVERS, POSTGRES_STOP)


def broker(server: Broker) -> Child:
    return Child("Valkey", server.start, server.log, SERVERS, BROKER_STOP)


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


def web(home: Path, port: socket.socket, gate: int) -> Child:
    """Gunicorn on a port that is already ours, and stays ours while gunicorn is started again; `gate` as in web.py."""
    log = home / "log" / "web.log"
    arguments = [
        *("-m", "fleet.embedded.web", str(gate), "--bind", f"fd://{port.fileno()}"),
        *("--worker-class", "gthread", "--workers", "1", "--threads", "8", "--no-control-socket"),
        *("--timeout", "120", "--graceful-timeout", "4", "--log-level", "warning"),
    ]
    start = functools.partial(_python, arguments, log, (port.fileno(), gate))
    return Child("The web server", start, log, WORKERS, ((signal.SIGTERM, 6.0), (signal.SIGQUIT, 1.0)))


def worker(home: Path) -> Child:
    log = home / "log" / "worker.log"
    arguments = [
        *("-m", "celery", "-A", "fleet.config.celery", "worker", "-c", "2", "-Q", "collect,default"),
        *("-n", f"run-{os.getpid()}@%h", "-l", "INFO", "--without-gossip", "--without-mingle"),
    ]
    start = functools.partial(_python, arguments, log)
    return Child("The worker", start, log, WORKERS, WORKER_STOP)


def beat(home: Path) -> Child:
    log = home / "log" / "beat.log"
    arguments = ["-m", "celery", "-A", "fleet.config.celery", "beat", "-l", "INFO", "-s", str(home / "beat-schedule")]
    return Child("Beat", functools.partial(_python, arguments, log), log, WORKERS, ((signal.SIGTERM, 3.0),))
