"""`manage.py telemetry_source CLUSTER …`: how one cluster's telemetry is read, where it differs from the settings."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.management.commands._database import running_database
from fleet.services.clusters import set_telemetry

SOURCES = ("pod-proxy", "direct", "prometheus", "default")


class Command(BaseCommand):
    help = "Says how one cluster's telemetry is read, where it differs from MUSTER_TELEMETRY and MUSTER_PROMETHEUS_URL."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("cluster")
        parser.add_argument("source", choices=SOURCES, help="default: as the settings say")
        parser.add_argument("--prometheus-url", default="", help="the cluster's own Prometheus server")

    def handle(self, *args: Any, **options: Any) -> None:
        url = options["prometheus_url"]
        source = "" if options["source"] == "default" else options["source"]
        if url and not _is_address(url):
            raise CommandError("--prometheus-url must be an address as http://prometheus.example.com:9090.")
        if source == "prometheus" and not (url or settings.PROMETHEUS_URL):
            raise CommandError("Name the server with --prometheus-url: MUSTER_PROMETHEUS_URL is not set.")
        with running_database():
            if not set_telemetry(options["cluster"], source, url):
                raise CommandError(f"There is no cluster {options['cluster']}.")
        self.stdout.write(
            f"Telemetry of {options['cluster']} is read by {source or 'what the settings say'} from its next reading on."
        )


def _is_address(url: str) -> bool:
    try:
        split = urlsplit(url)
        return split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:
        return False
