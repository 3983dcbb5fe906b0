"""Repeats the steps of a collection run without the objects of the snapshot that cannot be evaluated or recorded."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable

from django.db import transaction

from fleet.domain.snapshot import ClusterSnapshot
from fleet.models import Cluster, CollectionRun
from fleet.services import isolation, last_known

log = logging.getLogger(__name__)

Collect = Callable[[], ClusterSnapshot]
Steps = Callable[[Cluster, CollectionRun, Collect], None]


def leave_out(cluster: Cluster, run: CollectionRun, collect: Collect, steps: Steps) -> None:
    """Calls `steps`. Where an object is refused, it is left out and becomes a finding, and the others are recorded.

    Collects once, however often the steps are repeated.
    """
    collected: list[ClusterSnapshot] = []

    def collect_once() -> ClusterSnapshot:
        collected.append(collect())
        return collected[0]

    try:
        steps(cluster, run, collect_once)
    except isolation.REFUSALS as error:
        if not collected:  # collecting itself failed: no object is the cause
            raise
        log.exception("%s: an object could not be recorded; searching for it", cluster.name)
        recorded = {("node", name) for name in last_known.gpu_node_names(cluster)}
        recorded |= {("pod", uid) for uid in cluster.pods.filter(removed_at__isnull=True).values_list("uid", flat=True)}

        def try_out(part: ClusterSnapshot) -> None:
            cluster.refresh_from_db()
            with transaction.atomic():
                steps(cluster, copy.copy(run), lambda: part)
                transaction.set_rollback(True)

        kept, refused = isolation.without_refused(collected[0], error, recorded, try_out)
        log.error("%s: left out because they cannot be recorded: %s", cluster.name, refused)
        cluster.refresh_from_db()
        steps(cluster, run, lambda: kept)
