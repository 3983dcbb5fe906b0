"""Step 1 of a collection run: requests everything of one cluster, and repeats it where a list is implausibly short."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from time import monotonic

from django.conf import settings

from fleet.collectors.connections import Connection
from fleet.collectors.run import collect
from fleet.collectors.sections import SECTIONS, TELEMETRY_SECTIONS
from fleet.collectors.session import Progress
from fleet.collectors.telemetry import PORTS
from fleet.domain.snapshot import ClusterSnapshot
from fleet.domain.snapshot.cluster import shrinkage
from fleet.models import Cluster
from fleet.services import clock, last_known, telemetry_plan

log = logging.getLogger(__name__)

_TICK = timedelta(milliseconds=1)


class SnapshotCollector:
    """Collects one snapshot; afterwards `doubt` holds what is implausible about it, "" if nothing, and `took_s` the seconds."""

    def __init__(
        self,
        cluster: Cluster,
        source: Connection,
        *,
        telemetry_only: bool,
        deadline_s: float,
        report: Callable[[Progress], None] | None = None,
    ) -> None:
        """`report` is called after each page of a list."""
        self.cluster, self.source, self.telemetry_only = cluster, source, telemetry_only
        self.deadline_s = min(deadline_s, settings.TELEMETRY_INTERVAL.total_seconds()) if telemetry_only else deadline_s
        self.known_nodes = last_known.gpu_node_names(cluster)
        self.doubt, self.took_s, self.report = "", 0.0, report

    def collect(self) -> ClusterSnapshot:
        """Returns what was read now. Lists that lack many known objects are requested once more before anything is removed."""
        started = monotonic()
        snapshot = self._request()
        if not self.telemetry_only and (doubt := self._shrinkage(snapshot)):
            log.warning("%s: %s Requested again before anything is removed.", self.cluster.name, doubt)
            snapshot = self._request()
            self.doubt = self._shrinkage(snapshot)
        self.took_s = monotonic() - started
        return snapshot

    def _request(self) -> ClusterSnapshot:
        return collect(
            self.source,
            now=clock_of(self.cluster),
            known_gpu_nodes=self.known_nodes,
            known_pods=last_known.pods_to_ask(self.cluster, PORTS),
            plan=telemetry_plan.plan_of(self.cluster),
            sections=TELEMETRY_SECTIONS if self.telemetry_only else SECTIONS,
            deadline_s=self.deadline_s,
            stack_namespaces=settings.STACK_NAMESPACES,
            report=self.report,
        )

    def _shrinkage(self, snapshot: ClusterSnapshot) -> str:
        return shrinkage(snapshot, self.known_nodes, last_known.pod_count(self.cluster))


def clock_of(cluster: Cluster) -> Callable[[], datetime]:
    """Returns a clock that is never before the cluster's last recorded moment.

    A system clock that was set back must neither rewrite history nor stop it. The cluster's lock keeps other writers out.
    """
    earliest = cluster.taken_at + _TICK if cluster.taken_at else datetime.min.replace(tzinfo=UTC)
    system = clock.current()
    return lambda: max(system(), earliest)
