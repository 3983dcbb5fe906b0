"""How the telemetry of a cluster is collected."""

from __future__ import annotations

from django.conf import settings

from fleet.collectors.telemetry import Plan
from fleet.models import Cluster
from fleet.services import last_known


def plan_of(cluster: Cluster) -> Plan:
    """Returns the cluster's own telemetry settings, completed by those of the installation."""
    return Plan(
        source=cluster.telemetry_source or settings.TELEMETRY_SOURCE,
        prometheus_url=cluster.prometheus_url or settings.PROMETHEUS_URL,
        prometheus_token=settings.PROMETHEUS_TOKEN,
        prometheus_match=cluster.prometheus_match,
        workers=settings.TELEMETRY_WORKERS,
        timeout_s=settings.TELEMETRY_TIMEOUT_S,
        failed_before=last_known.failed_exporters(cluster),
        refused=last_known.refused_exporters(cluster),
    )
