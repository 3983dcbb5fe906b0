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
from fleet.embedded.postgres import Postgres
from fleet.embedded.processes import StartError
from fleet.embedded.supervisor import Child, Stopped, Supervisor, on_end_signals, raise_stopped

FIRST_COLLECTION_S = 10.0  # what clusters that do not answer may cost before the port opens


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
                # A cluster that does not answer still holds a thread of the first look. Nothing waits for its answer.
                os._exit(0)
        except StartError as error:
            self.stderr.write(str(error))
            sys.exit(1)

    def say(self, sentence: str) -> None:
        self.stdout.write(sentence)
        self.stdout.flush()


class Start:
    """One start, from the empty folder to the page, then the watch over it."""

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
        with sockets.reserve_port(self.port, patience) as reserved:
            self.lock.announce(port=self.port, url=self.url)
            try:
                self.say(f"Muster {settings.VERSION} is starting. Data and logs: {self.home}")
                link = self._start(reserved)
                if open_browser:
                    webbrowser.open(link)
                self.supervisor.watch()
            except Stopped:
                self.say("Stopping.")
                raise
            finally:
                self.supervisor.stop()

    def _start(self, reserved: socket.socket) -> str:
        """Everything up to the page; the sign-in link."""
        _log_to(self.home / "log" / "run.log")
        settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
        simulator = self._start_simulator() if settings.IS_SIMULATED else None
        gate, opener = os.pipe()
        web = self.supervisor.add(children.web(self.home, reserved, gate))
        self._start_servers()
        self._migrate()
        self.lock.announce(port=self.port, url=self.url, ready=True)
        if simulator is not None:
            self._wait_for_kubeconfig(simulator)
        self._collect()
        link = self._greet(reserved)
        os.close(opener)
        self._wait_for_page(web)
        # Last, because the page does not need them, and they would have kept the processors from it.
        self.supervisor.add(children.worker(self.home))
        self.supervisor.add(children.beat(self.home))
        return link

    def _start_simulator(self) -> Child:
        self.say("No cluster is configured (MUSTER_KUBECONFIG): simulating three.")
        settings.SIMULATED_KUBECONFIG.unlink(missing_ok=True)  # an earlier start's leads to a port that is closed
        settings.SIMULATED_KUBECONFIG.parent.mkdir(parents=True, exist_ok=True)
        return self.supervisor.add(children.simulator(self.home, settings.SIMULATED_KUBECONFIG))

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
            call_command("migrate", verbosity=0, interactive=False)
        except DatabaseError as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise StartError(f"The database cannot be used: {reason}") from error

    def _wait_for_kubeconfig(self, simulator: Child, patience: float = 120.0) -> None:
        deadline = time.monotonic() + patience
        while not settings.SIMULATED_KUBECONFIG.exists():
            if simulator.process is None or simulator.process.poll() is not None or time.monotonic() > deadline:
                why = processes.last_lines(simulator.log) or "it did not answer in time"
                raise StartError(f"The simulated fleet did not start: {why} (log: {simulator.log})")
            time.sleep(0.05)

    def _collect(self) -> None:
        from fleet.collectors.errors import ConfigurationError
        from fleet.services.clusters import register_clusters
        from fleet.services.collection import collect_all

        try:
            known = register_clusters()
        except ConfigurationError as error:
            raise StartError(str(error)) from error
        self.say(f"First look at {len(known)} cluster{'' if len(known) == 1 else 's'}.")
        collect_all(trigger="first", timeout_s=FIRST_COLLECTION_S)

    def _wait_for_page(self, web: Child, patience: float = 120.0) -> None:
        deadline = time.monotonic() + patience
        while not _answers(self.port):
            if web.process is None or web.process.poll() is not None or time.monotonic() > deadline:
                why = processes.last_lines(web.log) or "it did not answer in time"
                raise StartError(f"The web server did not start: {why} (log: {web.log})")
            time.sleep(0.05)

    def _greet(self, reserved: socket.socket) -> str:
        """Opens the port and says where. Whoever is quicker than gunicorn waits in the socket's queue, not in vain."""
        from fleet.services.sign_in import create_owner_link

        link = create_owner_link(self.url)
        # From here on the children alone speak to the database.
        connections.close_all()
        reserved.listen(256)
        self.say("Muster is running. Ctrl-C stops it. This link signs you in, once:")
        self.say(link)
        return link


def _answers(port: int) -> bool:
    """Whether somebody speaks HTTP there, whatever the answer: ALLOWED_HOSTS may not name this address."""
    connection = http.client.HTTPConnection(sockets.HOST, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status < 500
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _log_to(log: Path) -> None:
    """The terminal is for people: what our own code logs goes to a file like everybody else's."""
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.captureWarnings(True)
    handler = logging.FileHandler(log)
    root = logging.getLogger()
    handler.setFormatter(root.handlers[0].formatter if root.handlers else None)
    root.handlers[:] = [handler]
    log.chmod(0o600)
