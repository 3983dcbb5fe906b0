"""`manage.py run`: everything Muster needs, on one machine, until Ctrl-C."""

from __future__ import annotations

import http.client
import logging
import os
import socket
import sys
import threading
import time
import webbrowser
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.db import connections

from fleet.embedded import children, lock, paths, processes, sockets
from fleet.embedded.broker import Broker
from fleet.embedded.fitness import refuse_unfit
from fleet.embedded.postgres import Postgres
from fleet.embedded.processes import StartError
from fleet.embedded.supervisor import Child, Stopped, Supervisor, on_end_signals, raise_stopped
from fleet.selectors.muster import demo, installations

TROUBLES = 5  # so many clusters that were not read are named at the start
FIRST_COLLECTION_S = 10.0  # how long clusters that do not answer may delay the port


class Command(BaseCommand):
    help = "Runs Muster: database, broker, web, worker and beat, and a simulated fleet where no cluster is configured."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=settings.PORT, help="the web server's port (default: %(default)s)")
        parser.add_argument("--open", action="store_true", help="open the sign-in link in a browser")

    def handle(self, *_: Any, port: int, open: bool, **options: Any) -> None:
        if not 1 <= port <= 65535:
            raise CommandError(f"--port {port}: give a number from 1 to 65535.")
        try:
            with lock.HomeLock(settings.MUSTER_HOME, "run") as home_lock, on_end_signals(raise_stopped):
                Start(settings.MUSTER_HOME, port, home_lock, self.say).run(open_browser=open)
        except Stopped:
            self.say("Stopped.")
            if threading.active_count() > 1:
                # A cluster that does not answer still holds a thread of the first run. Nothing waits for its answer.
                os._exit(0)
        except StartError as error:
            self.stderr.write(str(error))
            sys.exit(1)

    def say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


class Start:
    """One start, from the empty folder to the page, then its supervision."""

    def __init__(self, home: Path, port: int, home_lock: lock.HomeLock, say: Callable[[str], None]) -> None:
        self.home = home
        self.port = port
        self.url = f"http://{sockets.HOST}:{port}/"
        self.lock = home_lock
        self.say = say
        self.supervisor = Supervisor(say)

    def run(self, *, open_browser: bool) -> None:
        """Ends by Stopped or StartError, with every child gone either way."""
        before = self.lock.previous
        patience = 10.0 if before is not None and before.port == self.port else 0.0
        with sockets.reserve_port(self.port, patience) as reserved, sockets.reserve_health_port(settings.HEALTH_PORT) as health:
            self.lock.announce(port=self.port, url=self.url)
            try:
                self.say(f"Muster {settings.VERSION} is starting. Data and logs: {self.home}")
                link = self._start(reserved, health)
                if open_browser:
                    webbrowser.open(link)
                self.supervisor.watch()
            except Stopped:
                self.say("Stopping.")
                raise
            finally:
                self.supervisor.stop()

    def _start(self, reserved: socket.socket, health: socket.socket) -> str:
        """Everything up to the page; the sign-in link."""
        _log_to(self.home / "log" / "run.log")
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        simulator = self._start_simulator() if settings.IS_SIMULATED else None
        lived = self._start_lived()
        gate, opener = os.pipe()
        web = self.supervisor.add(children.web(self.home, reserved, health, gate))
        self._start_servers()
        self._migrate()
        self.lock.announce(port=self.port, url=self.url, ready=True)
        if simulator is not None:
            self._wait_for_kubeconfig(simulator, settings.SIMULATED_KUBECONFIG)
        if lived is not None:
            self._wait_for_kubeconfig(lived, demo.kubeconfig())
        self._collect()
        health.listen(64)
        link = self._greet(reserved)
        os.close(opener)
        self._wait_for_page(web)
        # Last, because the page does not need them, and they would compete with it for CPU.
        self.supervisor.add(children.worker(self.home, settings.MUSTER_BROKER_URL))
        self.supervisor.add(children.beat(self.home, settings.MUSTER_BROKER_URL))
        if settings.DEMO and lived is None:
            self.supervisor.add(children.demo(self.home))
        return link

    def _start_simulator(self) -> Child:
        self.say("No cluster is configured (MUSTER_KUBECONFIG): simulating three.")
        settings.SIMULATED_KUBECONFIG.unlink(missing_ok=True)  # that of an earlier start names a closed port
        settings.SIMULATED_KUBECONFIG.parent.mkdir(parents=True, exist_ok=True)
        return self.supervisor.add(children.simulator(self.home, settings.SIMULATED_KUBECONFIG))

    def _start_lived(self) -> Child | None:
        """Starts the demonstration now where its month was replayed before: its cluster belongs to the first run."""
        if not (settings.DEMO and demo.is_lived()):
            return None
        demo.kubeconfig().unlink(missing_ok=True)
        return self.supervisor.add(children.demo(self.home))

    def _start_servers(self) -> None:
        broker = Broker(self.home) if paths.broker_url(self.home) == settings.MUSTER_BROKER_URL else None
        if broker is not None:
            self.supervisor.add(children.broker(broker))
        if paths.database_url(self.home) == settings.DATABASE_URL:
            database = Postgres(self.home)
            self.supervisor.add(children.postgres(database))
            database.wait()
        if broker is not None:
            broker.wait()

    def _migrate(self) -> None:
        try:
            refuse_unfit(connections["default"])
            if installations.others():
                raise StartError(installations.SECOND)
            call_command("migrate", verbosity=0, interactive=False)
        except (DatabaseError, UnicodeError) as error:  # the latter for a host name that cannot be one
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise StartError(f"The database cannot be used: {reason}") from error

    def _wait_for_kubeconfig(self, simulator: Child, kubeconfig: Path, patience: float = 120.0) -> None:
        deadline = time.monotonic() + patience
        while not kubeconfig.exists():
            if simulator.process is None or simulator.process.poll() is not None or time.monotonic() > deadline:
                why = processes.last_lines(simulator.log) or "it did not answer in time"
                raise StartError(f"The simulated fleet did not start: {why} (log: {simulator.log})")
            time.sleep(0.05)

    def _collect(self) -> None:
        from fleet.collectors.errors import ConfigurationError
        from fleet.services.clusters import register_clusters
        from fleet.services.fleet_collection import collect_all

        try:
            known = register_clusters()
        except ConfigurationError as error:
            raise StartError(str(error)) from error
        self.say(f"First run of {len(known)} cluster{'' if len(known) == 1 else 's'}.")
        troubles = sorted(collect_all(trigger="first", timeout_s=FIRST_COLLECTION_S).troubles.items())
        for name, sentence in troubles[:TROUBLES]:
            self.say(f"Not read: {name}: {sentence}.")
        if len(troubles) > TROUBLES:
            self.say(f"Not read: {len(troubles) - TROUBLES} more; the Clusters page names them.")

    def _wait_for_page(self, web: Child, patience: float = 120.0) -> None:
        deadline = time.monotonic() + patience
        while not _answers(self.port):
            if web.process is None or web.process.poll() is not None or time.monotonic() > deadline:
                why = processes.last_lines(web.log) or "it did not answer in time"
                raise StartError(f"The web server did not start: {why} (log: {web.log})")
            time.sleep(0.05)

    def _greet(self, reserved: socket.socket) -> str:
        """Opens the port and prints its address. Requests that come before the web server is ready wait in the socket's queue."""
        from fleet.services.sign_in import create_owner_link

        link = create_owner_link(self.url)
        # From here on only the children use the database.
        connections.close_all()
        reserved.listen(256)
        if not settings.METRICS_ARE_PUBLIC:
            header = '"Authorization: Bearer $(python3 manage.py metrics_token)"'
            self.say(f"Metrics for Prometheus: curl -H {header} {self.url}metrics")
        self.say("Muster is running. Ctrl-C stops it. This link signs you in, once:")
        self.say(link)
        return link


def _answers(port: int) -> bool:
    """Returns whether an HTTP server answers, with any status: ALLOWED_HOSTS may not name this address."""
    connection = http.client.HTTPConnection(sockets.HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _log_to(log: Path) -> None:
    """Writes this process's log to a file, as the child processes do: the terminal is for people."""
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.captureWarnings(True)
    handler = logging.FileHandler(log)
    root = logging.getLogger()
    for own in root.handlers[:1]:
        handler.setFormatter(own.formatter)
        handler.filters[:] = own.filters  # the format needs what they add to a record
    root.handlers[:] = [handler]
    log.chmod(0o600)
