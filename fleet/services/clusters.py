"""Which clusters there are: the configuration's contexts, as rows."""

from __future__ import annotations

import logging
import os
from functools import lru_cache
from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from fleet.collectors.connections import Connection, list_connections
from fleet.models import Cluster

log = logging.getLogger(__name__)


def connections() -> dict[str, Connection]:
    """Cluster name to how it is reached. Raises collectors.errors.ConfigurationError with a sentence for people."""
    if settings.IS_SIMULATED and not settings.SIMULATED_KUBECONFIG.exists():
        return {}
    files = tuple(Path(part) for part in settings.MUSTER_KUBECONFIG.split(os.pathsep) if part)
    return _read(tuple((str(path), _stamp(path)) for path in files), settings.MUSTER_CONTEXTS)


def _stamp(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read(files: tuple[tuple[str, tuple[int, int]], ...], contexts: tuple[str, ...]) -> dict[str, Connection]:
    """Reads the kubeconfig again only when one of its files changed."""
    kubeconfig = os.pathsep.join(path for path, _ in files)
    found = list_connections(kubeconfig or None, contexts, in_cluster=not files)
    return {connection.name: connection for connection in found}


def set_telemetry(name: str, source: str, prometheus_url: str, prometheus_match: str = "") -> bool:
    """How one cluster's telemetry is read; empty values follow the settings. False where there is no such cluster."""
    rows = Cluster.objects.filter(name=name, removed_at__isnull=True)
    return bool(rows.update(telemetry_source=source, prometheus_url=prometheus_url, prometheus_match=prometheus_match))


@transaction.atomic
def register_clusters() -> list[Cluster]:
    """Makes the rows agree with the configuration and returns those it names.

    A cluster that the configuration no longer names keeps its history and leaves the pages; one that comes back goes on.
    """
    configured = connections()
    rows = {cluster.name: cluster for cluster in Cluster.objects.select_for_update()}
    now = timezone.now()
    for name, connection in configured.items():
        row = rows.get(name)
        if row is None:
            rows[name] = Cluster.objects.create(name=name, server=connection.server, next_due_at=now)
            log.info("cluster %s is new", name)
        elif row.removed_at is not None or row.server != connection.server:
            row.removed_at, row.server, row.next_due_at = None, connection.server, now
            row.save(update_fields=["removed_at", "server", "next_due_at"])
    for name, row in rows.items():
        if name not in configured and row.removed_at is None:
            row.removed_at = now
            row.save(update_fields=["removed_at"])
            log.info("cluster %s is no longer configured", name)
    return [rows[name] for name in sorted(configured)]
