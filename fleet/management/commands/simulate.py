"""manage.py simulate: a simulated fleet over HTTP, and a kubeconfig that leads to it."""

from __future__ import annotations

import signal
import threading
from argparse import ArgumentParser
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from fleet.simulator import kubeconfig
from fleet.simulator.fleet import build_fleet
from fleet.simulator.live import Life
from fleet.simulator.server import serve


class Command(BaseCommand):
    help = "Serve a simulated fleet of Kubernetes clusters over HTTP on loopback, and write a kubeconfig for it."
    requires_system_checks: list[str] = []
    requires_migrations_checks = False

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--clusters", type=int, default=3, help="number of clusters (3)")
        parser.add_argument(
            "--nodes",
            type=int,
            default=None,
            help="GPU nodes over all clusters; a few CPU nodes are added (47 per cluster)",
        )
        parser.add_argument(
            "--pods-per-node",
            type=int,
            default=None,
            help="pods per GPU node, daemons included (as many as real nodes have); under 15 only essential daemons run",
        )
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same fleet (1)")
        parser.add_argument(
            "--kubeconfig",
            type=Path,
            default=Path("simulated.kubeconfig"),
            help="where to write the kubeconfig (simulated.kubeconfig)",
        )
        parser.add_argument(
            "--port",
            type=int,
            default=0,
            help="port of the common address and the control endpoint; clusters follow on the next ones (any free)",
        )
        life = parser.add_mutually_exclusive_group()
        life.add_argument("--live", dest="live", action="store_true", default=True, help="the fleet changes over time (default)")
        life.add_argument(
            "--frozen", dest="live", action="store_false", help="nothing happens unless requested at the control endpoint"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["clusters"] < 1:
            raise CommandError("--clusters must be at least 1.")
        for name in ("nodes", "pods_per_node"):
            if options[name] is not None and options[name] < 0:
                raise CommandError(f"--{name.replace('_', '-')} must not be negative.")
        path: Path = options["kubeconfig"]
        stop = threading.Event()

        def leave(number: int, frame: FrameType | None) -> None:
            stop.set()

        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, leave)
            signal.signal(signal.SIGINT, leave)
        fleet = build_fleet(
            options["clusters"],
            options["nodes"],
            options["pods_per_node"],
            options["seed"],
            now=datetime.now(UTC),
            live=options["live"],
        )
        try:
            with serve(fleet, options["port"], kubeconfig.ports(path)) as simulation:
                simulation.kubeconfig(path)
                for cluster in fleet.clusters:
                    size = f"{len(cluster.nodes)} nodes, {len(cluster.pods)} pods, {cluster.flavour.version}"
                    self.stdout.write(f"{cluster.name}: {simulation.server_url(cluster.name)} ({size})")
                self.stdout.write(f"Control: {simulation.url}/_simulator/")
                self.stdout.write(f"Kubeconfig: {path.resolve()}")
                self.stdout.flush()
                with Life(fleet) if options["live"] else _Still():
                    stop.wait()
        except OSError as error:
            raise CommandError(f"Port {options['port']} cannot be used: {error.strerror}. Choose another with --port.") from error


class _Still:
    """A fleet in which nothing happens."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *gone: object) -> None:
        return None
