"""`manage.py telemetry_source CLUSTER …`: how one cluster's telemetry is read, where it differs from the settings."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from fleet.management.commands._database import running_database
from fleet.services.clusters import set_telemetry

_MATCHER = r'[a-zA-Z_][a-zA-Z0-9_]*\s*(?:=~|!~|!=|=)\s*"(?:[^"\\\n]|\\.)*"'
_MATCHERS = re.compile(rf"{_MATCHER}(?:\s*,\s*{_MATCHER})*")
SOURCES = ("pod-proxy", "direct", "prometheus", "default")


class Command(BaseCommand):
    help = "Sets how one cluster's telemetry is read, where it differs from MUSTER_TELEMETRY and MUSTER_PROMETHEUS_URL."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("cluster")
        parser.add_argument("source", choices=SOURCES, help="default: by the settings")
        parser.add_argument("--prometheus-url", default="", help="the cluster's own Prometheus server")
        parser.add_argument(
            "--prometheus-match",
            default="",
            metavar="MATCHERS",
            help="label matchers of its series, where the server has several clusters: 'cluster=\"east\"'",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        url = options["prometheus_url"]
        match = options["prometheus_match"].strip()
        if match and not _MATCHERS.fullmatch(match):
            raise CommandError('--prometheus-match must be label matchers as PromQL writes them: cluster="east", env=~"prod.*"')
        source = "" if options["source"] == "default" else options["source"]
        if url and not _is_address(url):
            raise CommandError("--prometheus-url must be an address as http://prometheus.example.com:9090.")
        if source == "prometheus" and not (url or settings.PROMETHEUS_URL):
            raise CommandError("Name the server with --prometheus-url: MUSTER_PROMETHEUS_URL is not set.")
        with running_database():
            if not set_telemetry(options["cluster"], source, url, match):
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
