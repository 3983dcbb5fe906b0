"""Clusters: the configuration's contexts as rows."""

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
from fleet.selectors.muster import demo
from fleet.services import same_cluster
from fleet.services.audit import audit
from fleet.services.locks import lock_identities

log = logging.getLogger(__name__)


def connections() -> dict[str, Connection]:
    """Cluster name to how it is reached. Raises collectors.errors.ConfigurationError with a sentence for people."""
    if settings.IS_SIMULATED and not settings.SIMULATED_KUBECONFIG.exists():
        return {}
    files = tuple(Path(part) for part in settings.MUSTER_KUBECONFIG.split(os.pathsep) if part)
    if settings.DEMO and demo.kubeconfig().exists():
        files += (demo.kubeconfig(),)
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
    connections = list_connections(kubeconfig or None, contexts, in_cluster=not files)
    return {connection.name: connection for connection in connections}


@transaction.atomic
def set_telemetry(name: str, source: str, prometheus_url: str, prometheus_match: str = "") -> bool:
    """How one cluster's telemetry is read; empty values follow the settings. False where there is no such cluster."""
    row = Cluster.objects.select_for_update().filter(name=name, removed_at__isnull=True).first()
    if row is None:
        return False
    fields = {"telemetry_source": source, "prometheus_url": prometheus_url, "prometheus_match": prometheus_match}
    before = {field: getattr(row, field) for field in fields}
    Cluster.objects.filter(pk=row.pk).update(**fields)
    audit(None, "cluster.telemetry_source", name, detail={"before": before, "after": fields})
    return True


@transaction.atomic
def register_clusters() -> list[Cluster]:
    """Makes the rows agree with the configuration and returns those it names.

    A cluster that the configuration no longer names keeps its history and is hidden; one that comes back continues. A
    context that leads to the cluster of another one is not returned: `same_as` of its row names that one.
    """
    configured = connections()
    lock_identities()
    rows = {cluster.name: cluster for cluster in Cluster.objects.select_for_update().order_by("pk")}
    now = timezone.now()
    moved: set[int] = set()
    for name, connection in configured.items():
        row = rows.get(name)
        if row is None:
            rows[name] = Cluster.objects.create(name=name, server=connection.server, next_due_at=now)
            log.info("cluster %s is new", name)
            continue
        if row.server != connection.server:
            moved.add(row.pk)
        if row.server != connection.server or (row.removed_at is not None and row.same_as_id is None):
            row.same_as, row.same_by = None, ""
            row.removed_at, row.server, row.next_due_at = None, connection.server, now
            row.save(update_fields=["removed_at", "server", "next_due_at", "same_as", "same_by"])
    for name, row in rows.items():
        if name not in configured and (row.removed_at is None or row.same_as_id is not None):
            row.removed_at, row.same_as, row.same_by = row.removed_at or now, None, ""
            row.save(update_fields=["removed_at", "same_as", "same_by"])
            log.info("cluster %s is no longer configured", name)
    same_cluster.group_by_address(rows, configured, frozenset(moved), now)
    return [rows[name] for name in sorted(configured) if rows[name].same_as_id is None]
